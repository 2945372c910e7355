//! The matrix: a table per image.

use std::collections::HashSet;

use maud::{Markup, html};
use verdict::Verdict;

use super::address;
use crate::{
    Cell, CellId,
    grid::{self, Grid, Group},
    history::Change,
    shown::one_line,
};

/// Every image's section.
pub(super) fn sections(grid: &Grid<'_>, changes: &[Change<'_>]) -> Markup {
    let changed: HashSet<&CellId> = changes.iter().map(|change| &change.cell).collect();
    html! {
        @for (index, group) in grid.groups.iter().enumerate() {
            (section(grid, index, group, &changed))
        }
    }
}

fn section(grid: &Grid<'_>, index: usize, group: &Group<'_>, changed: &HashSet<&CellId>) -> Markup {
    let id = format!("image-{index}");
    // What a section off the screen is taken to measure: a header of one line or
    // more and a line per check.
    let height = 6 + group.rows.len() * 2;
    html! {
        section data-image=(one_line(&group.image.id)) style=(format!("--height:{height}em")) {
            h2 #(id) {
                a href=(format!("#{}", address(&["image", &group.image.id]))) { (group.heading()) }
            }
            table role="grid" aria-labelledby=(id) aria-readonly="true" {
                thead {
                    tr {
                        td {}
                        @for column in &grid.columns {
                            th scope="col" {
                                a href=(format!("#{}", address(&["kernel", &column.kernel.id]))) tabindex="-1" {
                                    (column.heading())
                                }
                            }
                        }
                    }
                    @for (name, values) in grid.facts() {
                        tr.fact {
                            th scope="row" { (name) }
                            @for value in values { td { (value) } }
                        }
                    }
                }
                tbody {
                    @for row in &group.rows {
                        tr {
                            th scope="row" { (one_line(row.check)) }
                            @for cell in &row.cells { (datum(*cell, changed)) }
                        }
                    }
                }
            }
        }
    }
}

/// A cell: its word, and its classes. A pass as expected has none: most are.
fn datum(cell: Option<&Cell>, changed: &HashSet<&CellId>) -> Markup {
    let label = grid::label(cell);
    let text = match grid::mark(cell) {
        Some(mark) => format!("{mark} {label}"),
        None => label,
    };
    let mut classes: Vec<&str> = Vec::new();
    match cell {
        None => classes.extend(["n", "lacking"]),
        Some(cell) => {
            let verdict = match cell.verdict {
                Verdict::Expected if cell.outcome.is_pass() => None,
                Verdict::Expected => Some("f"),
                Verdict::UnexpectedFailure | Verdict::UnexpectedPass => Some("u"),
                Verdict::Flaky => Some("y"),
                Verdict::NotRun => Some("n"),
            };
            if let Some(verdict) = verdict {
                classes.extend([verdict, cell.outcome.kind().name()]);
            }
            if !changed.is_empty() && changed.contains(&cell.id()) {
                classes.push("c");
            }
        }
    }
    html! {
        @if classes.is_empty() { td { (text) } } @else { td class=(classes.join(" ")) { (text) } }
    }
}
