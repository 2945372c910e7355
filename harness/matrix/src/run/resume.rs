//! Going on with a run that was cut short.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use plan::{Plan, Project, Selection};
use report::{CellId, CheckRow, Run};

use super::options::{DEFAULT_TIMEOUT, TIMEOUT_SETTING};
use super::record::{check_row, column};
use crate::error::Failure;

/// The plan of a recorded run, and the cells that have a result already.
#[derive(Debug)]
pub(crate) struct Resumed {
    pub(crate) plan: Plan,
    pub(crate) done: BTreeSet<CellId>,
}

/// Makes the plan of a recorded run again.
///
/// # Errors
/// When the project no longer gives the cells that were planned then.
pub(crate) fn resume(project: &Project, run: &Run, directory: &Path) -> Result<Resumed, Failure> {
    let selection = Selection {
        kernels: run
            .kernels
            .iter()
            .map(|kernel| selector(&kernel.id))
            .collect(),
        images: run.images.iter().map(|image| image.id.clone()).collect(),
        checks: run
            .images
            .iter()
            .flat_map(|image| image.checks.iter().map(|check| check.name.clone()))
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
        directory: directory.to_owned(),
    };
    let mut plan = plan::plan(project, &selection)?;
    // A run of probes alone has no images; an empty selection means the default.
    if run.images.is_empty() {
        plan.images.clear();
    }
    // A check one image was asked for can be there, not asked for, in another.
    for image in &mut plan.images {
        if let Some(row) = run.image(&image.name) {
            image
                .checks
                .retain(|check| row.checks.iter().any(|row| row.name == check.name));
        }
    }
    let changed = |what: String| Failure::ResumeChanged {
        run: run.run.id.clone(),
        what,
    };
    for recorded in &run.images {
        let now = plan.images.iter().find(|image| image.name == recorded.id);
        for check in &recorded.checks {
            let same = now.is_some_and(|image| {
                let mut rows = image.checks.iter().map(|now| check_row(image, now));
                rows.any(|now| decides_alike(&now, check))
            });
            if !same {
                return Err(changed(format!(
                    "the check {} of {}",
                    check.name, recorded.id
                )));
            }
        }
    }
    for recorded in &run.kernels {
        let now = plan.kernels.iter().find(|kernel| kernel.id == recorded.id);
        if now.is_some_and(|kernel| column(kernel).settings != recorded.settings) {
            return Err(changed(format!("how {} is started", recorded.id)));
        }
    }
    let planned: BTreeSet<CellId> = plan
        .cells()
        .map(|(kernel, image, check)| CellId {
            kernel: kernel.id.clone(),
            image: image.name.clone(),
            check: check.name.clone(),
        })
        .collect();
    let recorded: BTreeSet<CellId> = run.cells.iter().map(report::Cell::id).collect();
    if let Some(cell) = planned.symmetric_difference(&recorded).next() {
        return Err(changed(format!("the cell {cell}")));
    }
    let done = run
        .cells
        .iter()
        .filter(|cell| cell.outcome.is_result())
        .map(report::Cell::id)
        .collect();
    Ok(Resumed { plan, done })
}

/// The same command held against the same: who sees to a flaky check is another matter.
fn decides_alike(now: &CheckRow, recorded: &CheckRow) -> bool {
    let decisive = |row: &CheckRow| CheckRow {
        quarantine: None,
        ..row.clone()
    };
    decisive(now) == decisive(recorded)
}

/// The time limit a run has: its own, not one that is given when it is gone on with.
///
/// # Errors
/// When another is given.
pub(crate) fn time_limit(run: &Run, given: Option<Duration>) -> Result<Duration, Failure> {
    let recorded = run
        .run
        .settings
        .get(TIMEOUT_SETTING)
        .and_then(|text| text.parse().ok())
        .map(Duration::from_millis);
    match (recorded, given) {
        (Some(recorded), Some(given)) if recorded != given => Err(Failure::ResumeChanged {
            run: run.run.id.clone(),
            what: "--timeout".to_owned(),
        }),
        (Some(limit), _) | (None, Some(limit)) => Ok(limit),
        (None, None) => Ok(DEFAULT_TIMEOUT),
    }
}

/// A selector for just this column: a bare name would bring the entry's default
/// variants along, which have columns of their own.
pub(crate) fn selector(id: &str) -> String {
    if id.contains(['/', '+', '@']) {
        id.to_owned()
    } else {
        format!("{id}+")
    }
}
