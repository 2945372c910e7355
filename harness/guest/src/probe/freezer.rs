//! A container's cgroup frozen and thawed from outside.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::json;

use super::rig::cgroup::Cgroup;
use super::rig::process::Process;
use super::rig::{Probing, Rig, Stop, expect, trouble};

/// How long it is looked at, in each state.
const LOOK: Duration = Duration::from_millis(300);

/// How long freezing may take.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn probe(rig: &Rig) -> Probing {
    let mut bundle = rig.bundle("bundle", &["pause", "spin 60000"])?;
    // Any limit gives it a cgroup of its own.
    bundle.limit(json!({ "pids": { "limit": 100 } }));
    let mut container = rig.start(&bundle)?;
    container.pause()?;
    let process = container.process()?;
    let cgroup = Cgroup::of(&process, "freezer")?;
    let file = cgroup.file("cgroup.freeze", "freezer.state");
    if !file.exists() {
        return Err(Stop::Unsupported(
            "freezing: cgroup.freeze came with Linux 5.2, before it is the v1 controller \
             freezer (CONFIG_CGROUP_FREEZER)"
                .to_owned(),
        ));
    }
    let (freeze, thaw) = if cgroup.unified {
        ("1", "0")
    } else {
        ("FROZEN", "THAWED")
    };
    container.resume()?;
    let running = ticks_of(&process)?;
    rig.outside(format_args!("running, it uses {running} ticks"));
    expect(running > 0, || "the busy loop does not run".to_owned())?;

    fs::write(&file, freeze).map_err(trouble(file.display()))?;
    let stopped = frozen_in_time(&cgroup);
    let frozen = stopped
        .as_ref()
        .is_ok_and(|stopped| *stopped)
        .then(|| ticks_of(&process));
    // Whatever was seen: what is frozen cannot be killed.
    fs::write(&file, thaw).map_err(trouble(file.display()))?;
    expect(stopped?, || "the cgroup did not freeze".to_owned())?;
    let frozen = frozen.unwrap_or(Ok(0))?;
    rig.outside(format_args!("frozen, it uses {frozen} ticks"));
    let thawed = ticks_of(&process)?;
    rig.outside(format_args!("thawed, it uses {thawed} ticks"));
    expect(frozen == 0, || {
        format!("a frozen busy loop used {frozen} ticks")
    })?;
    expect(thawed > 0, || {
        "the busy loop does not go on after it was thawed".to_owned()
    })
}

/// The kernel says that all of it stands still.
fn frozen_in_time(cgroup: &Cgroup) -> Probing<bool> {
    let begun = Instant::now();
    loop {
        let frozen = if cgroup.unified {
            cgroup.read("cgroup.events", "")?.contains("frozen 1")
        } else {
            cgroup.read("", "freezer.state")? == "FROZEN"
        };
        if frozen || begun.elapsed() > PATIENCE {
            return Ok(frozen);
        }
        sleep(Duration::from_millis(5));
    }
}

/// Clock ticks a process uses while it is looked at.
fn ticks_of(process: &Process) -> Probing<u64> {
    let now = || {
        process
            .now()
            .map(|process| process.ticks)
            .ok_or_else(|| Stop::Failed("the container is gone".to_owned()))
    };
    let before = now()?;
    sleep(LOOK);
    Ok(now()? - before)
}
