//! `linux.resources.pids.limit`.

use serde_json::json;

use super::rig::cgroup::Cgroup;
use super::rig::container::succeeded;
use super::rig::process::{inside, list};
use super::rig::{Probing, Rig, expect};

const LIMIT: u64 = 8;

pub(super) fn probe(rig: &Rig) -> Probing {
    let mut bundle = rig.bundle("bundle", &["fork 20", "pause"])?;
    bundle.limit(json!({ "pids": { "limit": LIMIT } }));
    let mut container = rig.start(&bundle)?;
    let said = container.pause()?.clone();
    let cgroup = Cgroup::of(&container.process()?, "pids")?;
    let limit = cgroup.read("pids.max", "pids.max")?;
    let current = cgroup.read("pids.current", "pids.current")?;
    let processes = inside()?;
    rig.outside(format_args!(
        "the cgroup has {current} of {limit}: {}",
        list(&processes)
    ));
    expect(limit == LIMIT.to_string(), || {
        format!("the cgroup's limit is {limit}, not {LIMIT}")
    })?;
    let forked = said.number("fork 20", "forked")?;
    let errno = said.field("fork 20", "then")?;
    expect(errno == "EAGAIN", || {
        format!("{forked} forks, and then {errno}, under a limit of {LIMIT}")
    })?;
    // PID 1 counts; a runtime's own process may be in the cgroup as well.
    let all = forked + 1;
    expect(all <= LIMIT && all + 2 >= LIMIT, || {
        format!("{all} processes under a limit of {LIMIT}")
    })?;
    container.resume()?;
    let (_, status) = container.end()?;
    succeeded(&status)
}
