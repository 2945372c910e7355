//! Version 1: one hierarchy per controller.

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::symlink;

use rustix::mount::{MountFlags, mount as mount_filesystem};

use super::create;
use crate::error::{Error, Result};
use crate::kernel_log;

/// Controllers that distributions mount together.
const JOINED: [&[&str]; 2] = [&["cpu", "cpuacct"], &["net_cls", "net_prio"]];

/// One mount.
#[derive(Debug, PartialEq, Eq)]
struct Hierarchy {
    /// Folder below the root, and the mount's options: `cpu,cpuacct`.
    name: String,
    /// What is in it.
    controllers: Vec<String>,
}

/// Mounts one hierarchy per controller and systemd's nameless one.
///
/// # Errors
/// When no hierarchy at all can be mounted: the kernel has no cgroup v1.
pub(super) fn mount(root: &str) -> Result<Vec<String>> {
    let path = "/proc/cgroups";
    let table = fs::read_to_string(path).map_err(Error::file("read", path))?;
    // First the one that needs no controller: it tells whether there is a v1.
    let systemd = format!("{root}/systemd");
    create(&systemd)?;
    mount_hierarchy(&systemd, "none,name=systemd")?;
    let mut usable = Vec::new();
    for hierarchy in plan(&table) {
        let folder = format!("{root}/{}", hierarchy.name);
        create(&folder)?;
        if let Err(error) = mount_hierarchy(&folder, &hierarchy.name) {
            // Compiled in, but not for v1 (MEMCG_V1 off), or kept from it by
            // the command line (cgroup_no_v1=).
            kernel_log::note(&error.to_string());
            fs::remove_dir(&folder).map_err(Error::file("remove", &folder))?;
            continue;
        }
        if hierarchy.controllers.len() > 1 {
            for controller in &hierarchy.controllers {
                let link = format!("{root}/{controller}");
                symlink(&hierarchy.name, &link).map_err(Error::file("create", &link))?;
            }
        }
        if hierarchy.name == "cpuset" {
            // A new cpuset has no CPU and takes no process; this fills it.
            let clone = format!("{folder}/cgroup.clone_children");
            fs::write(&clone, "1").map_err(Error::file("write", &clone))?;
        }
        usable.extend(hierarchy.controllers);
    }
    Ok(usable)
}

fn mount_hierarchy(target: &str, options: &str) -> Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let what = format!("cgroup ({options})");
    let options = CString::new(options).map_err(|nul| Error::file("read", "/proc/cgroups")(nul))?;
    mount_filesystem("cgroup", target, "cgroup", flags, options.as_c_str())
        .map_err(Error::mount(&what, target))
}

/// The hierarchies for the enabled controllers of /proc/cgroups, whose columns
/// are name, hierarchy, number of cgroups, enabled.
fn plan(table: &str) -> Vec<Hierarchy> {
    let enabled: Vec<&str> = table
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            matches!(columns.get(3), Some(&"1")).then(|| columns[0])
        })
        .collect();
    let mut hierarchies: Vec<Hierarchy> = Vec::new();
    for controller in &enabled {
        let together: Vec<String> = JOINED
            .iter()
            .find(|joined| joined.contains(controller))
            .map_or(&[*controller][..], |joined| joined)
            .iter()
            .filter(|name| enabled.contains(name))
            .map(|name| (*name).to_owned())
            .collect();
        let name = together.join(",");
        if !hierarchies.iter().any(|known| known.name == name) {
            hierarchies.push(Hierarchy {
                name,
                controllers: together,
            });
        }
    }
    hierarchies
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From RHEL 7's 3.10, where cpuacct stands before cpu.
    const RHEL7: &str = "\
#subsys_name\thierarchy\tnum_cgroups\tenabled
cpuset\t0\t1\t1
cpu\t0\t1\t1
cpuacct\t0\t1\t1
memory\t0\t1\t1
devices\t0\t1\t1
freezer\t0\t1\t1
net_cls\t0\t1\t1
blkio\t0\t1\t1
perf_event\t0\t1\t1
hugetlb\t0\t1\t1
pids\t0\t1\t1
net_prio\t0\t1\t1
";

    fn names(table: &str) -> Vec<String> {
        plan(table)
            .into_iter()
            .map(|hierarchy| hierarchy.name)
            .collect()
    }

    #[test]
    fn controllers_are_joined_as_distributions_join_them() {
        assert_eq!(
            names(RHEL7),
            [
                "cpuset",
                "cpu,cpuacct",
                "memory",
                "devices",
                "freezer",
                "net_cls,net_prio",
                "blkio",
                "perf_event",
                "hugetlb",
                "pids"
            ]
        );
    }

    #[test]
    fn a_disabled_controller_is_left_out_also_of_a_joined_pair() {
        let table = "#subsys_name\thierarchy\tnum_cgroups\tenabled\n\
                     cpu\t0\t1\t1\ncpuacct\t0\t1\t0\nmemory\t0\t1\t0\nnet_prio\t0\t1\t1\n";
        assert_eq!(names(table), ["cpu", "net_prio"]);
        assert_eq!(plan(table)[0].controllers, ["cpu"]);
    }
}
