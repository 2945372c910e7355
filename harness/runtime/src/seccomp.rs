//! System call filters: `linux.seccomp`, compiled to BPF here and installed by
//! prctl(2), which every kernel since 3.5 has.
//!
//! Not by `seccompiler`: its filters know one answer for what matches and one
//! for what does not, and kill every other architecture, so neither docker's
//! profile nor a 32-bit program would come through.

mod compile;
mod names;
mod profile;

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction, LinuxSeccompFilterFlag};
use rustix::io::Errno;

use crate::descriptor::last_errno;
use crate::failure::{Failure, Step};
use crate::fallback::{Fallback, Fallbacks};
pub use profile::UnknownCalls;
pub(crate) use profile::version;

/// A filter ready to be installed.
#[derive(Debug)]
pub(crate) struct Filter {
    steps: Vec<libc::sock_filter>,
    flags: libc::c_ulong,
    /// A name is a system call of no architecture here.
    unknown_names: bool,
    logs: bool,
    config: LinuxSeccomp,
}

impl Filter {
    /// Compiles `linux.seccomp`.
    pub(crate) fn new(config: &LinuxSeccomp) -> Result<Self, Failure> {
        let compiled = compile::compile(config, false)?;
        Ok(Self {
            steps: compiled.steps,
            flags: flags(config)?,
            unknown_names: compiled.unknown_names,
            logs: uses(config, LinuxSeccompAction::ScmpActLog),
            config: config.clone(),
        })
    }

    /// Installs it for the calling thread and all it becomes. Without
    /// no_new_privs this needs CAP_SYS_ADMIN.
    pub(crate) fn install(&self, fallbacks: &Fallbacks) -> Result<(), Failure> {
        if self.unknown_names {
            fallbacks.record(Fallback::UnknownSystemCall);
        }
        // A kernel that does not know the action (before 4.14) kills instead.
        if self.logs && !knows_action(libc::SECCOMP_RET_LOG) {
            fallbacks.record(Fallback::SeccompLog);
            let steps = compile::compile(&self.config, true)?.steps;
            return self.install_steps(&steps, fallbacks);
        }
        self.install_steps(&self.steps, fallbacks)
    }

    fn install_steps(
        &self,
        steps: &[libc::sock_filter],
        fallbacks: &Fallbacks,
    ) -> Result<(), Failure> {
        if self.flags == 0 {
            return by_prctl(steps);
        }
        match by_seccomp(steps, self.flags) {
            // seccomp(2) came with Linux 3.17, its LOG flag with 4.14, its
            // SPEC_ALLOW flag with 4.17; both are about what is beside the filter.
            Err(Errno::NOSYS | Errno::INVAL) => {
                fallbacks.record(Fallback::SeccompFlags);
                by_prctl(steps)
            }
            answer => answer.step(|| "seccomp SECCOMP_SET_MODE_FILTER".to_owned()),
        }
    }
}

fn flags(config: &LinuxSeccomp) -> Result<libc::c_ulong, Failure> {
    let mut flags = 0;
    for flag in config.flags().iter().flatten() {
        match flag {
            // There is one thread; nothing needs to be told to others.
            LinuxSeccompFilterFlag::SeccompFilterFlagTsync => {}
            LinuxSeccompFilterFlag::SeccompFilterFlagLog => flags |= libc::SECCOMP_FILTER_FLAG_LOG,
            LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => {
                flags |= libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
            }
            LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => {
                return Err(Failure::NotImplemented {
                    field: format!("linux.seccomp.flags: {flag}"),
                });
            }
        }
    }
    Ok(flags)
}

fn uses(config: &LinuxSeccomp, action: LinuxSeccompAction) -> bool {
    let rules = config.syscalls().iter().flatten();
    config.default_action() == action || rules.into_iter().any(|rule| rule.action() == action)
}

/// SECCOMP_GET_ACTION_AVAIL, Linux 4.14.
fn knows_action(action: u32) -> bool {
    // SAFETY: the kernel reads one number, which outlives the call.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_GET_ACTION_AVAIL,
            0,
            &raw const action,
        )
    };
    answer == 0
}

fn by_prctl(steps: &[libc::sock_filter]) -> Result<(), Failure> {
    let program = program(steps)?;
    // SAFETY: the program and its steps outlive the call, which copies them.
    let answer = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const program,
            0,
            0,
        )
    };
    match answer {
        0 => Ok(()),
        _ => match last_errno() {
            Errno::INVAL => Err(Failure::Unsupported {
                what: "seccomp filters (CONFIG_SECCOMP_FILTER)".to_owned(),
            }),
            errno => Err(errno).step(|| "prctl PR_SET_SECCOMP".to_owned()),
        },
    }
}

fn by_seccomp(steps: &[libc::sock_filter], flags: libc::c_ulong) -> Result<(), Errno> {
    let program = program(steps).map_err(|_too_long| Errno::TOOBIG)?;
    // SAFETY: as for prctl.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const program,
        )
    };
    if answer == 0 {
        Ok(())
    } else {
        Err(last_errno())
    }
}

fn program(steps: &[libc::sock_filter]) -> Result<libc::sock_fprog, Failure> {
    let len = u16::try_from(steps.len()).map_err(|_range| {
        Failure::invalid("linux.seccomp", format!("{} steps of BPF", steps.len()))
    })?;
    Ok(libc::sock_fprog {
        len,
        filter: steps.as_ptr().cast_mut(),
    })
}
