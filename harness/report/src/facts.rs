//! A column's facts as results.json has them: flat, under the names that `when`
//! uses.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a kernel is and can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FactsRecord {
    /// uname's release: `6.1.0-50-cloud-amd64`.
    pub release: String,
    /// uname's version: the build's number and date.
    pub build: String,
    /// uname's machine.
    pub machine: String,
    /// /proc/cmdline.
    pub command_line: String,
    /// What a call into the vsyscall page meets: `emulate`, `xonly`, `none`.
    pub vsyscall: VsyscallMode,
    /// How cgroups are laid out.
    pub cgroup: CgroupLayout,
    /// Usable controllers.
    pub cgroup_controllers: Vec<String>,
    /// An overlay was mounted and read from.
    pub overlayfs: bool,
    /// Names in /proc/self/ns.
    pub namespaces: Vec<String>,
    /// A user namespace was made.
    pub user_namespaces: bool,
    /// Why not: the errno's name and the switch that governs it.
    pub user_namespaces_refusal: Option<String>,
    /// seccomp filters are understood.
    pub seccomp: bool,
    /// /proc/sys/kernel/seccomp/actions_avail (Linux 4.14).
    pub seccomp_actions: Vec<String>,
    /// Active security modules.
    pub lsm: Vec<String>,
    /// The mode of a security module that has one: `enforcing`, `enforce`, …
    #[serde(default)]
    pub lsm_modes: BTreeMap<String, String>,
    /// Switches that decide what a userland may do; absent where the kernel has
    /// none of that name.
    #[serde(default)]
    pub sysctls: BTreeMap<String, String>,
    /// The options of its configuration that explain results, without `CONFIG_`:
    /// `y`, `m`, `n` or a value. Empty where the configuration is not known.
    #[serde(default)]
    pub config: BTreeMap<String, String>,
    /// What the distribution made of the source: `cloud`, `rt`, `generic`, …
    #[serde(default)]
    pub flavour: String,
    /// System calls that answer ENOSYS, by name; of those that have a name.
    #[serde(default)]
    pub syscalls_missing: Vec<String>,
    /// System calls it has that had no name yet when this program was made.
    #[serde(default)]
    pub syscalls_unnamed: Vec<String>,
    /// System calls were tried at all.
    #[serde(default)]
    pub syscalls_tried: bool,
    /// 32-bit x86 programs are run.
    pub ia32: bool,
    /// x86-64 micro-architecture level of the CPU, 1 to 4.
    pub cpu_level: u8,
    /// CPUID's brand string.
    pub cpu_model: String,
    /// Online CPUs.
    pub cpus: u32,
    /// MemTotal, KiB.
    pub memory_kib: u64,
    /// File systems for block devices.
    pub filesystems: Vec<String>,
    /// Modules the guest loaded, in order.
    pub modules: Vec<String>,
}

/// See [`wire::Vsyscall`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Vsyscall")]
pub enum VsyscallMode {
    /// Calls are emulated, the page can be read.
    Emulate,
    /// Calls are emulated, reads fail.
    Xonly,
    /// Calls end in SIGSEGV.
    None,
}

/// See [`wire::Cgroup`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Cgroup")]
pub enum CgroupLayout {
    /// One hierarchy per controller.
    V1,
    /// The unified hierarchy alone.
    V2,
    /// Controllers on v1, an empty v2 beside them.
    Hybrid,
    /// The kernel has none.
    None,
}

impl VsyscallMode {
    /// The word of results.json and of `when`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Emulate => "emulate",
            Self::Xonly => "xonly",
            Self::None => "none",
        }
    }
}

impl CgroupLayout {
    /// The word of results.json and of `when`.
    pub fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::Hybrid => "hybrid",
            Self::None => "none",
        }
    }
}

impl From<wire::Facts> for FactsRecord {
    fn from(facts: wire::Facts) -> Self {
        Self {
            flavour: facts.flavour().to_owned(),
            release: facts.release,
            build: facts.build,
            machine: facts.machine,
            command_line: facts.command_line,
            vsyscall: match facts.vsyscall {
                wire::Vsyscall::Emulate => VsyscallMode::Emulate,
                wire::Vsyscall::Xonly => VsyscallMode::Xonly,
                wire::Vsyscall::None => VsyscallMode::None,
            },
            cgroup: match facts.cgroup.layout {
                wire::Cgroup::V1 => CgroupLayout::V1,
                wire::Cgroup::V2 => CgroupLayout::V2,
                wire::Cgroup::Hybrid => CgroupLayout::Hybrid,
                wire::Cgroup::None => CgroupLayout::None,
            },
            cgroup_controllers: facts.cgroup.controllers,
            overlayfs: facts.overlayfs,
            namespaces: facts.namespaces.kinds,
            user_namespaces: facts.namespaces.user,
            user_namespaces_refusal: facts.namespaces.user_refusal,
            seccomp: facts.seccomp.filter,
            seccomp_actions: facts.seccomp.actions,
            lsm: facts.lsms,
            lsm_modes: facts.lsm_modes,
            sysctls: facts.sysctls,
            config: facts.config,
            syscalls_missing: crate::syscalls::missing(&facts.syscalls),
            syscalls_unnamed: crate::syscalls::unnamed(&facts.syscalls),
            syscalls_tried: facts.syscalls.tried > 0,
            ia32: facts.ia32,
            cpu_level: facts.cpu_level,
            cpu_model: facts.cpu_model,
            cpus: facts.cpus,
            memory_kib: facts.memory,
            filesystems: facts.filesystems,
            modules: facts.modules,
        }
    }
}

impl From<&wire::Facts> for FactsRecord {
    fn from(facts: &wire::Facts) -> Self {
        facts.clone().into()
    }
}
