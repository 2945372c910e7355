//! What a kernel is and can do, as observed from inside: the keys a table of
//! results is read by.

use serde::{Deserialize, Serialize};

/// Facts of one booted kernel. Field names are the names expectations use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// uname's release: `6.1.0-50-cloud-amd64`.
    pub release: String,
    /// uname's version: the build's number and date.
    pub build: String,
    /// uname's machine.
    pub machine: String,
    /// /proc/cmdline.
    pub command_line: String,
    /// What a call into the vsyscall page meets.
    pub vsyscall: Vsyscall,
    /// How cgroups are laid out, and with which controllers.
    pub cgroup: CgroupFacts,
    /// An overlay was mounted and read from.
    pub overlayfs: bool,
    /// Which namespaces there are, and whether a user namespace can be made.
    pub namespaces: NamespaceFacts,
    /// What seccomp offers.
    pub seccomp: SeccompFacts,
    /// /sys/kernel/security/lsm, or what can be told without it.
    pub lsms: Vec<String>,
    /// 32-bit x86 programs are run.
    pub ia32: bool,
    /// x86-64 micro-architecture level of the CPU, 1 to 4; the psABI's list.
    pub cpu_level: u8,
    /// CPUID's brand string.
    pub cpu_model: String,
    /// Online CPUs.
    pub cpus: u32,
    /// MemTotal, KiB.
    pub memory: u64,
    /// /proc/filesystems, without those marked nodev.
    pub filesystems: Vec<String>,
    /// Modules the guest loaded, in order.
    pub modules: Vec<String>,
}

/// The three states of the page at 0xffffffffff600000, read from the
/// `[vsyscall]` line of /proc/self/maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vsyscall {
    /// `r-xp`: calls are emulated, the page can be read.
    Emulate,
    /// `--xp`: calls are emulated, reads fail (Linux 5.2 and later).
    Xonly,
    /// No such line: calls end in SIGSEGV.
    None,
}

/// A layout of cgroup hierarchies: the host's choice, not the kernel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cgroup {
    /// One hierarchy per controller.
    V1,
    /// The unified hierarchy alone.
    V2,
    /// Controllers on v1, an empty v2 at /sys/fs/cgroup/unified.
    Hybrid,
    /// The kernel has none; only ever observed, never asked for.
    None,
}

/// What was found of cgroups after mounting them as asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupFacts {
    /// What could be mounted; differs from what was asked where the kernel
    /// cannot.
    pub layout: Cgroup,
    /// Usable controllers.
    pub controllers: Vec<String>,
}

/// Namespaces, as /proc/self/ns and clone tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceFacts {
    /// Names in /proc/self/ns: `cgroup`, `ipc`, `mnt`, …
    pub kinds: Vec<String>,
    /// A user namespace was made, by root.
    pub user: bool,
    /// Why not: the errno's name and the switch that governs it. Where root can
    /// and an unprivileged process cannot, `without privilege: ` and why.
    pub user_refusal: Option<String>,
}

/// seccomp, as prctl and /proc/sys/kernel/seccomp tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeccompFacts {
    /// PR_SET_SECCOMP with a filter is understood (Linux 3.5).
    pub filter: bool,
    /// /proc/sys/kernel/seccomp/actions_avail (Linux 4.14).
    pub actions: Vec<String>,
}
