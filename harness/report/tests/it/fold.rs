//! A run is the fold of its events, and its counts are what it holds.

use proptest::prelude::*;
use report::{ColumnStatus, Counts, Event, FoldError};
use verdict::{Kind, Outcome, Verdict};

use crate::recorded::{self, KERNELS, id};

#[test]
fn every_planned_cell_is_there_from_the_start_as_not_run() {
    let run = recorded::planned();
    assert_eq!(run.cells.len(), 3 * 11);
    assert!(run.cells.iter().all(|cell| !cell.outcome.is_result()
        && cell.verdict == Verdict::NotRun
        && cell.expected.is_none()));
    let counts = Counts::of(&run);
    assert_eq!((counts.not_run, counts.exit_code()), (33, 3));
}

/// 60 kernels × 60 images × 10 checks: with a search through all cells for each
/// event this would take minutes.
#[test]
fn every_event_finds_its_cell_in_a_large_run_and_in_one_of_another_order() {
    let small = recorded::planned();
    let many = |number: usize| (0..number).map(|number| number.to_string());
    let kernels = many(60).map(|id| report::KernelColumn {
        id,
        ..small.kernels[0].clone()
    });
    let images = many(60).map(|id| report::ImageRow {
        id,
        checks: many(10)
            .map(|name| report::CheckRow {
                name,
                command: vec!["true".to_owned()],
                ..report::CheckRow::default()
            })
            .collect(),
        ..small.images[0].clone()
    });
    let mut run = report::Run::planned(
        small.run.clone(),
        kernels.collect(),
        images.collect(),
        "bundled",
    );
    let attempt = recorded::events()
        .into_iter()
        .find_map(|event| match event {
            Event::CellFinished { attempt, .. } if attempt.outcome.is_pass() => Some(attempt),
            _ => None,
        })
        .unwrap();
    let answer = |run: &mut report::Run, cell: report::CellId| {
        let mut attempt = attempt.clone();
        attempt.stdout = cell.to_string();
        run.apply(&Event::CellFinished { cell, attempt }).unwrap();
    };
    let ids: Vec<report::CellId> = run.cells.iter().map(report::Cell::id).collect();
    assert_eq!(ids.len(), 36_000);
    for id in &ids {
        answer(&mut run, id.clone());
    }
    // As a record merged from two others has them.
    run.cells.truncate(100);
    run.cells.reverse();
    for id in &ids[..100] {
        answer(&mut run, id.clone());
    }
    for (cell, attempts) in run.cells.iter().map(|cell| (cell.id(), &cell.attempts)) {
        assert_eq!(attempts.len(), 2, "{cell}");
        for attempt in attempts {
            assert_eq!(attempt.stdout, cell.to_string());
        }
    }
}

#[test]
fn counts_and_every_kind() {
    let counts = Counts::of(&recorded::run());
    assert_eq!(counts.cells, 33);
    assert_eq!(
        counts.expected
            + counts.unexpected_failures
            + counts.unexpected_passes
            + counts.flaky
            + counts.not_run,
        counts.cells
    );
    assert_eq!(counts.kinds.values().sum::<usize>(), counts.cells);
    for kind in Kind::ALL {
        assert!(counts.kinds.contains_key(&kind), "{kind} is not recorded");
    }
    assert_eq!(
        counts.summary(),
        "33 cells: 8 as expected, 9 unexpected failures, 1 unexpected pass, 1 flaky, 14 not run \
         (7 pass, 1 mismatch, 1 child, 2 exit, 2 signal, 1 timeout, 1 oom, 1 exec, 1 panic, 1 lockup, \
         1 unsupported); 3 kernels, 1 unavailable; 3 images"
    );
    assert_eq!(counts.exit_code(), 1);
}

#[test]
fn the_exit_code_says_what_the_run_came_to() {
    // A run of one kernel and all passes, to change one thing at a time.
    let mut good = recorded::run();
    good.kernels.truncate(1);
    good.cells.retain(|cell| cell.kernel == KERNELS[0]);
    for cell in &mut good.cells {
        cell.outcome = Outcome::Pass;
        cell.verdict = Verdict::Expected;
    }
    let exit_code = |change: &dyn Fn(&mut report::Run)| {
        let mut run = good.clone();
        change(&mut run);
        Counts::of(&run).exit_code()
    };
    let first = |run: &mut report::Run, outcome: Outcome, verdict| {
        run.cells[0].outcome = outcome;
        run.cells[0].verdict = verdict;
    };
    assert_eq!(exit_code(&|_| {}), 0);
    assert_eq!(
        exit_code(&|run| first(run, Outcome::Oom, Verdict::UnexpectedFailure)),
        1
    );
    assert_eq!(
        exit_code(&|run| first(run, Outcome::Pass, Verdict::UnexpectedPass)),
        1
    );
    assert_eq!(
        exit_code(&|run| first(run, Outcome::Pass, Verdict::Flaky)),
        1
    );
    assert_eq!(
        exit_code(&|run| first(run, Outcome::not_run("x"), Verdict::NotRun)),
        3
    );
    let unavailable = |run: &mut report::Run, optional| {
        run.kernels[0].status = ColumnStatus::Unavailable;
        run.kernels[0].optional = optional;
        for cell in &mut run.cells {
            cell.outcome = Outcome::not_run("x");
            cell.verdict = Verdict::NotRun;
        }
    };
    assert_eq!(exit_code(&|run| unavailable(run, false)), 3);
    assert_eq!(exit_code(&|run| unavailable(run, true)), 0);
    assert_eq!(exit_code(&|run| run.images[0].reason = Some("x".into())), 3);
    // Both: what is not as expected weighs more.
    assert_eq!(
        exit_code(&|run| {
            first(run, Outcome::Oom, Verdict::UnexpectedFailure);
            first(run, Outcome::Oom, Verdict::UnexpectedFailure);
            run.cells[1].outcome = Outcome::not_run("x");
            run.cells[1].verdict = Verdict::NotRun;
        }),
        1
    );
}

#[test]
fn trouble_on_a_retry_does_not_hide_what_was_seen() {
    let events = recorded::events();
    let failed = events
        .iter()
        .find_map(|event| match event {
            Event::CellFinished { cell, attempt } if cell.check == "ls" => Some(attempt.clone()),
            _ => None,
        })
        .unwrap();
    let mut trouble = failed.clone();
    trouble.outcome = Outcome::not_run("the machine went away");
    trouble.verdict = Verdict::NotRun;
    let mut run = recorded::planned();
    for attempt in [&trouble, &failed, &trouble] {
        run.apply(&Event::CellFinished {
            cell: id(KERNELS[0], "debian:12", "ls"),
            attempt: attempt.clone(),
        })
        .unwrap();
    }
    let cell = &run.cells[1];
    assert_eq!(cell.outcome, Outcome::Exit { code: 2 });
    assert_eq!(cell.verdict, Verdict::UnexpectedFailure);
    assert_eq!(cell.attempts.len(), 3, "every attempt is kept");
}

#[test]
fn a_kernel_that_ran_and_never_came_back_keeps_its_results() {
    let mut run = recorded::planned();
    let events = recorded::events();
    let until_first_result = events
        .iter()
        .position(|event| matches!(event, Event::CellFinished { .. }))
        .unwrap();
    for event in &events[..=until_first_result] {
        run.apply(event).unwrap();
    }
    run.apply(&Event::KernelUnavailable {
        kernel: KERNELS[0].into(),
        reason: "the second boot hung".into(),
    })
    .unwrap();
    assert_eq!(run.kernels[0].status, ColumnStatus::Ran);
    assert_eq!(run.cells[0].outcome, Outcome::Pass);
    assert_eq!(
        run.cells[1].outcome,
        Outcome::not_run("the second boot hung")
    );
    let page = report::text::render(&run, report::text::Options::default());
    assert!(
        page.contains("4.19 did not come up again: the second boot hung"),
        "{page}"
    );
}

#[test]
fn an_event_of_another_plan_is_refused_and_changes_nothing() {
    let mut run = recorded::run();
    let before = run.clone();
    let events = [
        Event::CellStarted {
            cell: id("9.9", "debian:12", "bash"),
        },
        Event::KernelUnavailable {
            kernel: "9.9".into(),
            reason: "x".into(),
        },
        Event::ImageUnavailable {
            image: "debian:99".into(),
            reason: "x".into(),
        },
    ];
    for event in events {
        assert!(matches!(
            run.apply(&event),
            Err(FoldError::UnknownCell(_)
                | FoldError::UnknownKernel(_)
                | FoldError::UnknownImage(_))
        ));
    }
    for mut event in recorded::events() {
        if let Event::CellFinished { attempt, .. } = &mut event
            && attempt.outcome.is_result()
        {
            attempt.verdict = Verdict::NotRun;
            assert!(matches!(
                run.apply(&event),
                Err(FoldError::Contradiction(_))
            ));
        }
    }
    assert_eq!(run, before);
}

#[test]
fn events_survive_json() {
    for event in recorded::events() {
        let text = serde_json::to_string(&event).unwrap();
        assert!(!text.contains('\n'));
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
    }
}

proptest! {
    #[test]
    fn a_stream_read_twice_gives_the_same_run(length in 1..recorded::events().len()) {
        let events = recorded::events();
        let mut once = recorded::planned();
        for event in &events[..length] {
            once.apply(event).unwrap();
        }
        let mut twice = once.clone();
        for event in &events[..length] {
            twice.apply(event).unwrap();
        }
        prop_assert_eq!(once, twice);
    }
}

#[test]
fn a_time_limit_met_beside_other_machines_is_kept_and_decides_nothing() {
    let mut run = recorded::planned();
    let id = run.cells[0].id();
    let mut attempt = recorded::run()
        .cells
        .into_iter()
        .flat_map(|cell| cell.attempts)
        .find(|attempt| matches!(attempt.outcome, Outcome::Timeout { .. }))
        .unwrap();
    attempt.alone = false;
    let event = |attempt: &report::Attempt| Event::CellFinished {
        cell: id.clone(),
        attempt: Box::new(attempt.clone()),
    };
    run.apply(&event(&attempt)).unwrap();
    assert!(!run.cells[0].outcome.is_result());
    assert_eq!(run.cells[0].verdict, Verdict::NotRun);
    assert_eq!(run.cells[0].attempts.len(), 1);

    attempt.alone = true;
    run.apply(&event(&attempt)).unwrap();
    assert!(matches!(run.cells[0].outcome, Outcome::Timeout { .. }));
    assert_eq!(run.cells[0].attempts.len(), 2);
}

#[test]
fn a_resumed_run_keeps_results_and_gives_the_rest_its_turn_again() {
    let whole = recorded::run();
    let mut run = whole.clone();
    run.apply(&Event::RunResumed {
        resumed: "2026-11-24T13:00:00Z".into(),
    })
    .unwrap();
    assert!(run.is_unfinished());
    assert_eq!(run.run.interrupted, None);
    for (before, after) in whole.cells.iter().zip(&run.cells) {
        if before.outcome.is_result() {
            assert_eq!(before, after);
        } else {
            assert_eq!(after.outcome, Outcome::not_run(report::NOT_REACHED));
        }
    }
    assert!(
        run.kernels
            .iter()
            .all(|kernel| kernel.status != ColumnStatus::Unavailable)
    );
}

#[test]
fn a_flaky_cell_in_a_quarantine_that_holds_is_told_and_fails_nothing() {
    let mut run = recorded::run();
    let flaky = run
        .cells
        .iter()
        .find(|cell| cell.verdict == Verdict::Flaky)
        .unwrap()
        .clone();
    run.cells.retain(|cell| {
        cell.verdict == Verdict::Flaky
            || (cell.verdict == Verdict::Expected && cell.outcome.is_pass())
    });
    run.kernels.retain(|kernel| kernel.reason.is_none());
    assert_eq!(Counts::of(&run).exit_code(), 1);
    let mut quarantined = |until: &str| {
        let image = run.images.iter_mut().find(|it| it.id == flaky.image);
        let check = image.unwrap().checks.iter_mut();
        let check = check.into_iter().find(|it| it.name == flaky.check);
        check.unwrap().quarantine = Some(report::Quarantine {
            owner: "somebody".into(),
            until: until.into(),
            because: None,
        });
        Counts::of(&run)
    };
    // The run began on 2026-11-24.
    let counts = quarantined("2026-11-24");
    assert_eq!((counts.flaky, counts.flaky_quarantined), (1, 1));
    assert_eq!(counts.exit_code(), 0);
    assert!(counts.summary().contains("1 flaky (1 in quarantine)"));
    let counts = quarantined("2026-11-23");
    assert_eq!((counts.flaky_quarantined, counts.exit_code()), (0, 1));
}
