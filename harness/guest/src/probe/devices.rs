//! `linux.resources.devices`: what is not allowed cannot be opened.

use std::fs::File;

use serde_json::json;

use super::rig::{Probing, Rig, expect};

pub(super) fn probe(rig: &Rig) -> Probing {
    let mut bundle = rig.bundle(
        "bundle",
        &[
            "mknod /denied 1 5",
            "mknod /allowed 1 3",
            "open /denied",
            "open /allowed",
            "open /dev/null",
            "pause",
        ],
    )?;
    let allowed = |kind: &str, major: i64, minor: i64, access: &str| json!({ "allow": true, "type": kind, "major": major, "minor": minor, "access": access });
    bundle.limit(json!({ "devices": [
        { "allow": false, "access": "rwm" },
        { "allow": true, "type": "c", "access": "m" },
        allowed("c", 1, 3, "rwm"),
        allowed("c", 1, 8, "rwm"),
        allowed("c", 1, 9, "rwm"),
        allowed("c", 5, 0, "rwm"),
        allowed("c", 5, 2, "rwm"),
    ] }));
    let mut container = rig.start(&bundle)?;
    let said = container.pause()?.clone();
    said.done("mknod /denied 1 5")?;
    said.done("open /allowed")?;
    said.done("open /dev/null")?;
    said.refused("open /denied", &["EPERM"])?;
    let node = File::open(bundle.root().join("denied"));
    rig.outside(format_args!("opens the same node: {}", node.is_ok()));
    expect(node.is_ok(), || {
        "outside cannot open the node either, so nothing is shown".to_owned()
    })?;
    container.succeed()
}
