//! What a kernel is and can do, as observed from inside: the keys a table of
//! results is read by.

use std::collections::BTreeMap;

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
    /// The mode of a module that has one: selinux `enforcing` or `permissive`,
    /// apparmor `enforce`, `complain` or `off`, lockdown `none`, `integrity`, …
    pub lsm_modes: BTreeMap<String, String>,
    /// Switches that decide what a userland may do, by their sysctl names; those
    /// the kernel does not have are absent.
    pub sysctls: BTreeMap<String, String>,
    /// Options of the kernel's configuration, without `CONFIG_`: `y`, `m`, `n` or
    /// a value. The guest leaves it empty, and the harness fills it from the
    /// kernel's package: what is known without the guest need not travel.
    pub config: BTreeMap<String, String>,
    /// The system calls that answer ENOSYS.
    pub syscalls: SyscallFacts,
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

impl Facts {
    /// What the distribution made of the source, as the release says:
    /// `cloud` of 6.1.0-50-cloud-amd64, `rt` of 6.1.0-50-rt-amd64, else
    /// `generic`.
    #[must_use]
    pub fn flavour(&self) -> &str {
        self.release
            .split(['-', '.', '+'])
            .find(|word| {
                [
                    "aws",
                    "azure",
                    "cloud",
                    "debug",
                    "gcp",
                    "kvm",
                    "lowlatency",
                    "oracle",
                    "rt",
                    "virtual",
                ]
                .contains(word)
            })
            .unwrap_or("generic")
    }
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

/// x86-64 system calls, each tried once with arguments that do nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyscallFacts {
    /// One more than the last number that was tried; 0: none was.
    pub tried: u16,
    /// Those that answered ENOSYS.
    pub missing: Vec<u16>,
    /// Those that cannot be tried (`exit`, `reboot`); every x86-64 kernel has
    /// them.
    pub untried: Vec<u16>,
}

/// seccomp, as prctl and /proc/sys/kernel/seccomp tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeccompFacts {
    /// PR_SET_SECCOMP with a filter is understood (Linux 3.5).
    pub filter: bool,
    /// /proc/sys/kernel/seccomp/actions_avail (Linux 4.14).
    pub actions: Vec<String>,
}
