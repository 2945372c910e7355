//! What was expected of an image's files, held against what a run observed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use plan::Plan;
use report::{Cell, Run};

use super::kernels::Known;
use super::{Inspected, kernel, page};
use crate::error::Failure;

/// Cells named of those that came otherwise.
const NAMED: usize = 20;

/// The table: a row a prediction, a column an observation.
pub(super) fn table(
    run: &Run,
    plan: &Plan,
    images: &[Inspected<'_>],
    known: &Known,
) -> Result<String, Failure> {
    // The run's own facts come first: it is what is compared with.
    let mut facts = Known::default();
    facts.add(run);
    let mut counts: BTreeMap<(&'static str, String), usize> = BTreeMap::new();
    let mut columns: BTreeSet<String> = BTreeSet::new();
    let mut otherwise = Vec::new();
    let (mut compared, mut agreed) = (0, 0);
    let (mut foretold, mut failed, mut both) = (0, 0, 0);
    let (mut kernels, mut rows) = (BTreeSet::new(), BTreeSet::new());
    for cell in run.cells.iter().filter(|cell| cell.outcome.is_result()) {
        let Some(read) = images.iter().find(|read| read.image.name == cell.image) else {
            continue;
        };
        let Some(check) = read.image.checks.iter().find(|it| it.name == cell.check) else {
            continue;
        };
        let Some(kernel) = kernel(plan, &cell.kernel) else {
            continue;
        };
        let traits = match facts.is_known(kernel) {
            true => facts.of(kernel),
            false => known.of(kernel),
        };
        let prediction = page::of_check(read, check, &traits)?;
        let seen = observed(cell);
        compared += 1;
        kernels.insert(cell.kernel.as_str());
        rows.insert(cell.image.as_str());
        foretold += usize::from(!prediction.is_pass());
        failed += usize::from(!cell.outcome.is_pass());
        both += usize::from(!prediction.is_pass() && !cell.outcome.is_pass());
        if prediction.is_pass() == cell.outcome.is_pass() {
            agreed += 1;
        } else {
            otherwise.push(format!(
                "{}: expected {} ({}), seen {seen}",
                cell.id(),
                prediction.class,
                prediction.why
            ));
        }
        *counts.entry((prediction.class, seen.clone())).or_default() += 1;
        columns.insert(seen);
    }
    let mut text = format!(
        "expected by the files alone (rows), and observed in run {} (columns): {compared} cells, \
         {} kernels × {} images\n\n",
        run.run.id,
        kernels.len(),
        rows.len()
    );
    let rows: BTreeSet<&str> = counts.keys().map(|(row, _)| *row).collect();
    let first = rows.iter().map(|row| row.len()).max().unwrap_or(0);
    let _ = write!(text, "{:first$}", "");
    for column in &columns {
        let _ = write!(text, "  {column}");
    }
    text.push('\n');
    for row in rows {
        let _ = write!(text, "{row:first$}");
        for column in &columns {
            let count = counts.get(&(row, column.clone())).copied().unwrap_or(0);
            let _ = write!(text, "  {count:>width$}", width = column.len());
        }
        text.push('\n');
    }
    let _ = writeln!(
        text,
        "\n{agreed} of {compared} cells pass or fail as expected; {foretold} failures were \
         expected, {failed} came, {both} were both"
    );
    if !otherwise.is_empty() {
        let _ = writeln!(text, "\nnot as expected by the files");
        for line in otherwise.iter().take(NAMED) {
            let _ = writeln!(text, "- {line}");
        }
        if otherwise.len() > NAMED {
            let _ = writeln!(text, "- and {} more", otherwise.len() - NAMED);
        }
    }
    Ok(text)
}

/// The cause's name where there is one, else the outcome.
fn observed(cell: &Cell) -> String {
    match &cell.cause {
        Some(cause) => cause.name.clone(),
        None => cell.outcome.label().into_owned(),
    }
}
