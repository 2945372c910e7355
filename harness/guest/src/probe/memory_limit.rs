//! `linux.resources.memory.limit`.

use runtime::status::Status;
use serde_json::json;

use super::rig::cgroup::Cgroup;
use super::rig::container::came_up;
use super::rig::{Probing, Rig, Stop, expect};
use crate::kernel_log::KernelLog;

/// Bytes: 32 MiB.
const LIMIT: u64 = 32 << 20;

pub(super) fn probe(rig: &Rig) -> Probing {
    let mut log = KernelLog::open()?;
    log.read()?;
    let mut bundle = rig.bundle("bundle", &["allocate 8", "pause", "allocate 64"])?;
    bundle.limit(json!({ "memory": { "limit": LIMIT } }));
    let mut container = rig.start(&bundle)?;
    container.pause()?.done("allocate 8")?;
    let cgroup = Cgroup::of(&container.process()?, "memory")?;
    let limit = cgroup.read("memory.max", "memory.limit_in_bytes")?;
    rig.outside(format_args!("the cgroup's limit is {limit}"));
    expect(limit == LIMIT.to_string(), || {
        format!("the cgroup's limit is {limit}, not {LIMIT}")
    })?;
    container.resume()?;
    let (said, status) = container.end()?;
    came_up(&status)?;
    rig.outside(format_args!("the container ended with {status:?}"));
    expect(status == Status::OutOfMemory, || {
        match said.of("allocate 64") {
            Ok(answer) => format!("64 MiB were not too much under a limit of 32: {answer}"),
            Err(_) => format!("the program ended with {status:?}, not killed for memory"),
        }
    })?;
    let lines = log.read()?;
    let told = lines
        .iter()
        .find(|line| line.text.contains("emory cgroup out of memory"));
    match told {
        Some(line) => {
            rig.outside(format_args!("the kernel: {}", line.text));
            Ok(())
        }
        None => Err(Stop::Failed(
            "the program was killed, and the kernel told of no cgroup out of memory".to_owned(),
        )),
    }
}
