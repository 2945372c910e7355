//! What the details show, as data in the page: written once for all cells that
//! share it.

use std::{borrow::Cow, collections::HashMap};

use serde::Serialize;
use serde_json::json;
use verdict::{Cause, Noticed};

use crate::{Attempt, Cell, Run, StartKind, TraceRecord, grid::Grid, history::Line};

/// Everything `page.js` reads.
#[derive(Serialize)]
struct Data<'a> {
    run: &'a crate::RunHead,
    kernels: &'a [crate::KernelColumn],
    images: &'a [crate::ImageRow],
    /// What cells have in common, each once.
    details: Vec<Detail<'a>>,
    /// A list per row of the table, a number per column: an index into `details`,
    /// -1 for a cell the record lacks.
    cells: Vec<Vec<i64>>,
    /// Milliseconds, likewise; -1 where nothing ran.
    times: Vec<Vec<i64>>,
    /// Runs before this one, oldest first.
    past: &'a [Line],
}

/// The JSON, fit to stand inside a `<script>` element.
pub(super) fn json<'a>(run: &'a Run, grid: &Grid<'a>, past: &'a [Line]) -> String {
    let mut known: HashMap<Vec<u8>, i64> = HashMap::new();
    let mut details = Vec::new();
    let mut written = Vec::new();
    let mut cells = Vec::new();
    let mut times = Vec::new();
    for row in grid.groups.iter().flat_map(|group| &group.rows) {
        let index = |cell: &Option<&'a Cell>| {
            let Some(cell) = *cell else { return -1 };
            let detail = Detail::of(cell);
            written.clear();
            // What could not be written whole is no other cell's.
            let whole = serde_json::to_writer(&mut written, &detail).is_ok();
            if let Some(index) = known.get(&written).filter(|_index| whole) {
                return *index;
            }
            let next = details.len() as i64;
            known.insert(written.clone(), next);
            details.push(detail);
            next
        };
        cells.push(row.cells.iter().map(index).collect());
        let time = |cell: &Option<&Cell>| {
            cell.and_then(|cell| cell.duration_ms)
                .and_then(|time| i64::try_from(time).ok())
                .unwrap_or(-1)
        };
        times.push(row.cells.iter().map(time).collect());
    }
    let data = Data {
        run: &run.run,
        kernels: &run.kernels,
        images: &run.images,
        details,
        cells,
        times,
        past,
    };
    // No type in it can fail to become JSON: its maps have strings for keys.
    let text = serde_json::to_string(&data)
        .unwrap_or_else(|error| json!({ "error": error.to_string() }).to_string());
    // `</script>` and `<!--` would end or twist the element.
    text.replace('<', "\\u003c")
}

/// A cell without what differs between cells that came to the same: the time it
/// took, and the limit that follows from how fast its guest was.
#[derive(Serialize)]
struct Detail<'a> {
    label: Cow<'static, str>,
    detail: Option<Cow<'a, str>>,
    verdict: &'static str,
    mark: Option<char>,
    runtime: &'a str,
    expected: Option<&'a str>,
    because: Option<&'a str>,
    cause: Option<&'a Cause>,
    attempts: Vec<AttemptDetail<'a>>,
}

impl<'a> Detail<'a> {
    fn of(cell: &'a Cell) -> Self {
        Self {
            label: cell.outcome.label(),
            detail: cell.outcome.detail(),
            verdict: cell.verdict.label(),
            mark: cell.verdict.mark(&cell.outcome),
            runtime: &cell.runtime,
            expected: cell.expected.as_deref(),
            because: cell.because.as_deref(),
            cause: cell.cause.as_ref(),
            attempts: cell.attempts.iter().map(AttemptDetail::of).collect(),
        }
    }
}

#[derive(Serialize)]
struct AttemptDetail<'a> {
    label: Cow<'static, str>,
    verdict: &'static str,
    start: StartKind,
    alone: bool,
    stdout: &'a str,
    stderr: &'a str,
    dropped: u64,
    kernel_log: &'a [String],
    survivors: &'a [String],
    noticed: &'a [Noticed],
    examined: &'a [String],
    trace: Option<&'a TraceRecord>,
}

impl<'a> AttemptDetail<'a> {
    fn of(attempt: &'a Attempt) -> Self {
        Self {
            label: attempt.outcome.label(),
            verdict: attempt.verdict.label(),
            start: attempt.start,
            alone: attempt.alone,
            stdout: &attempt.stdout,
            stderr: &attempt.stderr,
            dropped: attempt.output_dropped,
            kernel_log: &attempt.kernel_log,
            survivors: &attempt.survivors,
            noticed: &attempt.noticed,
            examined: &attempt.examined,
            trace: attempt.trace.as_ref(),
        }
    }
}
