//! The table in GitHub's Markdown: table.md, and folded per image.

mod compact;

use crate::{
    Cell, Counts, Run,
    findings::{
        Findings, flaky_line, foreseen_line, headline, interrupted, last_words, not_run_line,
        noticed_line, title,
    },
    grid::{self, Grid},
    probe_table::{self, ProbeTable},
    shown::one_line,
};

pub use compact::render as render_compact;

/// The same content as [`crate::text::render`].
pub fn render(run: &Run) -> String {
    let mut page = String::new();
    line(&mut page, &escape(&title(run)));
    if let Some(why) = interrupted(run) {
        page.push('\n');
        line(&mut page, &format!("**{}**", escape(&why)));
    }
    if !run.cells.is_empty() || run.probes.is_empty() {
        table(&mut page, &Grid::of(run));
        findings(&mut page, run);
    }
    if !run.probes.is_empty() {
        probe_part(&mut page, run);
    }
    page.push('\n');
    line(&mut page, &escape(&Counts::of(run).summary()));
    page
}

/// The table of probes alone.
pub(crate) fn probes(
    run: &Run,
    title: &str,
    interrupted: Option<String>,
    counts: &Counts,
) -> String {
    let mut page = String::new();
    line(&mut page, &escape(title));
    if let Some(why) = interrupted {
        page.push('\n');
        line(&mut page, &format!("**{}**", escape(&why)));
    }
    probe_part(&mut page, run);
    page.push('\n');
    let summary = counts.probes.summary();
    line(
        &mut page,
        summary.as_deref().unwrap_or("The run has no probes."),
    );
    page
}

fn probe_part(page: &mut String, run: &Run) {
    let table = ProbeTable::of(run);
    page.push('\n');
    let headings = table.columns.iter().map(|id| escape(&one_line(id)));
    row(
        page,
        ["runtime".to_owned()]
            .into_iter()
            .chain(headings)
            .map(Into::into),
    );
    row(
        page,
        std::iter::repeat_n("---".into(), table.columns.len() + 1),
    );
    for (title, cells) in &table.rows {
        let cells = cells.iter().map(|cell| {
            let label = probe_table::label(*cell);
            match probe_table::mark(*cell) {
                None => label.to_owned(),
                Some(mark @ ('!' | '?')) => format!("**{mark} {label}**"),
                Some(mark) => format!("{mark} {label}"),
            }
        });
        let title = escape(&one_line(title));
        row(page, [title].into_iter().chain(cells).map(Into::into));
    }
    let legend = table.legend();
    if !legend.is_empty() {
        page.push('\n');
        line(page, &escape(&legend.join("; ")));
    }
    for (title, items) in probe_table::sections(run) {
        page.push('\n');
        line(page, &format!("### {title}"));
        page.push('\n');
        for (item, evidence) in items {
            line(page, &format!("- {}", escape(&item)));
            if !evidence.is_empty() {
                code(page, &evidence);
            }
        }
    }
}

fn line(page: &mut String, text: &str) {
    page.push_str(text);
    page.push('\n');
}

fn row<'a>(page: &mut String, cells: impl IntoIterator<Item = std::borrow::Cow<'a, str>>) {
    page.push('|');
    for cell in cells {
        if cell.is_empty() {
            page.push_str(" |");
        } else {
            page.push_str(&format!(" {cell} |"));
        }
    }
    page.push('\n');
}

fn table(page: &mut String, grid: &Grid<'_>) {
    page.push('\n');
    headings(page, grid);
    for group in &grid.groups {
        let name = format!("**{}**", escape(&group.heading()));
        let empty = std::iter::repeat_n(String::new(), grid.columns.len());
        row(page, [name].into_iter().chain(empty).map(Into::into));
        for check in &group.rows {
            let cells = check.cells.iter().map(|cell| cell_text(*cell));
            let name = escape(&one_line(check.check));
            row(page, [name].into_iter().chain(cells).map(Into::into));
        }
    }
    Legend::of(grid).write(page);
}

/// The kernels, and the facts they are read by.
fn headings(page: &mut String, grid: &Grid<'_>) {
    let headings = grid.columns.iter().map(|column| escape(&column.heading()));
    row(
        page,
        [String::new()].into_iter().chain(headings).map(Into::into),
    );
    row(
        page,
        std::iter::repeat_n("---".into(), grid.columns.len() + 1),
    );
    for (name, values) in grid.facts() {
        row(
            page,
            [name].into_iter().chain(values).map(|text| {
                if text.is_empty() {
                    text.into()
                } else {
                    format!("_{text}_").into()
                }
            }),
        );
    }
}

/// What the marks mean, and the footnotes.
struct Legend<'g> {
    marks: Vec<&'static str>,
    notes: &'g [String],
}

impl<'g> Legend<'g> {
    fn of(grid: &'g Grid<'_>) -> Self {
        Self {
            marks: grid.legend(),
            notes: &grid.notes,
        }
    }

    fn write(&self, page: &mut String) {
        if !self.marks.is_empty() {
            page.push('\n');
            line(page, &escape(&self.marks.join("; ")));
        }
        if !self.notes.is_empty() {
            page.push('\n');
        }
        for (index, note) in self.notes.iter().enumerate() {
            line(page, &format!("- \\[{}\\] {}", index + 1, escape(note)));
        }
    }
}

/// `**! exit 3**`: what is not as expected stands out.
fn cell_text(cell: Option<&Cell>) -> String {
    let label = grid::label(cell);
    match grid::mark(cell) {
        None => label,
        Some(mark @ ('!' | '?')) => format!("**{mark} {label}**"),
        Some(mark) => format!("{mark} {label}"),
    }
}

fn findings(page: &mut String, run: &Run) {
    let found = Findings::of(run);
    let heading = |page: &mut String, text: &str| {
        page.push('\n');
        line(page, &format!("### {text}"));
        page.push('\n');
    };
    if !found.unexpected.is_empty() {
        heading(page, "Not as expected");
        for cell in &found.unexpected {
            line(page, &format!("- {}", escape(&headline(cell))));
            explain(page, cell);
        }
    }
    if !found.flaky.is_empty() {
        heading(page, "Flaky");
        for cell in &found.flaky {
            line(page, &format!("- {}", escape(&flaky_line(cell))));
        }
    }
    if !found.not_run.is_empty() {
        heading(page, "Not run");
        for (reason, cells) in &found.not_run {
            line(page, &format!("- {}", escape(&not_run_line(reason, cells))));
        }
    }
    if !found.foreseen.is_empty() {
        heading(page, "No pass, as expected");
        for foreseen in &found.foreseen {
            line(page, &format!("- {}", escape(&foreseen_line(foreseen))));
        }
    }
    if !found.noticed.is_empty() {
        heading(page, "Noticed besides");
        for (cell, noticed) in &found.noticed {
            line(page, &format!("- {}", escape(&noticed_line(cell, noticed))));
        }
    }
}

fn explain(page: &mut String, cell: &Cell) {
    let Some(cause) = &cell.cause else {
        if let Some(words) = last_words(cell) {
            code(page, &[words]);
        }
        return;
    };
    page.push('\n');
    let explanation = escape(&one_line(&cause.explanation));
    line(page, &format!("  `{}`: {explanation}", cause.name));
    if let Some(remedy) = &cause.remedy {
        page.push('\n');
        line(page, &format!("  Hint: {}", escape(&one_line(remedy))));
    }
    let evidence: Vec<String> = cause.evidence.iter().map(|line| one_line(line)).collect();
    code(page, &evidence);
}

/// Lines in a fence of their item, longer than any run of backticks in them.
fn code(page: &mut String, lines: &[String]) {
    let longest = lines
        .iter()
        .flat_map(|line| line.split(|letter| letter != '`'))
        .map(str::len)
        .max()
        .unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    page.push('\n');
    line(page, &format!("  {fence}text"));
    for text in lines {
        line(page, &format!("  {text}"));
    }
    line(page, &format!("  {fence}"));
    page.push('\n');
}

/// What Markdown or a table's cell would take for its own.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for (index, letter) in text.chars().enumerate() {
        let special = match letter {
            '\\' | '`' | '*' | '_' | '|' | '<' | '[' | ']' | '~' | '&' => true,
            // Only at the start of a line they begin a list or a heading.
            '-' | '+' | '#' | '=' => index == 0,
            _ => false,
        };
        if special {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_markdown_is_escaped() {
        assert_eq!(escape("a|b*c_d<e"), r"a\|b\*c\_d\<e");
        assert_eq!(escape("- not run"), r"\- not run");
        assert_eq!(escape("debian-12"), "debian-12");
    }

    #[test]
    fn a_fence_is_longer_than_the_backticks_in_it() {
        let mut page = String::new();
        code(&mut page, &["a ```` b".to_owned()]);
        assert_eq!(page, "\n  `````text\n  a ```` b\n  `````\n\n");
    }
}
