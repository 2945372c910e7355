//! What a cell's processes were refused, when it ran under ptrace.

use serde::{Deserialize, Serialize};

/// The end of a traced cell's story.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// The last steps, in order.
    pub steps: Vec<Step>,
    /// Bytes of earlier steps that were dropped.
    pub dropped: u64,
}

/// Something that happened to a traced process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The process or thread, as the machine numbers it.
    pub process: i32,
    /// What.
    pub what: Traced,
    /// How often in a row, 1 or more.
    pub times: u64,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Traced {
    /// A system call failed.
    Failed {
        /// Its name; `syscall 999` where it has none.
        call: String,
        /// The path it was given, quoted, or its first arguments in hexadecimal.
        arguments: String,
        /// The errno.
        errno: i32,
    },
    /// It became another program.
    Started {
        /// Its path in the image.
        program: String,
    },
    /// A signal that ends most programs was about to be delivered.
    Signal {
        /// Its number.
        signal: i32,
        /// si_code: positive where the kernel sent it by itself.
        code: i32,
        /// si_addr, where the signal has one.
        address: Option<u64>,
        /// The instruction pointer.
        instruction: u64,
        /// Of SIGSYS: the name of the call that was refused.
        call: Option<String>,
    },
    /// For a second nothing happened while it was in this call.
    Waits {
        /// Its name.
        call: String,
        /// Its first arguments in hexadecimal.
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
    /// It could not be traced.
    Refused {
        /// The errno.
        errno: i32,
    },
}
