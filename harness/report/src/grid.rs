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

/// A run's cells, row by row.
struct Cells<'a> {
    run: &'a Run,
    /// The next row's place in each column, as the plan puts cells in order.
    next: usize,
    /// How many cells the plan has for a kernel.
    column: usize,
    /// By kernel, image and check, once the record turns out to have another order.
    found: Option<HashMap<[&'a str; 3], &'a Cell>>,
}

impl<'a> Cells<'a> {
    fn of(run: &'a Run) -> Self {
        Self {
            run,
            next: 0,
            column: run.images.iter().map(|image| image.checks.len()).sum(),
            found: None,
        }
    }

    /// The row that follows.
    fn row(&mut self, image: &str, check: &str) -> Vec<Option<&'a Cell>> {
        let place = self.next;
        self.next += 1;
        let kernels = self.run.kernels.iter().enumerate();
        kernels
            .map(|(number, kernel)| {
                self.cell(number * self.column + place, [&kernel.id, image, check])
            })
            .collect()
    }

    fn cell(&mut self, place: usize, id: [&str; 3]) -> Option<&'a Cell> {
        let run = self.run;
        let of = |cell: &'a Cell| [&*cell.kernel, &*cell.image, &*cell.check];
        if let Some(cell) = run.cells.get(place).filter(|cell| of(cell) == id) {
            return Some(cell);
        }
        let by_id = || run.cells.iter().map(|cell| (of(cell), cell)).collect();
        self.found.get_or_insert_with(by_id).get(&id).copied()
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
        let mut cells = Cells::of(run);
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
                        cells: cells.row(&image.id, &check.name),
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
