//! Our own profile, in the two forms met in the field.
//!
//! A profile lists the calls its author knew. What comes after them, docker up
//! to 20.10.9 and its like answer with EPERM; runc from 1.0 on and podman with
//! ENOSYS, so that a libc takes its second way. This one knows the calls up to
//! Linux 5.2 and so not clone3, which glibc 2.34 starts threads with, as
//! docker's of that time. Of the calls it knows it decides as docker's of today.

use std::collections::{BTreeSet, HashSet};

use oci_spec::runtime::{
    Arch, Capability, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompArgBuilder,
    LinuxSeccompOperator, LinuxSyscall,
};
use serde::{Deserialize, Serialize};
use syscalls::{x86, x86_64};

/// How calls the profile does not know are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnknownCalls {
    /// EPERM: a libc takes it for the answer.
    Eperm,
    /// ENOSYS: as a kernel without the call says it.
    Enosys,
}

/// The last call of Linux 5.2; the same number on all architectures.
const LAST_KNOWN: i32 = x86_64::Sysno::fspick as i32;

/// What docker's profile (its state of 2026) denies every container: the keys and
/// swap of the machine, the memory of others, what no kernel has any more, and
/// io_uring, whose calls no filter sees.
const DENIED: [&str; 31] = [
    "_sysctl",
    "add_key",
    "afs_syscall",
    "create_module",
    "get_kernel_syms",
    "getpmsg",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "migrate_pages",
    "move_pages",
    "nfsservctl",
    "pivot_root",
    "putpmsg",
    "query_module",
    "request_key",
    "security",
    "swapoff",
    "swapon",
    "sysfs",
    "tuxcall",
    "uselib",
    "userfaultfd",
    "ustat",
    "vserver",
    // i386.
    "bdflush",
    "vm86",
    "vm86old",
];

/// What it denies a container that lacks a capability for it: the machine's clock,
/// modules, mounts, namespaces, and tracing of the whole kernel.
const NEEDS: [(Capability, &[&str]); 14] = [
    (
        Capability::SysAdmin,
        &[
            "bpf",
            "fanotify_init",
            "fsconfig",
            "fsmount",
            "fsopen",
            "fspick",
            "lookup_dcookie",
            "mount",
            "move_mount",
            "open_tree",
            "perf_event_open",
            "quotactl",
            "setdomainname",
            "sethostname",
            "setns",
            "syslog",
            "umount",
            "umount2",
            "unshare",
        ],
    ),
    (Capability::DacReadSearch, &["open_by_handle_at"]),
    (Capability::SysBoot, &["reboot"]),
    (Capability::SysChroot, &["chroot"]),
    (
        Capability::SysModule,
        &["delete_module", "finit_module", "init_module"],
    ),
    (
        Capability::SysNice,
        &["get_mempolicy", "mbind", "set_mempolicy"],
    ),
    (Capability::SysPacct, &["acct"]),
    (Capability::SysPtrace, &["kcmp"]),
    (Capability::SysRawio, &["ioperm", "iopl"]),
    (
        Capability::SysTime,
        &["clock_settime", "clock_settime64", "settimeofday", "stime"],
    ),
    (Capability::SysTtyConfig, &["vhangup"]),
    (Capability::Syslog, &["syslog"]),
    (Capability::Bpf, &["bpf"]),
    (Capability::Perfmon, &["perf_event_open"]),
];

/// Let a process be taken over past its filter up to Linux 4.7, and so need
/// CAP_SYS_PTRACE there.
const TRACING: [&str; 3] = ["process_vm_readv", "process_vm_writev", "ptrace"];

/// socket(2)'s families up to this one are allowed, and those in
/// [`OTHER_FAMILIES`]: not AF_ALG and AF_VSOCK, which lead to the machine's own
/// cryptography and to its host, nor what hardly a kernel has any more.
const FIRST_FAMILIES: u64 = 12;
const OTHER_FAMILIES: [u64; 26] = [
    13, 14, 15, 16, 17, 18, 21, 22, 24, 26, 27, 28, 29, 30, 31, 32, 33, 35, 36, 39, 41, 42, 43, 44,
    45, 46,
];

/// clone(2) with any of these makes a namespace.
const NAMESPACES: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWCGROUP) as u64;

/// PER_LINUX, PER_LINUX32, each with UNAME26, and the question for the present.
const PERSONALITIES: [u64; 5] = [0x0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

impl UnknownCalls {
    /// `linux.seccomp` of the profile, for a container with these capabilities on
    /// the running kernel.
    pub fn profile(self, capabilities: impl IntoIterator<Item = Capability>) -> LinuxSeccomp {
        let system = rustix::system::uname();
        let held = capabilities.into_iter().collect();
        self.on(&held, &system.release().to_string_lossy())
    }

    fn on(self, held: &HashSet<Capability>, release: &str) -> LinuxSeccomp {
        let mut seccomp = LinuxSeccomp::default();
        let unknown = match self {
            Self::Eperm => libc::EPERM,
            Self::Enosys => libc::ENOSYS,
        };
        seccomp
            .set_default_action(LinuxSeccompAction::ScmpActErrno)
            .set_default_errno_ret(Some(unknown.cast_unsigned()))
            .set_architectures(Some(vec![
                Arch::ScmpArchX86_64,
                Arch::ScmpArchX86,
                Arch::ScmpArchX32,
            ]))
            .set_flags(None)
            .set_syscalls(Some(rules(held, release)));
        seccomp
    }
}

/// Names of the calls up to [`LAST_KNOWN`], of both architectures.
fn known() -> BTreeSet<&'static str> {
    let wide = x86_64::Sysno::iter()
        .filter(|call| call.id() <= LAST_KNOWN)
        .map(|call| call.name());
    let narrow = x86::Sysno::iter()
        .filter(|call| call.id() <= LAST_KNOWN)
        .map(|call| call.name());
    wide.chain(narrow).collect()
}

fn denied(held: &HashSet<Capability>, release: &str) -> BTreeSet<&'static str> {
    let mut denied: BTreeSet<&str> = NEEDS
        .iter()
        .flat_map(|(_, calls)| *calls)
        .copied()
        .collect();
    if version(release) < (Some(4), Some(8)) {
        denied.extend(TRACING);
    }
    for (_, calls) in NEEDS.iter().filter(|(needed, _)| held.contains(needed)) {
        denied.retain(|call| !calls.contains(call));
    }
    if held.contains(&Capability::SysPtrace) {
        denied.retain(|call| !TRACING.contains(call));
    }
    denied.extend(DENIED);
    denied
}

/// Major and minor; what is no number counts as none.
pub(crate) fn version(release: &str) -> (Option<u32>, Option<u32>) {
    let mut parts = release
        .split(|letter: char| !letter.is_ascii_digit())
        .map(|part| part.parse().ok());
    (parts.next().flatten(), parts.next().flatten())
}

fn rules(held: &HashSet<Capability>, release: &str) -> Vec<LinuxSyscall> {
    let denied = denied(held, release);
    let mut conditional = vec![
        (
            "socket",
            argument(FIRST_FAMILIES, 0, LinuxSeccompOperator::ScmpCmpLt),
        ),
        (
            "clone",
            argument(NAMESPACES, 0, LinuxSeccompOperator::ScmpCmpMaskedEq),
        ),
    ];
    let equal = |value| argument(value, 0, LinuxSeccompOperator::ScmpCmpEq);
    conditional.extend(OTHER_FAMILIES.map(|family| ("socket", equal(family))));
    conditional.extend(PERSONALITIES.map(|one| ("personality", equal(one))));
    if held.contains(&Capability::SysAdmin) {
        conditional.retain(|(name, _)| *name != "clone");
    }
    let asked: BTreeSet<&str> = conditional.iter().map(|(name, _)| *name).collect();
    let allowed = known()
        .into_iter()
        .filter(|name| !denied.contains(name) && !asked.contains(name));
    let mut rules = vec![rule(allowed, LinuxSeccompAction::ScmpActAllow, None)];
    for (name, argument) in conditional {
        // All fields have values, so each is built; one that were not would be
        // denied below.
        if let Some(argument) = argument {
            rules.push(rule(
                [name],
                LinuxSeccompAction::ScmpActAllow,
                Some(argument),
            ));
        }
    }
    let mut refused = rule(
        denied.into_iter().chain(asked),
        LinuxSeccompAction::ScmpActErrno,
        None,
    );
    refused.set_errno_ret(Some(libc::EPERM.cast_unsigned()));
    rules.push(refused);
    rules
}

/// A condition on the first argument.
fn argument(value: u64, second: u64, operator: LinuxSeccompOperator) -> Option<LinuxSeccompArg> {
    LinuxSeccompArgBuilder::default()
        .index(0_usize)
        .value(value)
        .value_two(second)
        .op(operator)
        .build()
        .ok()
}

fn rule<'a>(
    names: impl IntoIterator<Item = &'a str>,
    action: LinuxSeccompAction,
    argument: Option<LinuxSeccompArg>,
) -> LinuxSyscall {
    let mut rule = LinuxSyscall::default();
    rule.set_names(names.into_iter().map(str::to_owned).collect())
        .set_action(action)
        .set_args(argument.map(|argument| vec![argument]));
    rule
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CAPABILITIES;
    use crate::seccomp::Filter;

    fn profile(form: UnknownCalls, more: &[Capability], release: &str) -> LinuxSeccomp {
        let held = CAPABILITIES.into_iter().chain(more.iter().copied());
        form.on(&held.collect(), release)
    }

    /// Whether a rule without conditions allows it.
    fn allows(profile: &LinuxSeccomp, call: &str) -> bool {
        let decides = profile
            .syscalls()
            .iter()
            .flatten()
            .find(|rule| rule.names().iter().any(|name| name == call) && rule.args().is_none());
        decides.is_some_and(|rule| rule.action() == LinuxSeccompAction::ScmpActAllow)
    }

    #[test]
    fn the_forms_differ_in_what_is_unknown_alone() {
        let eperm = profile(UnknownCalls::Eperm, &[], "6.1.0");
        let enosys = profile(UnknownCalls::Enosys, &[], "6.1.0");
        assert_eq!(eperm.syscalls(), enosys.syscalls());
        assert_eq!(eperm.default_errno_ret(), Some(1));
        assert_eq!(enosys.default_errno_ret(), Some(38));
        let named = |call: &str| {
            let rules = eperm.syscalls().iter().flatten();
            rules
                .filter(|rule| rule.names().iter().any(|name| name == call))
                .count()
        };
        for unknown in ["clone3", "openat2", "pidfd_open", "faccessat2"] {
            assert_eq!(named(unknown), 0, "{unknown}");
        }
        assert_eq!((named("read"), named("mount"), named("clone")), (1, 1, 2));
        assert_eq!(named("personality"), PERSONALITIES.len() + 1);
        assert_eq!(named("socket"), OTHER_FAMILIES.len() + 2);
        assert!(Filter::new(&eperm).is_ok());
    }

    #[test]
    fn every_name_is_a_call() {
        let all: BTreeSet<&str> = x86_64::Sysno::iter()
            .map(|call| call.name())
            .chain(x86::Sysno::iter().map(|call| call.name()))
            .collect();
        let names = DENIED
            .iter()
            .chain(&TRACING)
            .chain(NEEDS.iter().flat_map(|(_, calls)| *calls));
        for name in names {
            assert!(all.contains(name), "{name}");
        }
    }

    #[test]
    fn a_capability_unlocks_its_calls() {
        let dockers = profile(UnknownCalls::Enosys, &[], "6.1.0");
        for (call, allowed) in [
            ("read", true),
            ("clock_adjtime", true),
            ("chroot", true),
            ("arch_prctl", true),
            ("modify_ldt", true),
            ("mount", false),
            ("syslog", false),
            ("io_uring_setup", false),
            ("settimeofday", false),
        ] {
            assert_eq!(allows(&dockers, call), allowed, "{call}");
        }
        for (capability, calls) in NEEDS {
            let more = profile(UnknownCalls::Enosys, &[capability], "6.1.0");
            for call in calls {
                assert!(allows(&more, call), "{capability:?}: {call}");
            }
            assert!(!allows(&more, "keyctl"));
            assert_eq!(allows(&more, "clone"), capability == Capability::SysAdmin);
        }
    }

    #[test]
    fn tracing_is_denied_where_it_leads_past_the_filter() {
        for (release, more, allowed) in [
            ("4.8.0", &[][..], true),
            ("4.7.10", &[], false),
            ("3.10.0-1160.el7", &[], false),
            ("3.10.0-1160.el7", &[Capability::SysPtrace], true),
        ] {
            let made = profile(UnknownCalls::Eperm, more, release);
            assert_eq!(allows(&made, "ptrace"), allowed, "{release}");
        }
    }
}
