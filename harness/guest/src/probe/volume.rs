//! A bind mount of a folder outside.

use std::fs;

use super::rig::container::succeeded;
use super::rig::{Probing, Rig, expect, trouble};

pub(super) fn probe(rig: &Rig) -> Probing {
    let folder = rig.folder("volume")?;
    let file = |name: &str| folder.join(name);
    fs::write(file("before"), "outside 1").map_err(trouble("volume"))?;
    let mut bundle = rig.bundle(
        "bundle",
        &[
            "read /data/before",
            "write /data/inside from-inside",
            "pause",
            "read /data/during",
            "remove /data/before",
        ],
    )?;
    let source = folder.display().to_string();
    bundle.mount("/data", "bind", &source, &["rbind", "rw"]);
    let mut container = rig.start(&bundle)?;
    let said = container.pause()?;
    expect(said.done("read /data/before")? == "outside 1", || {
        "the volume's file is not seen inside".to_owned()
    })?;
    said.done("write /data/inside from-inside")?;
    let inside = fs::read_to_string(file("inside"));
    rig.outside(format_args!("/inside of the folder: {inside:?}"));
    expect(inside.is_ok_and(|text| text == "from-inside"), || {
        "what was written inside is not in the folder".to_owned()
    })?;
    fs::write(file("during"), "outside 2").map_err(trouble("volume"))?;
    rig.outside("wrote /during while the container runs");
    container.resume()?;
    let (said, status) = container.end()?;
    succeeded(&status)?;
    expect(said.done("read /data/during")? == "outside 2", || {
        "what was written outside is not seen inside".to_owned()
    })?;
    said.done("remove /data/before")?;
    let left = file("before").exists();
    rig.outside(format_args!("/before is there: {left}"));
    expect(!left, || {
        "what was removed inside is still there".to_owned()
    })
}
