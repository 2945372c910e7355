//! `linux.resources.cpu.quota`: a fifth of a CPU.

use serde_json::json;

use super::rig::cgroup::{Cgroup, counter};
use super::rig::container::succeeded;
use super::rig::{Probing, Rig, Stop, expect};

/// Microseconds of each period.
const QUOTA: u64 = 20_000;
const PERIOD: u64 = 100_000;

/// How long the busy loop runs, milliseconds.
const SPAN: u64 = 1000;

pub(super) fn probe(rig: &Rig) -> Probing {
    let verb = format!("spin {SPAN}");
    let mut bundle = rig.bundle("bundle", &["pause", &verb, "pause"])?;
    bundle.limit(json!({ "cpu": { "quota": QUOTA, "period": PERIOD } }));
    let mut container = rig.start(&bundle)?;
    container.pause()?;
    let process = container.process()?;
    let cgroup = Cgroup::of(&process, "cpu")?;
    let limit = cgroup.read("cpu.max", "cpu.cfs_quota_us")?;
    rig.outside(format_args!("the cgroup's quota is {limit}"));
    let throttled = || {
        let text = cgroup.read("cpu.stat", "cpu.stat")?;
        counter(&text, "nr_throttled").ok_or_else(|| {
            Stop::Unsupported(
                "throttling: cpu.stat has no nr_throttled (CONFIG_CFS_BANDWIDTH)".to_owned(),
            )
        })
    };
    let before = throttled()?;
    container.resume()?;
    let said = container.pause()?.clone();
    let after = throttled()?;
    let (used, wall) = (said.number(&verb, "used")?, said.number(&verb, "wall")?);
    rig.outside(format_args!("throttled {} times", after - before));
    expect(after > before, || {
        "the kernel never throttled a busy loop".to_owned()
    })?;
    // Twice its share at the most: a period can be cut by either end.
    let most = 2 * wall * QUOTA / PERIOD;
    expect(used <= most, || {
        format!("a busy loop used {used} ms of {wall}, more than {most}")
    })?;
    container.resume()?;
    let (_, status) = container.end()?;
    succeeded(&status)
}
