//! Cells that are run again, and runs held against earlier ones.

use std::collections::BTreeSet;

use verdict::Verdict;

use crate::project::Project;

/// A check that passes on about every second machine: a digit of the boot's random
/// identity says which. The thirteenth and the seventeenth digit are not random.
fn by_the_boot(digit: usize) -> String {
    format!(
        "\n[[check]]\nname = \"digit-{digit}\"\ncommand = [\"bash\", \"-c\", \
         'read id < /proc/sys/kernel/random/boot_id; id=${{id//-/}}; \
         [[ ${{id:{digit}:1}} < 8 ]]']\n"
    )
}

#[test]
fn what_is_not_as_expected_is_run_again_in_a_new_machine_and_called_flaky() {
    let project = Project::new();
    let digits: Vec<usize> = (0..12).chain(17..21).collect();
    let checks: String = digits.iter().map(|digit| by_the_boot(*digit)).collect();
    project.debian(&checks);
    // Sixteen checks that all pass at once are as rare as one that never does.
    let run = project.run(1, &["--kernels", "6.1+", "--retries", "30"]);
    let flaky: Vec<_> = run
        .cells
        .iter()
        .filter(|cell| cell.verdict == Verdict::Flaky)
        .collect();
    assert!(!flaky.is_empty());
    for cell in &run.cells {
        assert!(cell.outcome.is_pass(), "{}: {:?}", cell.id(), cell.outcome);
        let boots: BTreeSet<u32> = cell.attempts.iter().map(|attempt| attempt.boot).collect();
        assert_eq!(boots.len(), cell.attempts.len(), "a machine was used twice");
        let (last, before) = cell.attempts.split_last().unwrap();
        assert!(last.outcome.is_pass());
        // A pass may be among them: one after a cold boot that a warm start contradicts
        // does not count either.
        assert!(before.is_empty() || before.iter().any(|attempt| !attempt.outcome.is_pass()));
    }
}

#[test]
fn a_run_is_held_against_an_earlier_one_and_a_cell_is_explained() {
    let project = Project::new();
    project.repository_image("vsyscall.toml");
    let first = project.run(0, &["--kernels", "6.1+vsyscall=emulate"]);

    let again = project.matrix(&[
        "run",
        "--kernels",
        "6.1+vsyscall=emulate",
        "--baseline",
        &first.run.id,
    ]);
    assert_eq!(again.status.code(), Some(0));
    let words = String::from_utf8_lossy(&again.stdout).into_owned();
    assert!(words.contains("no cell changed"), "{words}");

    // The variant under its name no longer does what it did.
    let text = fs_err::read_to_string(project.root().join("kernels.toml")).unwrap();
    project.file(
        "kernels.toml",
        text.replace(
            "{ cmdline = \"vsyscall=emulate\" }",
            "{ cmdline = \"vsyscall=none\" }",
        ),
    );
    // What the image expects goes by the fact, so the run alone finds nothing.
    let worse = project.run(0, &["--kernels", "6.1+vsyscall=emulate"]);
    let diff = project.matrix(&["diff", &first.run.id, &worse.run.id, "--format", "json"]);
    let diff: serde_json::Value = serde_json::from_slice(&diff.stdout).unwrap();
    let kinds: Vec<&str> = diff["cells"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| change["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["other"; 4], "{diff}");
    let facts = diff["facts"].to_string();
    assert!(facts.contains("facts.vsyscall"), "{facts}");

    let page = project.matrix(&["explain", "6.1+vsyscall=emulate", "vsyscall", "time"]);
    let page = String::from_utf8_lossy(&page.stdout).into_owned();
    assert!(page.contains("SIGSEGV 139"), "{page}");
    assert!(page.contains("vsyscall attempted"), "{page}");
    let wrong = project.matrix(&["explain", "9.9", "vsyscall"]);
    assert_eq!(wrong.status.code(), Some(2));
    let words = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(
        words.contains("its kernels are 6.1+vsyscall=emulate"),
        "{words}"
    );
}

#[test]
fn a_baseline_that_is_not_there_costs_no_run() {
    let project = Project::new();
    project.repository_image("vsyscall.toml");
    let refused = project.matrix(&["run", "--baseline", "none"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(project.newest_run().is_none());
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(words.contains("no run is named `none`"), "{words}");
}

#[test]
fn a_command_tried_on_a_kernel_ends_with_its_own_status() {
    let project = Project::new();
    project.debian("");
    project.repository_checks();
    let tried = |kernel: &str, script: &str| {
        let output = project.matrix(&["try", kernel, "debian:12", "--", "bash", "-c", script]);
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (code, stdout, stderr) = tried("6.1", "uname -r; echo no >&2; exit 42");
    assert_eq!(code, Some(42), "{stderr}");
    assert!(stdout.starts_with("6.1."), "{stdout}");
    assert_eq!(stderr, "no\n");
    let (code, _, stderr) = tried("9.9", "true");
    assert_eq!(code, Some(125));
    assert!(stderr.contains("9.9"), "{stderr}");
    assert!(project.newest_run().is_none(), "a try leaves no record");
}
