//! How the program ends: every error it can meet and every status it can have.

use std::path::PathBuf;
use std::process::ExitCode;

/// The program's exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// Done; of a run: every cell as expected.
    Done,
    /// Some cell was not as expected.
    Unexpected,
    /// Bad usage or configuration.
    Usage,
    /// All that ran was as expected, but something could not be run.
    Incomplete,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        ExitCode::from(match status {
            Status::Done => 0,
            Status::Unexpected => 1,
            Status::Usage => 2,
            Status::Incomplete => 3,
        })
    }
}

/// Why the program could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Bad configuration or selection.
    #[error("{0}")]
    Plan(#[from] plan::PlanError),
    /// The cache could not be opened, and the like.
    #[error("{0}")]
    Supply(#[from] supply::SupplyError),
    /// The run's record could not be written or read.
    #[error("{0}")]
    Record(#[from] report::RecordError),
    /// A run's record could not be read.
    #[error("{0}")]
    Load(#[from] report::LoadError),
    /// No such run.
    #[error("no run is named `{name}` in {}", runs.display())]
    NoSuchRun {
        /// As given.
        name: String,
        /// Where it was looked for.
        runs: PathBuf,
    },
    /// The run to go on with is not the project's plan any more.
    #[error(
        "the run {run} cannot be gone on with: {what} is not what it was then\n\
         hint: start a new run"
    )]
    ResumeChanged {
        /// Its id.
        run: String,
        /// What differs.
        what: String,
    },
    /// No run at all.
    #[error("there is no run in {}\nhint: `matrix run` makes one", .0.display())]
    NoRuns(PathBuf),
    /// A file or folder of ours failed; the message carries the path.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The thread that starts QEMU could not be made.
    #[error("{0}")]
    Spawner(#[from] qemu_runner::StartError),
    /// A mistake in this program; the run's record is closed and holds what came
    /// before it.
    #[error(
        "matrix failed: {0}\nhint: this is a mistake in matrix; `--resume` goes on with the run"
    )]
    Panicked(String),
}

impl Failure {
    pub(crate) fn status(&self) -> Status {
        match self {
            Failure::Plan(_)
            | Failure::ResumeChanged { .. }
            | Failure::NoSuchRun { .. }
            | Failure::NoRuns(_) => Status::Usage,
            Failure::Load(_)
            | Failure::Supply(_)
            | Failure::Record(_)
            | Failure::Io(_)
            | Failure::Spawner(_)
            | Failure::Panicked(_) => Status::Incomplete,
        }
    }
}
