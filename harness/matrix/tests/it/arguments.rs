//! What is refused before anything is booted, and what is shown without booting.

use crate::project::{Project, stderr};

#[test]
fn a_selector_that_matches_nothing_is_bad_usage_and_lists_what_there_is() {
    let project = Project::new();
    project.repository_checks();
    project.repository_image("debian-12.toml");
    let output = project.matrix(&["run", "--kernels", "5.99"]);
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(text.contains("5.99") && text.contains("6.1"), "{text}");
    assert!(
        project.newest_run().is_none(),
        "a run was recorded for bad usage"
    );
}

#[test]
fn a_mistake_in_a_file_is_told_with_its_place() {
    let project = Project::new();
    project.file(
        "images/wrong.toml",
        "name = \"wrong\"\nsuorce = { directory = \"x\" }\n",
    );
    let output = project.matrix(&["list", "images"]);
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(text.contains("wrong.toml:2:1"), "{text}");
    assert!(text.contains("suorce") && text.contains("source"), "{text}");
}

#[test]
fn a_dry_run_shows_the_plan_and_records_nothing() {
    let project = Project::new();
    project.repository_checks();
    project.repository_image("debian-12.toml");
    project.repository_image("vsyscall.toml");
    let output = project.matrix(&["run", "--dry-run", "--kernels", "6.x"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    for word in ["6.1", "debian:12", "vsyscall"] {
        assert!(text.contains(word), "{word} in\n{text}");
    }
    assert!(project.newest_run().is_none());
}

#[test]
fn a_time_without_a_unit_is_bad_usage() {
    let output = Project::new().matrix(&["run", "--timeout", "20"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("20s"), "{}", stderr(&output));
}

#[test]
fn the_version_has_the_commit_of_a_checkout_and_of_nothing_else() {
    let output = Project::new().matrix(&["--version"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let rest = text
        .strip_prefix(&format!("matrix {version}"))
        .unwrap_or_else(|| panic!("{text}"));
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    if !root.join(".git").exists() {
        assert_eq!(rest, "\n");
        return;
    }
    let commit = rest
        .strip_prefix(" (")
        .and_then(|rest| rest.strip_suffix(")\n"))
        .unwrap_or_else(|| panic!("{text}"));
    assert!(
        commit.len() >= 12 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{text}"
    );
}
