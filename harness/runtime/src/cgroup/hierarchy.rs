//! The cgroup hierarchies the machine has mounted: one for each controller or
//! pair of them (v1), one for all (v2), or both beside each other (hybrid).

use std::path::{Path, PathBuf};

use rustix::fs::{FsWord, stat, statfs};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::mount::read_proc;

/// A cgroup interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Version {
    /// A hierarchy for each controller.
    V1,
    /// One for all of them (Linux 4.5).
    V2,
}

/// A hierarchy mounted on the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    /// Where the machine has it.
    pub(crate) mount_point: PathBuf,
    /// `cpu,cpuacct`, `name=systemd`; empty for v2. As /proc/self/cgroup has it.
    pub(crate) controllers: String,
    /// The runtime's own group in it.
    pub(crate) group: PathBuf,
}

impl Hierarchy {
    pub(crate) fn version(&self) -> Version {
        if self.controllers.is_empty() {
            Version::V2
        } else {
            Version::V1
        }
    }

    /// Whether this version 1 hierarchy is the controller's.
    pub(crate) fn has(&self, controller: &str) -> bool {
        self.controllers.split(',').any(|name| name == controller)
    }

    /// The folder of a group, given as the kernel names it.
    pub(crate) fn folder(&self, group: &Path) -> PathBuf {
        self.mount_point
            .join(group.strip_prefix("/").unwrap_or(group))
    }
}

/// Where systemd, and who goes by it, mounts the only hierarchy.
const USUAL: &str = "/sys/fs/cgroup";

/// linux/magic.h.
const CGROUP2_SUPER_MAGIC: FsWord = 0x6367_7270;

/// The inode of a version 2 hierarchy's root.
const ROOT_INODE: u64 = 1;

/// Those of the machine, none where it has no cgroups.
pub(crate) fn mounted() -> Result<Vec<Hierarchy>, Failure> {
    let cgroup = match read_proc("/proc/self/cgroup") {
        // Without CONFIG_CGROUPS there is no such file, and no hierarchy either.
        Err(Failure::System {
            errno: Errno::NOENT,
            ..
        }) => return Ok(Vec::new()),
        answer => answer?,
    };
    // A machine's list of mounts is long to write for the kernel, and long to read.
    if let Some(group) = only_version_2(&cgroup)
        && shows_version_2(USUAL)
    {
        return Ok(vec![Hierarchy {
            mount_point: PathBuf::from(USUAL),
            controllers: String::new(),
            group: PathBuf::from(group),
        }]);
    }
    Ok(hierarchies(&read_proc("/proc/self/mountinfo")?, &cgroup))
}

/// The runtime's group where /proc/self/cgroup tells of no hierarchy but version 2's.
fn only_version_2(cgroup: &str) -> Option<&str> {
    let mut lines = cgroup.lines();
    match (lines.next(), lines.next()) {
        (Some(line), None) => line.strip_prefix("0::"),
        _ => None,
    }
}

/// Whether that hierarchy is mounted on `path`, from its root.
fn shows_version_2(path: &str) -> bool {
    statfs(path).is_ok_and(|status| status.f_type == CGROUP2_SUPER_MAGIC)
        && stat(path).is_ok_and(|status| status.st_ino == ROOT_INODE)
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
    fn version_2_alone_is_told_from_a_hybrid() {
        assert_eq!(only_version_2("0::/init.scope\n"), Some("/init.scope"));
        for cgroup in [CGROUP, "1:name=systemd:/\n", "0::/\n1:cpu:/\n", ""] {
            assert_eq!(only_version_2(cgroup), None, "{cgroup}");
        }
    }

    /// Whatever this machine has, both ways find it; also that it has none.
    #[test]
    fn the_short_way_finds_what_the_long_way_finds() {
        let Ok(cgroup) = read_proc("/proc/self/cgroup") else {
            // A kernel without CONFIG_CGROUPS.
            assert!(mounted().is_ok_and(|found| found.is_empty()));
            return;
        };
        let mountinfo = read_proc("/proc/self/mountinfo").unwrap();
        let (short, long) = (mounted().unwrap(), hierarchies(&mountinfo, &cgroup));
        let controllers = |found: &[Hierarchy]| -> Vec<(String, PathBuf)> {
            let told = |one: &Hierarchy| (one.controllers.clone(), one.group.clone());
            found.iter().map(told).collect()
        };
        assert_eq!(controllers(&short), controllers(&long));
    }

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
        assert_eq!(found[0].version(), Version::V2);
        assert!(found[2].has("cpuacct") && !found[2].has("cpuset"));
        assert_eq!(
            found[3].folder(&found[3].group),
            Path::new("/sys/fs/cgroup/pids/user.slice")
        );
    }
}
