//! What happened in a cell. One enum owns everything that is said of an
//! outcome; no other room matches on its words.

mod kind;
mod record;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

pub use kind::{Colour, Kind, Severity};
pub use record::RecordError;

use crate::{errno, signal};

/// What happened in a cell.
///
/// Serialised flat, `{ "kind": "signal", "signal": "SIGSEGV", "code": 139,
/// "core": true }`; a record that contradicts itself is refused when read back.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "record::Record", try_from = "record::Record")]
pub enum Outcome {
    /// Exit status 0, and the output the check demands.
    Pass,
    /// Exit status 0, but not the output the check demands.
    Mismatch {
        /// What was demanded and what came, one line.
        detail: String,
    },
    /// Another exit status.
    Exit {
        /// 1 to 255.
        code: u8,
    },
    /// Exit status 0, and the output the check demands; but another process of it
    /// died, and the check says that this counts.
    Child {
        /// What ended that process, as the kernel tells it.
        signal: u8,
        /// Of SIGSYS, where it is known: see [`Outcome::Signal`].
        syscall: Option<String>,
        /// Its name and PID, the machine's number for it: `perl[195]`.
        process: String,
    },
    /// A signal ended it.
    Signal {
        /// Its number in x86-64's numbering, 1 to 127.
        signal: u8,
        /// The kernel would have dumped core.
        core: bool,
        /// Of SIGSYS, where it is known: the name of the system call that seccomp
        /// ended it for, `syscall 999` where it has none.
        syscall: Option<String>,
    },
    /// It did not end within its limit, also when run alone.
    Timeout {
        /// The limit, milliseconds, after scaling.
        limit: u64,
    },
    /// The kernel's out-of-memory killer ended it.
    Oom,
    /// execve failed.
    Exec {
        /// The errno.
        errno: i32,
        /// The path tried.
        path: String,
    },
    /// The kernel panicked, or the machine reset, while the cell ran.
    Panic {
        /// The console's line.
        message: String,
    },
    /// The kernel stopped answering while the cell ran.
    Lockup {
        /// What was seen, one line.
        message: String,
    },
    /// This kernel cannot give what the cell needs.
    Unsupported {
        /// What is missing.
        what: String,
    },
    /// There is no result.
    NotRun {
        /// Why.
        reason: String,
    },
}

impl Outcome {
    /// The cell's kernel panicked, or its machine reset; `message` is the
    /// console's line.
    pub fn panic(message: impl Into<String>) -> Self {
        Self::Panic {
            message: message.into(),
        }
    }

    /// The cell's kernel stopped answering.
    pub fn lockup(message: impl Into<String>) -> Self {
        Self::Lockup {
            message: message.into(),
        }
    }

    /// There is no result, for this reason.
    pub fn not_run(reason: impl Into<String>) -> Self {
        Self::NotRun {
            reason: reason.into(),
        }
    }

    /// The kind, without its particulars.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Pass => Kind::Pass,
            Self::Mismatch { .. } => Kind::Mismatch,
            Self::Child { .. } => Kind::Child,
            Self::Exit { .. } => Kind::Exit,
            Self::Signal { .. } => Kind::Signal,
            Self::Timeout { .. } => Kind::Timeout,
            Self::Oom => Kind::Oom,
            Self::Exec { .. } => Kind::Exec,
            Self::Panic { .. } => Kind::Panic,
            Self::Lockup { .. } => Kind::Lockup,
            Self::Unsupported { .. } => Kind::Unsupported,
            Self::NotRun { .. } => Kind::NotRun,
        }
    }

    /// The status a shell would have seen: 128 and the signal's number for a
    /// signal, 124 for a timeout as timeout(1) has it, 137 where the kernel ran
    /// out of memory, 127 for a program that is not there and 126 for one that
    /// cannot be run. None where no shell would have lived to see one, or
    /// nothing was run.
    pub fn code(&self) -> Option<u8> {
        match self {
            // A shell sees nothing wrong with output that is not as demanded, nor with
            // what its child's child died of.
            Self::Pass | Self::Mismatch { .. } | Self::Child { .. } => Some(0),
            Self::Exit { code } => Some(*code),
            Self::Signal { signal, .. } => Some(128_u8.saturating_add(*signal)),
            Self::Timeout { .. } => Some(124),
            Self::Oom => Some(128 + signal::KILL),
            Self::Exec { errno, .. } => Some(if *errno == errno::ENOENT { 127 } else { 126 }),
            Self::Panic { .. }
            | Self::Lockup { .. }
            | Self::Unsupported { .. }
            | Self::NotRun { .. } => None,
        }
    }

    /// What a table's cell says: `pass`, `exit 3`, `SIGSEGV 139`, `exec ENOENT`,
    /// `SIGSYS 159 (statx)`.
    pub fn label(&self) -> Cow<'static, str> {
        match self {
            Self::Signal {
                syscall: Some(call),
                ..
            }
            | Self::Child {
                syscall: Some(call),
                ..
            } => Cow::Owned(format!("{} ({call})", self.short_label())),
            _ => self.short_label(),
        }
    }

    /// The label without the system call, which is known of some runs of a cell and
    /// not of others: what is kept to be compared later.
    pub fn short_label(&self) -> Cow<'static, str> {
        match self {
            Self::Exit { code } => Cow::Owned(format!("exit {code}")),
            Self::Child { signal, .. } => Cow::Owned(format!("child {}", signal::name(*signal))),
            Self::Signal { signal, .. } => Cow::Owned(format!(
                "{} {}",
                signal::name(*signal),
                128_u16 + u16::from(*signal)
            )),
            Self::Exec { errno, .. } => Cow::Owned(format!("exec {}", errno::name(*errno))),
            Self::NotRun { .. } => Cow::Borrowed("not run"),
            _ => Cow::Borrowed(self.kind().name()),
        }
    }

    /// Both came to the same. Particulars that may be different each time or known
    /// one time only (a message, a path's spelling, the system call of a SIGSYS)
    /// make no difference, but two system calls do.
    pub fn agrees_with(&self, other: &Self) -> bool {
        let calls = self.syscall().zip(other.syscall());
        self.short_label() == other.short_label() && calls.is_none_or(|(one, two)| one == two)
    }

    fn syscall(&self) -> Option<&str> {
        match self {
            Self::Signal { syscall, .. } | Self::Child { syscall, .. } => syscall.as_deref(),
            _ => None,
        }
    }

    /// What there is to say beyond the label, one line: the panic's message, the
    /// path that could not be executed, the reason it was not run.
    pub fn detail(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Pass | Self::Exit { .. } | Self::Oom => None,
            Self::Child { process, .. } => Some(Cow::Owned(format!("{process} died"))),
            Self::Signal { core, .. } => core.then_some(Cow::Borrowed("core dumped")),
            Self::Timeout { limit } => Some(Cow::Owned(if limit % 1000 == 0 {
                format!("after {} s", limit / 1000)
            } else {
                format!("after {limit} ms")
            })),
            Self::Exec { path, .. } => Some(Cow::Borrowed(path)),
            Self::Mismatch { detail } => Some(Cow::Borrowed(detail)),
            Self::Panic { message } | Self::Lockup { message } => Some(Cow::Borrowed(message)),
            Self::Unsupported { what } => Some(Cow::Borrowed(what)),
            Self::NotRun { reason } => Some(Cow::Borrowed(reason)),
        }
    }

    /// One character, for places too narrow for a word.
    pub fn symbol(&self) -> char {
        self.kind().symbol()
    }

    /// The colour it is shown in, always beside its word.
    pub fn colour(&self) -> Colour {
        self.kind().colour()
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        self.kind().severity()
    }

    /// Something was observed: all but [`Outcome::NotRun`].
    pub fn is_result(&self) -> bool {
        self.kind() != Kind::NotRun
    }

    /// The one outcome that is a pass.
    pub fn is_pass(&self) -> bool {
        *self == Self::Pass
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// One of each kind.
    pub(crate) fn one_of_each() -> Vec<Outcome> {
        vec![
            Outcome::Pass,
            Outcome::Mismatch {
                detail: "wanted ok".into(),
            },
            Outcome::Child {
                signal: 31,
                syscall: Some("statx".into()),
                process: "perl[195]".into(),
            },
            Outcome::Exit { code: 3 },
            Outcome::Signal {
                signal: 11,
                core: true,
                syscall: None,
            },
            Outcome::Timeout { limit: 60_000 },
            Outcome::Oom,
            Outcome::Exec {
                errno: 2,
                path: "/bin/bash".into(),
            },
            Outcome::panic("Kernel panic - not syncing: Attempted to kill init!"),
            Outcome::lockup("no answer for 60 s"),
            Outcome::Unsupported {
                what: "CONFIG_USER_NS is off".into(),
            },
            Outcome::not_run("the kernel is unavailable"),
        ]
    }

    #[test]
    fn there_is_one_of_each() {
        let kinds: Vec<Kind> = one_of_each().iter().map(Outcome::kind).collect();
        assert_eq!(kinds, Kind::ALL);
    }

    #[test]
    fn labels_and_codes() {
        let said: Vec<(String, Option<u8>)> = one_of_each()
            .iter()
            .map(|outcome| (outcome.label().into_owned(), outcome.code()))
            .collect();
        let expected: Vec<(String, Option<u8>)> = [
            ("pass", Some(0)),
            ("mismatch", Some(0)),
            ("child SIGSYS (statx)", Some(0)),
            ("exit 3", Some(3)),
            ("SIGSEGV 139", Some(139)),
            ("timeout", Some(124)),
            ("oom", Some(137)),
            ("exec ENOENT", Some(127)),
            ("panic", None),
            ("lockup", None),
            ("unsupported", None),
            ("not run", None),
        ]
        .into_iter()
        .map(|(label, code)| (label.to_owned(), code))
        .collect();
        assert_eq!(said, expected);
        let permission = Outcome::Exec {
            errno: errno::EACCES,
            path: "/x".into(),
        };
        assert_eq!(permission.code(), Some(126));
    }

    #[test]
    fn the_system_call_of_sigsys_is_told_and_its_lack_is_no_difference() {
        let of = |call: Option<&str>| Outcome::Signal {
            signal: signal::SYS,
            core: true,
            syscall: call.map(str::to_owned),
        };
        assert_eq!(of(Some("statx")).label(), "SIGSYS 159 (statx)");
        assert_eq!(of(Some("statx")).short_label(), "SIGSYS 159");
        assert_eq!(of(None).label(), "SIGSYS 159");
        assert!(of(Some("statx")).agrees_with(&of(None)));
        assert!(of(None).agrees_with(&of(Some("statx"))));
        assert!(!of(Some("statx")).agrees_with(&of(Some("clone3"))));
        assert!(!of(None).agrees_with(&Outcome::Exit { code: 159 }));
        for outcome in one_of_each() {
            assert!(outcome.agrees_with(&outcome));
        }
    }

    #[test]
    fn only_a_pass_is_a_pass_and_only_not_run_is_no_result() {
        for outcome in one_of_each() {
            assert_eq!(outcome.is_pass(), outcome.kind() == Kind::Pass);
            assert_eq!(outcome.is_result(), outcome.kind() != Kind::NotRun);
            assert_eq!(
                outcome.severity() == Severity::Success,
                outcome.is_pass(),
                "{outcome:?}"
            );
        }
    }
}
