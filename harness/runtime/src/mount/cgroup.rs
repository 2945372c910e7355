//! /sys/fs/cgroup as docker shows it: the hierarchies the host has, each from
//! the container's own group down, on v1 (hybrid too) under a tmpfs.

use std::ffi::{CString, OsStr};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags, mkdirat, openat, symlinkat};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount, mount_bind, mount_remount};

use crate::cgroup::hierarchy::{self, Hierarchy, Version};
use crate::confined::{Missing, Root, by_handle};
use crate::failure::{Failure, Step};
use crate::fallback::{Fallback, Fallbacks};
use crate::mount::flags_of;

/// What there is to show, and how.
#[derive(Debug, Default)]
pub(crate) struct Cgroups {
    /// Read before the container has a cgroup namespace: inside one the host's
    /// paths are told relative to it.
    hierarchies: Vec<Hierarchy>,
    /// Whether the container got a cgroup namespace.
    pub(crate) private: bool,
}

impl Cgroups {
    /// The host's hierarchies and the runtime's place in them.
    pub(crate) fn read() -> Result<Self, Failure> {
        Ok(Self {
            hierarchies: hierarchy::mounted()?,
            private: false,
        })
    }

    /// Mounts them on `destination` inside `root`, with `flags`.
    pub(crate) fn mount(
        &self,
        root: &Root<'_>,
        destination: &Path,
        flags: MountFlags,
        fallbacks: &Fallbacks,
    ) -> Result<(), Failure> {
        match self.hierarchies.as_slice() {
            [] => {
                fallbacks.record(Fallback::NoCgroups);
                Ok(())
            }
            [only] if only.version() == Version::V2 => {
                let target = root
                    .create(destination, Missing::Folder)
                    .on("open the mount point", destination)?;
                mount_one(only, &by_handle(&target), flags, self.private)?;
                if !self.private {
                    let mounted = root
                        .open(destination)
                        .on("open the mount on", destination)?;
                    add_flags(&mounted, flags).on("set the flags of", destination)?;
                }
                Ok(())
            }
            several => under_tmpfs(several, root, destination, flags, self.private),
        }
    }
}

fn under_tmpfs(
    hierarchies: &[Hierarchy],
    root: &Root<'_>,
    destination: &Path,
    flags: MountFlags,
    private: bool,
) -> Result<(), Failure> {
    let target = root
        .create(destination, Missing::Folder)
        .on("open the mount point", destination)?;
    let writable = flags - MountFlags::RDONLY;
    mount("tmpfs", by_handle(&target), "tmpfs", writable, c"mode=755")
        .on("mount tmpfs on", destination)?;
    let folder = root
        .open(destination)
        .on("open the mount on", destination)?;
    for hierarchy in hierarchies {
        let Some(name) = hierarchy.mount_point.file_name() else {
            continue;
        };
        let place = destination.join(name);
        mkdirat(&folder, name, Mode::from_raw_mode(0o755)).on("make the folder", &place)?;
        let open = || {
            openat(&folder, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).on("open", &place)
        };
        mount_one(hierarchy, &by_handle(&open()?), flags, private)?;
        if !private {
            add_flags(&open()?, flags).on("set the flags of", &place)?;
        }
        for link in links(name, &hierarchy.controllers) {
            symlinkat(name, &folder, link).on("link to", &place)?;
        }
    }
    if flags.contains(MountFlags::RDONLY) {
        add_flags(&folder, flags).on("set the flags of", destination)?;
    }
    Ok(())
}

/// To those a mount has, some of which a user namespace locks.
fn add_flags(mounted: &OwnedFd, flags: MountFlags) -> Result<(), Errno> {
    let flags = flags_of(mounted)? | flags | MountFlags::BIND;
    mount_remount(by_handle(mounted), flags, c"")
}

/// `cpu` and `cpuacct` for a hierarchy mounted as `cpu,cpuacct`.
fn links<'a>(name: &OsStr, controllers: &'a str) -> Vec<&'a str> {
    let several = controllers.contains(',') && name == controllers;
    if several {
        controllers.split(',').collect()
    } else {
        Vec::new()
    }
}

/// In a cgroup namespace a new mount shows the container's own group as its
/// root; without one (before Linux 4.6) that group is bound.
fn mount_one(
    hierarchy: &Hierarchy,
    target: &Path,
    flags: MountFlags,
    private: bool,
) -> Result<(), Failure> {
    let on = || {
        format!(
            "mount the cgroup hierarchy {}",
            hierarchy.mount_point.display()
        )
    };
    if !private {
        return mount_bind(hierarchy.folder(&hierarchy.group), target).step(on);
    }
    if hierarchy.version() == Version::V2 {
        return mount("cgroup", target, "cgroup2", flags, None).step(on);
    }
    let mut data = hierarchy.controllers.clone();
    if data.starts_with("name=") {
        data.insert_str(0, "none,");
    }
    let data = CString::new(data)
        .map_err(|_nul| Failure::invalid("/proc/self/cgroup", "a null byte inside a line"))?;
    mount("cgroup", target, "cgroup", flags, Some(data.as_c_str())).step(on)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controllers_mounted_together_get_links() {
        assert_eq!(
            links(OsStr::new("cpu,cpuacct"), "cpu,cpuacct"),
            ["cpu", "cpuacct"]
        );
        assert!(links(OsStr::new("pids"), "pids").is_empty());
        assert!(links(OsStr::new("unified"), "").is_empty());
    }
}
