//! The rounds: every subject once in each, in the same order.

use std::time::Duration;

use serde::Serialize;

use crate::arguments::Arguments;
use crate::bed::{Bed, BenchError};
use crate::floor::{self, Floor};
use crate::goals::{self, Goal};
use crate::memory::Peak;
use crate::peer::{Script, Virtme};
use crate::program::{self, Job};
use crate::scale::{self, Scale};
use crate::series::Series;
use crate::table;

/// One subject's times.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Measured {
    /// `6.1: floor, stock`.
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) series: Series,
}

/// Everything that was found out.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: table::Host,
    pub(crate) rounds: u32,
    pub(crate) kernels: Vec<String>,
    pub(crate) matrix_kernels: Vec<String>,
    pub(crate) images: Vec<String>,
    pub(crate) checks: Vec<String>,
    /// Cells of the whole matrix.
    pub(crate) cells: usize,
    pub(crate) measured: Vec<Measured>,
    /// By job: `cold`, `warm`.
    pub(crate) memory: Vec<(String, Peak)>,
    pub(crate) scale: Option<Scale>,
    /// Peers that are not installed.
    pub(crate) absent: Vec<&'static str>,
    pub(crate) goals: Vec<Goal>,
}

impl Report {
    pub(crate) fn median(&self, name: &str) -> Option<f64> {
        self.measured
            .iter()
            .find(|measured| measured.name == name)?
            .series
            .median()
    }
}

/// Names of what is measured of the whole matrix.
pub(crate) const COLD_MATRIX: &str = "matrix: cold";
pub(crate) const WARM_MATRIX: &str = "matrix: warm";
pub(crate) const WARM_KERNELS: &str = "matrix: warm, a machine for each kernel";
/// [`EACH_CELL`] machines, those of two kernels at a time.
pub(crate) const WARM_CELLS: &str = "16 cells of the matrix: warm, a machine for each";
/// Of the same job, each machine's own.
pub(crate) const RESTORE: &str = "one of two machines side by side: warm ready";
pub(crate) const SCRIPT: &str = "matrix: script of QEMU and busybox";
pub(crate) const VIRTME: &str = "one command: virtme-ng";

/// Cells of [`WARM_CELLS`]: two kernels, two checks, four images.
pub(crate) const EACH_CELL: f64 = 16.0;

/// The names of what is measured of one kernel.
#[derive(Debug)]
pub(crate) struct Of<'a>(pub(crate) &'a str);

impl Of<'_> {
    pub(crate) fn floor(&self, floor: Floor) -> String {
        format!("{}: floor, {}", self.0, floor.name())
    }
    pub(crate) fn ready(&self, start: &str) -> String {
        format!("{}: {start} ready", self.0)
    }
    pub(crate) fn cell(&self, start: &str) -> String {
        format!("{}: {start} one cell", self.0)
    }
    pub(crate) fn first_machine(&self, start: &str) -> String {
        format!("{}: {start} to the first machine", self.0)
    }
}

#[derive(Debug, Default)]
struct Table(Vec<Measured>);

impl Table {
    fn add(&mut self, name: String, took: Duration) {
        let index = match self.0.iter().position(|measured| measured.name == name) {
            Some(index) => index,
            None => {
                self.0.push(Measured {
                    name,
                    series: Series::default(),
                });
                self.0.len() - 1
            }
        };
        self.0[index].series.add(took);
    }
}

/// Measures all and writes what came of it.
pub(crate) fn measure(arguments: &Arguments) -> Result<(), BenchError> {
    table::say("filling the caches");
    let bed = Bed::make(arguments)?;
    let (script, virtme) = match arguments.no_peers {
        true => (None, None),
        false => (Script::prepare(&bed)?, Virtme::find()),
    };
    let mut absent = Vec::new();
    if script.is_none() {
        absent.push("busybox");
    }
    if virtme.is_none() {
        absent.push("virtme-ng");
    }
    // Not counted: what is missing is built, and templates are kept.
    round(
        &bed,
        &mut Table::default(),
        script.as_ref(),
        virtme.as_ref(),
    )?;
    let mut measured = Table::default();
    for number in 1..=arguments.rounds {
        table::say(&format!("round {number} of {}", arguments.rounds));
        round(&bed, &mut measured, script.as_ref(), virtme.as_ref())?;
    }
    table::say("memory");
    let mut memory = Vec::new();
    for (name, cold) in [("cold", true), ("warm", false)] {
        let job = whole(&bed, cold);
        if let Some(peak) = program::run(&bed, &job, true)?.peak {
            memory.push((name.to_owned(), peak));
        }
    }
    let scale = match arguments.no_scale {
        true => None,
        false => {
            table::say("scale");
            Some(scale::measure(&bed)?)
        }
    };
    let names = |kernels: &[crate::bed::Kernel]| {
        kernels
            .iter()
            .map(|kernel| kernel.id.clone())
            .collect::<Vec<_>>()
    };
    let mut report = Report {
        machine: table::Host::here(&bed.qemu.version),
        rounds: arguments.rounds,
        kernels: names(&bed.kernels),
        matrix_kernels: names(&bed.matrix_kernels),
        images: bed.images.iter().map(|image| image.name.clone()).collect(),
        checks: arguments.checks.clone(),
        cells: bed.cells(),
        measured: measured.0,
        memory,
        scale,
        absent,
        goals: Vec::new(),
    };
    report.goals = goals::held_against(&report);
    table::print(&report);
    if let Some(folder) = &arguments.output {
        table::write(&report, folder)?;
    }
    Ok(())
}

fn round(
    bed: &Bed,
    measured: &mut Table,
    script: Option<&Script>,
    virtme: Option<&Virtme>,
) -> Result<(), BenchError> {
    for kernel in &bed.kernels {
        let of = Of(&kernel.id);
        for floor in Floor::ALL {
            measured.add(of.floor(floor), floor::boot(bed, kernel, floor)?);
        }
        for (start, cold) in [("cold", true), ("warm", false)] {
            let job = one_cell(bed, &kernel.id, cold);
            let timed = program::run(bed, &job, false)?;
            measured.add(of.ready(start), timed.ready);
            measured.add(of.cell(start), timed.whole);
            measured.add(of.first_machine(start), timed.first_machine);
        }
    }
    if let (Some(virtme), Some(kernel)) = (virtme, bed.kernels.last()) {
        measured.add(VIRTME.to_owned(), virtme.run(bed, kernel)?);
    }
    for (name, cold) in [(COLD_MATRIX, true), (WARM_MATRIX, false)] {
        let timed = program::run(bed, &whole(bed, cold), false)?;
        measured.add(name.to_owned(), timed.whole);
    }
    let job = Job {
        isolate: Some("kernel"),
        ..whole(bed, false)
    };
    let timed = program::run(bed, &job, false)?;
    measured.add(WARM_KERNELS.to_owned(), timed.whole);
    if let Some(job) = each_cell(bed) {
        let timed = program::run(bed, &job, false)?;
        measured.add(WARM_CELLS.to_owned(), timed.whole);
        let count = u32::try_from(timed.readies.len())
            .unwrap_or(u32::MAX)
            .max(1);
        let mean = timed.readies.iter().sum::<Duration>() / count;
        measured.add(RESTORE.to_owned(), mean);
    }
    if let Some(script) = script {
        measured.add(SCRIPT.to_owned(), script.run(bed)?);
    }
    Ok(())
}

fn one_cell<'a>(bed: &'a Bed, kernel: &'a str, cold: bool) -> Job<'a> {
    let first = bed.images.first();
    Job {
        kernels: vec![kernel],
        images: first.iter().map(|image| image.name.as_str()).collect(),
        checks: first
            .and_then(|image| image.checks.first())
            .iter()
            .map(|check| check.name.as_str())
            .collect(),
        cold,
        isolate: None,
    }
}

/// Few cells, each in a machine of its own, two at a time: none where the matrix is
/// smaller than that.
fn each_cell(bed: &Bed) -> Option<Job<'_>> {
    let mut job = Job {
        isolate: Some("cell"),
        ..whole(bed, false)
    };
    job.kernels.truncate(2);
    job.images.truncate(4);
    job.checks = bed
        .images
        .first()?
        .checks
        .iter()
        .map(|check| check.name.as_str())
        .take(2)
        .collect();
    (program::cells(bed, &job) as f64 == EACH_CELL).then_some(job)
}

fn whole(bed: &Bed, cold: bool) -> Job<'_> {
    let mut checks: Vec<&str> = bed
        .images
        .iter()
        .flat_map(|image| image.checks.iter().map(|check| check.name.as_str()))
        .collect();
    checks.sort_unstable();
    checks.dedup();
    Job {
        kernels: bed
            .matrix_kernels
            .iter()
            .map(|kernel| kernel.id.as_str())
            .collect(),
        images: bed.images.iter().map(|image| image.name.as_str()).collect(),
        checks,
        cold,
        isolate: None,
    }
}
