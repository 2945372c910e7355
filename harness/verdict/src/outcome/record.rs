//! An outcome as results.json has it: flat, with the status a shell would see
//! beside what it is made from, and checked when read back.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::Outcome;
use crate::{errno, signal};

/// Why a record is no outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A status that does not go with the rest.
    #[error("an outcome says code {said}, but `{label}` is seen as {real} by a shell")]
    Code {
        /// What the record says.
        said: u8,
        /// The outcome it speaks of.
        label: String,
        /// What it must be.
        real: u8,
    },
    /// An exit status 0 is a pass or a mismatch, never a failure.
    #[error("an outcome of kind `exit` says code 0, which is a pass or a mismatch")]
    ExitZero,
    /// No such signal.
    #[error("`{0}` is no signal")]
    Signal(String),
    /// A system call is told of another signal than SIGSYS.
    #[error("an outcome says {signal} for calling {syscall}, but only SIGSYS is for a call")]
    Syscall {
        /// The signal.
        signal: String,
        /// The call.
        syscall: String,
    },
    /// No such errno.
    #[error("`{0}` is no errno")]
    Errno(String),
}

/// The shape. Every kind has exactly its own fields.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "Outcome")]
pub(super) enum Record {
    /// Exit status 0, and the output the check demands.
    Pass {
        /// What a shell would see: 0.
        code: u8,
    },
    /// Exit status 0, but not the output the check demands.
    Mismatch {
        /// What a shell would see: 0.
        code: u8,
        /// What was demanded and what came.
        detail: String,
    },
    /// Exit status 0, and the output the check demands; but another process of it
    /// died, and the check says that this counts.
    Child {
        /// What ended that process: `SIGSEGV`.
        signal: String,
        /// What a shell would see of the check: 0.
        code: u8,
        /// Of SIGSYS: the system call that seccomp ended it for; left out where it
        /// is not known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        syscall: Option<String>,
        /// Its name and PID, the machine's number for it.
        process: String,
    },
    /// Another exit status.
    Exit {
        /// What a shell would see, 1 to 255.
        code: u8,
    },
    /// A signal ended it.
    Signal {
        /// Its name: `SIGSEGV`.
        signal: String,
        /// What a shell would see: 128 and the signal's number.
        code: u8,
        /// The kernel would have dumped core.
        core: bool,
        /// Of SIGSYS: the system call that seccomp ended it for; left out where it
        /// is not known, and by runs of old.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        syscall: Option<String>,
    },
    /// It did not end within its limit, also when run alone.
    Timeout {
        /// As timeout(1) has it: 124.
        code: u8,
        /// The limit, milliseconds, after scaling.
        limit_ms: u64,
    },
    /// The kernel's out-of-memory killer ended it.
    Oom {
        /// What a shell would see: 137.
        code: u8,
    },
    /// execve failed.
    Exec {
        /// The errno's name: `ENOENT`.
        errno: String,
        /// What a shell would see: 127 for ENOENT, 126 otherwise.
        code: u8,
        /// The path tried.
        path: String,
    },
    /// The kernel panicked, or the machine reset, while the cell ran.
    Panic {
        /// The console's line.
        detail: String,
    },
    /// The kernel stopped answering while the cell ran.
    Lockup {
        /// What was seen.
        detail: String,
    },
    /// This kernel cannot give what the cell needs.
    Unsupported {
        /// What is missing.
        detail: String,
    },
    /// There is no result.
    NotRun {
        /// Why.
        detail: String,
    },
}

impl From<Outcome> for Record {
    fn from(outcome: Outcome) -> Self {
        // What has a field for it has a code: the two matches stand together in
        // `a_record_is_refused_when_its_code_does_not_go_with_it`.
        let code = outcome.code().unwrap_or_default();
        match outcome {
            Outcome::Pass => Self::Pass { code },
            Outcome::Mismatch { detail } => Self::Mismatch { code, detail },
            Outcome::Child {
                signal,
                syscall,
                process,
            } => Self::Child {
                signal: signal::name(signal).into_owned(),
                code,
                syscall,
                process,
            },
            Outcome::Exit { code } => Self::Exit { code },
            Outcome::Signal {
                signal,
                core,
                syscall,
            } => Self::Signal {
                signal: signal::name(signal).into_owned(),
                code,
                core,
                syscall,
            },
            Outcome::Timeout { limit } => Self::Timeout {
                code,
                limit_ms: limit,
            },
            Outcome::Oom => Self::Oom { code },
            Outcome::Exec { errno, path } => Self::Exec {
                errno: errno::name(errno).into_owned(),
                code,
                path,
            },
            Outcome::Panic { message } => Self::Panic { detail: message },
            Outcome::Lockup { message } => Self::Lockup { detail: message },
            Outcome::Unsupported { what } => Self::Unsupported { detail: what },
            Outcome::NotRun { reason } => Self::NotRun { detail: reason },
        }
    }
}

impl TryFrom<Record> for Outcome {
    type Error = RecordError;

    fn try_from(record: Record) -> Result<Self, RecordError> {
        let (said, outcome) = match record {
            Record::Pass { code } => (Some(code), Self::Pass),
            Record::Mismatch { code, detail } => (Some(code), Self::Mismatch { detail }),
            Record::Exit { code: 0 } => return Err(RecordError::ExitZero),
            Record::Exit { code } => (Some(code), Self::Exit { code }),
            Record::Child {
                signal,
                code,
                syscall,
                process,
            } => {
                let outcome = Self::Child {
                    signal: number_of(signal, syscall.as_deref())?,
                    syscall,
                    process,
                };
                (Some(code), outcome)
            }
            Record::Signal {
                signal,
                code,
                core,
                syscall,
            } => {
                let outcome = Self::Signal {
                    signal: number_of(signal, syscall.as_deref())?,
                    core,
                    syscall,
                };
                (Some(code), outcome)
            }
            Record::Timeout { code, limit_ms } => (Some(code), Self::Timeout { limit: limit_ms }),
            Record::Oom { code } => (Some(code), Self::Oom),
            Record::Exec { errno, code, path } => {
                let Some(errno) = errno::number(&errno) else {
                    return Err(RecordError::Errno(errno));
                };
                (Some(code), Self::Exec { errno, path })
            }
            Record::Panic { detail } => (None, Self::Panic { message: detail }),
            Record::Lockup { detail } => (None, Self::Lockup { message: detail }),
            Record::Unsupported { detail } => (None, Self::Unsupported { what: detail }),
            Record::NotRun { detail } => (None, Self::NotRun { reason: detail }),
        };
        if let (Some(said), Some(real)) = (said, outcome.code())
            && said != real
        {
            return Err(RecordError::Code {
                said,
                label: outcome.label().into_owned(),
                real,
            });
        }
        Ok(outcome)
    }
}

/// The signal's number, where it goes with the system call.
fn number_of(signal: String, syscall: Option<&str>) -> Result<u8, RecordError> {
    match (signal::number(&signal), syscall) {
        (None, _) => Err(RecordError::Signal(signal)),
        (Some(signal::SYS), _) => Ok(signal::SYS),
        (Some(number), None) => Ok(number),
        (Some(_), Some(syscall)) => Err(RecordError::Syscall {
            signal,
            syscall: syscall.to_owned(),
        }),
    }
}

impl JsonSchema for Outcome {
    fn schema_name() -> Cow<'static, str> {
        Record::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        Record::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Record::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::outcome::tests::one_of_each;

    #[test]
    fn the_shape_others_build_on() {
        let shapes: Vec<Value> = one_of_each()
            .iter()
            .map(|outcome| serde_json::to_value(outcome).unwrap())
            .collect();
        let panic = "Kernel panic - not syncing: Attempted to kill init!";
        let expected = [
            json!({ "kind": "pass", "code": 0 }),
            json!({ "kind": "mismatch", "code": 0, "detail": "wanted ok" }),
            json!({ "kind": "child", "signal": "SIGSYS", "code": 0, "syscall": "statx",
                "process": "perl[195]" }),
            json!({ "kind": "exit", "code": 3 }),
            json!({ "kind": "signal", "signal": "SIGSEGV", "code": 139, "core": true }),
            json!({ "kind": "timeout", "code": 124, "limit_ms": 60_000 }),
            json!({ "kind": "oom", "code": 137 }),
            json!({ "kind": "exec", "errno": "ENOENT", "code": 127, "path": "/bin/bash" }),
            json!({ "kind": "panic", "detail": panic }),
            json!({ "kind": "lockup", "detail": "no answer for 60 s" }),
            json!({ "kind": "unsupported", "detail": "CONFIG_USER_NS is off" }),
            json!({ "kind": "not-run", "detail": "the kernel is unavailable" }),
        ];
        assert_eq!(shapes, expected);
    }

    #[test]
    fn what_is_written_is_read_back() {
        for outcome in one_of_each() {
            let text = serde_json::to_string(&outcome).unwrap();
            assert_eq!(serde_json::from_str::<Outcome>(&text).unwrap(), outcome);
        }
    }

    #[test]
    fn a_record_is_refused_when_its_code_does_not_go_with_it() {
        // Of every outcome that has a code, change it by one.
        for outcome in one_of_each() {
            let mut value = serde_json::to_value(&outcome).unwrap();
            assert_eq!(
                value.get("code").and_then(Value::as_u64),
                outcome.code().map(u64::from),
                "{outcome:?}"
            );
            let Some(code) = outcome.code() else { continue };
            if matches!(outcome, Outcome::Exit { .. }) {
                continue;
            }
            value["code"] = json!(code + 1);
            assert!(serde_json::from_value::<Outcome>(value).is_err());
        }
    }

    #[test]
    fn records_that_contradict_themselves_are_refused() {
        for (record, error) in [
            (json!({ "kind": "exit", "code": 0 }), "code 0"),
            (json!({ "kind": "pass" }), "code"),
            (
                json!({ "kind": "signal", "signal": "SIGNOPE", "code": 139, "core": false }),
                "`SIGNOPE` is no signal",
            ),
            (
                json!({ "kind": "signal", "signal": "SIGSEGV", "code": 139, "core": false,
                    "syscall": "statx" }),
                "SIGSEGV for calling statx",
            ),
            (
                json!({ "kind": "exec", "errno": "ENOPE", "code": 126, "path": "/x" }),
                "`ENOPE` is no errno",
            ),
            (
                json!({ "kind": "not-run", "code": 0, "detail": "" }),
                "code",
            ),
            (json!({ "kind": "passed", "code": 0 }), "passed"),
        ] {
            let message = serde_json::from_value::<Outcome>(record.clone())
                .unwrap_err()
                .to_string();
            assert!(message.contains(error), "{record}: {message}");
        }
    }
}
