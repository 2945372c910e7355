//! A kernel's cells, one after the other in one machine, and in a new one after
//! each cell that takes the machine down.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use plan::{Check, Image, Kernel};
use qemu_runner::{Disk, VmEnd};
use report::{Attempt, CellId, Event, StartKind};
use supply::ImageConfig;
use verdict::Outcome;
use wire::{CellRequest, CellResult, Command, FromGuest, Limits, ToGuest};

use super::boot::{BootError, Booted, Bootery, Prepared};
use super::judgement::{Judged, Seen, outcome_of, survived};
use super::options::OUTPUT_LIMIT;
use super::phases::{Phase, Phases, milliseconds};
use super::probes::ProbeTask;
use super::userland::Userlands;
use crate::cli::Isolation;

/// What the guest gets to begin and to end a cell, and to answer, beyond the cell's
/// limit and what it waits by its own clock, before its silence counts as a lockup; on a
/// guest as fast as the host.
const GRACE: Duration = Duration::from_secs(3);

/// How long a machine may take to power off before it is killed.
const POWER_OFF: Duration = Duration::from_secs(5);

/// Why nothing more runs in a machine after a check with capabilities besides docker's.
const CHANGED: &str = "a check with capabilities of its own may have changed it";

/// How much longer a traced cell may take.
const TRACE_SLOWDOWN: u64 = 3;

/// How long a cell that hangs is watched at least, milliseconds.
const TRACE_OF_A_HANG: u64 = 5_000;

/// How often a cell is tried again when the machine room, not the cell, failed.
const TROUBLE_TRIES: u32 = 2;

/// A cell to run.
#[derive(Clone, Debug)]
pub(crate) struct Task<'a> {
    pub(crate) image: &'a Image,
    pub(crate) check: &'a Check,
    /// The serial of its image's disk.
    pub(crate) disk: String,
    /// What runs, as the image's file and its own configuration have it.
    pub(super) command: Command,
    /// What attempts before this came to: a time limit or a silence that is to be
    /// confirmed.
    pub(super) earlier: Vec<Outcome>,
    /// What it came to after a warm start, until a cold boot has seen it too.
    warm: Option<Outcome>,
    /// How often the machine room failed under it.
    troubles: u32,
    /// How often it was run again because it was not as expected.
    retries: u32,
}

/// Cells that have a result and are not through yet.
#[derive(Debug, Default)]
struct Unsettled<'a> {
    /// To be confirmed with the host to itself.
    doubtful: Vec<Task<'a>>,
    /// Seen after a warm start, to be seen after a cold boot.
    confirm: Vec<Task<'a>>,
    /// Not as expected: to be run again in a new machine.
    again: Vec<Task<'a>>,
}

impl<'a> Task<'a> {
    pub(crate) fn new(
        image: &'a Image,
        check: &'a Check,
        disk: String,
        config: &ImageConfig,
    ) -> Self {
        Task {
            command: super::command::command(image, check, config),
            image,
            check,
            disk,
            earlier: Vec::new(),
            warm: None,
            troubles: 0,
            retries: 0,
        }
    }
}

/// How a session treats what it meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Beside other machines: a time limit or a silence is handed back, to be
    /// confirmed.
    Shared,
    /// With the host to itself: what is seen counts.
    Alone,
}

/// One kernel's work.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    pub(crate) bootery: &'a Bootery<'a>,
    pub(crate) phases: &'a Phases,
    pub(crate) kernel: &'a Kernel,
    pub(crate) prepared: &'a Prepared,
    pub(crate) disks: Vec<Disk>,
    pub(crate) mode: Mode,
    /// Boots of this kernel so far in this run.
    pub(crate) boots: u32,
    /// Probes still to be carried out, after the cells.
    pub(crate) probes: VecDeque<ProbeTask>,
    pub(super) userlands: Userlands,
    next_id: u64,
}

impl<'a> Session<'a> {
    pub(crate) fn new(
        bootery: &'a Bootery<'a>,
        phases: &'a Phases,
        kernel: &'a Kernel,
        prepared: &'a Prepared,
        disks: Vec<Disk>,
    ) -> Self {
        Session {
            bootery,
            phases,
            kernel,
            prepared,
            disks,
            mode: Mode::Shared,
            boots: bootery.boots_so_far(kernel),
            probes: VecDeque::new(),
            userlands: Userlands::default(),
            next_id: 0,
        }
    }

    /// Runs the tasks; those after a warm start that are not as expected, and some that
    /// are, once more after a cold boot; gives back those whose outcome must be confirmed with the
    /// host to itself.
    pub(crate) fn run<'p>(&mut self, tasks: Vec<Task<'p>>) -> Vec<Task<'p>> {
        let mut queue = VecDeque::from(tasks);
        let mut unsettled = Unsettled::default();
        let mut start = match self.mode {
            Mode::Shared => self.bootery.options.start,
            Mode::Alone => StartKind::Cold,
        };
        loop {
            if queue.is_empty() {
                // The machines after this are new ones, and have only these.
                queue.extend(self.next_round(&mut unsettled));
                if queue.is_empty() && self.probes.is_empty() {
                    break;
                }
                // Probes look at what a host gives, so theirs is a real one.
                start = StartKind::Cold;
            }
            let mut batch = self.take_batch(start, &mut queue);
            // Probes come last, beside the last cells where those booted.
            let probing = queue.is_empty() && start == StartKind::Cold;
            let booted = self.boot(self.disks_of(start, &batch), start);
            let booted = match booted {
                Ok(booted) => booted,
                Err(error) => {
                    self.give_up(&error);
                    break;
                }
            };
            self.drain(booted, &mut batch, &mut unsettled, probing);
            // What the machine left over when it went.
            for task in batch.into_iter().rev() {
                queue.push_front(task);
            }
        }
        unsettled.doubtful
    }

    /// What is to be run after a cold boot, now that everything ran once: first what
    /// warm starts are to be confirmed by, then what is tried again.
    fn next_round<'p>(&self, unsettled: &mut Unsettled<'p>) -> Vec<Task<'p>> {
        let (round, why) = match unsettled.confirm.is_empty() {
            false => (
                &mut unsettled.confirm,
                "seen after a warm start, to be seen after a cold boot",
            ),
            true => (
                &mut unsettled.again,
                "not as expected, and run again in a new machine",
            ),
        };
        let round = std::mem::take(round);
        if !round.is_empty() {
            self.bootery
                .sink
                .note(format!("{}: {why}: {}", self.kernel.id, round.len()));
        }
        round
    }

    /// The next cells that share a machine.
    fn take_batch<'p>(
        &self,
        start: StartKind,
        queue: &mut VecDeque<Task<'p>>,
    ) -> VecDeque<Task<'p>> {
        let count = match self.bootery.options.isolation(start) {
            Isolation::Kernel => queue.len(),
            Isolation::Cell => queue.len().min(1),
            Isolation::Image => queue
                .iter()
                .take_while(|task| queue.front().is_some_and(|first| first.disk == task.disk))
                .count(),
        };
        queue.drain(..count).collect()
    }

    /// The disks a machine needs. A boot pays for each; where it serves all cells of
    /// a kernel it has all, so that cells after a crash find theirs.
    fn disks_of(&self, start: StartKind, batch: &VecDeque<Task<'_>>) -> Vec<Disk> {
        if self.bootery.options.isolation(start) == Isolation::Kernel {
            return self.disks.clone();
        }
        let probes = |disk: &Disk| !self.probes.is_empty() && disk.serial == super::probes::SERIAL;
        self.disks
            .iter()
            .filter(|disk| {
                batch.iter().any(|task| task.disk == disk.serial)
                    || (start == StartKind::Cold && probes(disk))
            })
            .cloned()
            .collect()
    }

    /// Keeps an attempt, and puts the cell where it belongs next.
    fn settle<'p>(&self, mut task: Task<'p>, attempt: Attempt, unsettled: &mut Unsettled<'p>) {
        let doubtful = attempt.is_doubtful();
        let unexpected = attempt.verdict.is_unexpected();
        let confirm = attempt.start == StartKind::Warm
            && attempt.outcome.is_result()
            && !doubtful
            && (unexpected || self.is_sampled(&task));
        let mut contradicted = false;
        if confirm {
            // No attempt of its own yet: what agrees with the cold boot is one with it.
            task.warm = Some(attempt.outcome.clone());
        } else {
            if let Some(warm) = task.warm.take()
                && attempt.outcome.is_result()
                && !warm.agrees_with(&attempt.outcome)
            {
                contradicted = true;
                task.earlier.push(warm);
            }
            task.earlier.push(attempt.outcome.clone());
        }
        self.tell(&task, attempt);
        if doubtful {
            unsettled.doubtful.push(task);
        } else if confirm {
            unsettled.confirm.push(task);
        } else if (unexpected || contradicted) && task.retries < self.bootery.options.retries {
            task.retries += 1;
            unsettled.again.push(task);
        }
    }

    /// One cell of so many, others in each run, so that runs together see them all.
    fn is_sampled(&self, task: &Task<'_>) -> bool {
        let mut hasher = DefaultHasher::new();
        (self.bootery.folder, self.cell(task)).hash(&mut hasher);
        hasher
            .finish()
            .checked_rem(u64::from(self.bootery.options.sample))
            == Some(0)
    }

    /// Boots, once more where the first try failed for reasons that may pass.
    fn boot(&mut self, disks: Vec<Disk>, start: StartKind) -> Result<Booted, BootError> {
        let mut start = start;
        let mut tries = 0;
        loop {
            self.boots += 1;
            tries += 1;
            let result = {
                let _phase = self.phases.enter(Phase::Boot);
                self.bootery
                    .boot(self.kernel, self.prepared, disks.clone(), self.boots, start)
            };
            match result {
                Err(error) if error.may_pass() && tries < TROUBLE_TRIES => {
                    self.vm_gone(self.boots, format!("{error}; trying once more"));
                    start = StartKind::Cold;
                }
                other => return other,
            }
        }
    }

    /// No machine for the rest of the queue: a kernel that never came up is
    /// unavailable as a whole; of one that did, the cells without a result say
    /// why they have none.
    fn give_up(&self, error: &BootError) {
        let again = if self.next_id > 0 {
            "it did not come up again: "
        } else {
            ""
        };
        self.bootery.sink.tell(Event::KernelUnavailable {
            kernel: self.kernel.id.clone(),
            reason: format!("{again}{error}"),
        });
    }

    /// Runs queued cells until the queue is empty or the machine is gone.
    fn drain<'p>(
        &mut self,
        mut booted: Booted,
        queue: &mut VecDeque<Task<'p>>,
        unsettled: &mut Unsettled<'p>,
        probing: bool,
    ) {
        let phase = self.phases.enter(Phase::Cells);
        while let Some(task) = queue.pop_front() {
            self.bootery.sink.tell(Event::CellStarted {
                cell: self.cell(&task),
            });
            let limit = limit_of(&task, self.bootery.options.timeout, booted.slowdown);
            let (begun, lines) = (Instant::now(), booted.vm.console_lines());
            match self.attempt(&mut booted, &task, limit, false) {
                Ok(result) => {
                    let outcome = outcome_of(&booted, &task, &result, limit);
                    let seen = Seen {
                        limit,
                        result: Some(&result),
                        ..Seen::default()
                    };
                    let mut judged = self.judge(&booted, &task, outcome, seen);
                    let mut gone = judged.harm.take();
                    if !task.check.capabilities.is_empty() {
                        // Its own trace would be of another machine, too.
                        gone = gone.or_else(|| Some(CHANGED.to_owned()));
                    } else if gone.is_none() && self.wants_trace(&judged.attempt) {
                        gone = self.trace(&mut booted, &task, &mut judged, &result, limit);
                    }
                    self.settle(task, judged.attempt, unsettled);
                    if let Some(reason) = gone {
                        self.vm_gone(booted.boot, reason);
                        return;
                    }
                }
                Err(end) => {
                    // Not the lines of its boot, or of cells before this one.
                    let console = booted.vm.console_since(lines);
                    let seen = Seen {
                        limit,
                        lasted: Some(begun.elapsed()),
                        console: &console,
                        ..Seen::default()
                    };
                    self.vm_gone(booted.boot, end.to_string());
                    self.machine_gone(&booted, task, &end, seen, queue, unsettled);
                    return;
                }
            }
        }
        drop(phase);
        if probing && !self.drain_probes(&mut booted) {
            return;
        }
        if booted.start == StartKind::Warm {
            // Nothing is lost with it, and to power off takes longer than its start.
            booted.vm.kill();
            return;
        }
        // All results are in: how the machine ends changes none of them.
        if let Err(end) = booted.vm.power_off(POWER_OFF) {
            self.vm_gone(booted.boot, format!("while it was powered off: {end}"));
        }
    }

    /// What the end of the machine means for the cell that was running.
    fn machine_gone<'p>(
        &self,
        booted: &Booted,
        mut task: Task<'p>,
        end: &VmEnd,
        seen: Seen<'_>,
        queue: &mut VecDeque<Task<'p>>,
        unsettled: &mut Unsettled<'p>,
    ) {
        let outcome = match end {
            VmEnd::Panic { message, .. } => Outcome::Panic {
                message: message.clone(),
            },
            // Neither the guest nor a container of docker's capabilities may power off
            // or reset the machine: whatever did took the kernel down. One that may
            // say so, by sysrq, leaves as little of it.
            VmEnd::Reset { .. } => Outcome::Panic {
                message: end.to_string(),
            },
            VmEnd::Silent { .. } => Outcome::Lockup {
                message: end.to_string(),
            },
            // The machine room's trouble says nothing of the cell.
            _ if task.troubles + 1 < TROUBLE_TRIES => {
                task.troubles += 1;
                queue.push_front(task);
                return;
            }
            _ => Outcome::NotRun {
                reason: format!("the machine ended twice under it: {end}"),
            },
        };
        let judged = self.judge(booted, &task, outcome, seen);
        self.settle(task, judged.attempt, unsettled);
    }

    /// A cell that is no pass is to run once more under ptrace: all where that was
    /// asked for, else those of which it would tell more. Not before it is sure that
    /// it is none.
    fn wants_trace(&self, attempt: &Attempt) -> bool {
        let failed = attempt.outcome.is_result() && !attempt.outcome.is_pass();
        let tells = verdict::trace_would_tell(&attempt.outcome, attempt.cause.as_ref());
        failed && !attempt.awaits_confirmation() && (self.bootery.options.trace || tells)
    }

    /// Runs the cell once more under ptrace, and judges with what that shows. What
    /// the traced run comes to is no attempt: it was watched. Gives back why the
    /// machine is of no more use, if so.
    fn trace(
        &mut self,
        booted: &mut Booted,
        task: &Task<'_>,
        judged: &mut Judged,
        result: &CellResult,
        limit: u64,
    ) -> Option<String> {
        let longer = match judged.attempt.outcome {
            // It will not end; what it waits in is told when nothing happens.
            Outcome::Timeout { .. } => limit.max(TRACE_OF_A_HANG),
            // Every system call stops twice for the tracer.
            _ => limit.saturating_mul(TRACE_SLOWDOWN),
        };
        let traced = match self.attempt(booted, task, longer, true) {
            Ok(traced) => traced,
            Err(end) => return Some(format!("while a cell was traced: {end}")),
        };
        let outcome = outcome_of(booted, task, &traced, longer);
        if let Some(trace) = &traced.trace {
            let seen = Seen {
                limit,
                result: Some(result),
                trace: Some((&outcome, trace)),
                ..Seen::default()
            };
            *judged = self.judge(booted, task, judged.attempt.outcome.clone(), seen);
        }
        let lines: Vec<String> = traced
            .kernel_log
            .iter()
            .map(|line| line.text.clone())
            .collect();
        survived(&traced).or_else(|| {
            verdict::harmed(verdict::Observation {
                kernel_log: &lines,
                ..verdict::Observation::new(&outcome)
            })
            .map(|line| format!("the kernel came to harm while a cell was traced: {line}"))
        })
    }

    fn attempt(
        &mut self,
        booted: &mut Booted,
        task: &Task<'_>,
        limit: u64,
        trace: bool,
    ) -> Result<CellResult, VmEnd> {
        let id = self.take_id();
        booted.vm.send(&ToGuest::Run(Box::new(CellRequest {
            id,
            disk: task.disk.clone(),
            command: task.command.clone(),
            limits: Limits {
                time: limit,
                output: OUTPUT_LIMIT,
            },
            trace,
        })))?;
        let patience = patience(limit, booted.slowdown);
        let mut answer = booted.vm.receive(patience)?;
        while let FromGuest::Log(lines) = answer {
            if let Err(error) = booted.log.append(&lines) {
                self.bootery
                    .sink
                    .note(format!("kernel {}: {error}", self.kernel.id));
            }
            answer = booted.vm.receive(patience)?;
        }
        match answer {
            FromGuest::Finished(result) if result.id == id => Ok(*result),
            FromGuest::Fatal { reason } => Err(VmEnd::GuestFatal { reason }),
            other => Err(VmEnd::Channel {
                message: format!("an answer out of turn: {other:?}"),
            }),
        }
    }

    /// A number that no earlier request of this session had.
    pub(super) fn take_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn cell(&self, task: &Task<'_>) -> CellId {
        CellId {
            kernel: self.kernel.id.clone(),
            image: task.image.name.clone(),
            check: task.check.name.clone(),
        }
    }

    fn tell(&self, task: &Task<'_>, attempt: Attempt) {
        let cell = self.cell(task);
        self.bootery.sink.tell(Event::CellFinished {
            cell,
            attempt: Box::new(attempt),
        });
    }

    pub(super) fn vm_gone(&self, boot: u32, reason: String) {
        self.bootery.sink.tell(Event::VmGone {
            kernel: self.kernel.id.clone(),
            boot,
            reason,
        });
    }
}

/// How long a guest may be silent over a cell of this limit, milliseconds. Only its work
/// takes longer where it is slow; its waits are by the clock.
fn patience(limit: u64, slowdown: f64) -> Duration {
    Duration::from_millis(limit) + Limits::after() + GRACE.mul_f64(slowdown)
}

/// Milliseconds, stretched by how much slower the guest is.
fn limit_of(task: &Task<'_>, run: Duration, slowdown: f64) -> u64 {
    let limit = task.check.timeout.map_or(run, Duration::from_millis);
    milliseconds(limit.mul_f64(slowdown))
}
