//! matrix itself, through its command line, timed by its events as they arrive.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use report::{Event, StartKind};

use crate::bed::{Bed, BenchError};
use crate::memory::{self, Peak};

/// What is asked of the program.
#[derive(Clone, Debug)]
pub(crate) struct Job<'a> {
    pub(crate) kernels: Vec<&'a str>,
    pub(crate) images: Vec<&'a str>,
    pub(crate) checks: Vec<&'a str>,
    pub(crate) cold: bool,
    /// `--isolate`, where not the default.
    pub(crate) isolate: Option<&'static str>,
}

/// How long it took.
#[derive(Clone, Debug)]
pub(crate) struct Timed {
    /// From the program's start to its end.
    pub(crate) whole: Duration,
    /// From the program's start to QEMU's first start.
    pub(crate) first_machine: Duration,
    /// From QEMU's start to where the guest waits for work, of the first machine, as
    /// the program says it.
    pub(crate) ready: Duration,
    /// The same of every machine, in the order they came up.
    pub(crate) readies: Vec<Duration>,
    /// Of the program and of one QEMU, where it was asked for.
    pub(crate) peak: Option<Peak>,
}

/// Runs it once. Fails unless every cell has been run and was as expected.
pub(crate) fn run(bed: &Bed, job: &Job<'_>, watch_memory: bool) -> Result<Timed, BenchError> {
    let output = tempfile::tempdir_in(bed.folder.path())?;
    let mut command = command(bed, job, output.path().to_path_buf());
    let what = || format!("matrix of {}", job.kernels.join(","));
    let begun = Instant::now();
    let mut child = command
        .spawn()
        .map_err(|source| BenchError::start(what(), source))?;
    let watch = watch_memory.then(|| memory::watch(child.id()));
    let mut seen = Seen::default();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            let event = serde_json::from_str(&line).map_err(|error| BenchError::NotDone {
                what: what(),
                said: format!("{line}: {error}"),
            })?;
            seen.take(&event, begun.elapsed());
        }
    }
    let mut stderr = String::new();
    if let Some(mut pipe) = child.stderr.take() {
        pipe.read_to_string(&mut stderr)?;
    }
    let status = child
        .wait()
        .map_err(|source| BenchError::start(what(), source))?;
    let whole = begun.elapsed();
    let wanted = cells(bed, job);
    let (Some(first_machine), Some(&ready)) = (seen.first_machine, seen.readies.first()) else {
        return Err(BenchError::NotDone {
            what: what(),
            said: format!("no machine came up; {status}\n{stderr}"),
        });
    };
    let as_asked = (seen.warm_starts == 0) == job.cold;
    if !status.success() || !as_asked || seen.expected.len() != wanted {
        return Err(BenchError::NotDone {
            what: what(),
            said: format!(
                "{} of {wanted} cells as expected, {} machines started warm and {} cold; \
                 {status}\n{stderr}",
                seen.expected.len(),
                seen.warm_starts,
                seen.boots
            ),
        });
    }
    Ok(Timed {
        whole,
        first_machine,
        ready,
        readies: seen.readies,
        peak: watch.map(memory::Watch::end),
    })
}

/// How many cells a job has.
pub(crate) fn cells(bed: &Bed, job: &Job<'_>) -> usize {
    let of_a_kernel: usize = bed
        .images
        .iter()
        .filter(|image| job.images.contains(&image.name.as_str()))
        .map(|image| {
            image
                .checks
                .iter()
                .filter(|check| job.checks.contains(&check.name.as_str()))
                .count()
        })
        .sum();
    job.kernels.len() * of_a_kernel
}

fn command(bed: &Bed, job: &Job<'_>, output: PathBuf) -> Command {
    let mut command = Command::new(&bed.matrix);
    command
        .arg("-C")
        .arg(&bed.project)
        .args(["run", "--json", "--accel", "tcg"])
        .args(["--kernels", &alone(&job.kernels)])
        .args(["--images", &job.images.join(",")])
        .args(["--checks", &job.checks.join(",")])
        .arg("--output")
        .arg(output)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if job.cold {
        command.arg("--cold");
    }
    if let Some(isolate) = job.isolate {
        command.args(["--isolate", isolate]);
    }
    command
}

#[derive(Debug, Default)]
struct Seen {
    first_machine: Option<Duration>,
    readies: Vec<Duration>,
    warm_starts: usize,
    boots: usize,
    expected: std::collections::BTreeSet<String>,
}

impl Seen {
    fn take(&mut self, event: &Event, now: Duration) {
        match event {
            Event::VmStarting { .. } => {
                self.first_machine.get_or_insert(now);
            }
            Event::VmReady { boot_ms, start, .. } => {
                self.readies.push(Duration::from_millis(*boot_ms));
                match start {
                    StartKind::Warm => self.warm_starts += 1,
                    StartKind::Cold => self.boots += 1,
                }
            }
            Event::CellFinished { cell, attempt } => {
                let name = format!("{cell:?}");
                if attempt.verdict == verdict::Verdict::Expected {
                    self.expected.insert(name);
                } else {
                    self.expected.remove(&name);
                }
            }
            _ => {}
        }
    }
}

/// Selectors of these columns and no others: an entry's name alone also brings the
/// variants that come along with it.
fn alone(kernels: &[&str]) -> String {
    let selectors: Vec<String> = kernels
        .iter()
        .map(|id| match id.contains('+') {
            true => (*id).to_owned(),
            false => format!("{id}+"),
        })
        .collect();
    selectors.join(",")
}
