//! The kernel a test runs on: this machine's, or this machine's with what an
//! older one lacks taken away by a seccomp filter.

use std::io;

/// On which kernel the runtime, and all it starts, runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kernel {
    /// As it is.
    This,
    /// Calls above 313 (finit_module, 3.10's last on x86-64) say ENOSYS; a
    /// cgroup namespace, ambient capabilities and O_TMPFILE say EINVAL, as 3.10
    /// does.
    Old,
    /// Calls above 331 (pkey_free, 4.9's last) say ENOSYS.
    Linux4_9,
    /// Calls above 334 (rseq, 4.19's last) say ENOSYS.
    Linux4_19,
    /// Calls above 440 (process_madvise, 5.10's last) say ENOSYS.
    Linux5_10,
}

/// __O_TMPFILE, without the O_DIRECTORY that comes with it.
const TMPFILE: u32 = 0o20_000_000;

impl Kernel {
    /// What it lacks.
    pub(crate) fn lacks(self) -> Filter {
        let filter = Filter::default();
        match self {
            Self::This => filter,
            Self::Old => filter
                .above(313)
                .bits(
                    libc::SYS_unshare,
                    0,
                    libc::CLONE_NEWCGROUP as u32,
                    libc::EINVAL,
                )
                .value(
                    libc::SYS_prctl,
                    0,
                    libc::PR_CAP_AMBIENT as u32,
                    libc::EINVAL,
                )
                .bits(libc::SYS_open, 1, TMPFILE, libc::EINVAL)
                .bits(libc::SYS_openat, 2, TMPFILE, libc::EINVAL),
            Self::Linux4_9 => filter.above(331),
            Self::Linux4_19 => filter.above(334),
            Self::Linux5_10 => filter.above(440),
        }
    }
}

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const IF_GREATER: u16 = 0x25; // BPF_JMP | BPF_JGT | BPF_K
const IF_BITS: u16 = 0x45; // BPF_JMP | BPF_JSET | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K
/// Offsets in struct seccomp_data: the call's number, the low half of its first
/// argument.
const NUMBER: u32 = 0;
const ARGUMENTS: u32 = 16;

const fn step(code: u16, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

/// Calls that are refused.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter(Vec<libc::sock_filter>);

impl Filter {
    /// All calls whose number is above `last`: ENOSYS.
    pub(crate) fn above(mut self, last: u32) -> Self {
        self.0.extend([
            step(LOAD, NUMBER, 0, 0),
            step(IF_GREATER, last, 0, 1),
            refuse(libc::ENOSYS),
        ]);
        self
    }

    /// One call, whatever its arguments.
    pub(crate) fn call(mut self, call: libc::c_long, errno: i32) -> Self {
        self.0.extend([
            step(LOAD, NUMBER, 0, 0),
            step(IF_EQUAL, call as u32, 0, 1),
            refuse(errno),
        ]);
        self
    }

    /// A call whose argument `index` has any of `bits`.
    pub(crate) fn bits(self, call: libc::c_long, index: u32, bits: u32, errno: i32) -> Self {
        self.with_argument(call, index, IF_BITS, bits, errno)
    }

    /// A call whose argument `index` is `value`.
    pub(crate) fn value(self, call: libc::c_long, index: u32, value: u32, errno: i32) -> Self {
        self.with_argument(call, index, IF_EQUAL, value, errno)
    }

    fn with_argument(
        mut self,
        call: libc::c_long,
        index: u32,
        test: u16,
        operand: u32,
        errno: i32,
    ) -> Self {
        self.0.extend([
            step(LOAD, NUMBER, 0, 0),
            step(IF_EQUAL, call as u32, 0, 3),
            step(LOAD, ARGUMENTS + 8 * index, 0, 0),
            step(test, operand, 0, 1),
            refuse(errno),
        ]);
        self
    }

    /// Puts it over the calling process and its children; for `pre_exec`, so it
    /// allocates nothing once it is [`Filter::finished`].
    pub(crate) fn enter(&mut self) -> io::Result<()> {
        if self.0.len() <= 1 {
            return Ok(());
        }
        let program = libc::sock_fprog {
            len: self.0.len() as u16,
            filter: self.0.as_mut_ptr(),
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

    /// With what is not refused allowed.
    pub(crate) fn finished(mut self) -> Self {
        self.0.push(step(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0));
        self
    }
}

const fn refuse(errno: i32) -> libc::sock_filter {
    step(RETURN, libc::SECCOMP_RET_ERRNO | errno as u32, 0, 0)
}
