//! Two runs held against each other: which cells changed, and which facts.

pub(crate) mod facts;
mod shown;

use std::collections::BTreeMap;

use serde::Serialize;
use verdict::Verdict;

use crate::{Cell, CellId, Run};

pub use facts::FactChange;
pub(crate) use facts::between;
pub use shown::{markdown, text};

/// What differs between two runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The earlier run's id.
    pub old: String,
    /// The later run's id.
    pub new: String,
    /// Cells whose outcome, verdict or cause changed, in the later run's order;
    /// those it has no more come last.
    pub cells: Vec<CellChange>,
    /// Facts of the run, its kernels and its images.
    pub facts: Vec<FactChange>,
}

/// A cell that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CellChange {
    /// Which.
    pub cell: CellId,
    /// Then; none where there was no such cell.
    pub old: Option<Side>,
    /// Now; none where there is none any more.
    pub new: Option<Side>,
    /// What the change means.
    pub kind: ChangeKind,
}

/// A cell in one of the runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Side {
    /// The outcome's label.
    pub outcome: String,
    /// What it meant.
    pub verdict: Verdict,
    /// Its cause's name.
    pub cause: Option<String>,
}

/// What a change means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// As expected then, not as expected or flaky now.
    Regression,
    /// It had a result and has none now: nothing can be said of it.
    Lost,
    /// Not as expected then, as expected now.
    Mended,
    /// It had no result and has one now, one that is as expected.
    Gained,
    /// A change that is neither good nor bad.
    Other,
}

impl Difference {
    /// Compares two runs.
    pub fn of(old: &Run, new: &Run) -> Self {
        let mut past: BTreeMap<CellId, &Cell> =
            old.cells.iter().map(|cell| (cell.id(), cell)).collect();
        let mut cells = Vec::new();
        for cell in &new.cells {
            let before = past.remove(&cell.id());
            cells.extend(change(cell.id(), before, Some(cell)));
        }
        for (id, before) in past {
            cells.extend(change(id, Some(before), None));
        }
        Self {
            old: old.run.id.clone(),
            new: new.run.id.clone(),
            cells,
            facts: facts::changes(old, new),
        }
    }

    /// How many cells changed in this way.
    pub fn count(&self, kind: ChangeKind) -> usize {
        self.cells
            .iter()
            .filter(|change| change.kind == kind)
            .count()
    }

    /// 1 on a regression; 3 where none was seen, but a cell lost its result; 0
    /// otherwise.
    pub fn exit_code(&self) -> u8 {
        if self.count(ChangeKind::Regression) > 0 {
            1
        } else if self.count(ChangeKind::Lost) > 0 {
            3
        } else {
            0
        }
    }
}

impl ChangeKind {
    /// For people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Regression => "regression",
            Self::Lost => "no result any more",
            Self::Mended => "mended",
            Self::Gained => "new result",
            Self::Other => "changed",
        }
    }

    /// In the order they are told.
    pub const ALL: [Self; 5] = [
        Self::Regression,
        Self::Lost,
        Self::Mended,
        Self::Gained,
        Self::Other,
    ];
}

fn change(cell: CellId, old: Option<&Cell>, new: Option<&Cell>) -> Option<CellChange> {
    if old
        .zip(new)
        .is_some_and(|(old, new)| is_as_it_was(old, new))
    {
        return None;
    }
    let (before, now) = (old.map(side), new.map(side));
    let had = old.is_some_and(|cell| cell.outcome.is_result());
    let has = new.is_some_and(|cell| cell.outcome.is_result());
    // Two different reasons for having no result change nothing.
    if !had && !has {
        return None;
    }
    let good = |cell: Option<&Cell>| cell.is_some_and(|cell| cell.verdict == Verdict::Expected);
    let kind = match (had, has) {
        (true, false) => ChangeKind::Lost,
        // A cell that fails from its first day on is no regression, and not good.
        (false, true) if good(new) => ChangeKind::Gained,
        (true, true) if good(old) && !good(new) => ChangeKind::Regression,
        (true, true) if !good(old) && good(new) => ChangeKind::Mended,
        _ => ChangeKind::Other,
    };
    Some(CellChange {
        cell,
        old: before,
        new: now,
        kind,
    })
}

fn is_as_it_was(old: &Cell, new: &Cell) -> bool {
    let cause = |cell: &Cell| cell.cause.as_ref().map(|cause| cause.name.clone());
    old.outcome.agrees_with(&new.outcome) && old.verdict == new.verdict && cause(old) == cause(new)
}

fn side(cell: &Cell) -> Side {
    Side {
        outcome: cell.outcome.label().into_owned(),
        verdict: cell.verdict,
        cause: cell.cause.as_ref().map(|cause| cause.name.clone()),
    }
}
