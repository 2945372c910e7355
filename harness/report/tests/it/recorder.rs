//! The record on disk: whatever ends the program, what had happened is read
//! back, and nothing that had not.

use std::path::Path;

use report::{Event, LoadError, RecordError, Recorder, Run};
use verdict::{Outcome, Verdict};

use crate::recorded;

/// Records the first events of the run.
fn record(folder: &Path, count: usize) {
    let mut recorder = Recorder::create(folder).unwrap();
    for event in &recorded::events()[..count] {
        recorder.record(event).unwrap();
    }
}

#[test]
fn a_finished_run_is_read_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    record(folder.path(), recorded::events().len());
    assert_eq!(Run::load(folder.path()).unwrap(), recorded::run());
    let table = std::fs::read_to_string(folder.path().join("table.md")).unwrap();
    assert_eq!(table, report::markdown::render(&recorded::run()));
    // No temporary file is left.
    let mut names: Vec<String> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["events.jsonl", "results.json", "table.md"]);
}

#[test]
fn progress_of_a_download_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    record(folder.path(), recorded::events().len());
    let events = std::fs::read_to_string(folder.path().join("events.jsonl")).unwrap();
    assert_eq!(events.lines().count(), recorded::events().len() - 1);
    assert!(!events.contains("fetch-progress"));
}

#[test]
fn results_are_there_from_the_first_event() {
    let folder = tempfile::tempdir().unwrap();
    record(folder.path(), 1);
    let text = std::fs::read(folder.path().join("results.json")).unwrap();
    let run: Run = serde_json::from_slice(&text).unwrap();
    assert_eq!(run, recorded::planned());
}

/// `whole` is the run to its end, `loaded` what was read of a cut record.
fn assert_honest(loaded: &Run, whole: &Run, cut: usize) {
    assert_eq!(loaded.cells.len(), whole.cells.len(), "cut at {cut}");
    for (cell, real) in loaded.cells.iter().zip(&whole.cells) {
        assert_eq!(cell.id(), real.id());
        // What it knows of attempts is the beginning of what there was.
        assert!(
            real.attempts.starts_with(&cell.attempts),
            "cut at {cut}: {}",
            cell.id()
        );
        // And its outcome rests on them.
        if cell.attempts.is_empty() {
            assert!(!cell.outcome.is_result(), "cut at {cut}: {}", cell.id());
        }
    }
}

#[test]
fn a_record_cut_at_any_byte_is_read_and_claims_nothing_that_was_not_seen() {
    let folder = tempfile::tempdir().unwrap();
    record(folder.path(), recorded::events().len());
    let events = std::fs::read(folder.path().join("events.jsonl")).unwrap();
    let results = folder.path().join("results.json");
    let first = events.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let planned = serde_json::to_vec(&recorded::planned()).unwrap();
    let whole = recorded::run();
    let mut attempts = 0;
    // Every byte near the ends of lines, where it matters, and every 37th else.
    let cuts = (0..=events.len()).filter(|cut| {
        cut % 37 == 0 || events[cut.saturating_sub(2)..(cut + 2).min(events.len())].contains(&b'\n')
    });
    for cut in cuts {
        std::fs::write(folder.path().join("events.jsonl"), &events[..cut]).unwrap();
        std::fs::write(&results, &planned).unwrap();
        let loaded = Run::load(folder.path()).unwrap();
        assert_honest(&loaded, &whole, cut);
        let now: usize = loaded.cells.iter().map(|cell| cell.attempts.len()).sum();
        assert!(now >= attempts, "more bytes, fewer attempts");
        attempts = now;
        let ended = cut == events.len();
        assert_eq!(loaded.is_unfinished(), !ended);
        if !ended {
            let why = loaded.run.interrupted.as_deref().unwrap();
            assert!(why.contains("the program was killed"), "{why}");
        }
        // Without results.json the events alone say the same, once the first is
        // whole.
        std::fs::remove_file(&results).unwrap();
        match Run::load(folder.path()) {
            Ok(alone) => assert_eq!(alone, loaded, "cut at {cut}"),
            Err(LoadError::Nothing(_)) => assert!(cut < first, "cut at {cut}"),
            Err(error) => panic!("cut at {cut}: {error}"),
        }
    }
    assert_eq!(
        attempts,
        whole
            .cells
            .iter()
            .map(|cell| cell.attempts.len())
            .sum::<usize>()
    );
}

#[test]
fn results_that_know_more_than_the_events_are_not_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    record(folder.path(), recorded::events().len() - 1);
    let mut later = recorded::planned();
    for event in &recorded::events()[..recorded::events().len() - 1] {
        later.apply(event).unwrap();
    }
    std::fs::write(
        folder.path().join("results.json"),
        serde_json::to_vec(&later).unwrap(),
    )
    .unwrap();
    let events = std::fs::read(folder.path().join("events.jsonl")).unwrap();
    std::fs::write(
        folder.path().join("events.jsonl"),
        &events[..events.len() / 2],
    )
    .unwrap();
    let loaded = Run::load(folder.path()).unwrap();
    let passes = |run: &Run| {
        run.cells
            .iter()
            .filter(|cell| cell.outcome.is_pass())
            .count()
    };
    assert_eq!(passes(&loaded), passes(&later));
}

#[test]
fn a_cell_that_was_running_when_the_program_was_killed_says_so() {
    let events = recorded::events();
    let started = events
        .iter()
        .position(|event| matches!(event, Event::CellStarted { .. }))
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    record(folder.path(), started + 1);
    let run = Run::load(folder.path()).unwrap();
    let Outcome::NotRun { reason } = &run.cells[0].outcome else {
        panic!("{:?}", run.cells[0].outcome);
    };
    assert!(reason.starts_with("it had begun"), "{reason}");
    let Outcome::NotRun { reason } = &run.cells[1].outcome else {
        panic!("{:?}", run.cells[1].outcome);
    };
    assert!(reason.starts_with("its turn has not come"), "{reason}");
}

#[test]
fn a_line_broken_in_the_middle_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    record(folder.path(), 6);
    let path = folder.path().join("events.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(
        &path,
        text.replacen("\"kind\":\"note\"", "\"kind\":\"nope\"", 1),
    )
    .unwrap();
    let error = Run::load(folder.path()).unwrap_err();
    assert!(matches!(error, LoadError::Event { line: 2, .. }), "{error}");
    assert!(
        error.to_string().contains("events.jsonl, line 2"),
        "{error}"
    );
}

#[test]
fn records_of_another_shape_and_folders_without_any() {
    let folder = tempfile::tempdir().unwrap();
    let load = || Run::load(folder.path()).unwrap_err();
    assert!(matches!(load(), LoadError::Nothing(_)));
    let results = folder.path().join("results.json");
    std::fs::write(&results, br#"{ "schema": 2, "new": true }"#).unwrap();
    assert!(matches!(load(), LoadError::Schema { found: 2, .. }));
    std::fs::write(&results, b"{ \"schema\": 1, \"run\"").unwrap();
    assert!(matches!(load(), LoadError::Json { .. }));
}

#[test]
fn a_record_that_contradicts_itself_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = recorded::run();
    // A cell that was not run, made to look as expected.
    let cell = run
        .cells
        .iter_mut()
        .find(|cell| !cell.outcome.is_result())
        .unwrap();
    cell.verdict = Verdict::Expected;
    let text = serde_json::to_vec(&run).unwrap();
    std::fs::write(folder.path().join("results.json"), text).unwrap();
    let error = Run::load(folder.path()).unwrap_err();
    assert!(matches!(error, LoadError::Contradiction { .. }), "{error}");
}

#[test]
fn a_record_is_not_written_over_another_and_begins_with_the_start() {
    let folder = tempfile::tempdir().unwrap();
    record(folder.path(), 1);
    assert!(matches!(
        Recorder::create(folder.path()),
        Err(RecordError::Taken(_))
    ));
    let other = tempfile::tempdir().unwrap();
    let mut recorder = Recorder::create(other.path()).unwrap();
    assert!(matches!(
        recorder.record(&recorded::events()[1]),
        Err(RecordError::NotStarted)
    ));
}

#[test]
fn a_file_that_cannot_be_written_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    // A folder where the temporary file should be: fails for root as well.
    std::fs::create_dir(folder.path().join("results.json.new")).unwrap();
    let mut recorder = Recorder::create(folder.path()).unwrap();
    let error = recorder.record(&recorded::events()[0]).unwrap_err();
    assert!(matches!(error, RecordError::Io(_)));
    assert!(error.to_string().contains("results.json.new"), "{error}");
}
