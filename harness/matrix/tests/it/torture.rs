//! A run that is killed again and again, at moments that nobody chose, and gone on
//! with until it is whole. Minutes long, so it runs when it is asked for:
//!
//! ```text
//! MATRIX_KILLS=100 cargo test --workspace --test it -- --ignored --nocapture torture
//! ```
//!
//! MATRIX_SEED repeats the moments of an earlier run, as far as the machine lets
//! them be repeated.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use report::{Attempt, CellId, Event, Run};

use crate::project::{Project, stderr, wait_until_gone};

/// How often a run is killed unless MATRIX_KILLS says otherwise.
const KILLS: u64 = 20;

const KERNELS: &str = r#"
[[kernel]]
version = "5.10"
source = { apt = "debian", suite = "bullseye", package = "linux-image-cloud-amd64" }
[[kernel]]
version = "6.1"
source = { apt = "debian", suite = "bookworm", package = "linux-image-cloud-amd64" }
"#;

/// Random numbers that a seed repeats: SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Up to a limit; of a new run every other one within the first few moments,
    /// where the record is made.
    fn moment(&mut self, limit: Duration, new: bool) -> Duration {
        let early = if new { 2 } else { 8 };
        let most = if self.next().is_multiple_of(early) {
            150_000
        } else {
            u64::try_from(limit.as_micros()).unwrap()
        };
        Duration::from_micros(self.next() % most.max(1))
    }
}

fn number(variable: &str, otherwise: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable}={text}")),
        Err(_) => otherwise,
    }
}

/// Of a cell, what must not depend on how often the run was killed.
fn table(run: &Run) -> Vec<String> {
    run.cells
        .iter()
        .map(|cell| {
            let cause = cell.cause.as_ref().map(|cause| cause.name.as_str());
            format!(
                "{}: {:?} {:?} {:?} {:?} {cause:?}",
                cell.id(),
                cell.outcome,
                cell.expected,
                cell.because,
                cell.verdict
            )
        })
        .collect()
}

/// What has been found out so far.
fn results(run: &Run) -> BTreeMap<CellId, Vec<Attempt>> {
    run.cells
        .iter()
        .filter(|cell| cell.outcome.is_result())
        .map(|cell| (cell.id(), cell.attempts.clone()))
        .collect()
}

/// The cells that were begun since the last time the run was gone on with.
fn begun_last(folder: &Path) -> BTreeSet<CellId> {
    let mut begun = BTreeSet::new();
    for line in fs_err::read_to_string(folder.join("events.jsonl"))
        .unwrap()
        .lines()
    {
        match serde_json::from_str(line) {
            Ok(Event::RunStarted { .. } | Event::RunResumed { .. }) => begun.clear(),
            Ok(Event::CellStarted { cell }) => {
                begun.insert(cell);
            }
            _ => {}
        }
    }
    begun
}

/// What happened, for people.
#[derive(Debug, Default)]
struct Tally {
    kills: u64,
    /// A kill came before there was anything to go on with.
    before_the_record: u64,
    /// A kill came, and cells had results.
    with_results: u64,
    /// Runs that were brought to their end.
    completed: u64,
    /// How often each of those was killed.
    kills_of_a_run: Vec<u64>,
    /// Machines that ran when the program was killed.
    machines: usize,
}

#[test]
#[expect(clippy::print_stderr, reason = "its figures are what it is run for")]
#[ignore = "minutes long; MATRIX_KILLS says how often it kills"]
fn torture_a_run_that_is_killed_at_any_moment_is_gone_on_with_to_the_same_table() {
    let kills = number("MATRIX_KILLS", KILLS);
    let clock = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    let seed = number("MATRIX_SEED", u64::try_from(clock % 1_000_000_007).unwrap());
    eprintln!("MATRIX_SEED={seed} MATRIX_KILLS={kills}");
    let mut random = Random(seed);

    let project = Project::new();
    project.file("kernels.toml", KERNELS);
    project.repository_image("vsyscall.toml");
    project.repository_image("debian-12.toml");
    project.repository_checks();

    // Fills the cache; what is killed then needs no network.
    project.run(0, &[]);
    let begun = Instant::now();
    let undisturbed = project.run(0, &["--offline"]);
    let took = begun.elapsed();
    eprintln!(
        "undisturbed: {} cells in {:.1} s",
        undisturbed.cells.len(),
        took.as_secs_f64()
    );
    let wanted = table(&undisturbed);

    let mut tally = Tally::default();
    let mut current: Option<(PathBuf, u64)> = None;
    while tally.kills < kills || current.is_some() {
        let before = current
            .as_ref()
            .map(|(folder, _)| Run::load(folder).unwrap());
        let earlier = before.as_ref().map(results).unwrap_or_default();
        let known = folders(&project);
        let mut matrix = match &current {
            Some((folder, _)) => start(
                &project,
                &["run", "--offline", "--resume", folder.to_str().unwrap()],
            ),
            None => start(&project, &["run", "--offline"]),
        };
        let ended = if tally.kills < kills {
            ended_within(&mut matrix, random.moment(took, current.is_none()))
        } else {
            Some(matrix.wait().unwrap())
        };
        if ended.is_none() {
            tally.machines += started(&project, Some(matrix.id()))
                .iter()
                .filter(|command| command.contains(" -kernel "))
                .count();
            matrix.kill().unwrap();
            matrix.wait().unwrap();
            tally.kills += 1;
        }
        // Whatever it was, nothing outlives the program.
        wait_until_gone("QEMU", || started(&project, None).is_empty());

        let folder = match &current {
            Some((folder, _)) => Some(folder.clone()),
            None => folders(&project).difference(&known).next().cloned(),
        };
        let run = folder.as_ref().and_then(|folder| Run::load(folder).ok());
        let (Some(folder), Some(run)) = (folder, run) else {
            // Killed before the first event was written: nothing to go on with, and
            // that is said.
            assert!(current.is_none(), "a record that was there is gone");
            assert_eq!(ended, None, "a run ended without a record");
            tally.before_the_record += 1;
            for folder in folders(&project).difference(&known) {
                let output = project.matrix(&["run", "--resume", folder.to_str().unwrap()]);
                assert!(!output.status.success());
                let said = stderr(&output);
                assert!(
                    said.contains("no run is named") || said.contains("no record of a run"),
                    "{said}"
                );
            }
            continue;
        };

        // No cell is lost or doubled, and none that had a result ran again.
        let ids: Vec<CellId> = run.cells.iter().map(report::Cell::id).collect();
        let planned: Vec<CellId> = undisturbed.cells.iter().map(report::Cell::id).collect();
        assert_eq!(ids, planned);
        let now = results(&run);
        for (cell, attempts) in &earlier {
            assert_eq!(now.get(cell), Some(attempts), "{cell}");
        }
        let again: Vec<CellId> = begun_last(&folder)
            .into_iter()
            .filter(|cell| earlier.contains_key(cell))
            .collect();
        assert_eq!(again, [], "cells with results ran again");

        let killed = current.as_ref().map_or(0, |(_, killed)| *killed);
        match ended {
            None => {
                tally.with_results += u64::from(!now.is_empty());
                current = Some((folder, killed + 1));
            }
            Some(status) => {
                assert_eq!(status.code(), Some(0), "{}", folder.display());
                assert_eq!(table(&run), wanted, "another table than undisturbed");
                assert_eq!(run.run.interrupted, None);
                assert!(run.cells.iter().all(|cell| cell.attempts.len() == 1));
                tally.completed += 1;
                tally.kills_of_a_run.push(killed);
                current = None;
            }
        }
    }
    eprintln!("{tally:?}");
    assert!(tally.completed > 0);
    if kills >= KILLS {
        assert!(tally.machines > 0, "no machine ever ran when a kill came");
        assert!(
            tally.with_results > 0,
            "no kill came after the first result"
        );
    }
}

/// The folders of recorded runs.
fn folders(project: &Project) -> BTreeSet<PathBuf> {
    fs_err::read_dir(project.root().join("results/runs"))
        .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
        .unwrap_or_default()
}

fn ended_within(child: &mut Child, limit: Duration) -> Option<std::process::ExitStatus> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        let left = limit.checked_sub(begun.elapsed())?;
        sleep(left.min(Duration::from_millis(5)));
    }
}

/// Names the project in the environment of all that the program starts.
const MARK: &str = "MATRIX_TORTURE";

fn start(project: &Project, arguments: &[&str]) -> Child {
    project
        .command(arguments)
        .env(MARK, project.root())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// What the program started and still runs, whoever its parent is by now: the
/// command lines.
fn started(project: &Project, but: Option<u32>) -> Vec<String> {
    let mark = format!("{MARK}={}", project.root().display());
    let text = |process: u32, file: &str| {
        // Of one that ends meanwhile, or has ended, nothing can be read.
        let bytes = std::fs::read(format!("/proc/{process}/{file}")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    fs_err::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|process| Some(*process) != but)
        .filter(|process| {
            text(*process, "environ")
                .split('\0')
                .any(|variable| variable == mark)
        })
        .map(|process| text(process, "cmdline").replace('\0', " "))
        .filter(|command| !command.is_empty())
        .collect()
}
