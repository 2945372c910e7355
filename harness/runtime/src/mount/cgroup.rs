//! /sys/fs/cgroup as docker shows it: the hierarchies the host has, each from
//! the container's own group down, on v1 (hybrid too) under a tmpfs.

use std::ffi::{CString, OsStr};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, mkdirat, openat, symlinkat};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount, mount_bind, mount_remount};

use crate::confined::{Missing, Root, by_handle};
use crate::failure::{Failure, Step};
use crate::fallback::{Fallback, Fallbacks};
use crate::mount::{flags_of, read_proc};

/// What there is to show, and how.
#[derive(Debug, Default)]
pub(crate) struct Cgroups {
    /// Read before the container has a cgroup namespace: inside one the host's
    /// paths are told relative to it.
    hierarchies: Vec<Hierarchy>,
    /// Whether the container got a cgroup namespace.
    pub(crate) private: bool,
}

/// A hierarchy mounted on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hierarchy {
    /// Where the host has it.
    mount_point: PathBuf,
    /// `cpu,cpuacct`, `name=systemd`; empty for v2. As /proc/self/cgroup has it.
    controllers: String,
    /// The runtime's own group in it.
    group: PathBuf,
}

impl Hierarchy {
    fn is_unified(&self) -> bool {
        self.controllers.is_empty()
    }
}

impl Cgroups {
    /// The host's hierarchies and the runtime's place in them.
    pub(crate) fn read() -> Result<Self, Failure> {
        // Without CONFIG_CGROUPS there is no such file, and no hierarchy either.
        if !Path::new("/proc/self/cgroup").exists() {
            return Ok(Self::default());
        }
        Ok(Self {
            hierarchies: hierarchies(
                &read_proc("/proc/self/mountinfo")?,
                &read_proc("/proc/self/cgroup")?,
            ),
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
            [only] if only.is_unified() => {
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
        let group = hierarchy
            .group
            .strip_prefix("/")
            .unwrap_or(&hierarchy.group);
        return mount_bind(hierarchy.mount_point.join(group), target).step(on);
    }
    if hierarchy.is_unified() {
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

/// From /proc/self/mountinfo and /proc/self/cgroup; one mount of each, the
/// first that shows a hierarchy from its root.
fn hierarchies(mountinfo: &str, cgroup: &str) -> Vec<Hierarchy> {
    let groups: Vec<(&str, &str)> = cgroup
        .lines()
        .filter_map(|line| {
            let (_number, rest) = line.split_once(':')?;
            rest.split_once(':')
        })
        .collect();
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in mountinfo.lines() {
        let Some((place, super_block)) = line.split_once(" - ") else {
            continue;
        };
        let place: Vec<&str> = place.split(' ').collect();
        let super_block: Vec<&str> = super_block.split(' ').collect();
        let (&[_, _, _, "/", mount_point, ..], &[kind, _, options]) =
            (place.as_slice(), super_block.as_slice())
        else {
            continue;
        };
        let options: Vec<&str> = options.split(',').collect();
        let group = groups.iter().find(|(controllers, _)| match kind {
            "cgroup2" => controllers.is_empty(),
            "cgroup" => {
                !controllers.is_empty()
                    && controllers.split(',').all(|name| options.contains(&name))
            }
            _ => false,
        });
        let Some((controllers, group)) = group else {
            continue;
        };
        if found.iter().all(|other| other.controllers != *controllers) {
            found.push(Hierarchy {
                mount_point: PathBuf::from(mount_point),
                controllers: (*controllers).to_owned(),
                group: PathBuf::from(group),
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTINFO: &str = "\
22 1 0:21 / /proc rw,relatime shared:5 - proc proc rw
30 23 0:25 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
31 30 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate
32 30 0:27 / /sys/fs/cgroup/systemd rw shared:9 - cgroup cgroup rw,xattr,name=systemd
33 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
34 30 0:29 /deep /sys/fs/cgroup/bound rw - cgroup cgroup rw,pids
35 30 0:29 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
36 30 0:29 / /elsewhere/pids rw - cgroup cgroup rw,pids
";
    const CGROUP: &str = "\
4:pids:/user.slice
3:cpu,cpuacct:/
1:name=systemd:/init:scope
0::/init.scope
";

    #[test]
    fn a_hybrid_layout_is_read() {
        let found = hierarchies(MOUNTINFO, CGROUP);
        let seen: Vec<(&str, &str, &str)> = found
            .iter()
            .map(|hierarchy| {
                (
                    hierarchy.mount_point.to_str().unwrap(),
                    hierarchy.controllers.as_str(),
                    hierarchy.group.to_str().unwrap(),
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("/sys/fs/cgroup/unified", "", "/init.scope"),
                ("/sys/fs/cgroup/systemd", "name=systemd", "/init:scope"),
                ("/sys/fs/cgroup/cpu,cpuacct", "cpu,cpuacct", "/"),
                ("/sys/fs/cgroup/pids", "pids", "/user.slice"),
            ]
        );
    }

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
