//! What is not as it was in the run before.

use std::collections::BTreeMap;

use super::{Line, PastOutcome};
use crate::CellId;

/// A cell whose outcome is not the one of the run before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// Which.
    pub cell: CellId,
    /// Then; none where there was no such cell, or the record lacked it.
    pub before: Option<&'a PastOutcome>,
    /// Now; none where there is no such cell any more.
    pub now: Option<&'a PastOutcome>,
}

impl Change<'_> {
    /// It was as expected and is so no more.
    pub fn is_regression(&self) -> bool {
        let good = |outcome: &PastOutcome| outcome.verdict == verdict::Verdict::Expected;
        self.before.is_some_and(good) && !self.now.is_some_and(good)
    }
}

/// The cells that differ, those of `now` in its order and then those that are gone.
/// A cell that is new altogether is a change too.
pub fn changes<'a>(before: &'a Line, now: &'a Line) -> Vec<Change<'a>> {
    let mut past: BTreeMap<CellId, Option<&PastOutcome>> = before.cells().collect();
    let mut changes: Vec<Change<'a>> = now
        .cells()
        .filter_map(|(cell, now)| {
            let before = past.remove(&cell).flatten();
            (before != now).then_some(Change { cell, before, now })
        })
        .collect();
    changes.extend(past.into_iter().filter_map(|(cell, before)| {
        before.is_some().then_some(Change {
            cell,
            before,
            now: None,
        })
    }));
    changes
}
