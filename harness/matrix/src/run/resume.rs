//! Going on with a run that was cut short.

use std::collections::BTreeSet;
use std::path::Path;

use plan::{Plan, Project, Selection};
use report::{CellId, Run};

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
    for (recorded, now) in run.images.iter().zip(&plan.images) {
        for check in &recorded.checks {
            let same = now
                .checks
                .iter()
                .any(|now| now.name == check.name && now.command == check.command);
            if !same {
                return Err(changed(format!(
                    "the check {} of {}",
                    check.name, recorded.id
                )));
            }
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

/// A selector for just this column: a bare name would bring the entry's default
/// variants along, which have columns of their own.
pub(crate) fn selector(id: &str) -> String {
    if id.contains(['/', '+', '@']) {
        id.to_owned()
    } else {
        format!("{id}+")
    }
}
