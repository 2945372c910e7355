//! The shell parts of .github, run as GitHub would run them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::project::Project;

/// A file below .github of the repository.
pub(crate) fn github(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../.github")
        .join(path)
}

fn words(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn the_action_runs_tells_its_counts_and_writes_the_summary() {
    let project = Project::new();
    project.repository_image("vsyscall.toml");
    let (outputs, summary) = (
        project.root().join("outputs"),
        project.root().join("summary"),
    );
    let run = |kernels: &str| {
        Command::new("sh")
            .arg(github("actions/matrix/run.sh"))
            .env("MATRIX_PROGRAM", env!("CARGO_BIN_EXE_matrix"))
            .env("DIRECTORY", project.root())
            .env("RUNNER_TEMP", project.root())
            .env("KERNELS", kernels)
            .env("ARGUMENTS", "--timeout 30s")
            .env("GITHUB_OUTPUT", &outputs)
            .env("GITHUB_STEP_SUMMARY", &summary)
            .env("GITHUB_ACTIONS", "true")
            .env("CI", "true")
            .output()
            .unwrap()
    };
    let output = run("6.1+vsyscall=emulate");
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    let told = fs_err::read_to_string(&outputs).unwrap();
    for line in ["cells=4", "expected=4", "unexpected=0", "not-run=0"] {
        assert!(told.lines().any(|told| told == line), "{line} in {told}");
    }
    let report = told
        .lines()
        .find_map(|line| line.strip_prefix("report="))
        .unwrap();
    assert!(Path::new(report).join("results.json").is_file());
    let page = fs_err::read_to_string(&summary).unwrap();
    assert!(page.contains("| **vsyscall** | 4 pass |"), "{page}");

    // A mistake is the run's status, and no outputs are made up.
    fs_err::remove_file(&outputs).unwrap();
    let output = run("9.9");
    assert_eq!(output.status.code(), Some(2), "{}", words(&output));
}

/// Answers as `gh` would, and keeps what it was asked.
const GH: &str = r#"#!/bin/sh
echo "$@" >> "$ASKED"
case "$1 $2" in "issue list") echo "$OPEN" ;; esac
"#;

#[test]
fn a_regression_opens_one_issue_and_closes_it_when_gone() {
    let project = Project::new();
    project.program("bin/gh", GH);
    let report = project.file("report.md", "worse");
    let path = format!(
        "{}:{}",
        project.root().join("bin").display(),
        std::env::var("PATH").unwrap()
    );
    let asked = |regression: &str, open: &str| {
        let log = project.file("asked", "");
        let output = Command::new("sh")
            .arg(github("scripts/regression-issue.sh"))
            .arg(&report)
            .env("PATH", &path)
            .env("ASKED", &log)
            .env("OPEN", open)
            .env("REGRESSION", regression)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", words(&output));
        fs_err::read_to_string(log).unwrap()
    };
    let first = asked("true", "");
    assert!(first.contains("issue create"), "{first}");
    let second = asked("true", "7");
    assert!(second.contains("issue comment 7"), "{second}");
    assert!(!second.contains("issue create"), "{second}");
    let gone = asked("false", "7");
    assert!(gone.contains("issue close 7"), "{gone}");
    assert_eq!(asked("false", "").lines().count(), 1, "only the list");
}
