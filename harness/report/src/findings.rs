//! What is said below the table, whatever it is written in.

use verdict::{Noticed, Outcome, Verdict};

use crate::{
    Cell, CellId, Run,
    shown::{last_line, one_line},
};

/// Cells that ask for words, in the plan's order.
pub(crate) struct Findings<'a> {
    /// Not as expected.
    pub(crate) unexpected: Vec<&'a Cell>,
    /// As expected on a later attempt only.
    pub(crate) flaky: Vec<&'a Cell>,
    /// No pass, as expected.
    pub(crate) foreseen: Vec<Foreseen<'a>>,
    /// Without a result, by reason; but those of an unavailable kernel or image,
    /// which a note below the table speaks of.
    pub(crate) not_run: Vec<(&'a str, Vec<CellId>)>,
    /// What the kernel told of besides, with the cells; it changes no verdict.
    pub(crate) noticed: Vec<(&'a Cell, &'a Noticed)>,
}

/// Expected failures with one and the same reason.
pub(crate) struct Foreseen<'a> {
    pub(crate) expected: &'a str,
    pub(crate) because: Option<&'a str>,
    pub(crate) cells: usize,
}

impl<'a> Findings<'a> {
    /// Looks through a run.
    pub(crate) fn of(run: &'a Run) -> Self {
        let mut found = Self {
            unexpected: Vec::new(),
            flaky: Vec::new(),
            foreseen: Vec::new(),
            not_run: Vec::new(),
            noticed: Vec::new(),
        };
        for cell in &run.cells {
            let last = cell.attempts.iter().rfind(|it| it.outcome.is_result());
            let noticed = last.iter().flat_map(|attempt| &attempt.noticed);
            found.noticed.extend(noticed.map(|noticed| (cell, noticed)));
            match cell.verdict {
                Verdict::UnexpectedFailure | Verdict::UnexpectedPass => found.unexpected.push(cell),
                Verdict::Flaky => found.flaky.push(cell),
                Verdict::Expected if cell.outcome.is_pass() => {}
                Verdict::Expected => found.add_foreseen(cell),
                Verdict::NotRun => found.add_not_run(run, cell),
            }
        }
        found
    }

    fn add_foreseen(&mut self, cell: &'a Cell) {
        let expected = cell.expected.as_deref().unwrap_or("failure");
        let because = cell.because.as_deref();
        let known = self
            .foreseen
            .iter_mut()
            .find(|known| known.expected == expected && known.because == because);
        match known {
            Some(known) => known.cells += 1,
            None => self.foreseen.push(Foreseen {
                expected,
                because,
                cells: 1,
            }),
        }
    }

    fn add_not_run(&mut self, run: &'a Run, cell: &'a Cell) {
        let Outcome::NotRun { reason } = &cell.outcome else {
            return;
        };
        let noted = |told: Option<&String>| told.is_some_and(|told| told == reason);
        if noted(
            run.kernel(&cell.kernel)
                .and_then(|kernel| kernel.reason.as_ref()),
        ) || noted(
            run.image(&cell.image)
                .and_then(|image| image.reason.as_ref()),
        ) {
            return;
        }
        match self.not_run.iter_mut().find(|(known, _)| known == reason) {
            Some((_, cells)) => cells.push(cell.id()),
            None => self.not_run.push((reason, vec![cell.id()])),
        }
    }
}

/// `6.1 × debian:12 × bash: SIGSEGV 139 (core dumped), expected pass`.
pub(crate) fn headline(cell: &Cell) -> String {
    let mut line = format!("{}: {}", cell.id(), cell.outcome.label());
    if let Some(detail) = cell.outcome.detail() {
        line.push_str(&format!(" ({detail})"));
    }
    if let Some(expected) = &cell.expected {
        line.push_str(&format!(", expected {expected}"));
    }
    one_line(&line)
}

/// `6.1 × debian:12 × bash: pass, though perl[77] died: segfault at 0x1`.
pub(crate) fn noticed_line(cell: &Cell, noticed: &Noticed) -> String {
    one_line(&format!(
        "{}: {}, though {}",
        cell.id(),
        cell.outcome.label(),
        noticed.what
    ))
}

/// `6.1 × debian:12 × bash: pass on attempt 2, after exit 1`.
pub(crate) fn flaky_line(cell: &Cell) -> String {
    let earlier = cell.attempts.len().saturating_sub(1);
    let before: Vec<String> = cell.attempts[..earlier]
        .iter()
        .map(|attempt| attempt.outcome.label().into_owned())
        .collect();
    one_line(&format!(
        "{}: {} on attempt {}, after {}",
        cell.id(),
        cell.outcome.label(),
        cell.attempts.len(),
        before.join(", ")
    ))
}

/// `its turn has not come: 4 cells (6.1 × a × b, …)`.
pub(crate) fn not_run_line(reason: &str, cells: &[CellId]) -> String {
    const NAMED: usize = 3;
    let mut names: Vec<String> = cells.iter().take(NAMED).map(CellId::to_string).collect();
    if cells.len() > NAMED {
        names.push(format!("and {} more", cells.len() - NAMED));
    }
    one_line(&format!("{}: {reason}", names.join(", ")))
}

/// `SIGSEGV in 2 cells: glibc 2.12 calls time() through the vsyscall page`.
pub(crate) fn foreseen_line(foreseen: &Foreseen<'_>) -> String {
    let cells = match foreseen.cells {
        1 => "1 cell".to_owned(),
        many => format!("{many} cells"),
    };
    let because = foreseen
        .because
        .map_or(String::new(), |because| format!(": {because}"));
    one_line(&format!("{} in {cells}{because}", foreseen.expected))
}

/// What a cell without a known cause said last, with where it said it.
pub(crate) fn last_words(cell: &Cell) -> Option<String> {
    let attempt = cell
        .attempts
        .iter()
        .rfind(|attempt| attempt.outcome.is_result())?;
    [("stderr", &attempt.stderr), ("stdout", &attempt.stdout)]
        .into_iter()
        .find_map(|(stream, text)| last_line(text).map(|line| format!("{stream}: {line}")))
}

/// `run ID, matrix 0.1.0, QEMU 7.2.22, tcg (no /dev/kvm)`.
pub(crate) fn title(run: &Run) -> String {
    let head = &run.run;
    let mut line = format!("run {}, matrix {}", head.id, head.matrix);
    if let Some(qemu) = &head.qemu {
        line.push_str(&format!(", QEMU {qemu}"));
    }
    if let Some(acceleration) = &head.acceleration {
        line.push_str(&format!(", {acceleration}"));
        if let Some(reason) = &head.acceleration_reason {
            line.push_str(&format!(" ({reason})"));
        }
    }
    one_line(&line)
}

/// What is said of a run that did not come to its end.
pub(crate) fn interrupted(run: &Run) -> Option<String> {
    run.run.interrupted.as_deref().map(|why| {
        format!(
            "This run is incomplete: {}.",
            one_line(why).trim_end_matches('.')
        )
    })
}
