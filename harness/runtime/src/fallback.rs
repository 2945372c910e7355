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
    /// of its program, not from a sealed copy.
    MemfdCreate,
    /// mount_setattr (Linux 5.12): the mounts below a volume are made read-only
    /// one by one.
    MountSetattr,
    /// No POSIX message queues (CONFIG_POSIX_MQUEUE): the container has no
    /// /dev/mqueue file system.
    NoMessageQueues,
    /// No limit on swap in cgroups (CONFIG_MEMCG_SWAP, before Linux 6.1
    /// swapaccount=1): the one that comes with docker's `--memory` is left out.
    NoSwapLimit,
    /// nf_tables (CONFIG_NF_TABLES; for several chains that translate Linux
    /// 4.18): addresses are translated by iptables' kernel interface.
    Nftables,
    /// iptables' kernel interface (CONFIG_IP_NF_NAT) is not there either: a
    /// process forwards to published ports, and there is no way out.
    Iptables,
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
