//! The container's layer as an overlay.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

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
            "stat /probe-inside",
            "chown /probe-inside 7 8",
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
    let owner = |path: &Path| {
        fs::metadata(path)
            .map(|metadata| (metadata.uid(), metadata.gid()))
            .map_err(trouble(path.display()))
    };
    let (said, status) = rig.start(&bundle)?.end()?;
    succeeded(&status)?;
    expect(said.done("statfs /")?.contains(OVERLAYFS), || {
        "the root inside is no overlay".to_owned()
    })?;
    // Only the owner of a file whose content lies below is changed: the file is
    // copied up whole.
    said.done("chown /probe-inside 7 8")?;
    expect(said.number("stat /probe-inside", "uid")? == 7, || {
        "the change is not seen inside".to_owned()
    })?;
    said.done("remove /tmp")?;
    let listed = said.done("list /")?;
    expect(!listed.split(' ').any(|name| name == "tmp"), || {
        "what was removed is still listed inside".to_owned()
    })?;
    let below = owner(&program)?;
    let above = owner(&bundle.root().join("probe-inside"))?;
    let kept = rig.image.join("tmp").is_dir() && !rig.image.join("new").exists();
    let shown = bundle.root().join("tmp").exists();
    rig.outside(format_args!(
        "the program is of {above:?} in the layer and of {below:?} in the image; the image's \
         tmp is kept: {kept}, the layer shows it: {shown}"
    ));
    expect(below == (0, 0) && kept, || {
        "the image was changed".to_owned()
    })?;
    expect(above == (7, 8) && !shown, || {
        "the changes are not in the layer".to_owned()
    })
}
