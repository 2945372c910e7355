//! Two runs compared.

use report::Run;
use report::diff::{ChangeKind, Difference, markdown, text};
use verdict::{Outcome, Verdict};

use crate::recorded;

fn changed(change: impl Fn(&mut Run)) -> Difference {
    let old = recorded::run();
    let mut new = recorded::run();
    new.run.id = "later".into();
    change(&mut new);
    Difference::of(&old, &new)
}

fn set(run: &mut Run, from: Verdict, outcome: Outcome, verdict: Verdict) {
    let cell = run
        .cells
        .iter_mut()
        .find(|cell| cell.verdict == from && (from != Verdict::Expected || cell.outcome.is_pass()))
        .unwrap();
    cell.outcome = outcome;
    cell.verdict = verdict;
    cell.cause = None;
}

#[test]
fn the_same_run_has_no_difference() {
    let difference = changed(|_| {});
    assert!(difference.cells.is_empty() && difference.facts.is_empty());
    assert_eq!(difference.exit_code(), 0);
    assert!(text(&difference).contains("no cell changed"));
}

#[test]
fn every_kind_of_change() {
    let exit = Outcome::Exit { code: 3 };
    for (from, outcome, verdict, kind, code) in [
        (
            Verdict::Expected,
            exit.clone(),
            Verdict::UnexpectedFailure,
            ChangeKind::Regression,
            1,
        ),
        (
            Verdict::Expected,
            Outcome::Pass,
            Verdict::Flaky,
            ChangeKind::Regression,
            1,
        ),
        (
            Verdict::Expected,
            Outcome::not_run("x"),
            Verdict::NotRun,
            ChangeKind::Lost,
            3,
        ),
        (
            Verdict::UnexpectedFailure,
            Outcome::Pass,
            Verdict::Expected,
            ChangeKind::Mended,
            0,
        ),
        (
            Verdict::NotRun,
            Outcome::Pass,
            Verdict::Expected,
            ChangeKind::Gained,
            0,
        ),
        (
            Verdict::UnexpectedFailure,
            Outcome::Oom,
            Verdict::UnexpectedFailure,
            ChangeKind::Other,
            0,
        ),
    ] {
        let difference = changed(|run| set(run, from, outcome.clone(), verdict));
        let kinds: Vec<ChangeKind> = difference.cells.iter().map(|change| change.kind).collect();
        assert_eq!(kinds, [kind], "{from} {outcome:?}");
        assert_eq!(difference.exit_code(), code, "{kind:?}");
    }
    // Another reason for not having run is no change.
    let difference =
        changed(|run| set(run, Verdict::NotRun, Outcome::not_run("x"), Verdict::NotRun));
    assert!(difference.cells.is_empty());
    // A cell that is gone altogether is lost.
    let difference = changed(|run| {
        run.cells.remove(0);
    });
    assert_eq!(difference.count(ChangeKind::Lost), 1);
}

#[test]
fn facts_that_differ_are_told_with_both_sides_and_lists_by_what_changed_in_them() {
    let difference = changed(|run| {
        run.run.qemu = Some("8.0.0".into());
        run.images[0].digest = Some("sha256:11".into());
        let kernel = &mut run.kernels[0];
        kernel.package.insert("version".into(), "2".into());
        kernel.boots_ms.push(1);
        let facts = kernel.facts.as_mut().unwrap();
        facts.memory_kib += 1;
        facts.lsm = vec!["capability".into(), "landlock|x".into()];
    });
    let told: Vec<String> = difference
        .facts
        .iter()
        .map(|fact| format!("{} {} {} {}", fact.subject, fact.name, fact.old, fact.new))
        .collect();
    assert_eq!(
        told,
        [
            "run qemu 7.2.22 8.0.0",
            "kernel 4.19 facts.lsm - landlock|x",
            "kernel 4.19 package.version - 2",
            "image debian:12 digest sha256:00ff sha256:11",
        ]
    );
    assert!(text(&difference).contains("run: qemu: 7.2.22 → 8.0.0"));
    assert!(markdown(&difference).contains("landlock\\|x"));
}
