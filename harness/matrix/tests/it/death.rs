//! Whatever ends the program, its machines end with it and its record can be
//! read.

use report::Run;
use rustix::process::{Pid, Signal, kill_process};
use verdict::{Outcome, Verdict};

use crate::project::{Project, cell, wait_until_gone};

/// The event that the cell begins.
const WAITS: &str =
    r#"{"kind":"cell-started","cell":{"kernel":"6.1","image":"debian:12","check":"waits"}}"#;

fn project_with_a_cell_that_waits() -> Project {
    let project = Project::new();
    project.debian(
        r#"
[[check]]
name = "first"
command = ["true"]
[[check]]
name = "waits"
command = ["sleep", "100000"]
timeout = "1h"
[[check]]
name = "third"
command = ["true"]
"#,
    );
    project
}

/// Sends one; a bare machine has no kill(1).
fn signal(process: u32, signal: Signal) {
    let process = Pid::from_raw(i32::try_from(process).unwrap()).unwrap();
    kill_process(process, signal).unwrap();
}

/// The processes started by this one, by the parent field of /proc/PID/stat.
fn children_of(parent: u32) -> Vec<u32> {
    fs_err::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|process| {
            stat(*process).is_some_and(|fields| fields[1] == parent.to_string() && fields[0] != "Z")
        })
        .collect()
}

/// State and parent; none when there is no such process.
fn stat(process: u32) -> Option<[String; 2]> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let mut fields = text[text.rfind(')')? + 2..].split(' ');
    Some([fields.next()?.to_owned(), fields.next()?.to_owned()])
}

/// Neither gone nor a zombie.
fn is_alive(process: u32) -> bool {
    stat(process).is_some_and(|fields| fields[0] != "Z")
}

#[test]
fn a_killed_program_leaves_no_machine_and_a_readable_record() {
    let project = project_with_a_cell_that_waits();
    let mut matrix = project.start(&["run", "--kernels", "6.1"]);
    let run = project.wait_for_event(&mut matrix, WAITS);
    let machines = children_of(matrix.id());
    assert_eq!(machines.len(), 1, "one QEMU runs");

    matrix.kill().unwrap();
    matrix.wait().unwrap();

    wait_until_gone("QEMU", || {
        !machines.iter().any(|machine| is_alive(*machine))
    });

    let record = Run::load(&run).unwrap();
    assert!(
        record.run.interrupted.is_some(),
        "a killed run says that it was cut short"
    );
    assert_eq!(
        cell(&record, "6.1", "debian:12", "first").outcome,
        Outcome::Pass
    );
    for unfinished in ["waits", "third"] {
        let cell = cell(&record, "6.1", "debian:12", unfinished);
        assert!(matches!(cell.outcome, Outcome::NotRun { .. }), "{cell:?}");
        assert_eq!(cell.verdict, Verdict::NotRun);
    }
    let shown = project.matrix(&["show"]);
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(text.contains("not run") && text.contains("pass"), "{text}");
}

#[test]
fn an_interrupted_program_closes_its_record_and_says_which_signal() {
    let project = project_with_a_cell_that_waits();
    let mut matrix = project.start(&["run", "--kernels", "6.1"]);
    let run = project.wait_for_event(&mut matrix, WAITS);
    let machines = children_of(matrix.id());

    signal(matrix.id(), Signal::INT);
    assert_eq!(matrix.wait().unwrap().code(), Some(130));
    wait_until_gone("QEMU", || {
        !machines.iter().any(|machine| is_alive(*machine))
    });
    let record = Run::load(&run).unwrap();
    assert!(
        record
            .run
            .interrupted
            .as_deref()
            .is_some_and(|why| why.contains('2'))
    );
    assert_eq!(
        cell(&record, "6.1", "debian:12", "first").outcome,
        Outcome::Pass
    );
    assert!(run.join("table.md").is_file());
}

#[test]
fn a_machine_that_falls_silent_is_a_lockup_only_when_it_does_so_alone_too() {
    let project = project_with_a_cell_that_waits();
    project.change_debian("100000", "3");
    project.change_debian("timeout = \"1h\"", "timeout = \"10s\"");
    let mut matrix = project.start(&["run", "--kernels", "6.1"]);
    let run = project.wait_for_event(&mut matrix, WAITS);
    // The machine freezes under the cell, as a wedged kernel would.
    for machine in children_of(matrix.id()) {
        signal(machine, Signal::STOP);
    }
    assert_eq!(
        matrix.wait().unwrap().code(),
        Some(1),
        "flaky is not as expected"
    );
    let record = Run::load(&run).unwrap();
    let waits = cell(&record, "6.1", "debian:12", "waits");
    assert_eq!(waits.attempts.len(), 2, "{waits:?}");
    assert!(matches!(waits.attempts[0].outcome, Outcome::Lockup { .. }));
    assert_eq!(
        waits.outcome,
        Outcome::Pass,
        "what is confirmed alone counts"
    );
    assert_eq!(waits.verdict, Verdict::Flaky);
    assert_eq!(
        cell(&record, "6.1", "debian:12", "third").outcome,
        Outcome::Pass
    );
}

#[test]
fn a_killed_run_is_gone_on_with_and_only_what_is_missing_runs() {
    let project = project_with_a_cell_that_waits();
    project.change_debian("100000", "5");
    let mut matrix = project.start(&["run", "--kernels", "6.1"]);
    let run = project.wait_for_event(&mut matrix, WAITS);
    matrix.kill().unwrap();
    matrix.wait().unwrap();
    // As a kill in the middle of a write leaves it.
    let events = run.join("events.jsonl");
    let mut torn = fs_err::read(&events).unwrap();
    torn.extend_from_slice(br#"{"kind":"cell-fin"#);
    fs_err::write(&events, torn).unwrap();

    let record = project.run(0, &["--resume", run.to_str().unwrap()]);
    assert_eq!(record.run.id, run.file_name().unwrap().to_str().unwrap());
    assert_eq!(record.run.interrupted, None);
    assert!(record.run.finished.is_some());
    for check in ["first", "waits", "third"] {
        let cell = cell(&record, "6.1", "debian:12", check);
        assert_eq!(cell.outcome, Outcome::Pass, "{cell:?}");
        assert_eq!(cell.attempts.len(), 1, "{check} ran once");
    }
    assert_eq!(record.kernels[0].boots_ms.len(), 2);

    // Nothing is left to do: nothing is booted, the same table.
    let again = project.run(0, &["--resume", run.to_str().unwrap()]);
    assert_eq!(again.cells, record.cells);
    assert_eq!(again.kernels[0].boots_ms.len(), 2);
}

#[test]
fn a_run_whose_plan_has_changed_is_not_gone_on_with() {
    let project = project_with_a_cell_that_waits();
    let mut matrix = project.start(&["run", "--kernels", "6.1"]);
    let run = project.wait_for_event(&mut matrix, r#""kind":"run-started""#);
    matrix.kill().unwrap();
    matrix.wait().unwrap();
    let kernels = project.root().join("kernels.toml");
    let images = project.root().join("images/debian-12.toml");
    // All that decides what a cell comes to: what runs, what it is held against, how
    // long it may take, and what it runs on.
    for (path, from, to, what) in [
        (&images, "100000", "1", "waits"),
        (
            &images,
            "\"100000\"]",
            "\"100000\"]\nstdout = \"x\"",
            "waits",
        ),
        (&images, "timeout = \"1h\"", "timeout = \"2h\"", "waits"),
        (
            &images,
            "\"100000\"]",
            "\"100000\"]\nentrypoint = true",
            "waits",
        ),
        (
            &images,
            "\"100000\"]",
            "\"100000\"]\nseccomp = \"eperm\"",
            "waits",
        ),
        (
            &images,
            "\"100000\"]",
            "\"100000\"]\ncapabilities = [\"SYS_ADMIN\"]",
            "waits",
        ),
        (
            &images,
            "[[check]]\nname = \"third\"",
            "[[expect]]\ncheck = \"third\"\noutcome = \"exit 1\"\n[[check]]\nname = \"third\"",
            "third",
        ),
        (&kernels, "notes =", "memory = \"768MiB\"\nnotes =", "6.1"),
    ] {
        let before = fs_err::read_to_string(path).unwrap();
        assert!(before.contains(from), "no {from} in\n{before}");
        fs_err::write(path, before.replacen(from, to, 1)).unwrap();
        let output = project.matrix(&["run", "--resume", run.to_str().unwrap()]);
        let text = crate::project::stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{to}: {text}");
        assert!(
            text.contains(what) && text.contains("start a new run"),
            "{to}: {text}"
        );
        fs_err::write(path, before).unwrap();
    }
    let output = project.matrix(&["run", "--resume", run.to_str().unwrap(), "--timeout", "7s"]);
    let text = crate::project::stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("--timeout"), "{text}");
}
