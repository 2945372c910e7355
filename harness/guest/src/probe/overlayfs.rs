//! The container's layer as an overlay.

use std::fs;

use runtime::layer::Kind;

use super::rig::container::succeeded;
use super::rig::{Probing, Rig, Stop, expect, trouble};

/// statfs's f_type, from the kernel's magic.h.
const OVERLAYFS: &str = "type=0x794c7630";

pub(super) fn probe(rig: &Rig) -> Probing {
    let bundle = rig.bundle(
        "bundle",
        &[
            "statfs /",
            "append /probe-inside more",
            "stat /probe-inside",
            "write /new x",
            "remove /tmp",
            "list /",
        ],
    )?;
    if let Kind::Copy { errno, .. } = bundle.kind() {
        return Err(Stop::Unsupported(format!(
            "overlayfs (CONFIG_OVERLAY_FS, Linux 3.18): {}",
            std::io::Error::from_raw_os_error(*errno)
        )));
    }
    let program = rig.image.join("probe-inside");
    let size = || {
        fs::metadata(&program)
            .map(|metadata| metadata.len())
            .map_err(trouble(program.display()))
    };
    let before = size()?;
    let (said, status) = rig.start(&bundle)?.end()?;
    succeeded(&status)?;
    expect(said.done("statfs /")?.contains(OVERLAYFS), || {
        "the root inside is no overlay".to_owned()
    })?;
    said.done("append /probe-inside more")?;
    let changed = said.number("stat /probe-inside", "size")?;
    expect(changed == before + 4, || {
        format!("{before} bytes and 4 more are {changed} inside")
    })?;
    said.done("remove /tmp")?;
    let listed = said.done("list /")?;
    expect(!listed.split(' ').any(|name| name == "tmp"), || {
        "what was removed is still listed inside".to_owned()
    })?;
    let after = size()?;
    let kept = rig.image.join("tmp").is_dir() && !rig.image.join("new").exists();
    let above = bundle.root().join("tmp").exists();
    rig.outside(format_args!(
        "the image's program has {after} bytes, its tmp is kept: {kept}, the layer shows tmp: {above}"
    ));
    expect(after == before && kept, || {
        "the image was changed".to_owned()
    })?;
    expect(!above, || {
        "the layer still shows what was removed".to_owned()
    })
}
