//! What the details show, as data in the page: written once for all cells that
//! share it.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Value, json};

use crate::{Attempt, Cell, Run, grid::Grid, history::Line};

/// Everything `page.js` reads.
#[derive(Serialize)]
struct Data<'a> {
    run: &'a crate::RunHead,
    kernels: &'a [crate::KernelColumn],
    images: &'a [crate::ImageRow],
    /// What cells have in common, each once.
    details: Vec<Value>,
    /// A list per row of the table, a number per column: an index into `details`,
    /// -1 for a cell the record lacks.
    cells: Vec<Vec<i64>>,
    /// Milliseconds, likewise; -1 where nothing ran.
    times: Vec<Vec<i64>>,
    /// Runs before this one, oldest first.
    past: &'a [Line],
}

/// The JSON, fit to stand inside a `<script>` element.
pub(super) fn json(run: &Run, grid: &Grid<'_>, past: &[Line]) -> String {
    let mut known: HashMap<String, i64> = HashMap::new();
    let mut details = Vec::new();
    let mut cells = Vec::new();
    let mut times = Vec::new();
    for row in grid.groups.iter().flat_map(|group| &group.rows) {
        let index = |cell: &Option<&Cell>| {
            let Some(cell) = cell else { return -1 };
            let detail = detail(cell);
            let next = details.len() as i64;
            *known.entry(detail.to_string()).or_insert_with(|| {
                details.push(detail);
                next
            })
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
fn detail(cell: &Cell) -> Value {
    json!({
        "label": cell.outcome.label(),
        "detail": cell.outcome.detail(),
        "verdict": cell.verdict.label(),
        "mark": cell.verdict.mark(&cell.outcome),
        "runtime": cell.runtime,
        "expected": cell.expected,
        "because": cell.because,
        "cause": cell.cause,
        "attempts": cell.attempts.iter().map(attempt).collect::<Vec<_>>(),
    })
}

fn attempt(attempt: &Attempt) -> Value {
    json!({
        "label": attempt.outcome.label(),
        "verdict": attempt.verdict.label(),
        "start": attempt.start,
        "alone": attempt.alone,
        "stdout": attempt.stdout,
        "stderr": attempt.stderr,
        "dropped": attempt.output_dropped,
        "kernel_log": attempt.kernel_log,
        "survivors": attempt.survivors,
        "noticed": attempt.noticed,
        "examined": attempt.examined,
        "trace": attempt.trace,
    })
}
