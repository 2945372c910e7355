//! The root is the image's, and the layer over it the container's own.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::rig::{Probing, Rig, expect, trouble};

pub(super) fn probe(rig: &Rig) -> Probing {
    let program = rig.image.join("probe-inside");
    let size = fs::metadata(&program)
        .map_err(trouble(program.display()))?
        .len();
    let mut bundle = rig.bundle(
        "image",
        &[
            "stat /probe-inside",
            "list /",
            "stat /matrix",
            "stat /run/probe",
            "write /written here",
            "pause",
        ],
    )?;
    // A name that outside does not have, put in the layer from outside.
    fs::write(bundle.root().join("marker"), "outside").map_err(trouble("marker"))?;
    bundle.config["hostname"] = "image".into();
    let mut container = rig.start(&bundle)?;
    let said = container.pause()?.clone();
    rig.outside(format_args!("the image's program has {size} bytes"));
    expect(said.number("stat /probe-inside", "size")? == size, || {
        "the program inside is not the image's".to_owned()
    })?;
    let listed = said.done("list /")?;
    for name in ["probe-inside", "marker", "proc", "etc"] {
        expect(listed.split(' ').any(|entry| entry == name), || {
            format!("the root inside lacks {name}: {listed}")
        })?;
    }
    said.refused("stat /matrix", &["ENOENT"])?;
    said.refused("stat /run/probe", &["ENOENT"])?;
    said.done("write /written here")?;
    let layer = fs::read_to_string(bundle.root().join("written"));
    rig.outside(format_args!("/written in the layer: {layer:?}"));
    expect(layer.is_ok_and(|text| text == "here"), || {
        "what was written inside is not in the layer".to_owned()
    })?;
    expect(!rig.image.join("written").exists(), || {
        "what was written inside is in the image".to_owned()
    })?;
    let process = container.process()?;
    let path = process.folder().join("root");
    let root = fs::metadata(&path).map_err(trouble(path.display()))?;
    let own = fs::metadata("/").map_err(trouble("/"))?;
    let layer = fs::metadata(bundle.root()).map_err(trouble("the layer"))?;
    rig.outside(format_args!(
        "device of the process's root {}, of the layer {}, of the machine's root {}",
        root.dev(),
        layer.dev(),
        own.dev()
    ));
    expect(
        root.dev() == layer.dev() && root.ino() == layer.ino(),
        || "the process's root is not the layer".to_owned(),
    )?;
    container.succeed()
}
