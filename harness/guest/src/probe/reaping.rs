//! Orphans inside come to the container's PID 1; what outlives it is killed.

use super::rig::container::succeeded;
use super::rig::process::{list, wait_for};
use super::rig::{Probing, Rig, expect};

pub(super) fn probe(rig: &Rig) -> Probing {
    let bundle = rig.bundle(
        "bundle",
        &["orphan", "pause", "reap", "pause", "leave", "pause"],
    )?;
    let mut container = rig.start(&bundle)?;
    let said = container.pause()?;
    expect(said.field("orphan", "parent")? == "1", || {
        "an orphan did not become a child of the container's PID 1".to_owned()
    })?;
    let seen = wait_for(|all| all.iter().any(|one| one.state == 'Z'))?;
    rig.outside(format_args!("before it is reaped: {}", list(&seen)));
    expect(seen.iter().any(|one| one.state == 'Z'), || {
        "outside sees no zombie of the orphan that ended".to_owned()
    })?;
    container.resume()?;
    let said = container.pause()?;
    expect(said.field("reap", "reaped")? == "1", || {
        "the container's PID 1 could not reap the orphan".to_owned()
    })?;
    let seen = wait_for(|all| all.len() == 1)?;
    rig.outside(format_args!("after: {}", list(&seen)));
    expect(seen.len() == 1, || {
        "the reaped orphan is still seen outside".to_owned()
    })?;
    container.resume()?;
    container.pause()?;
    let seen = wait_for(|all| all.len() == 2)?;
    rig.outside(format_args!("with one left running: {}", list(&seen)));
    expect(seen.len() == 2, || {
        "the process that is left running is not seen outside".to_owned()
    })?;
    container.resume()?;
    let (_, status) = container.end()?;
    succeeded(&status)?;
    let seen = wait_for(<[_]>::is_empty)?;
    rig.outside(format_args!("when PID 1 has ended: {}", list(&seen)));
    expect(seen.is_empty(), || {
        "a process outlived the container's PID 1".to_owned()
    })
}
