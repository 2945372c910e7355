//! A run is the fold of its events.

use verdict::{Outcome, Verdict};

use crate::{
    Attempt, Cell, CellId, CheckRow, ColumnStatus, Event, KernelColumn, NOT_REACHED, ProbeOutcome,
    ProbeRecord, Run,
};

/// Why a cell that has begun has no result yet.
const BEGUN: &str = "it had begun, and nothing was heard of it yet";

/// Why a cell that timed out or fell silent beside others has no result yet.
const UNCONFIRMED: &str =
    "it did not end in time beside other machines, and was not tried yet with the host to itself";

/// Why a cell that was not as expected after a warm start has no result yet.
const UNCONFIRMED_WARM: &str =
    "it was not as expected after a warm start, and was not tried yet after a cold boot";

/// An event that does not belong to the run: a mistake of the program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// It speaks of a kernel that is not in the plan.
    #[error("an event speaks of the kernel `{0}`, which is not in the plan")]
    UnknownKernel(String),
    /// It speaks of an image that is not in the plan.
    #[error("an event speaks of the image `{0}`, which is not in the plan")]
    UnknownImage(String),
    /// It speaks of a cell that is not in the plan.
    #[error("an event speaks of the cell {0}, which is not in the plan")]
    UnknownCell(CellId),
    /// It speaks of a probe that is not in the plan.
    #[error("an event speaks of the probe {kernel} × {probe}, which is not in the plan")]
    UnknownProbe {
        /// Kernel id.
        kernel: String,
        /// Its name.
        probe: String,
    },
    /// It says `not run` of an outcome, or gives a verdict where there is none.
    #[error("the verdict of {0} contradicts its outcome")]
    Contradiction(CellId),
}

impl Run {
    /// What the run is after this event. [`Event::RunStarted`] begins anew, so
    /// that a stream read twice from its start gives the same run.
    ///
    /// # Errors
    /// When the event speaks of what is not in the plan; nothing is changed then.
    pub fn apply(&mut self, event: &Event) -> Result<(), FoldError> {
        match event {
            Event::RunStarted { run } => *self = (**run).clone(),
            Event::RunResumed { .. } => self.resume(),
            Event::RunFacts {
                qemu,
                acceleration,
                acceleration_reason,
            } => {
                self.run.qemu = Some(qemu.clone());
                self.run.acceleration = Some(acceleration.clone());
                self.run.acceleration_reason = Some(acceleration_reason.clone());
            }
            Event::ImageReady { image } => {
                let row = self
                    .images
                    .iter_mut()
                    .find(|row| row.id == image.id)
                    .ok_or_else(|| FoldError::UnknownImage(image.id.clone()))?;
                // Its checks are the plan's: cells stand for them.
                row.digest.clone_from(&image.digest);
                row.source.clone_from(&image.source);
                row.reason = None;
            }
            Event::ImageUnavailable { image, reason } => {
                let row = self
                    .images
                    .iter_mut()
                    .find(|row| row.id == *image)
                    .ok_or_else(|| FoldError::UnknownImage(image.clone()))?;
                row.reason = Some(reason.clone());
                self.not_run(reason, |cell| cell.image == *image);
            }
            Event::VmReady {
                kernel,
                boot_ms,
                column,
                ..
            } => {
                let old = self.column(kernel)?;
                let mut boots_ms = std::mem::take(&mut old.boots_ms);
                boots_ms.push(*boot_ms);
                *old = KernelColumn {
                    id: kernel.clone(),
                    status: ColumnStatus::Ran,
                    reason: None,
                    boots_ms,
                    ..(**column).clone()
                };
            }
            Event::KernelUnavailable { kernel, reason } => {
                let column = self.column(kernel)?;
                // One that came up once has facts and results to show.
                if column.status != ColumnStatus::Ran {
                    column.status = ColumnStatus::Unavailable;
                }
                column.reason = Some(reason.clone());
                self.not_run(reason, |cell| cell.kernel == *kernel);
                let probes = self.probes.iter_mut();
                for record in probes.filter(|record| record.kernel == *kernel) {
                    if matches!(record.outcome, ProbeOutcome::NotRun { .. }) {
                        record.outcome = ProbeOutcome::NotRun {
                            reason: reason.clone(),
                        };
                    }
                }
            }
            Event::CellStarted { cell } => {
                let cell = self.cell(cell)?;
                if cell.attempts.is_empty() {
                    cell.outcome = Outcome::not_run(BEGUN);
                }
            }
            Event::CellFinished { cell, attempt } => {
                if !agree(&attempt.outcome, attempt.verdict) {
                    return Err(FoldError::Contradiction(cell.clone()));
                }
                self.cell(cell)?.add((**attempt).clone());
            }
            Event::ProbeStarted { kernel, probe } => {
                let record = self.probe(kernel, probe)?;
                if !record.outcome.is_result() {
                    record.outcome = ProbeOutcome::NotRun {
                        reason: BEGUN.to_owned(),
                    };
                }
            }
            Event::ProbeFinished { record } => {
                *self.probe(&record.kernel, &record.probe)? = (**record).clone();
            }
            Event::RunFinished {
                finished,
                timings,
                interrupted,
            } => {
                self.run.finished = Some(finished.clone());
                self.run.timings.clone_from(timings);
                self.run.interrupted.clone_from(interrupted);
                if let Some(why) = interrupted {
                    self.cut_short(why);
                }
            }
            Event::Note { .. }
            | Event::FetchPlanned { .. }
            | Event::FetchStarted { .. }
            | Event::FetchProgress { .. }
            | Event::FetchFinished { .. }
            | Event::KernelReady { .. }
            | Event::VmStarting { .. }
            | Event::VmGone { .. }
            | Event::KernelFinished { .. } => {}
        }
        Ok(())
    }

    /// No cell's verdict contradicts its outcome: such a record would lie in
    /// every table.
    pub(crate) fn check(&self) -> Result<(), FoldError> {
        match self
            .cells
            .iter()
            .find(|cell| !agree(&cell.outcome, cell.verdict))
        {
            Some(cell) => Err(FoldError::Contradiction(cell.id())),
            None => Ok(()),
        }
    }

    /// Says of every cell without an answer that the run ended before it.
    pub(crate) fn cut_short(&mut self, why: &str) {
        for cell in &mut self.cells {
            if let Outcome::NotRun { reason } = &mut cell.outcome
                && (reason == NOT_REACHED || reason == BEGUN)
            {
                *reason = format!("{reason}: {why}");
            }
        }
        for record in &mut self.probes {
            if let ProbeOutcome::NotRun { reason } = &mut record.outcome
                && (reason == NOT_REACHED || reason == BEGUN)
            {
                *reason = format!("{reason}: {why}");
            }
        }
    }

    /// As it was before whatever ended it, with what has a result kept.
    fn resume(&mut self) {
        self.run.finished = None;
        self.run.interrupted = None;
        for kernel in &mut self.kernels {
            kernel.reason = None;
            if kernel.status == ColumnStatus::Unavailable {
                kernel.status = ColumnStatus::Pending;
            }
        }
        for image in &mut self.images {
            image.reason = None;
        }
        for cell in &mut self.cells {
            if !cell.outcome.is_result() {
                cell.outcome = Outcome::not_run(NOT_REACHED);
            }
        }
        for record in &mut self.probes {
            if !record.outcome.is_result() {
                record.outcome = ProbeOutcome::NotRun {
                    reason: NOT_REACHED.to_owned(),
                };
            }
        }
    }

    /// Gives the reason to the cells that have no attempt.
    fn not_run(&mut self, reason: &str, chosen: impl Fn(&Cell) -> bool) {
        for cell in &mut self.cells {
            if cell.attempts.is_empty() && chosen(cell) {
                cell.outcome = Outcome::not_run(reason);
            }
        }
    }

    fn column(&mut self, id: &str) -> Result<&mut KernelColumn, FoldError> {
        self.kernels
            .iter_mut()
            .find(|column| column.id == id)
            .ok_or_else(|| FoldError::UnknownKernel(id.to_owned()))
    }

    fn probe(&mut self, kernel: &str, probe: &str) -> Result<&mut ProbeRecord, FoldError> {
        self.probes
            .iter_mut()
            .find(|record| record.kernel == kernel && record.probe == probe)
            .ok_or_else(|| FoldError::UnknownProbe {
                kernel: kernel.to_owned(),
                probe: probe.to_owned(),
            })
    }

    fn cell(&mut self, id: &CellId) -> Result<&mut Cell, FoldError> {
        let is_it = |cell: &Cell| {
            cell.check == id.check && cell.image == id.image && cell.kernel == id.kernel
        };
        // A large run has tens of thousands, and an event for each.
        let place = self
            .planned_place(id)
            .filter(|place| self.cells.get(*place).is_some_and(is_it))
            .or_else(|| self.cells.iter().position(is_it))
            .ok_or_else(|| FoldError::UnknownCell(id.clone()))?;
        Ok(&mut self.cells[place])
    }

    /// Where a cell stands in the plan's order; a record can have another.
    fn planned_place(&self, id: &CellId) -> Option<usize> {
        let kernel = self
            .kernels
            .iter()
            .position(|kernel| kernel.id == id.kernel)?;
        let column: usize = self.images.iter().map(|image| image.checks.len()).sum();
        let mut place = kernel * column;
        for image in &self.images {
            if image.id == id.image {
                let check = |check: &CheckRow| check.name == id.check;
                return Some(place + image.checks.iter().position(check)?);
            }
            place += image.checks.len();
        }
        None
    }
}

/// Both speak of a result, or both of none; and only a pass can be an unexpected
/// one.
fn agree(outcome: &Outcome, verdict: Verdict) -> bool {
    match verdict {
        Verdict::NotRun => !outcome.is_result(),
        Verdict::UnexpectedPass => outcome.is_pass(),
        Verdict::UnexpectedFailure => outcome.is_result() && !outcome.is_pass(),
        Verdict::Expected | Verdict::Flaky => outcome.is_result(),
    }
}

impl Cell {
    fn add(&mut self, attempt: Attempt) {
        if attempt.awaits_confirmation() {
            if !self.outcome.is_result() {
                self.outcome = Outcome::not_run(match attempt.is_doubtful() {
                    true => UNCONFIRMED,
                    false => UNCONFIRMED_WARM,
                });
            }
            self.attempts.push(attempt);
            return;
        }
        if let Some(before) = self.attempts.last()
            && attempt.contradicts(before)
        {
            self.outcome = Outcome::not_run(format!(
                "after a warm start it was {}, after a cold boot {}: one of the two machines is \
                 wrong, so neither counts (--cold leaves out warm starts)",
                before.outcome.label(),
                attempt.outcome.label()
            ));
            self.verdict = Verdict::NotRun;
            self.expected = Some(attempt.expected.clone());
            self.because.clone_from(&attempt.because);
            self.cause = None;
            self.duration_ms = None;
            self.attempts.push(attempt);
            return;
        }
        // Trouble on a retry does not take back what was seen before it.
        let decides = attempt.outcome.is_result() || !self.outcome.is_result();
        if decides {
            self.outcome = attempt.outcome.clone();
            self.expected = Some(attempt.expected.clone());
            self.because.clone_from(&attempt.because);
            self.verdict = attempt.verdict;
            self.cause.clone_from(&attempt.cause);
            self.duration_ms = Some(attempt.duration_ms);
        }
        self.attempts.push(attempt);
    }
}
