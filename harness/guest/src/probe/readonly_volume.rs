//! Bind mounts that cannot be written: `ro`, and `rro` for what is mounted below.

use std::fs;

use rustix::mount::{MountFlags, mount};

use super::rig::container::succeeded;
use super::rig::{Probing, Rig, expect, trouble};

pub(super) fn probe(rig: &Rig) -> Probing {
    let folder = rig.folder("volume")?;
    let below = rig.folder("volume/below")?;
    mount("tmpfs", &below, "tmpfs", MountFlags::empty(), None)
        .map_err(trouble("mount a tmpfs below the volume"))?;
    one(rig, &folder, "ro", &["EROFS"])?;
    one(rig, &folder, "rro", &["EROFS"])
}

fn one(rig: &Rig, folder: &std::path::Path, option: &str, errnos: &[&str]) -> Probing {
    fs::write(folder.join("file"), "1").map_err(trouble("volume"))?;
    let mut bundle = rig.bundle(
        option,
        &[
            "write /data/new x",
            "write /data/file x",
            "write /data/below/new x",
            "pause",
            "read /data/file",
        ],
    )?;
    let source = folder.display().to_string();
    bundle.mount("/data", "bind", &source, &["rbind", option]);
    let mut container = rig.start(&bundle)?;
    let said = container.pause()?;
    said.refused("write /data/new x", errnos)?;
    said.refused("write /data/file x", errnos)?;
    if option == "rro" {
        said.refused("write /data/below/new x", errnos)?;
    }
    fs::write(folder.join("file"), "2").map_err(trouble("volume"))?;
    rig.outside(format_args!("under {option}: wrote 2 to the file"));
    container.resume()?;
    let (said, status) = container.end()?;
    succeeded(&status)?;
    expect(said.done("read /data/file")? == "2", || {
        "what outside wrote is not seen inside".to_owned()
    })?;
    let new = folder.join("new").exists();
    rig.outside(format_args!("under {option}: a new file is there: {new}"));
    expect(!new, || "a file was made in a read-only volume".to_owned())
}
