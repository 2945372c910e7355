//! The history: what is written is read back, a month a file, a run a line.

use report::history::{History, Line, changes};
use report::{Run, csv};
use verdict::{Outcome, Verdict};

use crate::recorded;

fn run(id: &str, started: &str) -> Run {
    let mut run = recorded::run();
    run.run.id = id.into();
    run.run.started = started.into();
    run
}

fn write(folder: &std::path::Path, history: &History) {
    for (name, content) in history.months().unwrap() {
        fs_err::write(folder.join(name), content).unwrap();
    }
}

#[test]
fn runs_are_read_back_in_order_and_a_run_is_there_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut history = History::load(&folder.path().join("none")).unwrap();
    for (id, started) in [
        ("c", "2026-12-01T00:00:00Z"),
        ("a", "2026-11-01T00:00:00Z"),
        ("b", "2026-11-02T00:00:00Z"),
        ("b", "2026-11-02T00:00:00Z"),
    ] {
        history.put(Line::of(&run(id, started)).unwrap());
    }
    write(folder.path(), &history);
    let read = History::load(folder.path()).unwrap();
    assert_eq!(read, history);
    let ids: Vec<&str> = read.lines.iter().map(|line| &*line.run).collect();
    assert_eq!(ids, ["a", "b", "c"]);
    assert_eq!(read.before("c").len(), 2);
    assert_eq!(
        fs_err::read_to_string(folder.path().join("2026-11.jsonl"))
            .unwrap()
            .lines()
            .count(),
        2
    );
}

#[test]
fn every_cell_keeps_its_outcome() {
    let run = recorded::run();
    let line = Line::of(&run).unwrap();
    let cells: Vec<_> = line.cells().collect();
    assert_eq!(cells.len(), run.cells.len());
    for (id, outcome) in cells {
        let cell = run.cells.iter().find(|cell| cell.id() == id).unwrap();
        let outcome = outcome.unwrap();
        assert_eq!(outcome.label, cell.outcome.short_label());
        assert_eq!(outcome.verdict, cell.verdict);
    }
}

#[test]
fn a_change_is_told_with_both_sides_and_a_lost_cell_is_one() {
    let before = Line::of(&run("a", "2026-11-01T00:00:00Z")).unwrap();
    let mut later = run("b", "2026-11-02T00:00:00Z");
    let worse = later
        .cells
        .iter_mut()
        .find(|cell| cell.outcome.is_pass() && cell.verdict == Verdict::Expected)
        .unwrap();
    worse.outcome = Outcome::Exit { code: 3 };
    worse.verdict = Verdict::UnexpectedFailure;
    let worse = worse.id();
    let gone = later.cells.pop().unwrap().id();
    let later = Line::of(&later).unwrap();
    let found = changes(&before, &later);
    let ids: Vec<_> = found.iter().map(|change| change.cell.clone()).collect();
    assert_eq!(ids, [worse, gone]);
    assert!(found[0].is_regression());
    assert_eq!(found[0].now.unwrap().label, "exit 3");
    assert_eq!(found[1].now, None);
    assert!(changes(&before, &before).is_empty());
}

#[test]
fn a_damaged_line_is_named_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let good = serde_json::to_string(&Line::of(&recorded::run()).unwrap()).unwrap();
    let path = folder.path().join("2026-11.jsonl");
    for (bad, words) in [
        ("{}", "missing field"),
        (&good.replace("\"schema\":1", "\"schema\":9"), "shape 9"),
        (&good.replace("\"cells\":[\"", "\"cells\":[\"a"), "cells"),
    ] {
        fs_err::write(&path, format!("{good}\n{bad}\n")).unwrap();
        let message = History::load(folder.path()).unwrap_err().to_string();
        assert!(message.contains("2026-11.jsonl, line 2: "), "{message}");
        assert!(message.contains(words), "{message}");
    }
}

/// 2,000 cells a night for a year stay under 20 MB.
#[test]
fn a_year_of_nights_is_small() {
    let mut run = recorded::run();
    let kernel = run.kernels[0].clone();
    let image = run.images[0].clone();
    run.kernels = (0..20)
        .map(|number| report::KernelColumn {
            id: format!("6.{number}+vsyscall=emulate"),
            release: Some(format!("6.{number}.118+deb13-cloud-amd64")),
            ..kernel.clone()
        })
        .collect();
    run.images = (0..10)
        .map(|number| report::ImageRow {
            id: format!("registry.example/distribution:{number}"),
            checks: (0..10)
                .map(|check| report::CheckRow {
                    name: format!("package-manager-{check}"),
                    command: vec!["true".into()],
                    ..report::CheckRow::default()
                })
                .collect(),
            ..image.clone()
        })
        .collect();
    let run = Run::planned(run.run, run.kernels, run.images, "bundled");
    assert_eq!(run.cells.len(), 2_000);
    let line = serde_json::to_string(&Line::of(&run).unwrap()).unwrap();
    assert!((line.len() + 1) * 365 < 20_000_000 / 4, "{}", line.len());
    assert!(csv::render(&run).len() > line.len() * 10);
}
