//! The table of probes: kernels across, probes down, and below it what the words
//! in it mean.

use std::collections::BTreeSet;

use verdict::Colour;

use crate::{
    Counts, ProbeOutcome, ProbeRecord, Run,
    findings::{interrupted, title},
    grid::LACKING,
    shown::one_line,
};

/// How many lines of evidence a failure shows: its last ones.
const EVIDENCE: usize = 6;

/// The table of probes.
pub(crate) struct ProbeTable<'a> {
    /// Kernel ids.
    pub(crate) columns: Vec<&'a str>,
    /// Titles, each with the record of every column, none where it is lacking.
    pub(crate) rows: Vec<(&'a str, Vec<Option<&'a ProbeRecord>>)>,
}

impl<'a> ProbeTable<'a> {
    pub(crate) fn of(run: &'a Run) -> Self {
        let columns: Vec<&str> = run
            .kernels
            .iter()
            .map(|kernel| kernel.id.as_str())
            .collect();
        let mut rows: Vec<(&str, &str)> = Vec::new();
        for record in &run.probes {
            let row = (record.probe.as_str(), record.title.as_str());
            if !rows.iter().any(|(probe, _)| *probe == row.0) {
                rows.push(row);
            }
        }
        let find = |kernel: &str, probe: &str| {
            run.probes
                .iter()
                .find(|record| record.kernel == kernel && record.probe == probe)
        };
        Self {
            rows: rows
                .into_iter()
                .map(|(probe, title)| {
                    let cells = columns.iter().map(|kernel| find(kernel, probe));
                    (title, cells.collect())
                })
                .collect(),
            columns,
        }
    }

    /// The legend of the marks that occur.
    pub(crate) fn legend(&self) -> Vec<&'static str> {
        let marks: BTreeSet<Option<char>> = self
            .rows
            .iter()
            .flat_map(|(_, cells)| cells)
            .map(|cell| mark(*cell))
            .collect();
        [
            ('!', "! the runtime does not do it on this kernel"),
            ('?', "? no answer"),
            ('-', "- not run"),
        ]
        .into_iter()
        .filter(|(letter, _)| marks.contains(&Some(*letter)))
        .map(|(_, text)| text)
        .collect()
    }
}

/// What stands before a label; `?` where the record lacks the probe.
pub(crate) fn mark(cell: Option<&ProbeRecord>) -> Option<char> {
    cell.map_or(Some('?'), |record| record.outcome.mark())
}

/// What stands in the table.
pub(crate) fn label(cell: Option<&ProbeRecord>) -> &'static str {
    cell.map_or(LACKING, |record| record.outcome.label())
}

/// Its colour.
pub(crate) fn colour(cell: Option<&ProbeRecord>) -> Colour {
    cell.map_or(Colour::Yellow, |record| record.outcome.colour())
}

/// A line below the table, with lines of evidence.
pub(crate) type Item = (String, Vec<String>);

/// What is to be said below the table: headings, each with its items.
pub(crate) fn sections(run: &Run) -> Vec<(&'static str, Vec<Item>)> {
    let failed: Vec<Item> = run
        .probes
        .iter()
        .filter_map(|record| match &record.outcome {
            ProbeOutcome::Failed { how } => Some((
                one_line(&format!("{}: {how}", record.id())),
                last(&record.observed),
            )),
            _ => None,
        })
        .collect();
    let grouped = |chosen: fn(&ProbeOutcome) -> bool| {
        let mut groups: Vec<(&str, Vec<&ProbeRecord>)> = Vec::new();
        for record in run.probes.iter().filter(|record| chosen(&record.outcome)) {
            let detail = record.outcome.detail().unwrap_or_default();
            match groups.iter_mut().find(|(known, _)| *known == detail) {
                Some((_, records)) => records.push(record),
                None => groups.push((detail, vec![record])),
            }
        }
        groups
            .into_iter()
            .map(|(detail, records)| {
                let line = format!("{}: {detail}", names(&records));
                (one_line(&line), Vec::new())
            })
            .collect::<Vec<_>>()
    };
    [
        ("Probes that failed", failed),
        (
            "Unsupported by the kernel",
            grouped(|outcome| matches!(outcome, ProbeOutcome::Unsupported { .. })),
        ),
        (
            "Probes without an answer",
            grouped(|outcome| matches!(outcome, ProbeOutcome::Trouble { .. })),
        ),
        (
            "Probes not run",
            grouped(|outcome| matches!(outcome, ProbeOutcome::NotRun { .. })),
        ),
    ]
    .into_iter()
    .filter(|(_, items)| !items.is_empty())
    .collect()
}

fn last(observed: &[String]) -> Vec<String> {
    let from = observed.len().saturating_sub(EVIDENCE);
    observed[from..].iter().map(|line| one_line(line)).collect()
}

/// `6.1 × a, 6.1 × b, and 3 more`.
fn names(records: &[&ProbeRecord]) -> String {
    const NAMED: usize = 4;
    let mut names: Vec<String> = records.iter().take(NAMED).map(|one| one.id()).collect();
    if records.len() > NAMED {
        names.push(format!("and {} more", records.len() - NAMED));
    }
    names.join(", ")
}

/// The table alone, for terminals, with the run's title and counts.
pub fn text(run: &Run, options: crate::text::Options) -> String {
    crate::text::probes(
        run,
        options,
        &title(run),
        interrupted(run),
        &Counts::of(run),
    )
}

/// The table alone in Markdown, with the run's title and counts.
pub fn markdown(run: &Run) -> String {
    crate::markdown::probes(run, &title(run), interrupted(run), &Counts::of(run))
}
