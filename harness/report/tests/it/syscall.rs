//! What SIGSYS was for, and a child's death that counts, wherever an outcome is shown.

use report::diff::Difference;
use report::history::{Line, changes};
use report::{Run, csv, explain, markdown, text};
use verdict::{Outcome, Verdict};

use crate::recorded;

fn refused(call: Option<&str>) -> Outcome {
    Outcome::Signal {
        signal: 31,
        core: true,
        syscall: call.map(str::to_owned),
    }
}

fn child() -> Outcome {
    Outcome::Child {
        signal: 11,
        syscall: None,
        process: "perl[195]".to_owned(),
    }
}

/// The recorded run in which this cell came to this.
fn run_with(check: &str, outcome: &Outcome) -> Run {
    let mut run = recorded::run();
    let cell = run
        .cells
        .iter_mut()
        .find(|cell| cell.kernel == "4.19" && cell.image == "debian:12" && cell.check == check)
        .unwrap();
    cell.outcome = outcome.clone();
    cell.verdict = Verdict::UnexpectedFailure;
    if let Some(attempt) = cell.attempts.last_mut() {
        attempt.outcome = outcome.clone();
        attempt.verdict = Verdict::UnexpectedFailure;
    }
    run
}

#[test]
fn every_table_and_page_says_it() {
    for (outcome, label, detail) in [
        (refused(Some("statx")), "SIGSYS 159 (statx)", "core dumped"),
        (child(), "child SIGSEGV", "perl[195] died"),
    ] {
        let run = run_with("ls", &outcome);
        let page = explain::page(&run, "4.19", "debian:12", Some("ls")).unwrap();
        let row = format!("outcome      {label} ({detail}), unexpected failure");
        assert!(page.contains(&row), "{page}");
        for shown in [
            markdown::render(&run),
            text::render(&run, text::Options::default()),
            csv::render(&run),
            report::html::render(&run, &[]).unwrap(),
        ] {
            assert!(shown.contains(label), "no {label} in\n{shown}");
        }
    }
}

#[test]
fn a_record_of_before_is_read() {
    let mut value = serde_json::to_value(run_with("ls", &refused(None))).unwrap();
    let validator = jsonschema::validator_for(&report::schema()).unwrap();
    let cells = value["cells"].as_array_mut().unwrap();
    let cell = cells
        .iter_mut()
        .find(|cell| cell["outcome"]["signal"] == "SIGSYS");
    let outcome = &cell.unwrap()["outcome"];
    assert!(outcome.get("syscall").is_none(), "{outcome}");
    assert!(value["images"][0]["checks"][0].get("children").is_none());
    assert!(validator.is_valid(&value));
    let read: Run = serde_json::from_value(value).unwrap();
    assert_eq!(read, run_with("ls", &refused(None)));

    for outcome in [refused(Some("statx")), child()] {
        let run = run_with("ls", &outcome);
        let value = serde_json::to_value(&run).unwrap();
        assert!(validator.is_valid(&value), "{outcome:?}");
        assert_eq!(serde_json::from_value::<Run>(value).unwrap(), run);
    }
}

#[test]
fn that_the_call_is_known_now_is_no_change_and_another_call_is() {
    let (unknown, statx, clone3) = (
        run_with("ls", &refused(None)),
        run_with("ls", &refused(Some("statx"))),
        run_with("ls", &refused(Some("clone3"))),
    );
    for (old, new, changed) in [
        (&unknown, &statx, 0),
        (&statx, &unknown, 0),
        (&statx, &clone3, 1),
    ] {
        assert_eq!(Difference::of(old, new).cells.len(), changed);
    }
    let [unknown, statx] = [&unknown, &statx].map(|run| Line::of(run).unwrap());
    assert!(changes(&unknown, &statx).is_empty());
}
