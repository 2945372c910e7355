//! Whether an overlay can be mounted and used: upstream since Linux 3.18,
//! RHEL 7's 3.10 by backport.

use std::fs;
use std::path::Path;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::error::{Error, Result};
use crate::kernel_log;

/// Where it is tried.
const FOLDER: &str = "/run/overlay-probe";

/// Mounts one on a tmpfs, reads through it, writes to it.
///
/// # Errors
/// When the ground for the trial cannot be laid or cleared.
pub(super) fn probe() -> Result<bool> {
    let folder = Path::new(FOLDER);
    fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
    mount("tmpfs", folder, "tmpfs", MountFlags::empty(), None)
        .map_err(Error::mount("tmpfs", folder))?;
    let found = attempt(folder);
    unmount(folder, UnmountFlags::DETACH).map_err(Error::file("unmount", folder))?;
    fs::remove_dir(folder).map_err(Error::file("remove", folder))?;
    found
}

fn attempt(folder: &Path) -> Result<bool> {
    for name in ["lower", "upper", "work", "merged"] {
        let path = folder.join(name);
        fs::create_dir(&path).map_err(Error::file("create", &path))?;
    }
    let below = folder.join("lower/file");
    fs::write(&below, "below").map_err(Error::file("write", &below))?;
    let options = c"lowerdir=/run/overlay-probe/lower,upperdir=/run/overlay-probe/upper,\
                    workdir=/run/overlay-probe/work";
    let merged = folder.join("merged");
    if let Err(errno) = mount("overlay", &merged, "overlay", MountFlags::empty(), options) {
        kernel_log::note(&format!("no overlayfs: {errno}"));
        return Ok(false);
    }
    let file = merged.join("file");
    let used = fs::read(&file).and_then(|bytes| {
        fs::write(&file, "above")?;
        Ok(bytes == b"below" && fs::read(&below)? == b"below")
    });
    unmount(&merged, UnmountFlags::DETACH).map_err(Error::file("unmount", &merged))?;
    match used {
        Ok(sound) => Ok(sound),
        Err(error) => {
            kernel_log::note(&format!("an overlay was mounted but not usable: {error}"));
            Ok(false)
        }
    }
}
