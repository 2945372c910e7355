//! The line the runtime writes to `--status-fd`: how the container's first
//! process ended, or why it never began.

use serde::{Deserialize, Serialize};

use crate::cgroup::Report;
use crate::fallback::Fallback;
use crate::network::Nat;

/// What is written to `--status-fd`, as one line of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// How it ended.
    pub status: Status,
    /// Where this kernel lacked something and a second way was taken.
    pub fallbacks: Vec<Fallback>,
    /// The container's cgroups, where it had some of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<Report>,
    /// The network behind a bridge, where it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkLine>,
}

/// What became of a container's network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkLine {
    /// Who translated its addresses.
    pub nat: Nat,
    /// What could not be removed when it was over, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_behind: Option<String>,
}

/// How the container's first process ended. There is no default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Status {
    /// It called exit with this status.
    Exited {
        /// 0 to 255.
        code: u8,
    },
    /// A signal ended it.
    Signaled {
        /// The signal's number.
        signal: u8,
        /// WCOREDUMP of its wait status.
        core: bool,
    },
    /// The kernel killed it for memory: with SIGKILL, and its cgroup's count of
    /// such kills has risen.
    OutOfMemory,
    /// The container was ready, but execve of its program failed.
    Exec {
        /// execve's errno, or what the search through PATH made of several.
        errno: i32,
        /// The path execve was given; the bare name where PATH has none.
        path: String,
    },
    /// This kernel cannot give the container what its configuration asks for.
    Unsupported {
        /// What is missing, with the kernel's switch where one is known.
        what: String,
    },
    /// The container could not be made: no result of the program.
    Trouble {
        /// What was being done, with the path it was done to.
        step: String,
        /// The system's answer, where it was the system that refused.
        errno: Option<i32>,
        /// The reason in words.
        message: String,
    },
}

impl Status {
    /// The runtime's own exit code for it: docker's numbers (125 for trouble of
    /// its own, 126 and 127 for a program that cannot be run or is not there,
    /// 128 and the signal's number).
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Exited { code } => *code,
            Self::Signaled { signal, .. } => 128_u8.saturating_add(*signal),
            Self::OutOfMemory => 137,
            Self::Exec { errno, .. } if *errno == libc::ENOENT => 127,
            Self::Exec { .. } => 126,
            Self::Unsupported { .. } | Self::Trouble { .. } => 125,
        }
    }
}
