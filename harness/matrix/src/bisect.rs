//! `matrix bisect`: between two kernels on which a check ends differently, the two
//! neighbours between which it changes, and which facts changed with it.
//!
//! Each cell is run by this same program as a run of its own, so it is recorded
//! like any other, and one that an earlier run has already is not run again.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use plan::{KernelEntry, Project};
use report::{Cell, FactsRecord, Run};

use crate::cli::{AccelerationChoice, BisectArguments, Global};
use crate::error::{Failure, Status};
use crate::progress::{note, print};
use crate::run::{load_project, runs_folder};
use crate::show::runs;

/// What a kernel made of the check.
#[derive(Clone, Debug)]
struct Answer {
    /// The outcome's label: `pass`, `exit 3`, `SIGSEGV`.
    outcome: String,
    release: String,
    facts: Option<FactsRecord>,
    /// The run that has it.
    run: String,
}

/// `matrix bisect IMAGE CHECK --good K --bad K`.
pub(crate) fn command(global: &Global, arguments: &BisectArguments) -> Result<Status, Failure> {
    let project = load_project(global)?;
    let line = between(&project, &arguments.good, &arguments.bad)?;
    let folder = runs_folder(&project.root, arguments.output.as_deref());
    let mut bench = Bench {
        global,
        arguments,
        project: &project,
        folder,
    };
    let last = line.len() - 1;
    let mut asked = Vec::new();
    for end in [0, last] {
        match bench.ask(&line[end])? {
            Ok(answer) => asked.push(answer),
            Err(reason) => {
                return Err(Failure::BisectEnd {
                    kernel: line[end].clone(),
                    reason,
                });
            }
        }
    }
    let (high_answer, low_answer) = (asked.remove(1), asked.remove(0));
    if low_answer.outcome == high_answer.outcome {
        return Err(Failure::BisectSame {
            first: line[0].clone(),
            second: line[last].clone(),
            outcome: low_answer.outcome,
        });
    }
    let (mut low, mut high) = ((0, low_answer), (last, high_answer));
    let mut skipped: Vec<(usize, String)> = Vec::new();
    while let Some(middle) = next(low.0, high.0, &skipped) {
        match bench.ask(&line[middle])? {
            Ok(answer) if answer.outcome == low.1.outcome => low = (middle, answer),
            Ok(answer) => high = (middle, answer),
            Err(reason) => skipped.push((middle, reason)),
        }
    }
    let mut page = String::new();
    for (at, answer) in [&low, &high] {
        page += &format!(
            "{}: {}  ({}, run {})\n",
            line[*at], answer.outcome, answer.release, answer.run
        );
    }
    let between: Vec<String> = skipped
        .iter()
        .filter(|(at, _)| (low.0..high.0).contains(at))
        .map(|(at, reason)| format!("{} ({reason})", line[*at]))
        .collect();
    page += &format!(
        "{} × {} changes between {} and {}",
        arguments.image, arguments.check, line[low.0], line[high.0]
    );
    if between.is_empty() {
        page += ".\n";
    } else {
        page += &format!(
            "; what is between could not be run: {}.\n",
            between.join(", ")
        );
    }
    page += &changes(&low.1, &high.1);
    print(&page)?;
    Ok(Status::Done)
}

/// The facts that changed with the outcome.
fn changes(low: &Answer, high: &Answer) -> String {
    let (Some(first), Some(second)) = (&low.facts, &high.facts) else {
        return "The facts of one of them were not recorded.\n".to_owned();
    };
    let mut page = "\nWhat changed with it:\n".to_owned();
    for (name, before, after) in report::comparison::differences(first, second) {
        page += &format!("  {name}: {before} -> {after}\n");
    }
    page
}

/// The place to look at next: the nearest to the middle that was not skipped.
fn next(low: usize, high: usize, skipped: &[(usize, String)]) -> Option<usize> {
    let middle = low.midpoint(high);
    (low + 1..high)
        .filter(|at| !skipped.iter().any(|(skipped, _)| skipped == at))
        .min_by_key(|at| at.abs_diff(middle))
}

/// Ids from one kernel to the other in order of their versions, one of each
/// version. Where both ends are the same variant, so is what is between.
fn between(project: &Project, good: &str, bad: &str) -> Result<Vec<String>, Failure> {
    let (good_name, good_variant) = split(good);
    let (bad_name, bad_variant) = split(bad);
    if good_variant != bad_variant {
        return Err(Failure::BisectVariants {
            good: good.to_owned(),
            bad: bad.to_owned(),
        });
    }
    let find = |name: &str| {
        let entry = project
            .kernels
            .iter()
            .find(|entry| entry.kernel.id == name && has(entry, good_variant));
        entry.ok_or_else(|| Failure::BisectKernel {
            kernel: name.to_owned(),
            known: project
                .kernels
                .iter()
                .map(|entry| entry.kernel.id.clone())
                .collect(),
        })
    };
    let (good, bad) = (find(good_name)?, find(bad_name)?);
    let (low, high) = if good.version <= bad.version {
        (good, bad)
    } else {
        (bad, good)
    };
    let mut inner: Vec<&KernelEntry> = project
        .kernels
        .iter()
        .filter(|entry| entry.version > low.version && entry.version < high.version)
        .filter(|entry| has(entry, good_variant))
        .collect();
    // Stable: of two flavours of a version the first of the file stays.
    inner.sort_by(|a, b| a.version.cmp(&b.version));
    inner.dedup_by(|later, first| later.version == first.version);
    let id = |entry: &KernelEntry| match good_variant {
        Some(variant) => format!("{}+{variant}", entry.kernel.id),
        None => entry.kernel.id.clone(),
    };
    let mut line = vec![id(low)];
    line.extend(inner.into_iter().map(id));
    line.push(id(high));
    Ok(line)
}

/// `6.1+vsyscall=emulate` → its entry and variant.
fn split(id: &str) -> (&str, Option<&str>) {
    match id.split_once('+') {
        Some((entry, variant)) => (entry, Some(variant)),
        None => (id, None),
    }
}

fn has(entry: &KernelEntry, variant: Option<&str>) -> bool {
    variant.is_none_or(|name| entry.variants.iter().any(|variant| variant.name == name))
}

/// Where cells are looked up and run.
struct Bench<'a> {
    global: &'a Global,
    arguments: &'a BisectArguments,
    project: &'a Project,
    folder: PathBuf,
}

impl Bench<'_> {
    /// The kernel's answer: recorded, or by a run. The inner error is why there is
    /// none.
    fn ask(&mut self, kernel: &str) -> Result<Result<Answer, String>, Failure> {
        if !self.arguments.fresh
            && let Some(answer) = self.recorded(kernel)?
        {
            note(&format!(
                "{kernel}: {} (run {})",
                answer.outcome, answer.run
            ));
            return Ok(Ok(answer));
        }
        let before = runs(&self.folder)?;
        self.run(kernel)?;
        let after = runs(&self.folder)?;
        let Some(folder) = after.iter().rev().find(|run| !before.contains(run)) else {
            return Ok(Err("no run was recorded".to_owned()));
        };
        let run = Run::load(folder)?;
        let Some(cell) = self.cell(&run, kernel) else {
            return Ok(Err("the run has no such cell".to_owned()));
        };
        Ok(match answer(&run, cell) {
            Some(answer) => {
                note(&format!("{kernel}: {}", answer.outcome));
                Ok(answer)
            }
            None => Err(why_not(&run, cell)),
        })
    }

    /// The newest result an earlier run has. Runs that cannot be read have none.
    fn recorded(&self, kernel: &str) -> Result<Option<Answer>, Failure> {
        for folder in runs(&self.folder)?.iter().rev() {
            let Ok(run) = Run::load(folder) else {
                continue;
            };
            if let Some(cell) = self.cell(&run, kernel)
                && let Some(answer) = answer(&run, cell)
                // A record from before a fact was kept cannot tell its change.
                && answer.facts.as_ref().is_some_and(|facts| facts.syscalls_tried)
            {
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }

    fn cell<'r>(&self, run: &'r Run, kernel: &str) -> Option<&'r Cell> {
        run.cells.iter().find(|cell| {
            cell.kernel == kernel
                && cell.image == self.arguments.image
                && cell.check == self.arguments.check
        })
    }

    /// One cell, by this program; what it prints as its result is in the record.
    fn run(&self, kernel: &str) -> Result<(), Failure> {
        let program = Path::new("/proc/self/exe");
        let mut command = Command::new(program);
        if let Some(cache) = &self.global.cache {
            command.arg("--cache").arg(cache);
        }
        let output: OsString = match &self.arguments.output {
            Some(output) => output.into(),
            None => self.project.root.join("results").into(),
        };
        command.arg("-C").arg(&self.project.root).arg("run");
        command.arg("--output").arg(output);
        command.args(["--kernels", kernel, "--images", &self.arguments.image]);
        command.args(["--checks", &self.arguments.check]);
        command.args([
            "--accel",
            match self.arguments.accel {
                AccelerationChoice::Auto => "auto",
                AccelerationChoice::Kvm => "kvm",
                AccelerationChoice::Tcg => "tcg",
            },
        ]);
        if self.arguments.offline {
            command.arg("--offline");
        }
        // Its status is the cell's verdict; the record tells it better.
        command.stdout(Stdio::null()).status()?;
        Ok(())
    }
}

fn answer(run: &Run, cell: &Cell) -> Option<Answer> {
    if !cell.outcome.is_result() {
        return None;
    }
    let column = run.kernel(&cell.kernel)?;
    Some(Answer {
        outcome: cell.outcome.label().into_owned(),
        release: column.release.clone().unwrap_or_default(),
        facts: column.facts.clone(),
        run: run.run.id.clone(),
    })
}

fn why_not(run: &Run, cell: &Cell) -> String {
    run.kernel(&cell.kernel)
        .and_then(|column| column.reason.clone())
        .or_else(|| cell.outcome.detail().map(|detail| detail.into_owned()))
        .unwrap_or_else(|| "not run".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_asked_and_what_was_skipped_is_not_asked_again() {
        assert_eq!(next(0, 8, &[]), Some(4));
        let skipped = |places: &[usize]| -> Vec<(usize, String)> {
            places.iter().map(|at| (*at, String::new())).collect()
        };
        assert_eq!(next(0, 8, &skipped(&[4])), Some(3));
        assert_eq!(next(2, 4, &skipped(&[3])), None);
        assert_eq!(next(2, 3, &[]), None);
    }

    #[test]
    fn a_variant_is_what_follows_the_plus() {
        assert_eq!(
            split("6.1+vsyscall=emulate"),
            ("6.1", Some("vsyscall=emulate"))
        );
        assert_eq!(split("6.12-generic"), ("6.12-generic", None));
    }
}
