//! JUnit's XML, as CI systems read it: a suite per kernel and image, a test case
//! per check.
//!
//! What is not as expected is a failure with its cause and evidence. What was not
//! run is an error, or skipped where its kernel is optional; never a success. A
//! flaky cell is a success that carries its earlier attempts as flaky failures.

use std::time::Duration;

use quick_junit::{
    FlakyOrRerun, NonSuccessKind, Report, TestCase, TestCaseStatus, TestRerun, TestSuite,
};
use verdict::{Cause, Verdict};

use crate::{
    Attempt, Cell, ProbeOutcome, ProbeRecord, Run,
    findings::{headline, last_words},
    grid::{Grid, LACKING},
    shown::one_line,
};

/// Why no XML could be made.
#[derive(Debug, thiserror::Error)]
#[error("write JUnit's XML: {0}")]
pub struct JunitError(#[from] quick_junit::SerializeError);

/// The whole run.
///
/// # Errors
/// When the XML writer refuses.
pub fn render(run: &Run) -> Result<String, JunitError> {
    let grid = Grid::of(run);
    let mut report = Report::new(format!("matrix {}", run.run.id));
    for (column, heading) in grid.columns.iter().enumerate() {
        for group in &grid.groups {
            let kernel = heading.kernel;
            let name = format!("{} × {}", kernel.id, group.image.id);
            let mut suite = TestSuite::new(one_line(&name));
            if let Some(release) = &kernel.release {
                suite.add_property(("release", release.as_str()));
            }
            if let Some(digest) = &group.image.digest {
                suite.add_property(("image", digest.as_str()));
            }
            for row in &group.rows {
                let cell = row.cells.get(column).copied().flatten();
                let mut case = TestCase::new(one_line(row.check), status(cell, kernel.optional));
                case.set_classname(one_line(&name));
                if let Some(cell) = cell {
                    fill(&mut case, cell);
                }
                suite.add_test_case(case);
            }
            report.add_test_suite(suite);
        }
        let kernel = &heading.kernel.id;
        let probes = run.probes.iter().filter(|probe| probe.kernel == *kernel);
        let mut suite = TestSuite::new(one_line(&format!("{kernel} × runtime")));
        for record in probes {
            let mut case = TestCase::new(
                one_line(&record.title),
                probe_status(record, heading.kernel.optional),
            );
            case.set_classname(suite.name.clone());
            if let Some(milliseconds) = record.duration_ms {
                case.set_time(Duration::from_millis(milliseconds));
            }
            suite.add_test_case(case);
        }
        if !suite.test_cases.is_empty() {
            report.add_test_suite(suite);
        }
    }
    Ok(report.to_string()?)
}

fn fill(case: &mut TestCase, cell: &Cell) {
    if let Some(milliseconds) = cell.duration_ms {
        case.set_time(Duration::from_millis(milliseconds));
    }
    if let Some(last) = cell.attempts.last() {
        if !last.stdout.is_empty() {
            case.set_system_out(&last.stdout);
        }
        let kernel_log = last.kernel_log.join("\n");
        let stderr = [last.stderr.as_str(), &kernel_log]
            .into_iter()
            .filter(|text| !text.is_empty())
            .collect::<Vec<_>>()
            .join("\n");
        if !stderr.is_empty() {
            case.set_system_err(stderr);
        }
    }
}

fn status(cell: Option<&Cell>, optional: bool) -> TestCaseStatus {
    let Some(cell) = cell else {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status
            .set_type(LACKING)
            .set_message("the record has no such cell");
        return status;
    };
    match cell.verdict {
        Verdict::Expected => TestCaseStatus::success(),
        Verdict::Flaky => {
            let mut status = TestCaseStatus::success();
            let earlier = cell.attempts.len().saturating_sub(1);
            for attempt in &cell.attempts[..earlier] {
                status.add_rerun(rerun(attempt));
            }
            status
        }
        Verdict::NotRun => {
            let reason = cell
                .outcome
                .detail()
                .unwrap_or_else(|| cell.outcome.label());
            let mut status = if optional {
                TestCaseStatus::skipped()
            } else {
                TestCaseStatus::non_success(NonSuccessKind::Error)
            };
            status.set_type("not-run").set_message(one_line(&reason));
            status
        }
        Verdict::UnexpectedFailure | Verdict::UnexpectedPass => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status
                .set_type(cell.verdict.name())
                .set_message(headline(cell))
                .set_description(described(cell.cause.as_ref(), last_words(cell)));
            status.set_rerun_kind(FlakyOrRerun::Rerun);
            let earlier = cell.attempts.len().saturating_sub(1);
            status.add_reruns(cell.attempts[..earlier].iter().map(rerun));
            status
        }
    }
}

/// A kernel that cannot do it is no failure of anybody, and no success.
fn probe_status(record: &ProbeRecord, optional: bool) -> TestCaseStatus {
    let mut status = match &record.outcome {
        ProbeOutcome::Passed => return TestCaseStatus::success(),
        ProbeOutcome::Failed { .. } => TestCaseStatus::non_success(NonSuccessKind::Failure),
        ProbeOutcome::Unsupported { .. } => TestCaseStatus::skipped(),
        ProbeOutcome::NotRun { .. } if optional => TestCaseStatus::skipped(),
        ProbeOutcome::NotRun { .. } | ProbeOutcome::Trouble { .. } => {
            TestCaseStatus::non_success(NonSuccessKind::Error)
        }
    };
    status
        .set_type(record.outcome.label())
        .set_message(one_line(record.outcome.detail().unwrap_or_default()))
        .set_description(record.observed.join("\n"));
    status
}

fn rerun(attempt: &Attempt) -> TestRerun {
    let kind = if attempt.outcome.is_result() {
        NonSuccessKind::Failure
    } else {
        NonSuccessKind::Error
    };
    let mut rerun = TestRerun::new(kind);
    rerun
        .set_type(attempt.verdict.name())
        .set_message(one_line(&attempt.outcome.label()))
        .set_time(Duration::from_millis(attempt.duration_ms))
        .set_description(described(attempt.cause.as_ref(), None));
    rerun
}

/// The cause with its evidence, or the last words of what has none.
fn described(cause: Option<&Cause>, words: Option<String>) -> String {
    let Some(cause) = cause else {
        return words.unwrap_or_else(|| "no cause is known".to_owned());
    };
    let mut text = format!("{}: {}", cause.name, cause.explanation);
    for line in &cause.evidence {
        text.push_str(&format!("\n{line}"));
    }
    if let Some(remedy) = &cause.remedy {
        text.push_str(&format!("\nhint: {remedy}"));
    }
    text
}
