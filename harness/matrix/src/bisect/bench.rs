//! Where cells are looked up and run. Each is run by this same program as a run of
//! its own, so it is recorded like any other, and one that an earlier run has already
//! is not run again.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use plan::{Check, Project};
use report::{Cell, FactsRecord, KernelColumn, Run};

use super::line::{self, End};
use super::same;
use crate::cli::{AccelerationChoice, BisectArguments, Global};
use crate::error::Failure;
use crate::progress::note;
use crate::show::runs;

/// What a kernel made of the check.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    /// The outcome's label: `pass`, `exit 3`, `SIGSEGV`.
    pub(super) outcome: String,
    /// uname's release.
    pub(super) release: String,
    /// Of the kernel's package, where it is one.
    pub(super) version: Option<String>,
    /// Of the image.
    pub(super) digest: Option<String>,
    pub(super) facts: Option<FactsRecord>,
    /// The run that has it.
    pub(super) run: String,
}

/// See the module.
pub(super) struct Bench<'a> {
    global: &'a Global,
    arguments: &'a BisectArguments,
    project: &'a Project,
    /// Where runs are.
    folder: PathBuf,
    /// As the project has it now.
    check: Check,
    /// The image's digest, once it is known: answers about another userland do not
    /// belong beside one another.
    digest: Option<String>,
    /// What was told already.
    answers: BTreeMap<String, Answer>,
}

impl<'a> Bench<'a> {
    pub(super) fn new(
        global: &'a Global,
        arguments: &'a BisectArguments,
        project: &'a Project,
        folder: PathBuf,
        check: Check,
    ) -> Self {
        Bench {
            global,
            arguments,
            project,
            folder,
            check,
            digest: None,
            answers: BTreeMap::new(),
        }
    }

    /// `debian:12 × bash`.
    pub(super) fn subject(&self) -> String {
        format!("{} × {}", self.arguments.image, self.arguments.check)
    }

    /// The kernel's answer: recorded, or by a run. The inner error is why there is
    /// none.
    pub(super) fn ask(&mut self, kernel: &str) -> Result<Result<Answer, String>, Failure> {
        if let Some(answer) = self.answers.get(kernel) {
            return Ok(Ok(answer.clone()));
        }
        let answer = self.ask_anew(kernel)?;
        if let Ok(answer) = &answer {
            self.answers.insert(kernel.to_owned(), answer.clone());
        }
        Ok(answer)
    }

    fn ask_anew(&mut self, kernel: &str) -> Result<Result<Answer, String>, Failure> {
        if !self.arguments.fresh
            && let Some(answer) = self.recorded(kernel)?
        {
            note(&format!(
                "{kernel}: {} (run {})",
                answer.outcome, answer.run
            ));
            self.digest = self.digest.take().or_else(|| answer.digest.clone());
            return Ok(Ok(answer));
        }
        let before = runs(&self.folder)?;
        self.run(kernel)?;
        let after = runs(&self.folder)?;
        let Some(folder) = after.iter().rev().find(|run| !before.contains(run)) else {
            return Ok(Err("no run was recorded".to_owned()));
        };
        let run = Run::load(folder)?;
        let Some((column, cell)) = self.cell(&run, |column| column.id == kernel) else {
            return Ok(Err("the run has no such cell".to_owned()));
        };
        let Some(answer) = self.answer(&run, column, cell) else {
            return Ok(Err(why_not(column, cell)));
        };
        if let (Some(before), Some(now)) = (&self.digest, &answer.digest)
            && before != now
        {
            return Err(Failure::BisectImageChanged {
                image: self.arguments.image.clone(),
            });
        }
        self.digest = self.digest.take().or_else(|| answer.digest.clone());
        note(&format!("{kernel}: {}", answer.outcome));
        Ok(Ok(answer))
    }

    /// The newest result an earlier run has. Runs that cannot be read have none.
    fn recorded(&self, kernel: &str) -> Result<Option<Answer>, Failure> {
        let wanted = End::parse(kernel);
        // Why there is none is told by the run of it.
        let Ok(now) = line::kernel(self.project, kernel) else {
            return Ok(None);
        };
        let is_it = |column: &KernelColumn| {
            if !same::kernel(&now, column) {
                return false;
            }
            if column.id == kernel {
                return true;
            }
            // The same version by another name: an entry is what its newest is.
            let version = column.package.get("version");
            wanted.moment.is_some()
                && version == wanted.moment.as_ref()
                && End::parse(&column.id).base == wanted.base
        };
        for folder in runs(&self.folder)?.iter().rev() {
            let Ok(run) = Run::load(folder) else {
                continue;
            };
            if let Some((column, cell)) = self.cell(&run, is_it)
                && let Some(answer) = self.answer(&run, column, cell)
                // A record from before a fact was kept cannot tell its change.
                && answer.facts.as_ref().is_some_and(|facts| facts.syscalls_tried)
                && self.is_of_this_userland(&run, &answer, cell)
            {
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }

    /// The cell is of the same image as the others, and of the check as it is now.
    fn is_of_this_userland(&self, run: &Run, answer: &Answer, cell: &Cell) -> bool {
        let same_image = match (&self.digest, &answer.digest) {
            (Some(known), Some(digest)) => known == digest,
            _ => true,
        };
        let check = run.image(&self.arguments.image).and_then(|image| {
            let mut checks = image.checks.iter();
            checks.find(|check| check.name == self.arguments.check)
        });
        same_image && check.is_some_and(|row| same::check(&self.check, row, &cell.outcome))
    }

    fn cell<'r>(
        &self,
        run: &'r Run,
        is_it: impl Fn(&KernelColumn) -> bool,
    ) -> Option<(&'r KernelColumn, &'r Cell)> {
        run.kernels
            .iter()
            .filter(|column| is_it(column))
            .find_map(|column| {
                let cell = run.cells.iter().find(|cell| {
                    cell.kernel == column.id
                        && cell.image == self.arguments.image
                        && cell.check == self.arguments.check
                })?;
                Some((column, cell))
            })
    }

    fn answer(&self, run: &Run, column: &KernelColumn, cell: &Cell) -> Option<Answer> {
        if !cell.outcome.is_result() {
            return None;
        }
        Some(Answer {
            outcome: cell.outcome.label().into_owned(),
            release: column.release.clone().unwrap_or_default(),
            version: column.package.get("version").cloned(),
            digest: run
                .image(&self.arguments.image)
                .and_then(|image| image.digest.clone()),
            facts: column.facts.clone(),
            run: run.run.id.clone(),
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
        let selector = crate::run::column_selector(kernel);
        command.arg("-C").arg(&self.project.root).arg("run");
        command.arg("--output").arg(output);
        command.args(["--kernels", &selector, "--images", &self.arguments.image]);
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

fn why_not(column: &KernelColumn, cell: &Cell) -> String {
    column
        .reason
        .clone()
        .or_else(|| cell.outcome.detail().map(|detail| detail.into_owned()))
        .unwrap_or_else(|| "not run".to_owned())
}
