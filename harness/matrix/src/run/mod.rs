//! `matrix run`: from the plan to the record.
//!
//! One thread records and shows events; the work is done by others: one per
//! image that builds it, one per kernel that prepares it, waits for its images,
//! takes a slot, boots and runs its cells. When all are through, what timed out
//! or fell silent beside others is run once more with the host to itself, and
//! only then counts.

mod boot;
mod images;
mod options;
mod phases;
mod probes;
mod record;
mod resume;
mod session;
mod sink;
mod slots;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread;

use jiff::Timestamp;
use plan::{Check, Image, Kernel, Plan};
use qemu_runner::{Disk, Spawner};
use report::{CellId, Counts, Event, RecordError, Recorder, Run};
use supply::Supply;

use crate::cli::{Global, RunArguments, SelectionArguments};
use crate::error::{Failure, Status};
use crate::progress::Display;
use crate::show;
pub(crate) use boot::remembered_acceleration;
use boot::{Bootery, Prepared};
use images::Images;
use options::Options;
use phases::{Phase, Phases};
use probes::ProbeTask;
use resume::Resumed;
use session::{Mode, Session, Task};
use sink::{Fetches, Message, Sink};
use slots::Slots;

/// `matrix run`.
pub(crate) fn command(global: &Global, arguments: RunArguments) -> Result<Status, Failure> {
    let project = load_project(global)?;
    let mut options = Options::resolve(&arguments);
    let directory = std::env::current_dir()?;
    let job = match &arguments.resume {
        Some(run) => {
            let folder = show::find(global, Some(run), arguments.output.as_deref())?;
            let recorder = Recorder::resume(&folder)?;
            let Some(run) = recorder.run() else {
                return Err(RecordError::NotStarted.into());
            };
            options.probes = !run.probes.is_empty();
            let Resumed { plan, done } = resume::resume(&project, run, &directory)?;
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
            if arguments.only_probes {
                plan.images.clear();
            }
            if arguments.dry_run {
                crate::progress::print(&plan::describe_plan(&plan))?;
                if options.probes {
                    let probes = count(wire::Probe::ALL.len(), "probe");
                    crate::progress::print(&format!("{probes} on each kernel\n"))?;
                }
                return Ok(Status::Done);
            }
            let started = Timestamp::now();
            let id = record::run_id(started);
            let folder = runs_folder(&project.root, arguments.output.as_deref()).join(&id);
            let run = record::planned(&plan, &options, id, started);
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
    carry_out(global, &arguments, &options, job)
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
) -> Result<Status, Failure> {
    let Job {
        plan,
        done,
        run,
        folder,
        recorder,
    } = job;
    let (sink, messages) = Sink::new();
    watch_signals(sink.clone())?;
    let phases = Arc::new(Phases::begin());
    let supply = Supply::new(supply::Options {
        cache_root: global.cache.clone(),
        offline: options.offline,
        qemu: options.qemu.clone(),
        progress: Arc::new(Fetches::new(sink.clone(), Arc::clone(&phases))),
    })?;
    let spawner = Spawner::new()?;

    let mut display = Display::choose(arguments.json, global.verbose, &run);
    display.show(&first_event(arguments, &run), &run);
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
        scope.spawn(move || {
            worker.work();
            worker.sink.send(Message::Done);
        });
        // When recording fails, nothing more is worth doing: the process ends,
        // and its machines with it.
        follow(&messages, recorder, display, &phases, &folder)
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

/// Reads events until the work is done, or a signal ends it.
fn follow(
    messages: &Receiver<Message>,
    mut recorder: Recorder,
    mut display: Display,
    phases: &Phases,
    folder: &Path,
) -> Result<Status, Failure> {
    let mut signal = None;
    loop {
        let event = match messages.recv() {
            Ok(Message::Event(event)) => *event,
            Ok(Message::Signal(number)) => {
                signal = Some(number);
                finished(phases, Some(format!("ended by signal {number}")))
            }
            // The senders are gone only after Done.
            Ok(Message::Done) | Err(_) => finished(phases, None),
        };
        let last = matches!(event, Event::RunFinished { .. });
        if let Err(error) = recorder.record(&event) {
            display.close();
            crate::progress::print_failure(&error.into());
            std::process::exit(3);
        }
        if let Some(run) = recorder.run() {
            display.show(&event, run);
        }
        if last {
            break;
        }
    }
    let Some(run) = recorder.run() else {
        // The first event carries the run.
        return Err(RecordError::NotStarted.into());
    };
    display.finish(run, folder)?;
    if let Some(number) = signal {
        // Threads may be deep in a download or a wait; nothing they hold outlives
        // the process: machines die with it, the cache is made of renames.
        std::process::exit(128 + i32::from(number));
    }
    Ok(status(run))
}

/// The last event.
fn finished(phases: &Phases, interrupted: Option<String>) -> Event {
    Event::RunFinished {
        finished: report::timestamp(),
        timings: phases.timings(),
        interrupted,
    }
}

fn status(run: &Run) -> Status {
    match Counts::of(run).exit_code() {
        0 => Status::Done,
        1 => Status::Unexpected,
        _ => Status::Incomplete,
    }
}

/// Everything the working threads share.
#[derive(Debug)]
struct Worker<'a> {
    plan: &'a Plan,
    options: &'a Options,
    /// Cells that have a result already.
    done: &'a BTreeSet<CellId>,
    /// The record as it stood when work began.
    run: &'a Run,
    supply: &'a Supply,
    spawner: &'a Spawner,
    sink: Sink,
    phases: &'a Phases,
    folder: &'a Path,
}

impl Worker<'_> {
    fn work(&self) {
        let images = Images::default();
        let bootery = Bootery::new(
            self.supply,
            self.spawner,
            self.options,
            &self.sink,
            self.folder,
        );
        let machines = Slots::new(self.options.jobs);
        // Unpacking and building are bound by the processor, not by machines.
        let builders = Slots::new(
            thread::available_parallelism()
                .map_or(1, usize::from)
                .max(2),
        );

        let doubtful: Vec<Doubtful<'_>> = thread::scope(|scope| {
            for image in self
                .plan
                .images
                .iter()
                .filter(|image| self.is_needed(image))
            {
                let (images, builders) = (&images, &builders);
                scope.spawn(move || {
                    let _slot = builders.take();
                    let before = self.run.image(&image.name);
                    let digest = before.and_then(|row| row.digest.as_deref());
                    images.build(image, digest, self.supply, &self.sink, self.phases);
                });
            }
            let kernels: Vec<_> = self
                .plan
                .kernels
                .iter()
                .map(|kernel| {
                    let (images, bootery) = (&images, &bootery);
                    let (builders, machines) = (&builders, &machines);
                    scope.spawn(move || self.kernel(kernel, images, bootery, builders, machines))
                })
                .collect();
            kernels
                .into_iter()
                .filter_map(|thread| match thread.join() {
                    Ok(doubtful) => doubtful,
                    Err(panic) => std::panic::resume_unwind(panic),
                })
                .collect()
        });

        // Nothing else runs now: no download, no build, no other machine.
        for Doubtful {
            kernel,
            prepared,
            disks,
            boots,
            tasks,
        } in doubtful
        {
            self.sink.note(format!(
                "{}: {} to confirm with the machine to itself",
                kernel.id,
                count(tasks.len(), "cell")
            ));
            let mut session = Session::new(&bootery, self.phases, kernel, &prepared, disks);
            session.mode = Mode::Alone;
            session.boots = boots;
            session.run(tasks);
        }
    }

    /// Some cell of the image has no result yet.
    fn is_needed(&self, image: &Image) -> bool {
        self.plan.kernels.iter().any(|kernel| {
            image
                .checks
                .iter()
                .any(|check| !self.done.contains(&cell_id(kernel, image, check)))
        })
    }

    /// The kernel's probes that have no result yet.
    fn probes_left(&self, kernel: &Kernel) -> VecDeque<ProbeTask> {
        self.run
            .probes
            .iter()
            .filter(|record| record.kernel == kernel.id && !record.outcome.is_result())
            .filter_map(|record| wire::Probe::named(&record.probe))
            .map(ProbeTask::new)
            .collect()
    }

    /// One kernel from its source to its last cell. Gives back what must be
    /// confirmed.
    fn kernel<'p>(
        &'p self,
        kernel: &'p Kernel,
        images: &Images,
        bootery: &Bootery<'_>,
        builders: &Slots,
        machines: &Slots,
    ) -> Option<Doubtful<'p>> {
        let mut probes = self.probes_left(kernel);
        let left =
            |image: &Image, check: &Check| !self.done.contains(&cell_id(kernel, image, check));
        if self
            .plan
            .images
            .iter()
            .all(|image| !image.checks.iter().any(|check| left(image, check)))
            && probes.is_empty()
        {
            return None;
        }
        let prepared = {
            // An uncompressed kernel is 60 MB in memory: not all of them at once.
            let _slot = builders.take();
            let _phase = self.phases.enter(Phase::Build);
            bootery.prepare(kernel)
        };
        let unavailable = |reason: String| {
            self.sink.tell(Event::KernelUnavailable {
                kernel: kernel.id.clone(),
                reason,
            });
        };
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                unavailable(error.to_string());
                return None;
            }
        };
        // Two kernels must not share a column.
        if let Some(column) = self.run.kernel(&kernel.id)
            && !column.package.is_empty()
            && column.package != *prepared.package()
        {
            unavailable(format!(
                "the run began with {}, and this source now gives {}\nhint: start a new run",
                package_words(&column.package),
                package_words(prepared.package())
            ));
            return None;
        }
        let mut disks = Vec::new();
        let mut tasks = Vec::new();
        for (index, image) in self.plan.images.iter().enumerate() {
            let checks: Vec<&Check> = image
                .checks
                .iter()
                .filter(|check| left(image, check))
                .collect();
            if checks.is_empty() {
                continue;
            }
            // One that cannot be had has been told, and its cells stay not run.
            let Some(disk) = images.wait(&image.name) else {
                continue;
            };
            let serial = format!("image{index}");
            disks.push(Disk {
                path: disk.path,
                serial: serial.clone(),
            });
            tasks.extend(
                checks
                    .into_iter()
                    .map(|check| Task::new(image, check, serial.clone())),
            );
        }
        if !probes.is_empty() {
            match probes::disk(self.supply) {
                Ok(disk) => disks.push(disk),
                Err(error) => {
                    let message = format!("the program for inside: {error}");
                    for task in probes.drain(..) {
                        self.sink.tell(task.trouble(&kernel.id, &message));
                    }
                }
            }
        }
        if tasks.is_empty() && probes.is_empty() {
            return None;
        }
        let _slot = machines.take();
        let mut session = Session::new(bootery, self.phases, kernel, &prepared, disks.clone());
        session.probes = probes;
        let tasks = session.run(tasks);
        let boots = session.boots;
        self.sink.tell(Event::KernelFinished {
            kernel: kernel.id.clone(),
        });
        (!tasks.is_empty()).then_some(Doubtful {
            kernel,
            prepared,
            disks,
            boots,
            tasks,
        })
    }
}

/// What must be confirmed with the host to itself before it counts.
#[derive(Debug)]
struct Doubtful<'a> {
    kernel: &'a Kernel,
    prepared: Prepared,
    disks: Vec<Disk>,
    boots: u32,
    tasks: Vec<Task<'a>>,
}

fn cell_id(kernel: &Kernel, image: &Image, check: &Check) -> CellId {
    CellId {
        kernel: kernel.id.clone(),
        image: image.name.clone(),
        check: check.name.clone(),
    }
}

/// `linux-image-6.1.0-50-cloud-amd64 6.1.170-1`, or the path.
fn package_words(package: &BTreeMap<String, String>) -> String {
    ["name", "version", "path"]
        .iter()
        .filter_map(|key| package.get(*key))
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(" ")
}

/// `1 cell`, `2 cells`.
fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// SIGINT, SIGTERM and SIGHUP end the run with its record closed; a second one
/// ends the program at once.
fn watch_signals(sink: Sink) -> Result<(), Failure> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let mut asked = false;
            for signal in &mut signals {
                if asked {
                    std::process::exit(128 + signal);
                }
                asked = true;
                sink.send(Message::Signal(u8::try_from(signal).unwrap_or(u8::MAX)));
            }
        })?;
    Ok(())
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
fn selection(arguments: &SelectionArguments, directory: PathBuf) -> plan::Selection {
    plan::Selection {
        kernels: arguments.kernels.clone(),
        images: arguments.images.clone(),
        checks: arguments.checks.clone(),
        directory,
    }
}
