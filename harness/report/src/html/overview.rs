//! What stands above the table: footnotes, and what changed since the last run.

use maud::{Markup, html};

use super::{address, change_words};
use crate::{
    Run,
    findings::{Findings, foreseen_line, not_run_line},
    grid::Grid,
    history::{Change, Line},
    shown::one_line,
};

/// How many changes are listed one by one; the filter shows all.
const LISTED: usize = 40;

/// Notes and changes.
pub(super) fn overview(
    run: &Run,
    grid: &Grid<'_>,
    last: Option<&Line>,
    changes: Option<&[Change<'_>]>,
) -> Markup {
    let found = Findings::of(run);
    html! {
        @if !grid.notes.is_empty() {
            ol.notes aria-label="Footnotes" { @for note in &grid.notes { li { (note) } } }
        }
        @if let (Some(last), Some(changes)) = (last, changes) {
            details.changes open[changes.iter().any(Change::is_regression)] {
                summary { (count(changes.len())) " since the run of " (last.started) }
                ul {
                    @for change in changes.iter().take(LISTED) {
                        li {
                            @let cell = &change.cell;
                            a href=(format!("#{}", address(&[&cell.kernel, &cell.image, &cell.check]))) {
                                (one_line(&cell.to_string()))
                            }
                            ": " (change_words(change))
                            @if change.is_regression() { " " strong { "(regression)" } }
                        }
                    }
                    @if changes.len() > LISTED { li { "and " (changes.len() - LISTED) " more" } }
                }
            }
        }
        @if !found.foreseen.is_empty() || !found.not_run.is_empty() {
            details {
                summary { "Why some are expected to fail, and why some did not run" }
                ul {
                    @for foreseen in &found.foreseen { li { (foreseen_line(foreseen)) } }
                    @for (reason, cells) in &found.not_run { li { (not_run_line(reason, cells)) } }
                }
            }
        }
    }
}

fn count(changes: usize) -> String {
    match changes {
        0 => "Nothing changed".to_owned(),
        1 => "1 cell changed".to_owned(),
        many => format!("{many} cells changed"),
    }
}
