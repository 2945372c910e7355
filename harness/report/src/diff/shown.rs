//! A difference for people.

use std::fmt::Write as _;

use super::{CellChange, ChangeKind, Difference, Side};
use crate::shown::one_line;

/// For a terminal or a log.
pub fn text(difference: &Difference) -> String {
    let mut page = format!("{} → {}\n", difference.old, difference.new);
    for (kind, changes) in by_kind(difference) {
        let _ = write!(page, "\n{}\n", heading(kind, changes.len()));
        for change in changes {
            let _ = writeln!(page, "  {}", line(change));
        }
    }
    if !difference.facts.is_empty() {
        page.push_str("\nFacts that differ\n");
        for fact in &difference.facts {
            let words = format!(
                "{}: {}: {} → {}",
                fact.subject, fact.name, fact.old, fact.new
            );
            let _ = writeln!(page, "  {}", one_line(&words));
        }
    }
    let _ = write!(page, "\n{}\n", summary(difference));
    page
}

/// For a comment on a change, or a step's summary.
pub fn markdown(difference: &Difference) -> String {
    let escape = |text: &str| one_line(text).replace('|', "\\|").replace('`', "'");
    let mut page = format!("`{}` → `{}`\n", difference.old, difference.new);
    for (kind, changes) in by_kind(difference) {
        let _ = write!(
            page,
            "\n### {}\n\n| cell | then | now |\n| --- | --- | --- |\n",
            heading(kind, changes.len())
        );
        for change in changes {
            let _ = writeln!(
                page,
                "| {} | {} | {} |",
                escape(&change.cell.to_string()),
                escape(&side(change.old.as_ref())),
                escape(&side(change.new.as_ref()))
            );
        }
    }
    if !difference.facts.is_empty() {
        page.push_str(
            "\n### Facts that differ\n\n| of | fact | then | now |\n| --- | --- | --- | --- |\n",
        );
        for fact in &difference.facts {
            let _ = writeln!(
                page,
                "| {} | {} | `{}` | `{}` |",
                escape(&fact.subject),
                escape(&fact.name),
                escape(&fact.old),
                escape(&fact.new)
            );
        }
    }
    let _ = write!(page, "\n{}\n", summary(difference));
    page
}

fn by_kind(difference: &Difference) -> Vec<(ChangeKind, Vec<&CellChange>)> {
    ChangeKind::ALL
        .into_iter()
        .map(|kind| {
            let changes = difference.cells.iter().filter(|change| change.kind == kind);
            (kind, changes.collect::<Vec<_>>())
        })
        .filter(|(_, changes)| !changes.is_empty())
        .collect()
}

fn heading(kind: ChangeKind, count: usize) -> String {
    let label = kind.label();
    let mut letters = label.chars();
    let first = letters.next().map(char::to_uppercase);
    let capital: String = first.into_iter().flatten().chain(letters).collect();
    format!("{capital}: {count}")
}

fn line(change: &CellChange) -> String {
    one_line(&format!(
        "{}: {} → {}",
        change.cell,
        side(change.old.as_ref()),
        side(change.new.as_ref())
    ))
}

fn side(side: Option<&Side>) -> String {
    match side {
        None => "no such cell".to_owned(),
        Some(side) => {
            let mut words = side.outcome.clone();
            if side.verdict.is_unexpected() {
                words.push_str(" (not as expected)");
            }
            if let Some(cause) = &side.cause {
                words.push_str(&format!(", {cause}"));
            }
            words
        }
    }
}

fn summary(difference: &Difference) -> String {
    if difference.cells.is_empty() {
        return "no cell changed".to_owned();
    }
    let parts: Vec<String> = by_kind(difference)
        .iter()
        .map(|(kind, changes)| format!("{} {}", changes.len(), kind.label()))
        .collect();
    parts.join(", ")
}
