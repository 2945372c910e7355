//! `--trace-fd`: the container's program runs under ptrace, and what it was
//! refused is written down, a [`Step`] of JSON a line.
//!
//! Written are the system calls that failed, programs that were started, signals
//! that were about to end a process, ends, and what a process has been waiting in
//! when nothing happened for a second. Calls that succeeded are not: what a program
//! was not given is what its end is about, and a trace has to stay small. A step
//! that repeats itself is written once, with how often.
//!
//! The tracer is the runtime, the parent. It seizes the first process before that
//! does anything (PTRACE_SEIZE, Linux 3.4) and lets it run untouched up to execve;
//! from there on it follows every fork and thread. Where tracing is refused (Yama's
//! ptrace_scope 3, an outer tracer) the step says so and the container runs all the
//! same.

mod call;
mod process;
mod steps;
mod tracer;

use serde::{Deserialize, Serialize};

pub(crate) use tracer::Tracer;

/// Something that happened to a traced process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The process, or the thread, as the machine numbers it.
    pub process: i32,
    /// What.
    pub what: What,
    /// How often in a row, 1 or more.
    pub times: u64,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum What {
    /// A system call failed.
    Failed {
        /// Its name; `syscall 999` where it has none.
        call: String,
        /// The path it was given, quoted, or its first three arguments in
        /// hexadecimal.
        arguments: String,
        /// The errno.
        errno: i32,
    },
    /// It became another program.
    Started {
        /// /proc/PID/exe.
        program: String,
    },
    /// A signal that ends most programs is about to be delivered.
    Signal {
        /// Its number.
        signal: i32,
        /// siginfo's si_code: positive where the kernel sent it by itself.
        code: i32,
        /// siginfo's si_addr, where the signal has one.
        address: Option<u64>,
        /// The instruction pointer.
        instruction: u64,
        /// Of SIGSYS: the name of the call that was refused.
        call: Option<String>,
    },
    /// For a second nothing happened while it was in this call.
    Waits {
        /// As in [`What::Failed`].
        call: String,
        /// As in [`What::Failed`].
        arguments: String,
    },
    /// It called exit.
    Exited {
        /// The status.
        code: i32,
    },
    /// A signal ended it.
    Killed {
        /// The signal's number.
        signal: i32,
    },
    /// There is no trace.
    Refused {
        /// errno of PTRACE_SEIZE.
        errno: i32,
    },
}
