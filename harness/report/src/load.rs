//! A run read back, also one whose program was killed.

use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::Deserialize;

use crate::{
    Event, FoldError, Run, SCHEMA,
    record::{EVENTS, RESULTS},
};

/// What is said of a run that never said itself that it ended.
const KILLED: &str = "its record has no end: the program was killed, or is still at work";

/// Why a run cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file could not be read; the error names it.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// There is no record of a run.
    #[error("{0} holds no record of a run")]
    Nothing(PathBuf),
    /// Not what this program writes.
    #[error("{path} is no record of a run: {error}")]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the place.
        error: serde_json::Error,
    },
    /// A line of events.jsonl other than the last is broken.
    #[error("{path}, line {line}: {error}")]
    Event {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong.
        error: serde_json::Error,
    },
    /// A line of events.jsonl does not belong to the run.
    #[error("{path}, line {line}: {error}")]
    Fold {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong.
        error: FoldError,
    },
    /// A cell says what cannot be.
    #[error("{path}: {error}")]
    Contradiction {
        /// The file.
        path: PathBuf,
        /// Which.
        error: FoldError,
    },
    /// Another version of the shape.
    #[error("{path} has the shape {found} of results.json; this program reads {SCHEMA}")]
    Schema {
        /// The file.
        path: PathBuf,
        /// What it says.
        found: u64,
    },
}

impl Run {
    /// Reads the run that was recorded in a folder.
    ///
    /// When it was killed, its events tell more than its last results.json: the
    /// one that knows more is taken, and the run says that it was killed. A torn
    /// last line of events.jsonl is passed over.
    ///
    /// # Errors
    /// When there is no record, or it is broken elsewhere than at its end.
    pub fn load(folder: &Path) -> Result<Self, LoadError> {
        let written = results(&folder.join(RESULTS))?;
        let written = match written {
            Some(run) if !run.is_unfinished() => return Ok(run),
            other => other,
        };
        let replayed = replay(&folder.join(EVENTS))?;
        let mut run = match (written, replayed) {
            (None, None) => return Err(LoadError::Nothing(folder.to_owned())),
            (Some(run), None) | (None, Some(run)) => run,
            // Both are the same stream's fold, one cut earlier than the other.
            (Some(written), Some(replayed)) => {
                if progress(&written) > progress(&replayed) {
                    written
                } else {
                    replayed
                }
            }
        };
        if run.is_unfinished() {
            run.run.interrupted = Some(KILLED.to_owned());
            run.cut_short(KILLED);
        }
        Ok(run)
    }
}

/// How far a run had come; grows with its events.
fn progress(run: &Run) -> usize {
    let attempts: usize = run.cells.iter().map(|cell| cell.attempts.len()).sum();
    let boots: usize = run.kernels.iter().map(|kernel| kernel.boots_ms.len()).sum();
    let probes = run.probes.iter().filter(|record| record.boot.is_some());
    attempts + boots + probes.count()
}

fn results(path: &Path) -> Result<Option<Run>, LoadError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let json = |error| LoadError::Json {
        path: path.to_owned(),
        error,
    };
    let shape = |found| LoadError::Schema {
        path: path.to_owned(),
        found,
    };
    let run = match serde_json::from_slice::<Run>(&text) {
        Ok(run) if run.schema == SCHEMA => run,
        Ok(run) => return Err(shape(run.schema.into())),
        // Of another shape only the version can be told.
        Err(error) => {
            #[derive(Deserialize)]
            struct Versioned {
                schema: u64,
            }
            return Err(match serde_json::from_slice(&text) {
                Ok(Versioned { schema }) if schema != u64::from(SCHEMA) => shape(schema),
                _ => json(error),
            });
        }
    };
    drop(text);
    run.check().map_err(|error| LoadError::Contradiction {
        path: path.to_owned(),
        error,
    })?;
    Ok(Some(run))
}

/// The fold of the events; none without a first one.
fn replay(path: &Path) -> Result<Option<Run>, LoadError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut run: Option<Run> = None;
    // Without its newline a line is torn, even if what is there of it parses.
    let lines = text
        .split_inclusive(|byte| *byte == b'\n')
        .filter_map(|line| line.strip_suffix(b"\n"));
    for (index, line) in lines.enumerate() {
        let event = serde_json::from_slice::<Event>(line).map_err(|error| LoadError::Event {
            path: path.to_owned(),
            line: index + 1,
            error,
        })?;
        match (&mut run, event) {
            (None, Event::RunStarted { run: started }) => run = Some(*started),
            // Events of nothing: the stream has lost its beginning.
            (None, _) => return Ok(None),
            (Some(run), event) => run.apply(&event).map_err(|error| LoadError::Fold {
                path: path.to_owned(),
                line: index + 1,
                error,
            })?,
        }
    }
    Ok(run)
}
