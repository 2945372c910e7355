//! KTAP, version 1: what the kernel's own test tools read. A kernel is a test, its
//! images are subtests, their checks are subtests of those.
//!
//! An outcome as expected is `ok` (with XFAIL where it is no pass), one that is not
//! is `not ok`. What was not run is `not ok … # ERROR`, the directive for a test
//! that could not be executed; where its kernel is optional, SKIP.

use std::fmt::Write as _;

use verdict::{Outcome, Verdict};

use crate::{
    Cell, ProbeOutcome, ProbeRecord, Run,
    findings::last_words,
    grid::{Grid, LACKING},
    shown::one_line,
};

/// The whole run.
pub fn render(run: &Run) -> String {
    let grid = Grid::of(run);
    let mut text = format!("KTAP version 1\n1..{}\n", grid.columns.len());
    for (column, heading) in grid.columns.iter().enumerate() {
        let skip = heading.kernel.optional;
        let probes: Vec<&ProbeRecord> = run
            .probes
            .iter()
            .filter(|record| record.kernel == heading.kernel.id)
            .collect();
        let mut kernel = Block::new(1, grid.groups.len() + usize::from(!probes.is_empty()));
        for (number, group) in grid.groups.iter().enumerate() {
            let mut image = Block::new(2, group.rows.len());
            for (number, row) in group.rows.iter().enumerate() {
                let cell = row.cells.get(column).copied().flatten();
                image.case(number + 1, row.check, cell, skip);
            }
            kernel.nest(number + 1, &group.image.id, image);
        }
        if !probes.is_empty() {
            let mut runtime = Block::new(2, probes.len());
            for (number, record) in probes.into_iter().enumerate() {
                runtime.probe(number + 1, record, skip);
            }
            kernel.nest(grid.groups.len() + 1, "runtime", runtime);
        }
        Block::finish(&mut text, 0, column + 1, &heading.kernel.id, kernel);
    }
    text
}

/// A list of results at one depth.
struct Block {
    text: String,
    depth: usize,
    failed: bool,
    /// Something in it has a result.
    ran: bool,
}

impl Block {
    fn new(depth: usize, tests: usize) -> Self {
        let indent = "  ".repeat(depth);
        Self {
            text: format!("{indent}KTAP version 1\n{indent}1..{tests}\n"),
            depth,
            failed: false,
            ran: false,
        }
    }

    fn nest(&mut self, number: usize, name: &str, inner: Self) {
        self.failed |= inner.failed;
        self.ran |= inner.ran;
        Self::finish(&mut self.text, self.depth, number, name, inner);
    }

    /// The list, and the line that sums it up.
    fn finish(text: &mut String, depth: usize, number: usize, name: &str, inner: Self) {
        let indent = "  ".repeat(depth);
        let word = if inner.failed { "not ok" } else { "ok" };
        // A kernel of which nothing ran must not read as one that passed.
        let skipped = match inner.failed || inner.ran {
            true => "",
            false => " # SKIP nothing of it was run",
        };
        text.push_str(&inner.text);
        let _ = writeln!(text, "{indent}{word} {number} {}{skipped}", described(name));
    }

    fn probe(&mut self, number: usize, record: &ProbeRecord, skip: bool) {
        let indent = "  ".repeat(self.depth);
        let why = described(record.outcome.detail().unwrap_or_default());
        let (good, directive) = match &record.outcome {
            ProbeOutcome::Passed => (true, String::new()),
            ProbeOutcome::Failed { .. } => (false, format!(" # {why}")),
            ProbeOutcome::Unsupported { .. } => (true, format!(" # SKIP {why}")),
            ProbeOutcome::NotRun { .. } if skip => (true, format!(" # SKIP {why}")),
            ProbeOutcome::NotRun { .. } | ProbeOutcome::Trouble { .. } => {
                (false, format!(" # ERROR {why}"))
            }
        };
        self.failed |= !good;
        self.ran |= record.outcome.is_result();
        let word = if good { "ok" } else { "not ok" };
        let name = described(&record.title);
        let _ = writeln!(self.text, "{indent}{word} {number} {name}{directive}");
    }

    fn case(&mut self, number: usize, name: &str, cell: Option<&Cell>, skip: bool) {
        let indent = "  ".repeat(self.depth);
        let name = described(name);
        let (good, directive) = match cell {
            None => (
                false,
                format!(" # ERROR {LACKING}: the record has no such cell"),
            ),
            Some(cell) => directive(cell, skip),
        };
        self.failed |= !good;
        self.ran |= cell.is_some_and(|cell| cell.outcome.is_result());
        if let Some(cell) = cell.filter(|cell| cell.verdict.is_unexpected()) {
            for line in evidence(cell) {
                let _ = writeln!(self.text, "{indent}# {name}: {}", one_line(&line));
            }
        }
        let word = if good { "ok" } else { "not ok" };
        let _ = writeln!(self.text, "{indent}{word} {number} {name}{directive}");
    }
}

/// Whether a cell counts as good, and what stands behind its name.
fn directive(cell: &Cell, skip: bool) -> (bool, String) {
    let label = cell.outcome.label();
    let expected = cell.expected.as_deref().unwrap_or("pass");
    match (cell.verdict, &cell.outcome) {
        (Verdict::NotRun, Outcome::NotRun { reason }) if skip => {
            (true, format!(" # SKIP {}", described(reason)))
        }
        (Verdict::NotRun, outcome) => {
            let why = outcome.detail().unwrap_or(label);
            (false, format!(" # ERROR {}", described(&why)))
        }
        (Verdict::Expected, outcome) if outcome.is_pass() => (true, String::new()),
        (Verdict::Expected, _) => {
            let because = cell.because.as_deref().unwrap_or_default();
            let colon = if because.is_empty() { "" } else { ": " };
            (
                true,
                format!(" # XFAIL {label}{colon}{}", described(because)),
            )
        }
        (Verdict::Flaky, _) => (
            true,
            format!(" # flaky: {label} on attempt {}", cell.attempts.len()),
        ),
        (Verdict::UnexpectedFailure, Outcome::Timeout { .. }) => {
            (false, format!(" # TIMEOUT expected {expected}"))
        }
        (Verdict::UnexpectedFailure | Verdict::UnexpectedPass, _) => {
            (false, format!(" # {label}, expected {expected}"))
        }
    }
}

fn evidence(cell: &Cell) -> Vec<String> {
    match &cell.cause {
        Some(cause) => std::iter::once(format!("{}: {}", cause.name, cause.explanation))
            .chain(cause.evidence.iter().cloned())
            .collect(),
        None => last_words(cell).into_iter().collect(),
    }
}

/// A description may hold no `#`, which begins a directive.
fn described(text: &str) -> String {
    one_line(text).replace('#', "\\#")
}
