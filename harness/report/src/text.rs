//! The table for terminals.

use anstyle::{AnsiColor, Effects, Style};
use unicode_width::UnicodeWidthStr;
use verdict::Colour;

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

/// How the text is laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Columns of the terminal; none: as wide as the table is.
    pub width: Option<usize>,
    /// With ANSI colours. Every word is there without them as well.
    pub colour: bool,
}

/// Between two columns.
const GAP: &str = "  ";

/// The table, what is to be said of it, and a summary line with every count.
pub fn render(run: &Run, options: Options) -> String {
    let mut page = Page {
        text: String::new(),
        colour: options.colour,
    };
    page.line(Style::new().effects(Effects::DIMMED), &title(run));
    if let Some(why) = interrupted(run) {
        page.line(style(Colour::Yellow), &why);
    }
    if !run.cells.is_empty() || run.probes.is_empty() {
        table(&mut page, &Grid::of(run), options.width);
        findings(&mut page, run);
    }
    if !run.probes.is_empty() {
        probe_part(&mut page, run, options.width);
    }
    page.blank();
    page.line(Style::new(), &Counts::of(run).summary());
    page.text
}

/// The table of probes alone.
pub(crate) fn probes(
    run: &Run,
    options: Options,
    title: &str,
    interrupted: Option<String>,
    counts: &Counts,
) -> String {
    let mut page = Page {
        text: String::new(),
        colour: options.colour,
    };
    page.line(Style::new().effects(Effects::DIMMED), title);
    if let Some(why) = interrupted {
        page.line(style(Colour::Yellow), &why);
    }
    probe_part(&mut page, run, options.width);
    page.blank();
    let summary = counts.probes.summary();
    page.line(
        Style::new(),
        summary.as_deref().unwrap_or("the run has no probes"),
    );
    page.text
}

fn probe_part(page: &mut Page, run: &Run, width: Option<usize>) {
    use unicode_width::UnicodeWidthStr as _;
    let bold = Style::new().effects(Effects::BOLD);
    let table = ProbeTable::of(run);
    let text = |cell| {
        let mark = probe_table::mark(cell).unwrap_or(' ');
        format!("{mark} {}", probe_table::label(cell))
    };
    let first = table.rows.iter().map(|(title, _)| title.width()).max();
    let first = first.unwrap_or(0).max("runtime".len());
    let widths: Vec<usize> = (0..table.columns.len())
        .map(|column| {
            let cells = table
                .rows
                .iter()
                .map(|(_, cells)| text(cells[column]).width());
            let heading = table.columns[column].width() + 2;
            cells.chain([heading]).max().unwrap_or(0)
        })
        .collect();
    for part in parts(first, &widths, width) {
        page.blank();
        page.padded(bold, "runtime", first);
        for column in part.clone() {
            page.text.push_str(GAP);
            let heading = format!("  {}", one_line(table.columns[column]));
            page.padded(bold, &heading, widths[column]);
        }
        page.end();
        for (title, cells) in &table.rows {
            page.padded(Style::new(), &one_line(title), first);
            for column in part.clone() {
                page.text.push_str(GAP);
                let cell = cells[column];
                let colour = style(probe_table::colour(cell));
                page.padded(colour, &text(cell), widths[column]);
            }
            page.end();
        }
    }
    let legend = table.legend();
    if !legend.is_empty() {
        page.blank();
    }
    for mark in legend {
        page.line(Style::new().effects(Effects::DIMMED), mark);
    }
    for (title, items) in probe_table::sections(run) {
        heading(page, title);
        for (item, evidence) in items {
            page.line(Style::new(), &format!("- {item}"));
            for line in evidence {
                let dim = Style::new().effects(Effects::DIMMED);
                page.line(dim, &format!("    | {line}"));
            }
        }
    }
}

/// Text that grows line by line.
struct Page {
    text: String,
    colour: bool,
}

impl Page {
    fn blank(&mut self) {
        self.text.push('\n');
    }

    fn line(&mut self, style: Style, line: &str) {
        self.styled(style, line);
        self.blank();
    }

    fn styled(&mut self, style: Style, text: &str) {
        if self.colour && !style.is_plain() {
            self.text.push_str(&format!("{style}{text}{style:#}"));
        } else {
            self.text.push_str(text);
        }
    }

    /// Text filled with spaces to a width; the spaces have no style.
    fn padded(&mut self, style: Style, text: &str, width: usize) {
        self.styled(style, text);
        for _ in text.width()..width {
            self.text.push(' ');
        }
    }

    /// Ends a line of padded texts.
    fn end(&mut self) {
        self.text.truncate(self.text.trim_end_matches(' ').len());
        self.blank();
    }
}

fn style(colour: Colour) -> Style {
    let ansi = match colour {
        Colour::Green => AnsiColor::Green,
        Colour::Yellow => AnsiColor::Yellow,
        Colour::Red => AnsiColor::Red,
        Colour::Magenta => AnsiColor::Magenta,
        Colour::Blue => AnsiColor::Blue,
        Colour::Grey => AnsiColor::BrightBlack,
    };
    Style::new().fg_color(Some(ansi.into()))
}

/// `! exit 3`, `  pass`.
fn cell_text(cell: Option<&Cell>) -> String {
    format!("{} {}", grid::mark(cell).unwrap_or(' '), grid::label(cell))
}

fn table(page: &mut Page, grid: &Grid<'_>, width: Option<usize>) {
    let facts = grid.facts();
    let names = grid.groups.iter().flat_map(|group| {
        let checks = group.rows.iter().map(|row| row.check.width() + 2);
        checks.chain([group.heading().width()])
    });
    let first = names
        .chain(facts.iter().map(|(name, _)| name.width() + 2))
        .max()
        .unwrap_or(0);
    let widths: Vec<usize> = (0..grid.columns.len())
        .map(|column| {
            let cells = grid.groups.iter().flat_map(|group| {
                group
                    .rows
                    .iter()
                    .map(move |row| cell_text(row.cells[column]).width())
            });
            let facts = facts.iter().map(|(_, values)| values[column].width() + 2);
            cells
                .chain(facts)
                .chain([grid.columns[column].heading().width() + 2])
                .max()
                .unwrap_or(0)
        })
        .collect();
    for part in parts(first, &widths, width) {
        page.blank();
        table_part(page, grid, &facts, first, &widths, part);
    }
    if !grid.legend().is_empty() || !grid.notes.is_empty() {
        page.blank();
    }
    for mark in grid.legend() {
        page.line(Style::new().effects(Effects::DIMMED), mark);
    }
    for (index, note) in grid.notes.iter().enumerate() {
        page.line(Style::new(), &format!("[{}] {note}", index + 1));
    }
}

/// Which columns stand side by side: as many as fit, at least one.
fn parts(first: usize, widths: &[usize], limit: Option<usize>) -> Vec<std::ops::Range<usize>> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut used = first;
    for (column, width) in widths.iter().enumerate() {
        let more = GAP.len() + width;
        if column > start && limit.is_some_and(|limit| used + more > limit) {
            parts.push(start..column);
            start = column;
            used = first;
        }
        used += more;
    }
    if start < widths.len() {
        parts.push(start..widths.len());
    }
    parts
}

fn table_part(
    page: &mut Page,
    grid: &Grid<'_>,
    facts: &[(&str, Vec<&str>)],
    first: usize,
    widths: &[usize],
    part: std::ops::Range<usize>,
) {
    let bold = Style::new().effects(Effects::BOLD);
    let dim = Style::new().effects(Effects::DIMMED);
    page.padded(bold, "", first);
    for column in part.clone() {
        page.text.push_str(GAP);
        let heading = format!("  {}", grid.columns[column].heading());
        page.padded(bold, &heading, widths[column]);
    }
    page.end();
    for (name, values) in facts {
        page.padded(dim, &format!("  {name}"), first);
        for column in part.clone() {
            page.text.push_str(GAP);
            page.padded(dim, &format!("  {}", values[column]), widths[column]);
        }
        page.end();
    }
    for group in &grid.groups {
        page.line(bold, &group.heading());
        for row in &group.rows {
            let name = format!("  {}", one_line(row.check));
            page.padded(Style::new(), &name, first);
            for column in part.clone() {
                page.text.push_str(GAP);
                let cell = row.cells[column];
                page.padded(style(grid::colour(cell)), &cell_text(cell), widths[column]);
            }
            page.end();
        }
    }
}

fn findings(page: &mut Page, run: &Run) {
    let found = Findings::of(run);
    if !found.unexpected.is_empty() {
        heading(page, "Not as expected");
        for cell in &found.unexpected {
            let colour = style(cell.verdict.colour(&cell.outcome));
            page.line(colour, &format!("! {}", headline(cell)));
            explain(page, cell);
        }
    }
    if !found.flaky.is_empty() {
        heading(page, "Flaky");
        for cell in &found.flaky {
            page.line(style(Colour::Yellow), &format!("~ {}", flaky_line(cell)));
        }
    }
    if !found.not_run.is_empty() {
        heading(page, "Not run");
        for (reason, cells) in &found.not_run {
            page.line(Style::new(), &format!("- {}", not_run_line(reason, cells)));
        }
    }
    if !found.foreseen.is_empty() {
        heading(page, "No pass, as expected");
        for foreseen in &found.foreseen {
            page.line(Style::new(), &format!("= {}", foreseen_line(foreseen)));
        }
    }
    if !found.noticed.is_empty() {
        heading(page, "Noticed besides");
        for (cell, noticed) in &found.noticed {
            page.line(Style::new(), &format!("- {}", noticed_line(cell, noticed)));
        }
    }
}

fn heading(page: &mut Page, text: &str) {
    page.blank();
    page.line(Style::new().effects(Effects::BOLD), text);
}

fn explain(page: &mut Page, cell: &Cell) {
    let Some(cause) = &cell.cause else {
        if let Some(words) = last_words(cell) {
            page.line(Style::new(), &format!("    {words}"));
        }
        return;
    };
    let explanation = format!("    {}: {}", cause.name, one_line(&cause.explanation));
    page.line(Style::new(), &explanation);
    for line in &cause.evidence {
        let dim = Style::new().effects(Effects::DIMMED);
        page.line(dim, &format!("    | {}", one_line(line)));
    }
    if let Some(remedy) = &cause.remedy {
        page.line(Style::new(), &format!("    hint: {}", one_line(remedy)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_split_where_they_do_not_fit_and_none_is_lost() {
        let whole = vec![0..3; 1];
        assert_eq!(parts(10, &[5, 5, 5], None), whole);
        assert_eq!(parts(10, &[5, 5, 5], Some(31)), whole);
        assert_eq!(parts(10, &[5, 5, 5], Some(30)), [0..2, 2..3]);
        // Too narrow for anything: one each.
        assert_eq!(parts(10, &[5, 5, 5], Some(1)), [0..1, 1..2, 2..3]);
        assert!(parts(10, &[], Some(80)).is_empty());
    }
}
