//! A cell as the guest sees it: what to run, and what came of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{AddedCapabilities, Trace};

/// One command in one container of one image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CellRequest {
    /// Chosen by the harness, given back in [`CellResult::id`].
    pub id: u64,
    /// The serial of the disk that holds the image's root file system.
    pub disk: String,
    /// What runs in the container.
    pub command: Command,
    /// When to stop it, and how much to keep of what it says.
    pub limits: Limits,
    /// Its processes run under ptrace.
    pub trace: bool,
}

/// A process to start in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Program and arguments. A program without a slash is looked for in the
    /// container's PATH.
    pub arguments: Vec<String>,
    /// The whole environment, in order. Where it has no HOME the guest adds the
    /// one of the image's passwd, as docker does.
    pub environment: Vec<(String, String)>,
    /// Working directory, absolute; created where the image lacks it, as docker
    /// does.
    pub directory: String,
    /// `UID`, `UID:GID`, `NAME` or `NAME:GROUP`; names are looked up in the
    /// image's own passwd and group files.
    pub user: String,
    /// The container's host name.
    pub hostname: String,
    /// The profile its system calls go through.
    pub seccomp: Seccomp,
    /// What it may besides docker's 14.
    pub capabilities: AddedCapabilities,
}

/// What a container's system calls go through: nothing, or the project's profile
/// in one of its two forms, which differ in how they answer calls that came after
/// Linux 5.2.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Seccomp {
    /// No filter.
    #[default]
    None,
    /// EPERM, as docker up to 20.10.9 does, and a libc takes it for the answer.
    Eperm,
    /// ENOSYS, as runc does from 1.0 on, and a libc takes its second way.
    Enosys,
}

impl Seccomp {
    /// All, in the order they are shown.
    pub const ALL: [Self; 3] = [Self::None, Self::Eperm, Self::Enosys];

    /// What files and tables call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Eperm => "eperm",
            Self::Enosys => "enosys",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }
}

impl Limits {
    /// For the pipes.
    pub const PIPES: Duration = Duration::from_secs(10);
    /// For the processes.
    pub const PROCESSES: Duration = Duration::from_secs(5);
    /// For the cgroup.
    pub const CGROUP: Duration = Duration::from_secs(2);

    /// How long a guest waits, by its own clock, for what it killed at a cell's limit:
    /// for the pipes to be let go of, for the processes to be gone, for the cgroup to be
    /// empty. Only then it answers, so the harness waits longer than this.
    pub const fn after() -> Duration {
        Duration::from_secs(
            Self::PIPES.as_secs() + Self::PROCESSES.as_secs() + Self::CGROUP.as_secs(),
        )
    }
}

/// What bounds a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Milliseconds from start to kill.
    pub time: u64,
    /// Bytes kept of each of stdout and stderr; the rest is read and counted.
    pub output: u64,
}

/// What came of a [`CellRequest`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CellResult {
    /// The request's id.
    pub id: u64,
    /// How the container's first process ended.
    pub end: End,
    /// What it wrote to file descriptor 1.
    pub stdout: Captured,
    /// What it wrote to file descriptor 2.
    pub stderr: Captured,
    /// What the kernel logged between start and end.
    pub kernel_log: Vec<KernelLine>,
    /// Microseconds from start to end of the container, set-up included.
    pub duration: u64,
    /// The container's processes that were still alive after its first process
    /// had been waited for and its PID namespace was gone. Always empty unless
    /// the runtime or the kernel failed to end them.
    pub survivors: Vec<String>,
    /// What its processes were refused, where it was asked for.
    pub trace: Option<Trace>,
}

impl CellResult {
    /// The cell was not begun: it takes what this kernel has not.
    pub fn unsupported(id: u64, what: String) -> Self {
        Self {
            id,
            end: End::Unsupported { what },
            stdout: Captured::default(),
            stderr: Captured::default(),
            kernel_log: Vec::new(),
            duration: 0,
            survivors: Vec::new(),
            trace: None,
        }
    }
}

/// How the first process of a container ended. Exactly one of these, never a
/// default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// It called exit with this status.
    Exited(u8),
    /// A signal ended it.
    Signaled {
        /// Signal number, x86-64's numbering.
        signal: u8,
        /// WCOREDUMP: the kernel would have dumped core.
        core: bool,
    },
    /// execve itself failed, so nothing of the image ran.
    Exec {
        /// errno of execve, or of the search through PATH.
        errno: i32,
        /// The path that was tried.
        path: String,
    },
    /// It did not end in time and was killed.
    TimedOut,
    /// This kernel cannot give the container what it needs.
    Unsupported {
        /// What is missing, with the kernel's switch where one is known.
        what: String,
    },
    /// The container could not be made for another reason: trouble of ours, not
    /// a result.
    Trouble {
        /// The step and its error.
        message: String,
    },
    /// The kernel killed it for memory: its cgroup's count of such kills tells it
    /// from any other SIGKILL.
    OutOfMemory,
}

/// A bounded copy of an output stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    /// The first bytes, at most [`Limits::output`].
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
    /// How many more came and were dropped.
    pub dropped: u64,
}

/// A record of /dev/kmsg.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelLine {
    /// syslog level, 0 (emergency) to 7 (debug).
    pub level: u8,
    /// Microseconds since boot.
    pub time: u64,
    /// The text, without level and time; continuation fields are dropped.
    pub text: String,
}
