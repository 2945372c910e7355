//! The cgroup hierarchies of the machine, as a host would have them, and one
//! cgroup per cell in them.

mod cell;
mod v1;
mod v2;

use std::fs;
use std::io::ErrorKind;

use rustix::mount::{MountFlags, mount as mount_filesystem};
use wire::{Cgroup, CgroupFacts};

use crate::error::{Error, Result};
use crate::kernel_log;

pub(crate) use cell::CellCgroup;

/// Where hierarchies are mounted.
const ROOT: &str = "/sys/fs/cgroup";

/// Mounts the layout asked for, or what the kernel has instead; the facts say
/// which, the kernel's log why.
///
/// # Errors
/// When something other than the kernel's lack of it stands in the way.
pub(crate) fn mount(wanted: Cgroup) -> Result<CgroupFacts> {
    if !std::path::Path::new(ROOT).exists() {
        kernel_log::note("no cgroups: the kernel has no /sys/fs/cgroup (CONFIG_CGROUPS)");
        return Ok(none());
    }
    // What to try, in order.
    let layouts: &[Cgroup] = match wanted {
        Cgroup::V1 => &[Cgroup::V1, Cgroup::V2],
        Cgroup::V2 => &[Cgroup::V2, Cgroup::V1],
        Cgroup::Hybrid => &[Cgroup::Hybrid, Cgroup::V1, Cgroup::V2],
        Cgroup::None => &[],
    };
    for layout in layouts {
        match mount_layout(*layout) {
            Ok(controllers) => {
                return Ok(CgroupFacts {
                    layout: *layout,
                    controllers,
                });
            }
            Err(error) => kernel_log::note(&format!("no cgroup {layout:?} layout: {error}")),
        }
    }
    Ok(none())
}

/// Nothing is mounted.
fn none() -> CgroupFacts {
    CgroupFacts {
        layout: Cgroup::None,
        controllers: Vec::new(),
    }
}

/// Mounts one layout whole, or leaves nothing mounted.
fn mount_layout(layout: Cgroup) -> Result<Vec<String>> {
    match layout {
        Cgroup::V2 => v2::mount(ROOT),
        Cgroup::None => Ok(Vec::new()),
        Cgroup::V1 | Cgroup::Hybrid => {
            let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
            mount_filesystem("tmpfs", ROOT, "tmpfs", flags, c"mode=0755")
                .map_err(Error::mount("tmpfs", ROOT))?;
            let mounted = v1::mount(ROOT).and_then(|controllers| {
                if layout == Cgroup::Hybrid {
                    // All controllers are on v1 by now, so this one is empty.
                    v2::mount(&format!("{ROOT}/unified"))?;
                }
                Ok(controllers)
            });
            if mounted.is_err() {
                // Lazily, with all that is mounted below it.
                let lazy = rustix::mount::UnmountFlags::DETACH;
                rustix::mount::unmount(ROOT, lazy).map_err(Error::file("unmount", ROOT))?;
            }
            mounted
        }
    }
}

/// mkdir that does not mind what is there.
fn create(path: &str) -> Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(Error::file("create", path)(error))
        }
        _ => Ok(()),
    }
}
