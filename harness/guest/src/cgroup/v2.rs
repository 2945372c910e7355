//! Version 2: the unified hierarchy (Linux 4.5).

use std::fs;

use rustix::mount::{MountFlags, mount as mount_filesystem};

use super::create;
use crate::error::{Error, Result};
use crate::kernel_log;

/// A cgroup that stays, as a host always has some. When the first with a memory
/// controller comes and when the last goes the kernel rewrites its own code (the
/// static key of socket memory accounting), which under emulation each cell would
/// pay for.
const KEPT: &str = "kept";

/// Mounts it and hands every controller down to the cgroups of the cells.
/// Returns the controllers handed down.
///
/// # Errors
/// When the kernel has no cgroup2.
pub(super) fn mount(root: &str) -> Result<Vec<String>> {
    create(root)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount_filesystem("cgroup2", root, "cgroup2", flags, None)
        .map_err(Error::mount("cgroup2", root))?;
    let available = format!("{root}/cgroup.controllers");
    let handed_down = format!("{root}/cgroup.subtree_control");
    let names = fs::read_to_string(&available).map_err(Error::file("read", &available))?;
    for name in names.split_whitespace() {
        // One by one: a write of several is refused whole.
        if let Err(error) = fs::write(&handed_down, format!("+{name}")) {
            kernel_log::note(&format!("cgroup2 controller {name} not usable: {error}"));
        }
    }
    create(&format!("{root}/{KEPT}"))?;
    let usable = fs::read_to_string(&handed_down).map_err(Error::file("read", &handed_down))?;
    Ok(usable.split_whitespace().map(str::to_owned).collect())
}
