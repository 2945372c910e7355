//! What this kernel lacks and what was done instead: recorded, so that a result
//! says on which path it was come by.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// A second way taken because the kernel does not have the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fallback {
    /// openat2 (Linux 5.6): paths inside the root are walked a component at a
    /// time.
    Openat2,
    /// close_range (Linux 5.9, its CLOEXEC flag 5.11): descriptors are read from
    /// /proc/self/fd and marked one by one.
    CloseRange,
    /// Cgroup namespaces (Linux 4.6): the container sees its cgroups by bind
    /// mounts, and the host's paths in /proc/self/cgroup.
    CgroupNamespace,
    /// Ambient capabilities (Linux 4.3): a program that is not root keeps none.
    AmbientCapabilities,
    /// A capability newer than this kernel was asked for; no process has it.
    NewerCapability,
    /// No cgroup hierarchy is mounted: the container gets none either.
    NoCgroups,
    /// The root was the initial root file system, which pivot_root refuses up
    /// to Linux 6.x: it was bound over itself and moved to the top first.
    InitialRoot,
    /// A name in the seccomp profile is no system call known here.
    UnknownSystemCall,
    /// SCMP_ACT_LOG (Linux 4.14): the calls are allowed and not logged.
    SeccompLog,
    /// seccomp(2) (Linux 3.17) or one of its flags: the filter is installed by
    /// prctl, without them.
    SeccompFlags,
    /// memfd_create (Linux 3.17): the runtime runs from a read-only bind mount
    /// of its program, or, without root's rights, from a copy without a name; not
    /// from a sealed copy.
    MemfdCreate,
    /// mount_setattr (Linux 5.12): the mounts below a volume are made read-only
    /// one by one.
    MountSetattr,
    /// No POSIX message queues (CONFIG_POSIX_MQUEUE): the container has no
    /// /dev/mqueue file system.
    NoMessageQueues,
    /// A sysfs of its own is refused to a container whose user namespace the
    /// network namespace does not belong to: it is shown the machine's.
    BoundSysfs,
}

impl Fallback {
    /// Every one; a test holds it against the type.
    pub const ALL: [Self; 14] = [
        Self::Openat2,
        Self::CloseRange,
        Self::CgroupNamespace,
        Self::AmbientCapabilities,
        Self::NewerCapability,
        Self::NoCgroups,
        Self::InitialRoot,
        Self::UnknownSystemCall,
        Self::SeccompLog,
        Self::SeccompFlags,
        Self::MemfdCreate,
        Self::MountSetattr,
        Self::NoMessageQueues,
        Self::BoundSysfs,
    ];

    /// What it is for, and what is done instead: a line each of `runtime fallbacks`.
    pub fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::Openat2 => (
                "openat2 (5.6)",
                "paths are walked a component at a time, no link followed by the kernel",
            ),
            Self::CloseRange => (
                "close_range (5.9)",
                "descriptors are read from /proc/self/fd and closed one by one",
            ),
            Self::CgroupNamespace => (
                "cgroup namespaces (4.6)",
                "the container's own cgroups are bind mounted",
            ),
            Self::AmbientCapabilities => (
                "ambient capabilities (4.3)",
                "a program that is not root keeps none",
            ),
            Self::NewerCapability => (
                "a capability newer than the kernel",
                "it is left out, as no process has it",
            ),
            Self::NoCgroups => (
                "a mounted cgroup hierarchy",
                "the container is shown none either",
            ),
            Self::InitialRoot => (
                "pivot_root from the initial root (7.0)",
                "the machine's root is bound over itself first",
            ),
            Self::UnknownSystemCall => (
                "a call of the profile's that is known here",
                "the name is left out, as no process can make the call",
            ),
            Self::SeccompLog => (
                "SCMP_ACT_LOG (4.14)",
                "the calls are allowed and not logged",
            ),
            Self::SeccompFlags => (
                "seccomp (3.17) or its flags (4.14, 4.17)",
                "the filter is installed by prctl, without flags",
            ),
            Self::MemfdCreate => (
                "memfd_create (3.17)",
                "the runtime runs from a read-only bind mount, or from a copy without a name",
            ),
            Self::MountSetattr => (
                "mount_setattr (5.12)",
                "mounts below a volume are made read-only one by one",
            ),
            Self::NoMessageQueues => (
                "POSIX message queues (CONFIG_POSIX_MQUEUE)",
                "there is no file system on /dev/mqueue",
            ),
            Self::BoundSysfs => (
                "a sysfs in a user namespace without a network namespace",
                "the machine's is bind mounted, read-only where asked",
            ),
        }
    }

    /// As a status line has it: `openat2`.
    pub fn name(self) -> String {
        // A unit variant is a string.
        serde_json::to_value(self)
            .ok()
            .and_then(|value| value.as_str().map(str::to_owned))
            .unwrap_or_default()
    }
}

/// The fallbacks taken so far.
#[derive(Debug, Default)]
pub struct Fallbacks(RefCell<BTreeSet<Fallback>>);

impl Fallbacks {
    /// Notes that `fallback` was taken; a second time changes nothing.
    pub fn record(&self, fallback: Fallback) {
        self.0.borrow_mut().insert(fallback);
    }

    /// All of them, sorted.
    pub fn list(&self) -> Vec<Fallback> {
        self.0.borrow().iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// serde tells the names of all variants when it is given another.
    #[test]
    fn all_is_all() {
        let error = serde_json::from_str::<Fallback>("\"none of them\"").unwrap_err();
        let error = error.to_string();
        let told: Vec<&str> = error.split('`').skip(3).step_by(2).collect();
        let listed: Vec<String> = Fallback::ALL.map(Fallback::name).to_vec();
        assert_eq!(told, listed);
    }
}
