//! One run on several machines: each with a cache of its own, joined afterwards.

use std::collections::BTreeMap;
use std::process::Stdio;

use report::{CellId, Run};
use verdict::{Outcome, Verdict};

use crate::project::Project;

/// Four columns from one kernel, so that each shard has one and the test fetches
/// little.
const KERNELS: &str = r#"
[[kernel]]
version = "6.1"
source = { apt = "debian", suite = "bookworm", package = "linux-image-cloud-amd64" }
notes = "Debian 12"

[kernel.variants]
"vsyscall=emulate" = { cmdline = "vsyscall=emulate", default = true }
"vsyscall=xonly" = { cmdline = "vsyscall=xonly", default = true }
"vsyscall=none" = { cmdline = "vsyscall=none", default = true }
"#;

fn results(run: &Run) -> BTreeMap<CellId, (Outcome, Verdict)> {
    run.cells
        .iter()
        .map(|cell| (cell.id(), (cell.outcome.clone(), cell.verdict)))
        .collect()
}

#[test]
fn four_shards_with_caches_of_their_own_give_the_cells_of_one_run() {
    let project = Project::new();
    project.file("kernels.toml", KERNELS);
    project.repository_image("vsyscall.toml");
    let output = |name: &str| project.root().join(name).display().to_string();

    let whole = project.run(0, &["--accel", "tcg"]);
    assert_eq!(whole.kernels.len(), 4);

    // The shards do not speak with each other: each makes the split for itself.
    let children: Vec<_> = (1..=4)
        .map(|index| {
            let (cache, folder) = (
                output(&format!("cache{index}")),
                output(&format!("out{index}")),
            );
            let shard = format!("{index}/4");
            let mut command = project.command(&[
                "run", "--accel", "tcg", "--shard", &shard, "--cache", &cache, "--output", &folder,
            ]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    for child in children {
        let ended = child.wait_with_output().unwrap();
        assert_eq!(
            ended.status.code(),
            Some(0),
            "{}",
            String::from_utf8_lossy(&ended.stderr)
        );
    }
    let folders: Vec<String> = (1..=4)
        .map(|index| {
            let runs = project.root().join(format!("out{index}/runs"));
            let run = fs_err::read_dir(runs).unwrap().next().unwrap().unwrap();
            run.path().display().to_string()
        })
        .collect();
    let merge = |folders: &[String], more: &[&str]| {
        let joined = output("joined");
        let mut arguments = vec!["merge", "--output", &joined];
        arguments.extend(folders.iter().map(String::as_str));
        arguments.extend(more);
        project.matrix(&arguments)
    };

    // As the nightly workflow joins them: the first time there is nothing to hold
    // the run against, then the run itself.
    let script = |results: &str| {
        let shards = project.root().join(format!("nightly-{results}"));
        fs_err::create_dir_all(shards.join("runs")).unwrap();
        for folder in &folders {
            let name = std::path::Path::new(folder).file_name().unwrap();
            std::os::unix::fs::symlink(folder, shards.join("runs").join(name)).unwrap();
        }
        let told = project.root().join(format!("told-{results}"));
        let output = std::process::Command::new("sh")
            .arg(crate::github::github("scripts/merge.sh"))
            .args([env!("CARGO_BIN_EXE_matrix"), shards.to_str().unwrap()])
            .arg(project.root().join(results))
            .current_dir(project.root())
            .env("GITHUB_OUTPUT", &told)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        fs_err::read_to_string(told).unwrap()
    };
    let told = script("first");
    assert!(told.contains("regression=false"), "{told}");
    let junit = fs_err::read_to_string(project.root().join("junit.xml")).unwrap();
    assert!(junit.contains("tests=\"16\""), "{junit}");
    let mut better = whole.clone();
    for cell in &mut better.cells {
        cell.outcome = Outcome::Pass;
        cell.verdict = Verdict::Expected;
        cell.cause = None;
    }
    let published = serde_json::to_vec(&better).unwrap();
    project.file("second/latest.json", published);
    // Expected then and expected now, with another outcome: no regression.
    let told = script("second");
    assert!(told.contains("regression=false"), "{told}");
    let page = fs_err::read_to_string(project.root().join("report.md")).unwrap();
    assert!(
        page.contains("| 6.1 × vsyscall × time | pass | SIGSEGV 139"),
        "{page}"
    );

    // One is missing: it is named, and nothing is written.
    let refused = merge(&folders[..3], &[]);
    assert_eq!(refused.status.code(), Some(2));
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(words.contains("shard 4 of 4 is missing"), "{words}");
    assert!(!project.root().join("joined").exists());

    let joined = merge(&folders, &[]);
    assert_eq!(
        joined.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&joined.stderr)
    );
    let runs = project.root().join("joined/runs");
    let folder = fs_err::read_dir(runs).unwrap().next().unwrap().unwrap();
    let merged = Run::load(&folder.path()).unwrap();
    assert_eq!(results(&merged), results(&whole));
    let columns =
        |run: &Run| -> Vec<String> { run.kernels.iter().map(|kernel| kernel.id.clone()).collect() };
    assert_eq!(columns(&merged), columns(&whole));

    // Without one of them its kernel is a column that says so, and its cells are
    // not run.
    let partial = merge(&folders[..3], &["--partial"]);
    assert_eq!(partial.status.code(), Some(3));
    let words = String::from_utf8_lossy(&partial.stdout).into_owned();
    assert!(words.contains("shard 4/4 was not merged"), "{words}");
    assert!(words.contains("4 not run"), "{words}");
}

#[test]
fn there_are_at_most_as_many_shards_as_kernels() {
    let project = Project::new();
    project.repository_image("vsyscall.toml");
    let refused = project.matrix(&["run", "--shard", "3/3"]);
    assert_eq!(refused.status.code(), Some(2));
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(words.contains("nothing is left for shard 3"), "{words}");
    let planned = project.matrix(&["plan", "--shards", "9", "--format", "github"]);
    let matrix: serde_json::Value = serde_json::from_slice(&planned.stdout).unwrap();
    assert_eq!(
        matrix,
        serde_json::json!({ "include": [{ "shard": "1/1", "kernels": "6.1" }] })
    );
}
