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
    /// Of `try`: what the command itself ended with, or 125 for trouble of ours.
    Command(u8),
}

impl Status {
    /// What a run came to.
    pub(crate) fn of_run(counts: &report::Counts) -> Self {
        match counts.exit_code() {
            0 => Self::Done,
            1 => Self::Unexpected,
            _ => Self::Incomplete,
        }
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        ExitCode::from(match status {
            Status::Done => 0,
            Status::Unexpected => 1,
            Status::Usage => 2,
            Status::Incomplete => 3,
            Status::Command(code) => code,
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
    /// A run that was cut short is to be published.
    #[error(
        "the run {run} is incomplete: {why}\n\
         hint: `matrix run --resume {run}` finishes it, `--incomplete` publishes it as it is"
    )]
    Incomplete {
        /// Its id.
        run: String,
        /// Why.
        why: String,
    },
    /// A table of facts in a format for cells.
    #[error(
        "facts and syscalls are printed as text or markdown\nhint: `--format json` has all tables of a run"
    )]
    TableFormat,
    /// The cache has no such thing.
    #[error("the cache has no {wanted}\nhint: {hint}")]
    NotCached {
        /// As given.
        wanted: String,
        /// What there is.
        hint: String,
    },
    /// A run has no such cell.
    #[error("the run {run} has no cell {wanted}\nhint: {hint}")]
    NoSuchCell {
        /// The run's id.
        run: String,
        /// What was asked for.
        wanted: String,
        /// What there is.
        hint: String,
    },
    /// `try` was given more than one.
    #[error("`{given}` names {count} {kind}s\nhint: `matrix try` takes one: {names}")]
    TryOne {
        /// As given.
        given: String,
        /// How many.
        count: usize,
        /// `kernel` or `image`.
        kind: &'static str,
        /// Their names.
        names: String,
    },
    /// The mirrors of this machine could not be told.
    #[error("{0}")]
    Mirrors(#[from] supply::AptError),
    /// `--shard` cannot be done.
    #[error("{0}")]
    Shard(String),
    /// Runs that do not belong together.
    #[error("{0}")]
    Merge(#[from] report::MergeError),
    /// The published history could not be read, or cannot take a run.
    #[error("{0}")]
    History(#[from] report::HistoryError),
    /// An image's files cannot be read.
    #[error("{0}")]
    Contents(#[from] supply::ContentsError),
    /// JUnit's XML could not be made.
    #[error("{0}")]
    Junit(#[from] report::junit::JunitError),
    /// A kernel to bisect from or to is no entry, or lacks the variant.
    #[error("`{kernel}` is no entry to bisect between, or lacks the variant\nhint: there are {}", known.join(", "))]
    BisectKernel {
        /// As given.
        kernel: String,
        /// The entries.
        known: Vec<String>,
    },
    /// Two different variants: more than the version changes.
    #[error(
        "{good} and {bad} are started differently, so more than the version would change\nhint: name the same variant of both"
    )]
    BisectVariants {
        /// As given.
        good: String,
        /// As given.
        bad: String,
    },
    /// One end gives no result.
    #[error("{kernel} gives no result to start from: {reason}")]
    BisectEnd {
        /// Its id.
        kernel: String,
        /// Why.
        reason: String,
    },
    /// Nothing changes.
    #[error("{first} and {second} give the same: {outcome}")]
    BisectSame {
        /// Its id.
        first: String,
        /// The other's.
        second: String,
        /// What both give.
        outcome: String,
    },
    /// Moments that nothing lies between.
    #[error(
        "there is no line from {good} to {bad}\nhint: name two kernels of the list, two versions of one (6.1@6.1.170-1), or two moments of one (6.1@20260101T000000Z)"
    )]
    BisectMoments {
        /// As given.
        good: String,
        /// As given.
        bad: String,
    },
    /// A glob where one check is wanted.
    #[error("`{0}` is no check's name\nhint: `matrix list checks`")]
    BisectCheck(String),
    /// What should be a moment is none.
    #[error("`{0}` is not a moment such as 20260101T000000Z")]
    BisectTime(String),
    /// The userland is not the one of the answers so far.
    #[error(
        "{image} is not the image that earlier runs had, so their cells say nothing here\nhint: --fresh runs every cell again"
    )]
    BisectImageChanged {
        /// Its name.
        image: String,
    },
    /// The lock file is not there, cannot be read, or lacks something.
    #[error("{0}")]
    Lock(#[from] plan::LockError),
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
            | Failure::Incomplete { .. }
            | Failure::Shard(_)
            | Failure::TableFormat
            | Failure::TryOne { .. }
            | Failure::NoSuchCell { .. }
            | Failure::NotCached { .. }
            | Failure::Merge(_)
            | Failure::BisectKernel { .. }
            | Failure::BisectVariants { .. }
            | Failure::BisectSame { .. }
            | Failure::BisectMoments { .. }
            | Failure::BisectCheck(_)
            | Failure::BisectTime(_)
            | Failure::Lock(_)
            | Failure::NoRuns(_) => Status::Usage,
            Failure::Load(_)
            | Failure::History(_)
            | Failure::Mirrors(_)
            | Failure::Junit(_)
            | Failure::Contents(_)
            | Failure::BisectEnd { .. }
            | Failure::BisectImageChanged { .. }
            | Failure::Supply(_)
            | Failure::Record(_)
            | Failure::Io(_)
            | Failure::Spawner(_)
            | Failure::Panicked(_) => Status::Incomplete,
        }
    }
}
