//! A terminal of the container's own devpts.

use std::collections::BTreeSet;
use std::fs;

use super::rig::{Probing, Rig, expect, trouble};

pub(super) fn probe(rig: &Rig) -> Probing {
    let before = terminals()?;
    let bundle = rig.bundle("bundle", &["pty", "pause"])?;
    let mut container = rig.start(&bundle)?;
    let said = container.pause()?.clone();
    let name = said.field("pty", "name")?;
    expect(name == "/dev/pts/0", || {
        format!("the first terminal inside is {name}")
    })?;
    let echoed = said.field("pty", "through")?;
    expect(echoed == "hello", || {
        format!("what was written came through as {echoed}")
    })?;
    let during = terminals()?;
    let its = container.process()?.folder().join("root/dev/pts/0");
    rig.outside(format_args!(
        "terminals of the machine before and now: {} and {}; the container's is there: {}",
        before.len(),
        during.len(),
        its.exists()
    ));
    expect(before == during, || {
        "the container's terminal is among the machine's".to_owned()
    })?;
    expect(its.exists(), || {
        "outside does not find the container's terminal through the process".to_owned()
    })?;
    container.end()?;
    Ok(())
}

/// The machine's own.
fn terminals() -> Probing<BTreeSet<String>> {
    fs::read_dir("/dev/pts")
        .map_err(trouble("/dev/pts"))?
        .map(|entry| {
            entry
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .map_err(trouble("/dev/pts"))
        })
        .collect()
}
