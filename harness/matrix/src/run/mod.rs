//! `matrix run`: from the plan to the record.
//!
//! One thread records and shows events; the work is done by others: one per
//! image that builds it, one per kernel that prepares it, waits for its images,
//! takes a slot, boots and runs its cells. When all are through, what timed out
//! or fell silent beside others is run once more with the host to itself, and
//! only then counts.

mod boot;
mod command;
mod follow;
mod images;
mod judgement;
mod kernel_log;
mod options;
mod panic;
mod phases;
mod probes;
mod record;
mod resume;
mod session;
mod signals;
mod simulate;
mod sink;
mod slots;
mod template;
pub(crate) mod userland;
mod worker;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use jiff::Timestamp;
use plan::{Lock, Plan};
use qemu_runner::Spawner;
use report::{CellId, Event, RecordError, Recorder, Run};
use supply::Supply;

use crate::cli::{Global, RunArguments, SelectionArguments};
use crate::error::{Failure, Status};
use crate::progress::Display;
use crate::{diff, shard, show};
pub(crate) use boot::remembered_acceleration;
use follow::follow;
use options::{LOCK_SETTING, Options};
use phases::Phases;
pub(crate) use record::column;
use resume::Resumed;
pub(crate) use resume::selector as column_selector;
pub use simulate::Simulated;
pub(crate) use simulate::simulate;
use sink::{Fetches, Sink};
pub(crate) use template::{KIND as TEMPLATES, words as template_words};
use worker::Worker;

/// `matrix run`.
pub(crate) fn command(global: &Global, arguments: RunArguments) -> Result<Status, Failure> {
    let project = load_project(global)?;
    let mut options = Options::resolve(&arguments);
    let directory = std::env::current_dir()?;
    let baseline = diff::baseline(
        global,
        arguments.baseline.as_deref(),
        arguments.output.as_deref(),
    )?;
    let job = match &arguments.resume {
        Some(run) => {
            let folder = show::find(global, Some(run), arguments.output.as_deref())?;
            let recorder = Recorder::resume(&folder)?;
            let Some(run) = recorder.run() else {
                return Err(RecordError::NotStarted.into());
            };
            options.probes = !run.probes.is_empty();
            options.timeout = resume::time_limit(run, arguments.timeout)?;
            let Resumed { mut plan, done } = resume::resume(&project, run, &directory)?;
            let locked = run.run.settings.get(LOCK_SETTING);
            let wanted = arguments.locked || locked.is_some();
            hold_to_lock(&project, &mut plan, wanted, &mut options)?;
            if options.lock.as_ref() != locked {
                return Err(Failure::ResumeChanged {
                    run: run.run.id.clone(),
                    what: plan::LOCK.to_owned(),
                });
            }
            Job {
                plan,
                done,
                run: run.clone(),
                folder,
                recorder,
            }
        }
        None => {
            let mut plan = plan::plan(&project, &selection(&arguments.selection, directory))?;
            let shard = match arguments.shard {
                None => None,
                Some(choice) => {
                    let (index, of) = choice.resolve(|name| std::env::var(name).ok())?;
                    let before = shard::recorded_before(&project.root);
                    Some(shard::take(&mut plan, index, of, before.as_ref())?)
                }
            };
            if arguments.only_probes {
                plan.images.clear();
            }
            hold_to_lock(&project, &mut plan, arguments.locked, &mut options)?;
            if arguments.dry_run {
                crate::progress::print(&plan::describe_plan(&plan))?;
                if options.probes {
                    let probes = wire::Probe::ALL.len();
                    crate::progress::print(&format!("{probes} probes on each kernel\n"))?;
                }
                return Ok(Status::Done);
            }
            let started = Timestamp::now();
            let id = record::run_id(started);
            let folder = runs_folder(&project.root, arguments.output.as_deref()).join(&id);
            let mut run = record::planned(&plan, &options, id, started);
            run.run.shard = shard;
            let mut recorder = Recorder::create(&folder)?;
            recorder.record(&Event::RunStarted {
                run: Box::new(run.clone()),
            })?;
            Job {
                plan,
                done: BTreeSet::new(),
                run,
                folder,
                recorder,
            }
        }
    };
    fs_err::create_dir_all(job.folder.join("consoles"))?;
    let folder = job.folder.clone();
    let display = Display::choose(arguments.json, global.verbose, &job.run);
    let status = carry_out(global, &arguments, &options, job, display)?;
    match baseline {
        Some(baseline) => diff::held_against(&baseline, &folder, status, arguments.json),
        None => Ok(status),
    }
}

/// With --locked the plan is held to the project's lock file.
fn hold_to_lock(
    project: &plan::Project,
    plan: &mut Plan,
    wanted: bool,
    options: &mut Options,
) -> Result<(), Failure> {
    if wanted {
        let lock = Lock::read(&project.root)?;
        lock.apply(plan)?;
        options.lock = Some(options::digest_of(&lock));
    }
    Ok(())
}

/// Fetches and builds all that a run of these arguments needs, without a trace but in
/// `folder`. The record says what could not be had; none of its cells has run.
pub(crate) fn fetch_all(
    global: &Global,
    arguments: &RunArguments,
    project: &plan::Project,
    folder: &Path,
) -> Result<Run, Failure> {
    let mut options = Options::resolve(arguments);
    let directory = std::env::current_dir()?;
    let mut plan = plan::plan(project, &selection(&arguments.selection, directory))?;
    hold_to_lock(project, &mut plan, arguments.locked, &mut options)?;
    options.boots = false;
    planned_job(global, arguments, &options, plan, folder, |run| {
        Display::of_no_run(global.verbose, run)
    })
}

/// Carries out a plan of one cell, without a trace but in `folder`.
pub(crate) fn one_cell(
    global: &Global,
    arguments: &RunArguments,
    plan: Plan,
    folder: &Path,
) -> Result<Run, Failure> {
    let options = Options::resolve(arguments);
    planned_job(
        global,
        arguments,
        &options,
        plan,
        folder,
        Display::unobtrusive,
    )
}

fn planned_job(
    global: &Global,
    arguments: &RunArguments,
    options: &Options,
    plan: Plan,
    folder: &Path,
    display: impl FnOnce(&Run) -> Display,
) -> Result<Run, Failure> {
    let started = Timestamp::now();
    let run = record::planned(&plan, options, record::run_id(started), started);
    let folder = folder.join("run");
    let mut recorder = Recorder::create(&folder)?;
    recorder.record(&Event::RunStarted {
        run: Box::new(run.clone()),
    })?;
    fs_err::create_dir_all(folder.join("consoles"))?;
    let display = display(&run);
    let job = Job {
        plan,
        done: BTreeSet::new(),
        run,
        folder: folder.clone(),
        recorder,
    };
    carry_out(global, arguments, options, job, display)?;
    Ok(Run::load(&folder)?)
}

/// A run to be made or finished.
#[derive(Debug)]
struct Job {
    plan: Plan,
    /// Cells that have a result already.
    done: BTreeSet<CellId>,
    /// The record as it stands.
    run: Run,
    /// Where it is kept.
    folder: PathBuf,
    recorder: Recorder,
}

fn carry_out(
    global: &Global,
    arguments: &RunArguments,
    options: &Options,
    job: Job,
    mut display: Display,
) -> Result<Status, Failure> {
    let Job {
        plan,
        done,
        run,
        folder,
        recorder,
    } = job;
    let (sink, messages) = Sink::new();
    signals::watch(sink.clone())?;
    let phases = Arc::new(Phases::begin());
    let supply = Supply::new(supply::Options {
        cache_root: global.cache.clone(),
        offline: options.offline,
        qemu: options.qemu.clone(),
        progress: Arc::new(Fetches::new(sink.clone(), Arc::clone(&phases))),
    })?;
    let spawner = Spawner::new()?;

    display.show(&first_event(arguments, &run));
    thread::scope(|scope| {
        let worker = Worker {
            plan: &plan,
            options,
            done: &done,
            run: &run,
            supply: &supply,
            spawner: &spawner,
            sink: sink.clone(),
            phases: &phases,
            folder: &folder,
        };
        let work = scope.spawn(move || {
            let _end = worker.sink.end_of_work();
            worker.work();
        });
        // When recording fails, nothing more is worth doing: the process ends,
        // and its machines with it.
        let followed = follow(messages, recorder, display, &phases, &folder);
        match work.join() {
            Ok(()) => followed,
            Err(panic) => Err(Failure::Panicked(panic::words(&*panic))),
        }
    })
}

/// What is shown first; it has been recorded already.
fn first_event(arguments: &RunArguments, run: &Run) -> Event {
    match arguments.resume {
        Some(_) => Event::RunResumed {
            resumed: report::timestamp(),
        },
        None => Event::RunStarted {
            run: Box::new(run.clone()),
        },
    }
}

/// The project a command works on.
pub(crate) fn load_project(global: &Global) -> Result<plan::Project, Failure> {
    let root = match &global.directory {
        Some(directory) => directory.clone(),
        None => plan::find_project(&std::env::current_dir()?)?,
    };
    Ok(plan::load(&root)?)
}

/// Where runs are kept.
pub(crate) fn runs_folder(project: &Path, output: Option<&Path>) -> PathBuf {
    output
        .map_or_else(|| project.join("results"), Path::to_owned)
        .join("runs")
}

/// What was selected, as the plan takes it.
pub(crate) fn selection(arguments: &SelectionArguments, directory: PathBuf) -> plan::Selection {
    plan::Selection {
        kernels: arguments.kernels.clone(),
        images: if arguments.all_images {
            vec!["*".to_owned()]
        } else {
            arguments.images.clone()
        },
        checks: arguments.checks.clone(),
        directory,
    }
}
