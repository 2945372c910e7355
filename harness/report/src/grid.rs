//! The table's content, whatever it is written in: kernels across, image × check
//! down, and the notes below.

use std::collections::{BTreeSet, HashMap};

use verdict::Colour;

use crate::{Cell, ColumnStatus, FactsRecord, ImageRow, KernelColumn, Run, shown::one_line};

/// What stands where the record holds no cell at all: lacking, which must not
/// look like anything else.
pub(crate) const LACKING: &str = "lacking";

/// The table.
pub(crate) struct Grid<'a> {
    pub(crate) columns: Vec<Column<'a>>,
    pub(crate) groups: Vec<Group<'a>>,
    /// Footnotes; the first is number 1.
    pub(crate) notes: Vec<String>,
}

/// A kernel.
pub(crate) struct Column<'a> {
    pub(crate) kernel: &'a KernelColumn,
    note: Option<usize>,
}

/// An image.
pub(crate) struct Group<'a> {
    pub(crate) image: &'a ImageRow,
    note: Option<usize>,
    pub(crate) rows: Vec<Row<'a>>,
}

/// A check of an image, across all kernels.
pub(crate) struct Row<'a> {
    pub(crate) check: &'a str,
    /// As many as there are columns; none where the record lacks the cell.
    pub(crate) cells: Vec<Option<&'a Cell>>,
}

impl Column<'_> {
    /// The kernel's id, with its footnote's number.
    pub(crate) fn heading(&self) -> String {
        heading(&self.kernel.id, self.note)
    }
}

impl Group<'_> {
    /// The image's name, with its footnote's number.
    pub(crate) fn heading(&self) -> String {
        heading(&self.image.id, self.note)
    }
}

fn heading(id: &str, note: Option<usize>) -> String {
    match note {
        Some(number) => format!("{} [{number}]", one_line(id)),
        None => one_line(id),
    }
}

impl<'a> Grid<'a> {
    /// Lays a run out.
    pub(crate) fn of(run: &'a Run) -> Self {
        let mut notes = Vec::new();
        let mut note = |text: Option<String>| {
            text.map(|text| {
                notes.push(text);
                notes.len()
            })
        };
        let columns = run
            .kernels
            .iter()
            .map(|kernel| Column {
                kernel,
                note: note(kernel_note(kernel)),
            })
            .collect();
        let cells: HashMap<(&str, &str, &str), &Cell> = run
            .cells
            .iter()
            .map(|cell| {
                let id = (
                    cell.kernel.as_str(),
                    cell.image.as_str(),
                    cell.check.as_str(),
                );
                (id, cell)
            })
            .collect();
        let groups = run
            .images
            .iter()
            .map(|image| Group {
                image,
                note: note(image.reason.as_ref().map(|reason| {
                    format!(
                        "{} is unavailable: {}",
                        one_line(&image.id),
                        one_line(reason)
                    )
                })),
                rows: image
                    .checks
                    .iter()
                    .map(|check| Row {
                        check: &check.name,
                        cells: run
                            .kernels
                            .iter()
                            .map(|kernel| {
                                let id =
                                    (kernel.id.as_str(), image.id.as_str(), check.name.as_str());
                                cells.get(&id).copied()
                            })
                            .collect(),
                    })
                    .collect(),
            })
            .collect();
        Self {
            columns,
            groups,
            notes,
        }
    }

    /// The facts a column is read by: a name, and each column's value, `-` where
    /// it is not known. None where no column knows any.
    pub(crate) fn facts(&self) -> Vec<(&'static str, Vec<&'static str>)> {
        type Value = fn(&FactsRecord) -> &'static str;
        const SHOWN: [(&str, Value); 2] = [
            ("vsyscall", |facts| facts.vsyscall.name()),
            ("cgroup", |facts| facts.cgroup.name()),
        ];
        if self
            .columns
            .iter()
            .all(|column| column.kernel.facts.is_none())
        {
            return Vec::new();
        }
        SHOWN
            .iter()
            .map(|(name, value)| {
                let of = |column: &Column<'_>| column.kernel.facts.as_ref().map_or("-", value);
                (*name, self.columns.iter().map(of).collect())
            })
            .collect()
    }

    /// The legend of the marks that occur in the table.
    pub(crate) fn legend(&self) -> Vec<&'static str> {
        let marks: BTreeSet<Option<char>> = self
            .groups
            .iter()
            .flat_map(|group| &group.rows)
            .flat_map(|row| &row.cells)
            .map(|cell| mark(*cell))
            .collect();
        [
            ('!', "! not as expected"),
            ('=', "= no pass, as expected"),
            ('~', "~ flaky: as expected on a later attempt only"),
            ('-', "- not run"),
            ('?', "? the record lacks this cell"),
        ]
        .into_iter()
        .filter(|(letter, _)| marks.contains(&Some(*letter)))
        .map(|(_, text)| text)
        .collect()
    }
}

fn kernel_note(kernel: &KernelColumn) -> Option<String> {
    let id = one_line(&kernel.id);
    let reason = kernel.reason.as_deref().map(one_line);
    match kernel.status {
        ColumnStatus::Pending => None,
        ColumnStatus::Ran => reason.map(|reason| format!("{id} did not come up again: {reason}")),
        ColumnStatus::Unavailable => {
            let optional = if kernel.optional { " (optional)" } else { "" };
            let reason = reason.unwrap_or_else(|| "no reason was recorded".to_owned());
            Some(format!("{id} is unavailable{optional}: {reason}"))
        }
    }
}

/// The character before a cell's label; none before a pass as expected.
pub(crate) fn mark(cell: Option<&Cell>) -> Option<char> {
    match cell {
        Some(cell) => cell.verdict.mark(&cell.outcome),
        None => Some('?'),
    }
}

/// What asks for attention comes first: 0 is not as expected, 5 a pass as expected.
pub(crate) fn urgency(cell: Option<&Cell>) -> u8 {
    match mark(cell) {
        Some('!') => 0,
        Some('?') => 1,
        Some('~') => 2,
        Some('-') => 3,
        Some(_) => 4,
        None => 5,
    }
}

/// A cell's label.
pub(crate) fn label(cell: Option<&Cell>) -> String {
    match cell {
        Some(cell) => cell.outcome.label().into_owned(),
        None => LACKING.to_owned(),
    }
}

/// A cell's colour.
pub(crate) fn colour(cell: Option<&Cell>) -> Colour {
    match cell {
        Some(cell) => cell.verdict.colour(&cell.outcome),
        None => Colour::Yellow,
    }
}
