//! Our own profile, in the two forms met in the field.
//!
//! A profile lists the calls its author knew. What comes after them, docker up
//! to 20.10.9 and its like answer with EPERM; runc from 1.0 on and podman with
//! ENOSYS, so that a libc takes its second way. This one knows the calls up to
//! Linux 5.2 and so not clone3, which glibc 2.34 starts threads with: the same
//! as docker's of that time.

use std::collections::BTreeSet;

use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompArgBuilder,
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

/// What docker's profile denies a container without further capabilities: the
/// machine's clock, modules, mounts, namespaces, keys, swap and tracing of the
/// whole kernel.
const DENIED: [x86_64::Sysno; 53] = {
    use x86_64::Sysno::*;
    [
        _sysctl,
        acct,
        add_key,
        afs_syscall,
        bpf,
        clock_adjtime,
        clock_settime,
        create_module,
        delete_module,
        fanotify_init,
        finit_module,
        fsconfig,
        fsmount,
        fsopen,
        fspick,
        get_kernel_syms,
        get_mempolicy,
        init_module,
        ioperm,
        iopl,
        kcmp,
        kexec_file_load,
        kexec_load,
        keyctl,
        lookup_dcookie,
        mbind,
        mount,
        move_mount,
        move_pages,
        nfsservctl,
        open_by_handle_at,
        open_tree,
        perf_event_open,
        pivot_root,
        query_module,
        quotactl,
        reboot,
        request_key,
        set_mempolicy,
        sethostname,
        setdomainname,
        setns,
        settimeofday,
        swapoff,
        swapon,
        sysfs,
        syslog,
        umount2,
        unshare,
        uselib,
        userfaultfd,
        ustat,
        vhangup,
    ]
};

/// The same, of i386 only.
const DENIED_X86: [x86::Sysno; 6] = {
    use x86::Sysno::*;
    [
        clock_adjtime64,
        clock_settime64,
        stime,
        umount,
        vm86,
        vm86old,
    ]
};

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
    /// `linux.seccomp` of the profile.
    pub fn profile(self) -> LinuxSeccomp {
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
            .set_syscalls(Some(rules()));
        seccomp
    }
}

fn rules() -> Vec<LinuxSyscall> {
    let denied: BTreeSet<&str> = DENIED
        .iter()
        .map(x86_64::Sysno::name)
        .chain(DENIED_X86.iter().map(x86::Sysno::name))
        .collect();
    let known: BTreeSet<&str> = x86_64::Sysno::iter()
        .filter(|call| call.id() <= LAST_KNOWN)
        .map(|call| call.name())
        .chain(
            x86::Sysno::iter()
                .filter(|call| call.id() <= LAST_KNOWN)
                .map(|call| call.name()),
        )
        .collect();
    let conditional = [
        x86_64::Sysno::clone.name(),
        x86_64::Sysno::personality.name(),
    ];
    let allowed = known
        .iter()
        .filter(|name| !denied.contains(*name) && !conditional.contains(name))
        .copied();
    let mut rules = vec![rule(allowed, LinuxSeccompAction::ScmpActAllow, None)];
    let namespaces = LinuxSeccompArgBuilder::default()
        .index(0_usize)
        .value(NAMESPACES)
        .value_two(0_u64)
        .op(LinuxSeccompOperator::ScmpCmpMaskedEq)
        .build();
    let personalities = PERSONALITIES.map(|personality| {
        let argument = LinuxSeccompArgBuilder::default()
            .index(0_usize)
            .value(personality)
            .op(LinuxSeccompOperator::ScmpCmpEq)
            .build();
        (conditional[1], argument)
    });
    for (name, argument) in [(conditional[0], namespaces)]
        .into_iter()
        .chain(personalities)
    {
        // All fields have values, so each is built; one that were not would be
        // denied below.
        if let Ok(argument) = argument {
            rules.push(rule(
                [name],
                LinuxSeccompAction::ScmpActAllow,
                Some(argument),
            ));
        }
    }
    let mut refused = rule(
        denied.into_iter().chain(conditional),
        LinuxSeccompAction::ScmpActErrno,
        None,
    );
    refused.set_errno_ret(Some(libc::EPERM.cast_unsigned()));
    rules.push(refused);
    rules
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
    use crate::seccomp::Filter;

    #[test]
    fn the_forms_differ_in_what_is_unknown_alone() {
        let (eperm, enosys) = (
            UnknownCalls::Eperm.profile(),
            UnknownCalls::Enosys.profile(),
        );
        assert_eq!(eperm.syscalls(), enosys.syscalls());
        assert_eq!(eperm.default_errno_ret(), Some(1));
        assert_eq!(enosys.default_errno_ret(), Some(38));
        let named = |call: &str| {
            let rules = eperm.syscalls().iter().flatten();
            rules
                .filter(|rule| rule.names().iter().any(|name| name == call))
                .count()
        };
        assert_eq!(
            (named("clone3"), named("openat2"), named("pidfd_open")),
            (0, 0, 0)
        );
        assert_eq!((named("read"), named("mount"), named("clone")), (1, 1, 2));
        assert_eq!(named("personality"), PERSONALITIES.len() + 1);
        assert!(Filter::new(&eperm).is_ok());
    }
}
