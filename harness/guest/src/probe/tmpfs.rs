//! A tmpfs of a given size.

use std::fs;

use super::rig::{Probing, Rig, expect, trouble};

/// statfs's f_type, from the kernel's magic.h.
const TMPFS: &str = "type=0x1021994";

pub(super) fn probe(rig: &Rig) -> Probing {
    let mut bundle = rig.bundle(
        "bundle",
        &[
            "statfs /scratch",
            "stat /scratch",
            "fill /scratch/some 524288",
            "fill /scratch/more 1048576",
            "pause",
        ],
    )?;
    bundle.mount(
        "/scratch",
        "tmpfs",
        "tmpfs",
        &["nosuid", "nodev", "size=1m", "mode=1777"],
    );
    let mut container = rig.start(&bundle)?;
    let said = container.pause()?.clone();
    expect(said.done("statfs /scratch")?.contains(TMPFS), || {
        "what is mounted is no tmpfs".to_owned()
    })?;
    let mode = said.field("stat /scratch", "mode")?;
    expect(mode == "41777", || format!("its mode is {mode}, not 41777"))?;
    said.done("fill /scratch/some 524288")?;
    said.refused("fill /scratch/more 1048576", &["ENOSPC"])?;
    let folder = bundle.root().join("scratch");
    let seen = fs::read_dir(&folder)
        .map_err(trouble(folder.display()))?
        .count();
    let through = container.process()?.folder().join("root/scratch/some");
    let size = fs::metadata(&through).map(|metadata| metadata.len());
    rig.outside(format_args!(
        "{seen} files in the root's folder; through the process: {size:?}"
    ));
    expect(seen == 0, || {
        "what was written to the tmpfs is in the root".to_owned()
    })?;
    expect(size.is_ok_and(|size| size == 524_288), || {
        "outside does not find the file through the process".to_owned()
    })?;
    container.succeed()
}
