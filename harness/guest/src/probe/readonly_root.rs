//! `root.readonly`.

use std::fs;

use super::rig::{Probing, Rig, trouble};

pub(super) fn probe(rig: &Rig) -> Probing {
    let mut bundle = rig.bundle(
        "readonly",
        &[
            "write /inside x",
            "mkdir /folder",
            "write /etc/inside x",
            "write /dev/shm/inside x",
            "pause",
            "read /outside",
        ],
    )?;
    bundle.config["root"]["readonly"] = true.into();
    let mut container = rig.start(&bundle)?;
    let said = container.pause()?.clone();
    said.refused("write /inside x", &["EROFS"])?;
    said.refused("mkdir /folder", &["EROFS"])?;
    said.refused("write /etc/inside x", &["EROFS"])?;
    said.done("write /dev/shm/inside x")?;
    // The layer itself can be written: it is the container's view that cannot.
    let path = bundle.root().join("outside");
    fs::write(&path, "from outside").map_err(trouble(path.display()))?;
    rig.outside("wrote /outside into the same root");
    container.resume()?;
    let (said, status) = container.end()?;
    super::rig::container::succeeded(&status)?;
    super::rig::expect(said.done("read /outside")? == "from outside", || {
        "what outside wrote is not seen inside".to_owned()
    })
}
