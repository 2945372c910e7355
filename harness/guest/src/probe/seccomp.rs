//! `linux.seccomp`: a profile that refuses one call and kills for another.

use runtime::status::Status;
use serde_json::json;

use super::rig::container::came_up;
use super::rig::{Probing, Rig, expect};

/// SIGSYS.
const SIGSYS: u8 = 31;

/// ENOTTY: an error that neither call gives by itself.
const ENOTTY: u32 = 25;

pub(super) fn probe(rig: &Rig) -> Probing {
    let mut bundle = rig.bundle(
        "bundle",
        &[
            "status Seccomp",
            "call getpriority",
            "call getcpu",
            "pause",
            "call sysinfo",
        ],
    )?;
    bundle.config["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [
            { "names": ["getpriority"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOTTY },
            { "names": ["sysinfo"], "action": "SCMP_ACT_KILL" },
        ],
    });
    let mut container = rig.start(&bundle)?;
    let said = container.pause()?.clone();
    said.refused("call getpriority", &["ENOTTY"])?;
    said.done("call getcpu")?;
    let mode = container.process()?.status("Seccomp")?;
    rig.outside(format_args!(
        "Seccomp of the process: {}",
        // Linux 3.8.
        mode.as_deref().unwrap_or("not told by this kernel")
    ));
    expect(mode.is_none_or(|mode| mode == "2"), || {
        "outside, the process has no filter".to_owned()
    })?;
    container.resume()?;
    let (_, status) = container.end()?;
    came_up(&status)?;
    rig.outside(format_args!("the container ended with {status:?}"));
    let killed = matches!(status, Status::Signaled { signal: SIGSYS, .. });
    expect(killed, || {
        format!("a call that kills ended with {status:?}")
    })
}
