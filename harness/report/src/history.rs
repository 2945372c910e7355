//! Past runs, each one line: what a nightly table remembers.
//!
//! A file holds the runs of a month, one JSON object a line, oldest first. A line
//! names its kernels, images and checks once and then holds a single character per
//! cell, so that a year of nightly runs of 2,000 cells takes about a megabyte. What
//! a character means stands in the line's own legend: nothing outside the line is
//! needed to read it, and a lacking cell has a character of its own.

mod change;
mod store;

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use verdict::Verdict;

use crate::{Cell, CellId, Run};

pub use change::{Change, changes};
pub use store::{History, HistoryError};

/// The shape's version, [`Line::schema`].
const SCHEMA: u32 = 1;

/// The character of a cell that the run's record lacks.
const LACKING: char = '?';

/// Characters that stand for an outcome, in the order they are given out. Those
/// that JSON escapes are not among them.
const ALPHABET: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789\
                        !#$%&()*+,-./:;<=>@[]^_`{|}~";

/// A run in the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// The shape's version.
    pub schema: u32,
    /// The run's id.
    pub run: String,
    /// When it began, RFC 3339, UTC.
    pub started: String,
    /// The program's version.
    pub matrix: String,
    /// Columns in order.
    pub kernels: Vec<PastKernel>,
    /// Groups of rows in order.
    pub images: Vec<PastImage>,
    /// What the characters in [`PastImage::cells`] mean.
    pub legend: BTreeMap<char, PastOutcome>,
}

/// A kernel of a past run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PastKernel {
    /// Its id.
    pub id: String,
    /// uname's release, where it came up.
    pub release: Option<String>,
}

/// An image of a past run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PastImage {
    /// Its name.
    pub id: String,
    /// The first digits of its digest, where it was built.
    pub digest: Option<String>,
    /// Its checks in order.
    pub checks: Vec<String>,
    /// A string per check, a character per kernel.
    pub cells: Vec<String>,
}

/// What a character stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PastOutcome {
    /// The outcome's label: `pass`, `SIGSEGV 139`.
    pub label: String,
    /// What it meant against its expectation.
    pub verdict: Verdict,
}

impl Line {
    /// The line of a run.
    ///
    /// # Errors
    /// When the run has more different outcomes than there are characters.
    pub fn of(run: &Run) -> Result<Self, HistoryError> {
        let cells: HashMap<(&str, &str, &str), &Cell> = run
            .cells
            .iter()
            .map(|cell| {
                let id = (&*cell.kernel, &*cell.image, &*cell.check);
                (id, cell)
            })
            .collect();
        let mut letters: HashMap<PastOutcome, char> = HashMap::new();
        let mut free = ALPHABET.chars();
        let mut images = Vec::with_capacity(run.images.len());
        for image in &run.images {
            let mut rows = Vec::with_capacity(image.checks.len());
            for check in &image.checks {
                let mut row = String::with_capacity(run.kernels.len());
                for kernel in &run.kernels {
                    let Some(cell) = cells.get(&(&*kernel.id, &*image.id, &*check.name)) else {
                        row.push(LACKING);
                        continue;
                    };
                    let outcome = PastOutcome {
                        // Whether the call of a SIGSYS could be told differs from run
                        // to run, and is no change of the cell.
                        label: cell.outcome.short_label().into_owned(),
                        verdict: cell.verdict,
                    };
                    let letter = match letters.get(&outcome) {
                        Some(letter) => *letter,
                        None => {
                            let letter =
                                free.next().ok_or_else(|| HistoryError::TooManyOutcomes {
                                    run: run.run.id.clone(),
                                    most: ALPHABET.chars().count(),
                                })?;
                            letters.insert(outcome, letter);
                            letter
                        }
                    };
                    row.push(letter);
                }
                rows.push(row);
            }
            images.push(PastImage {
                id: image.id.clone(),
                digest: image.digest.as_deref().map(short),
                checks: image
                    .checks
                    .iter()
                    .map(|check| check.name.clone())
                    .collect(),
                cells: rows,
            });
        }
        Ok(Self {
            schema: SCHEMA,
            run: run.run.id.clone(),
            started: run.run.started.clone(),
            matrix: run.run.matrix.clone(),
            kernels: run
                .kernels
                .iter()
                .map(|kernel| PastKernel {
                    id: kernel.id.clone(),
                    release: kernel.release.clone(),
                })
                .collect(),
            images,
            legend: letters
                .into_iter()
                .map(|(outcome, letter)| (letter, outcome))
                .collect(),
        })
    }

    /// Every cell with what came of it; none of a cell the record lacked.
    pub fn cells(&self) -> impl Iterator<Item = (CellId, Option<&PastOutcome>)> {
        self.images.iter().flat_map(move |image| {
            image
                .checks
                .iter()
                .zip(&image.cells)
                .flat_map(move |(check, row)| {
                    self.kernels
                        .iter()
                        .zip(row.chars())
                        .map(move |(kernel, letter)| {
                            let id = CellId {
                                kernel: kernel.id.clone(),
                                image: image.id.clone(),
                                check: check.clone(),
                            };
                            (id, self.legend.get(&letter))
                        })
                })
        })
    }

    /// Refuses a line whose parts do not fit together.
    fn check(&self) -> Result<(), String> {
        if self.schema != SCHEMA {
            return Err(format!(
                "a line of shape {}; this program reads {SCHEMA}",
                self.schema
            ));
        }
        for image in &self.images {
            if image.checks.len() != image.cells.len() {
                return Err(format!(
                    "{}: {} checks and {} rows of cells",
                    image.id,
                    image.checks.len(),
                    image.cells.len()
                ));
            }
            for (check, row) in image.checks.iter().zip(&image.cells) {
                let cells = row.chars().count();
                if cells != self.kernels.len() {
                    return Err(format!(
                        "{} × {check}: {} kernels and {cells} cells",
                        image.id,
                        self.kernels.len()
                    ));
                }
                let unknown = row
                    .chars()
                    .find(|letter| *letter != LACKING && !self.legend.contains_key(letter));
                if let Some(letter) = unknown {
                    return Err(format!("`{letter}` is not in the legend"));
                }
            }
        }
        Ok(())
    }
}

/// Twelve digits tell two builds of an image apart.
fn short(digest: &str) -> String {
    digest
        .rsplit(':')
        .next()
        .unwrap_or(digest)
        .chars()
        .take(12)
        .collect()
}
