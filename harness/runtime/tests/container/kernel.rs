//! The kernel a test runs on: this machine's, or this machine's with the system
//! calls of Linux 3.10 and no others, by a seccomp filter.

use std::io;

/// On which kernel the runtime, and all it starts, runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kernel {
    /// As it is.
    This,
    /// Calls above 313 (finit_module, 3.10's last on x86-64) say ENOSYS; a
    /// cgroup namespace and ambient capabilities say EINVAL, as 3.10 does.
    Old,
    /// Calls above 331 (pkey_free, 4.9's last) say ENOSYS.
    Linux4_9,
    /// Calls above 334 (rseq, 4.19's last) say ENOSYS.
    Linux4_19,
}

pub(crate) const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
pub(crate) const IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const IF_GREATER: u16 = 0x25; // BPF_JMP | BPF_JGT | BPF_K
pub(crate) const RETURN: u16 = 0x06; // BPF_RET | BPF_K
/// Offsets in struct seccomp_data: the call's number, the low half of its
/// first argument.
pub(crate) const NUMBER: u32 = 0;
const FIRST: u32 = 16;
pub(crate) const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const ENOSYS: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
const EINVAL: u32 = libc::SECCOMP_RET_ERRNO | libc::EINVAL as u32;

pub(crate) const fn step(code: u16, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

const FILTER: [libc::sock_filter; 12] = [
    step(LOAD, NUMBER, 0, 0),
    step(IF_GREATER, 313, 7, 0),
    step(IF_EQUAL, libc::SYS_unshare as u32, 2, 0),
    step(IF_EQUAL, libc::SYS_prctl as u32, 3, 0),
    step(RETURN, ALLOW, 0, 0),
    step(LOAD, FIRST, 0, 0),
    step(IF_EQUAL, libc::CLONE_NEWCGROUP as u32, 3, 4),
    step(LOAD, FIRST, 0, 0),
    step(IF_EQUAL, libc::PR_CAP_AMBIENT as u32, 1, 2),
    step(RETURN, ENOSYS, 0, 0),
    step(RETURN, EINVAL, 0, 0),
    step(RETURN, ALLOW, 0, 0),
];

impl Kernel {
    /// Becomes this kernel for the calling process and its children; for
    /// `pre_exec`, so it allocates nothing.
    pub(crate) fn enter(self) -> io::Result<()> {
        let newer = |last| {
            [
                step(LOAD, NUMBER, 0, 0),
                step(IF_GREATER, last, 0, 1),
                step(RETURN, ENOSYS, 0, 0),
                step(RETURN, ALLOW, 0, 0),
            ]
        };
        match self {
            Self::This => Ok(()),
            Self::Old => install(FILTER),
            Self::Linux4_9 => install(newer(331)),
            Self::Linux4_19 => install(newer(334)),
        }
    }
}

pub(crate) fn install<const COUNT: usize>(mut steps: [libc::sock_filter; COUNT]) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: steps.len() as u16,
        filter: steps.as_mut_ptr(),
    };
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
    if answer == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
