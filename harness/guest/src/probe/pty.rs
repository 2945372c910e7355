//! Terminals of the container's own devpts: one its program opens, and one it is
//! given (`process.terminal`), which the runtime serves.

use std::collections::BTreeSet;
use std::fs;

use serde_json::json;

use super::rig::{Probing, Rig, expect, trouble};

pub(super) fn probe(rig: &Rig) -> Probing {
    opened(rig)?;
    given(rig)
}

fn given(rig: &Rig) -> Probing {
    let before = terminals()?;
    let mut bundle = rig.bundle("given", &["tty", "pause"])?;
    bundle.config["process"]["terminal"] = json!(true);
    bundle.config["process"]["consoleSize"] = json!({"height": 33, "width": 77});
    let mut container = rig.start(&bundle)?;
    let said = container.pause()?.clone();
    for (field, wanted) in [
        ("name", "/dev/pts/0"),
        ("size", "33x77"),
        ("session", "own"),
        ("console", "same"),
    ] {
        let seen = said.field("tty", field)?;
        expect(seen == wanted, || {
            format!("of the terminal it was given, {field} is {seen} inside, not {wanted}")
        })?;
    }
    let streams: Vec<String> = (0..3)
        .map(|number| {
            let link = container.process()?.folder().join(format!("fd/{number}"));
            fs::read_link(&link)
                .map(|target| target.display().to_string())
                .map_err(trouble(link.display()))
        })
        .collect::<Probing<_>>()?;
    let during = terminals()?;
    rig.outside(format_args!(
        "its streams are {}; terminals of the machine before and now: {} and {}",
        streams.join(" "),
        before.len(),
        during.len()
    ));
    expect(streams.iter().all(|stream| stream == "/dev/pts/0"), || {
        format!("outside, its streams are {}", streams.join(" "))
    })?;
    expect(before == during, || {
        "the container's terminal is among the machine's".to_owned()
    })?;
    container.succeed()
}

fn opened(rig: &Rig) -> Probing {
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
    container.succeed()
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
