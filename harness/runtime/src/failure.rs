//! Why a container could not be made or its program not be started.

use std::path::{Path, PathBuf};

use rustix::io::Errno;
use thiserror::Error;

use crate::status::Status;

/// What ends the making of a container.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// The configuration asks for something the runtime does not do.
    #[error("{field} is not implemented by this runtime")]
    NotImplemented {
        /// The place in config.json: `linux.seccomp`.
        field: String,
    },
    /// The configuration says something that makes no sense.
    #[error("{field}: {problem}")]
    Invalid {
        /// The place in config.json.
        field: String,
        /// What is wrong there.
        problem: String,
    },
    /// config.json is not what the specification says.
    #[error("parse {path}: {source}")]
    Json {
        /// The file.
        path: PathBuf,
        /// Where, and what is wrong.
        source: serde_json::Error,
    },
    /// A system call failed.
    #[error("{step}: {errno}")]
    System {
        /// What was being done, and to which path.
        step: String,
        /// The answer.
        errno: Errno,
    },
    /// The kernel was built or set up without something that is needed.
    #[error("this kernel has no {what}")]
    Unsupported {
        /// What, and the switch that brings it.
        what: String,
    },
    /// execve of the program.
    #[error("execve {path}: {errno}")]
    Exec {
        /// execve's answer, or what the search made of several.
        errno: Errno,
        /// What was tried.
        path: String,
    },
}

impl Failure {
    /// An [`Failure::Invalid`].
    pub(crate) fn invalid(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Invalid {
            field: field.into(),
            problem: problem.into(),
        }
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        let message = failure.to_string();
        match failure {
            Failure::NotImplemented { .. } | Failure::Invalid { .. } | Failure::Json { .. } => {
                Self::Trouble {
                    step: "read config.json".to_owned(),
                    errno: None,
                    message,
                }
            }
            Failure::System { step, errno } => Self::Trouble {
                step,
                errno: Some(errno.raw_os_error()),
                message,
            },
            Failure::Unsupported { what } => Self::Unsupported { what },
            Failure::Exec { errno, path } => Self::Exec {
                errno: errno.raw_os_error(),
                path,
            },
        }
    }
}

/// Names the step a system call was part of.
pub(crate) trait Step<T> {
    /// `step` is evaluated only for a failure.
    fn step(self, step: impl FnOnce() -> String) -> Result<T, Failure>;

    /// A step on one path.
    fn on(self, verb: &str, path: &Path) -> Result<T, Failure>
    where
        Self: Sized,
    {
        self.step(|| format!("{verb} {}", path.display()))
    }
}

impl<T> Step<T> for Result<T, Errno> {
    fn step(self, step: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|errno| Failure::System {
            step: step(),
            errno,
        })
    }
}
