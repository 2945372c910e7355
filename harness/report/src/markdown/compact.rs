//! The table folded per image, for a README or release notes: one row an image,
//! the whole of it behind a fold.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Legend, cell_text, escape, findings, headings, line, row};
use crate::{
    Cell, Counts, Run,
    findings::{interrupted, title},
    grid::{self, Grid, Group},
    shown::one_line,
};

/// Kernels across, one row per image; each image's checks in a fold below it.
pub fn render(run: &Run) -> String {
    let grid = Grid::of(run);
    let mut page = String::new();
    line(&mut page, &escape(&title(run)));
    if let Some(why) = interrupted(run) {
        let _ = write!(page, "\n**{}**\n", escape(&why));
    }
    page.push('\n');
    headings(&mut page, &grid);
    for group in &grid.groups {
        let cells = (0..grid.columns.len()).map(|column| summary(group, column));
        let name = format!("**{}**", escape(&group.heading()));
        row(&mut page, [name].into_iter().chain(cells).map(Into::into));
    }
    Legend::of(&grid).write(&mut page);
    for group in &grid.groups {
        fold(&mut page, &grid, group);
    }
    findings(&mut page, run);
    let _ = write!(page, "\n{}\n", escape(&Counts::of(run).summary()));
    page
}

/// `10 pass`, or what else there is, the worst first: `**1 ! exit 3**, 9 pass`.
fn summary(group: &Group<'_>, column: usize) -> String {
    // By verdict first: what is not as expected must not hide behind what is.
    let mut counts: BTreeMap<(u8, String), usize> = BTreeMap::new();
    for check in &group.rows {
        let cell = check.cells.get(column).copied().flatten();
        *counts
            .entry((grid::urgency(cell), cell_words(cell)))
            .or_default() += 1;
    }
    counts
        .into_iter()
        .map(|((urgency, words), count)| match urgency {
            0 | 1 => format!("**{count} {words}**"),
            _ => format!("{count} {words}"),
        })
        .collect::<Vec<_>>()
        .join(", ")
}

fn cell_words(cell: Option<&Cell>) -> String {
    let label = escape(&grid::label(cell));
    match grid::mark(cell) {
        None | Some('-') => label,
        Some(mark) => format!("{mark} {label}"),
    }
}

/// An image's own table, folded.
fn fold(page: &mut String, grid: &Grid<'_>, group: &Group<'_>) {
    let name = html(&one_line(&group.image.id));
    let _ = write!(page, "\n<details><summary>{name}</summary>\n\n");
    headings(page, grid);
    for check in &group.rows {
        let cells = check.cells.iter().map(|cell| cell_text(*cell));
        let name = escape(&one_line(check.check));
        row(page, [name].into_iter().chain(cells).map(Into::into));
    }
    page.push_str("\n</details>\n");
}

/// A name inside HTML inside Markdown.
fn html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
