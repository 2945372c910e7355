//! The controllers limits need, and what a kernel lacks that does not offer one.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::hierarchy::{Hierarchy, Version};

/// A cgroup controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Controller {
    /// CPU time.
    Cpu,
    /// Which CPUs and memory nodes.
    Cpuset,
    /// Which device nodes; in version 2 no controller but a BPF program.
    Devices,
    /// Memory and swap.
    Memory,
    /// How many processes.
    Pids,
}

/// What is known of one: its name, its switch, and since when version 2 has it.
struct Known {
    name: &'static str,
    switch: &'static str,
    unified_since: (u32, u32),
}

impl Controller {
    fn known(self) -> Known {
        let (name, switch, unified_since) = match self {
            Self::Cpu => ("cpu", "CONFIG_CGROUP_SCHED", (4, 15)),
            Self::Cpuset => ("cpuset", "CONFIG_CPUSETS", (5, 0)),
            Self::Devices => ("devices", "CONFIG_CGROUP_DEVICE", (4, 15)),
            Self::Memory => ("memory", "CONFIG_MEMCG", (4, 5)),
            Self::Pids => ("pids", "Linux 4.3, CONFIG_CGROUP_PIDS", (4, 5)),
        };
        Known {
            name,
            switch,
            unified_since,
        }
    }

    /// As the kernel names it.
    pub(crate) fn name(self) -> &'static str {
        self.known().name
    }

    /// The one whose files begin with `name`: `memory` of `memory.high`.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [
            Self::Cpu,
            Self::Cpuset,
            Self::Devices,
            Self::Memory,
            Self::Pids,
        ]
        .into_iter()
        .find(|controller| controller.name() == name)
    }
}

/// The machine, as far as it tells why a controller is not there.
#[derive(Debug)]
pub(super) struct Machine<'a> {
    pub(super) hierarchies: &'a [Hierarchy],
    /// The root's cgroup.controllers; `None` without a unified hierarchy.
    pub(super) unified: Option<String>,
    /// /proc/cgroups; empty where there is none.
    pub(super) table: String,
    /// Major and minor version of the kernel.
    pub(super) release: (u32, u32),
}

impl<'a> Machine<'a> {
    pub(super) fn read(hierarchies: &'a [Hierarchy]) -> Self {
        let text = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
        let unified = hierarchies
            .iter()
            .find(|hierarchy| hierarchy.version() == Version::V2);
        Self {
            hierarchies,
            unified: unified
                .map(|hierarchy| text(&hierarchy.mount_point.join("cgroup.controllers"))),
            table: text(Path::new("/proc/cgroups")),
            release: release(&rustix::system::uname().release().to_string_lossy()),
        }
    }

    /// Where the controller is to be found, or what is lacking.
    pub(super) fn find(&self, controller: Controller) -> Result<&'a Hierarchy, String> {
        let name = controller.name();
        let own = self
            .hierarchies
            .iter()
            .find(|hierarchy| hierarchy.has(name));
        let unified = || {
            let listed = self.unified.as_ref()?;
            let there = controller == Controller::Devices
                || listed.split_whitespace().any(|one| one == name);
            self.hierarchies
                .iter()
                .find(|hierarchy| there && hierarchy.version() == Version::V2)
        };
        own.or_else(unified).ok_or_else(|| self.lacking(controller))
    }

    fn lacking(&self, controller: Controller) -> String {
        let Known {
            name,
            switch,
            unified_since: since,
        } = controller.known();
        if self.hierarchies.is_empty() {
            return "cgroup hierarchy that is mounted (CONFIG_CGROUPS; or nobody mounted one on \
                    /sys/fs/cgroup)"
                .to_owned();
        }
        let row = self.table.lines().find_map(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            (columns.first() == Some(&name)).then(|| columns.last() == Some(&"1"))
        });
        // From these versions on the old interface is a switch of its own, and
        // off by default.
        let old_interface = match controller {
            Controller::Memory if self.release >= (6, 11) => Some("CONFIG_MEMCG_V1"),
            Controller::Cpuset if self.release >= (6, 12) => Some("CONFIG_CPUSETS_V1"),
            _ => None,
        };
        match (row, old_interface, &self.unified) {
            (Some(false), ..) => {
                format!("cgroup controller {name}: cgroup_disable={name} on its command line")
            }
            (_, Some(old), None) => format!(
                "cgroup controller {name} in version 1 ({old}, off by default from Linux 6.12 on), \
                 and version 2 is not mounted"
            ),
            (_, None, Some(_)) if self.only_unified() && self.release < since => format!(
                "cgroup controller {name} in version 2 (Linux {}.{})",
                since.0, since.1
            ),
            (Some(true), ..) => format!(
                "cgroup controller {name} in a mounted hierarchy, though it is built in \
                 (cgroup_no_v1= on its command line, or not mounted)"
            ),
            (None, ..) => format!("cgroup controller {name} ({switch})"),
        }
    }

    fn only_unified(&self) -> bool {
        self.hierarchies
            .iter()
            .all(|hierarchy| hierarchy.version() == Version::V2)
    }
}

/// `6.12.94-generic`; (0, 0) for what is no release.
fn release(text: &str) -> (u32, u32) {
    let mut numbers = text
        .split(|letter: char| !letter.is_ascii_digit())
        .map(|number| number.parse().unwrap_or(0));
    (
        numbers.next().unwrap_or_default(),
        numbers.next().unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn hierarchy(controllers: &str) -> Hierarchy {
        Hierarchy {
            mount_point: PathBuf::from("/sys/fs/cgroup").join(controllers),
            controllers: controllers.to_owned(),
            group: PathBuf::from("/"),
        }
    }

    fn machine<'a>(
        hierarchies: &'a [Hierarchy],
        unified: Option<&str>,
        table: &str,
        release: (u32, u32),
    ) -> Machine<'a> {
        Machine {
            hierarchies,
            unified: unified.map(str::to_owned),
            table: table.to_owned(),
            release,
        }
    }

    #[test]
    fn a_controller_is_taken_where_it_is() {
        let hybrid = [hierarchy("cpu,cpuacct"), hierarchy("pids"), hierarchy("")];
        let machine = machine(&hybrid, Some("memory hugetlb\n"), "", (6, 12));
        let version = |controller| machine.find(controller).map(Hierarchy::version);
        assert_eq!(version(Controller::Cpu), Ok(Version::V1));
        assert_eq!(version(Controller::Pids), Ok(Version::V1));
        assert_eq!(version(Controller::Memory), Ok(Version::V2));
        // A program can be attached to any group of version 2.
        assert_eq!(version(Controller::Devices), Ok(Version::V2));
        assert!(version(Controller::Cpuset).is_err());
    }

    #[test]
    fn what_is_lacking_is_named() {
        let v1 = [hierarchy("cpu,cpuacct")];
        let v2 = [hierarchy("")];
        let row = |name: &str, enabled: u8| {
            format!("#subsys_name\thierarchy\tnum_cgroups\tenabled\n{name}\t0\t1\t{enabled}\n")
        };
        for (machine, controller, words) in [
            (
                machine(&[], None, "", (5, 10)),
                Controller::Memory,
                "CONFIG_CGROUPS",
            ),
            (
                machine(&v1, None, "", (3, 10)),
                Controller::Pids,
                "(Linux 4.3, CONFIG_CGROUP_PIDS)",
            ),
            (
                machine(&v2, Some("cpu"), &row("memory", 0), (6, 1)),
                Controller::Memory,
                "cgroup_disable=memory",
            ),
            (
                machine(&v1, None, "", (6, 12)),
                Controller::Memory,
                "CONFIG_MEMCG_V1",
            ),
            // 6.11 still lists it there.
            (
                machine(&v1, None, &row("memory", 1), (6, 11)),
                Controller::Memory,
                "CONFIG_MEMCG_V1",
            ),
            (
                machine(&v1, None, "", (6, 1)),
                Controller::Memory,
                "(CONFIG_MEMCG)",
            ),
            (
                machine(&v2, Some(""), &row("cpu", 1), (4, 9)),
                Controller::Cpu,
                "version 2 (Linux 4.15)",
            ),
            (
                machine(&v1, None, &row("memory", 1), (5, 10)),
                Controller::Memory,
                "cgroup_no_v1=",
            ),
        ] {
            let lacking = machine.find(controller).unwrap_err();
            assert!(lacking.contains(words), "{lacking}");
        }
    }

    #[test]
    fn releases_are_numbers() {
        assert_eq!(release("6.12.94+deb13-amd64"), (6, 12));
        assert_eq!(release("3.10.0-1160.el7.x86_64"), (3, 10));
        assert_eq!(release("7.3-rc1"), (7, 3));
    }
}
