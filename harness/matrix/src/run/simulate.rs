//! A run without machines: the plan, the events, the record and the reports of a run
//! of any size, with outcomes and durations of cells that were recorded once. It is
//! what tells how much the harness itself takes ([`crate::simulate`]).

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use report::history::History;
use report::{Event, Recorder, Run, StartKind};

use super::follow::follow;
use super::options::Options;
use super::phases::Phases;
use super::record;
use super::sink::Sink;
use crate::cli::RunArguments;
use crate::error::Failure;
use crate::progress::Display;

/// Where the time of a simulated run went.
#[derive(Clone, Copy, Debug)]
pub struct Simulated {
    /// How many cells it had.
    pub cells: usize,
    /// From the project's files to the plan.
    pub planning: Duration,
    /// All events through the queue, the record and the plain lines.
    pub events: Duration,
    /// The record read back, and every published file made from it.
    pub report: Duration,
}

/// Carries it out: every kernel and image of the project, each cell as one of
/// `recorded` was, in turn. The record goes to `folder`.
pub(crate) fn simulate(
    project: &Path,
    recorded: &Run,
    arguments: &RunArguments,
    folder: &Path,
) -> Result<Simulated, Failure> {
    let begun = Instant::now();
    let project = plan::load(project)?;
    let selection = super::selection(&arguments.selection, project.root.clone());
    let plan = plan::plan(&project, &selection)?;
    let options = Options::resolve(arguments);
    let started = Timestamp::now();
    let run = record::planned(&plan, &options, record::run_id(started), started);
    let cells = run.cells.len();
    let planning = begun.elapsed();

    let begun = Instant::now();
    let record = folder.join("run");
    let mut recorder = Recorder::create(&record)?;
    recorder.record(&Event::RunStarted {
        run: Box::new(run.clone()),
    })?;
    let display = Display::lines();
    let (sink, messages) = Sink::new();
    let phases = Phases::begin();
    thread::scope(|scope| {
        let (run, plan) = (&run, &plan);
        scope.spawn(move || {
            let _end = sink.end_of_work();
            tell(&sink, run, plan, recorded);
        });
        follow(messages, recorder, display, &phases, &record)
    })?;
    let events = begun.elapsed();
    // Reports are made by a program of their own, which has nothing of all this.
    drop((run, plan, project));

    let begun = Instant::now();
    publish(&record, folder)?;
    Ok(Simulated {
        cells,
        planning,
        events,
        report: begun.elapsed(),
    })
}

/// As `matrix publish` and `matrix show --format junit` do.
fn publish(record: &Path, folder: &Path) -> Result<(), Failure> {
    let run = Run::load(record)?;
    let mut history = History::default();
    for file in report::publish::files(&run, &mut history)? {
        let path = folder.join("published").join(&file.path);
        if let Some(parent) = path.parent() {
            fs_err::create_dir_all(parent)?;
        }
        report::write_whole(&path, file.content.as_bytes())?;
    }
    let junit = report::junit::render(&run)?;
    fs_err::write(folder.join("junit.xml"), junit)?;
    Ok(())
}

/// The events of a run in which everything comes up.
fn tell(sink: &Sink, run: &Run, plan: &plan::Plan, recorded: &Run) {
    let attempts: Vec<_> = recorded
        .cells
        .iter()
        .filter_map(|cell| cell.attempts.last())
        .collect();
    let columns: Vec<_> = recorded
        .kernels
        .iter()
        .filter(|column| column.facts.is_some())
        .collect();
    for image in &run.images {
        sink.tell(Event::ImageReady {
            image: image.clone(),
        });
    }
    let mut attempts = attempts.iter().cycle();
    let mut columns = columns.iter().cycle();
    for kernel in &plan.kernels {
        sink.tell(Event::KernelReady {
            kernel: kernel.id.clone(),
        });
        sink.tell(Event::VmStarting {
            kernel: kernel.id.clone(),
            boot: 1,
        });
        if let Some(column) = columns.next() {
            let mut column = (**column).clone();
            column.id.clone_from(&kernel.id);
            column.boots_ms.clear();
            sink.tell(Event::VmReady {
                kernel: kernel.id.clone(),
                boot: 1,
                boot_ms: 60,
                start: StartKind::Warm,
                column: Box::new(column),
            });
        }
        for image in &plan.images {
            for check in &image.checks {
                let cell = report::CellId {
                    kernel: kernel.id.clone(),
                    image: image.name.clone(),
                    check: check.name.clone(),
                };
                sink.tell(Event::CellStarted { cell: cell.clone() });
                if let Some(attempt) = attempts.next() {
                    sink.tell(Event::CellFinished {
                        cell,
                        attempt: Box::new((**attempt).clone()),
                    });
                }
            }
        }
        sink.tell(Event::KernelFinished {
            kernel: kernel.id.clone(),
        });
    }
}
