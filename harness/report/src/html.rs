//! The published page: one file, no request to anywhere.
//!
//! The table itself is HTML, one `<table>` an image, and can be read without
//! scripts: every cell has its word, and a mark where it is no expected pass.
//! What a cell's details show is data in the same file, written once for all the
//! cells that share it. `page.js` opens them, filters, and keeps the address
//! (`#6.12/centos:6/bash`) in step.
//!
//! A matrix of 60 kernels × 60 images × 10 checks must stay fluid. So a cell is a
//! `<td>` with a class or none, columns are hidden by one rule of a style sheet,
//! and a browser lays out only the images on its screen (`content-visibility`).

mod data;
mod overview;
mod probes;
mod table;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::{
    Counts, Run,
    findings::{interrupted, title},
    grid::Grid,
    history::{Change, Line, changes},
    shown::one_line,
};

const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");

/// How many past runs a cell's strip shows.
const STRIP: usize = 30;

/// The page of a run. `past` are the runs before it, oldest first.
///
/// # Errors
/// When the run has more different outcomes than its history can tell apart.
pub fn render(run: &Run, past: &[Line]) -> Result<String, crate::HistoryError> {
    let now = Line::of(run)?;
    let past = &past[past.len().saturating_sub(STRIP)..];
    let changed = past.last().map(|last| changes(last, &now));
    let grid = Grid::of(run);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "matrix: " (Counts::of(run).summary()) }
                style { (PreEscaped(STYLE)) }
                style #columns {}
            }
            body {
                (head(run))
                main #matrix {
                    (overview::overview(run, &grid, past.last(), changed.as_deref()))
                    (table::sections(&grid, changed.as_deref().unwrap_or_default()))
                    (probes::section(run))
                    p #nothing hidden { "No cell is what the filter asks for." }
                }
                dialog #details aria-labelledby="details-title" {
                    form method="dialog" {
                        h2 #details-title {}
                        button #close aria-label="Close" { "×" }
                    }
                    div #details-body {}
                }
                script #data type="application/json" { (PreEscaped(data::json(run, &grid, past))) }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    let mut text = page.into_string();
    text.push('\n');
    Ok(text)
}

fn head(run: &Run) -> Markup {
    html! {
        header {
            h1 { "Does this userland run on that kernel?" }
            p { (title(run)) }
            @if let Some(why) = interrupted(run) { p.warning role="alert" { (why) } }
            p #summary { (Counts::of(run).summary()) }
            form #filter role="search" aria-label="Filter the table" {
                label { "Images " input #images type="search" placeholder="debian" autocomplete="off"; }
                label { "Kernels " input #kernels type="search" placeholder="6.1" autocomplete="off"; }
                label { "Outcome "
                    select #outcome autocomplete="off" {
                        option value="" { "any" }
                        @for kind in Counts::of(run).kinds.keys() {
                            option value=(kind.name()) { (kind.name()) }
                        }
                    }
                }
                label { "Expectation "
                    select #expectation autocomplete="off" {
                        option value="" { "any" }
                        option value="unexpected" { "not as expected" }
                        option value="expected" { "as expected" }
                        option value="flaky" { "flaky" }
                        option value="not-run" { "not run" }
                        option value="changed" { "changed since the last run" }
                    }
                }
                button type="reset" { "Show all" }
                output #shown aria-live="polite" {}
            }
            noscript { p.warning { "Details and filters need JavaScript; results.json has all that is here." } }
            (legend())
        }
    }
}

/// What the marks and shapes mean; always whole, so that a reader of one page
/// knows the next.
fn legend() -> Markup {
    html! {
        ul.legend aria-label="Legend" {
            li { span.key { "pass" } " a pass, as expected" }
            li { span.key.f { "= exit 1" } " no pass, as expected" }
            li { span.key.u { "! exit 1" } " not as expected" }
            li { span.key.y { "~ pass" } " flaky" }
            li { span.key.n { "- not run" } " never ran: says nothing" }
        }
    }
}

/// The part of the address behind `#`, as `page.js` reads it back: the parts are
/// told apart by slashes, so a slash in a name is `%2F`.
fn address(parts: &[&str]) -> String {
    let mut address = String::new();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            address.push('/');
        }
        for byte in part.bytes() {
            match byte {
                b'a'..=b'z'
                | b'A'..=b'Z'
                | b'0'..=b'9'
                | b'.'
                | b'_'
                | b'-'
                | b':'
                | b'+'
                | b'='
                | b'@'
                | b','
                | b'~' => address.push(char::from(byte)),
                other => address.push_str(&format!("%{other:02X}")),
            }
        }
    }
    address
}

/// A change in words: `pass → SIGSEGV 139`.
fn change_words(change: &Change<'_>) -> String {
    let word = |outcome: Option<&crate::history::PastOutcome>| {
        outcome.map_or_else(|| "no such cell".to_owned(), |it| one_line(&it.label))
    };
    format!("{} → {}", word(change.before), word(change.now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_has_an_address_a_person_can_type() {
        assert_eq!(address(&["6.12", "centos:6", "bash"]), "6.12/centos:6/bash");
        assert_eq!(
            address(&["./bzImage", "a b", "100%"]),
            ".%2FbzImage/a%20b/100%25"
        );
    }
}
