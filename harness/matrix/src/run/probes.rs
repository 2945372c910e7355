//! A kernel's probes: checks of the runtime itself, in the machine its cells ran
//! in, after them.
//!
//! A probe that wedges or takes the machine down costs a new machine for those
//! after it. What a busy host or the machine room can do (a time limit, a
//! silence, QEMU's end) is tried once more in a fresh machine before it counts.

use std::collections::BTreeMap;
use std::time::Duration;

use plan::ImageSource;
use qemu_runner::{Disk, VmEnd};
use report::{Event, ProbeOutcome, ProbeRecord};
use supply::{Supply, SupplyError};
use wire::{FromGuest, Probe, ProbeModule, ProbeRequest, ProbeResult, ToGuest};

use super::boot::{Booted, Prepared};
use super::phases::{Phase, milliseconds};
use super::session::Session;
use crate::programs;

/// A probe's limit on a guest as fast as the host. Most are over in a tenth of a
/// second there.
const LIMIT: Duration = Duration::from_secs(10);

/// What the guest gets beyond a probe's limit to end it and answer; on a guest as fast as
/// the host.
const GRACE: Duration = Duration::from_secs(10);

/// How often a probe is tried.
const TRIES: u32 = 2;

/// Lines of a dead machine's console that are kept.
const CONSOLE: usize = 40;

/// The serial of the disk with the program for inside.
pub(super) const SERIAL: &str = "probes";

/// The program's name in its image.
const PROGRAM: &str = "probe-inside";

/// A probe to carry out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProbeTask {
    probe: Probe,
    /// Tries that came to nothing.
    tries: u32,
}

impl ProbeTask {
    pub(crate) fn new(probe: Probe) -> Self {
        Self { probe, tries: 0 }
    }

    /// Without a machine to try it in: it says why.
    pub(crate) fn trouble(self, kernel: &str, message: &str) -> Event {
        Event::ProbeFinished {
            record: Box::new(ProbeRecord {
                outcome: ProbeOutcome::Trouble {
                    message: message.to_owned(),
                },
                ..ProbeRecord::planned(kernel, self.probe)
            }),
        }
    }
}

/// The disk with the program for inside.
///
/// # Errors
/// When it cannot be built.
pub(crate) fn disk(supply: &Supply) -> Result<Disk, SupplyError> {
    let programs = BTreeMap::from([(PROGRAM.to_owned(), programs::PROBE_INSIDE)]);
    let image = supply.image(&[ImageSource::Program(PROGRAM.to_owned())], &programs)?;
    Ok(Disk {
        path: image.path,
        serial: SERIAL.to_owned(),
    })
}

/// The modules all probes want.
pub(crate) fn wanted_modules() -> Vec<&'static str> {
    let mut wanted: Vec<&str> = Vec::new();
    for name in Probe::ALL.iter().flat_map(|probe| probe.modules()) {
        if !wanted.contains(name) {
            wanted.push(name);
        }
    }
    wanted
}

impl Session<'_> {
    /// Carries out what is queued. False when the machine is gone or of no more
    /// use.
    pub(crate) fn drain_probes(&mut self, booted: &mut Booted) -> bool {
        if self.probes.is_empty() {
            return true;
        }
        let _phase = self.phases.enter(Phase::Probes);
        let mut modules_sent = false;
        while let Some(mut task) = self.probes.pop_front() {
            self.bootery.sink.tell(Event::ProbeStarted {
                kernel: self.kernel.id.clone(),
                probe: task.probe.name().to_owned(),
            });
            let mut modules = Vec::new();
            if !task.probe.modules().is_empty() && !modules_sent {
                modules_sent = true;
                match self.prepared.probe_modules() {
                    Ok(read) => modules = read,
                    Err(error) => {
                        let message = format!("the modules it needs: {error}");
                        self.bootery
                            .sink
                            .tell(task.trouble(&self.kernel.id, &message));
                        continue;
                    }
                }
            }
            task.tries += 1;
            let last = task.tries >= TRIES;
            let limit = milliseconds(LIMIT.mul_f64(booted.slowdown));
            match self.attempt_probe(booted, task.probe, limit, modules) {
                Ok(result) => {
                    let timed_out = result.outcome == wire::ProbeOutcome::TimedOut;
                    if timed_out && !last {
                        self.probes.push_front(task);
                    } else {
                        self.tell_probe(booted, task.probe, of_result(result, limit));
                    }
                    if timed_out {
                        self.vm_gone(
                            booted.boot,
                            format!("the probe {} was not over in time", task.probe.name()),
                        );
                        return false;
                    }
                }
                Err(end) => {
                    let console = booted.vm.console_tail(CONSOLE);
                    self.vm_gone(booted.boot, end.to_string());
                    match of_end(&end, last) {
                        Some(outcome) => {
                            let record = ProbeRecord {
                                outcome,
                                kernel_log: console,
                                ..ProbeRecord::planned(&self.kernel.id, task.probe)
                            };
                            self.tell_probe(booted, task.probe, record);
                        }
                        None => self.probes.push_front(task),
                    }
                    return false;
                }
            }
        }
        true
    }

    fn attempt_probe(
        &mut self,
        booted: &mut Booted,
        probe: Probe,
        limit: u64,
        modules: Vec<ProbeModule>,
    ) -> Result<ProbeResult, VmEnd> {
        let id = self.take_id();
        booted.vm.send(&ToGuest::Probe(Box::new(ProbeRequest {
            id,
            probe,
            disk: SERIAL.to_owned(),
            time: limit,
            modules,
        })))?;
        let patience = Duration::from_millis(limit) + GRACE.mul_f64(booted.slowdown);
        match booted.vm.receive(patience)? {
            FromGuest::Probed(result) if result.id == id => Ok(*result),
            FromGuest::Fatal { reason } => Err(VmEnd::GuestFatal { reason }),
            other => Err(VmEnd::Channel {
                message: format!("an answer out of turn: {other:?}"),
            }),
        }
    }

    fn tell_probe(&self, booted: &Booted, probe: Probe, record: ProbeRecord) {
        let planned = ProbeRecord::planned(&self.kernel.id, probe);
        self.bootery.sink.tell(Event::ProbeFinished {
            record: Box::new(ProbeRecord {
                kernel: planned.kernel,
                probe: planned.probe,
                title: planned.title,
                boot: Some(booted.boot),
                ..record
            }),
        });
    }
}

/// What a result says; a time limit only on the last try.
fn of_result(result: ProbeResult, limit: u64) -> ProbeRecord {
    ProbeRecord {
        kernel: String::new(),
        probe: String::new(),
        title: String::new(),
        outcome: match result.outcome {
            wire::ProbeOutcome::Passed => ProbeOutcome::Passed,
            wire::ProbeOutcome::Failed { how } => ProbeOutcome::Failed { how },
            wire::ProbeOutcome::Unsupported { what } => ProbeOutcome::Unsupported { what },
            wire::ProbeOutcome::Trouble { message } => ProbeOutcome::Trouble { message },
            wire::ProbeOutcome::TimedOut => ProbeOutcome::Failed {
                how: format!("it was not over in {} s, {TRIES} times", limit / 1000),
            },
        },
        observed: result.observed,
        kernel_log: result
            .kernel_log
            .into_iter()
            .map(|line| line.text)
            .collect(),
        duration_ms: Some(result.duration / 1000),
        boot: None,
    }
}

/// What the machine's end says of the probe; none: it is tried once more.
fn of_end(end: &VmEnd, last: bool) -> Option<ProbeOutcome> {
    match end {
        VmEnd::Panic { message, .. } => Some(ProbeOutcome::Failed {
            how: format!("it took the kernel down: {message}"),
        }),
        // Nothing in the guest may reset the machine: whatever did took the
        // kernel down.
        VmEnd::Reset { .. } => Some(ProbeOutcome::Failed {
            how: format!("it took the kernel down: {end}"),
        }),
        _ if !last => None,
        VmEnd::Silent { .. } => Some(ProbeOutcome::Failed {
            how: format!("{TRIES} times: {end}"),
        }),
        _ => Some(ProbeOutcome::Trouble {
            message: format!("the machine ended {TRIES} times under it: {end}"),
        }),
    }
}

impl Prepared {
    /// The modules all probes want, in the order to load them.
    ///
    /// # Errors
    /// When they were not prepared, or cannot be read.
    pub(crate) fn probe_modules(&self) -> std::io::Result<Vec<ProbeModule>> {
        match self.probe_modules_file() {
            None => Ok(Vec::new()),
            Some(path) => wire::read(&mut fs_err::File::open(path)?).map_err(std::io::Error::other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_machine_counts_when_it_is_the_kernels_doing_or_the_last_try() {
        let silent = VmEnd::Silent {
            waited: Duration::from_secs(3),
            lockup: None,
            last_line: None,
        };
        let trouble = VmEnd::Channel {
            message: "closed".to_owned(),
        };
        assert_eq!(of_end(&silent, false), None);
        assert_eq!(of_end(&trouble, false), None);
        assert!(matches!(
            of_end(&silent, true),
            Some(ProbeOutcome::Failed { .. })
        ));
        let outcome = of_end(&trouble, true);
        assert!(
            matches!(outcome, Some(ProbeOutcome::Trouble { .. })),
            "{outcome:?}"
        );
    }

    #[test]
    fn a_time_limit_is_a_failure_and_keeps_its_evidence() {
        let record = of_result(
            ProbeResult {
                id: 1,
                outcome: wire::ProbeOutcome::TimedOut,
                observed: vec!["inside: pid -> 1".to_owned()],
                kernel_log: Vec::new(),
                duration: 9_000_000,
            },
            9000,
        );
        let ProbeOutcome::Failed { how } = &record.outcome else {
            panic!("{record:?}");
        };
        assert!(how.contains("not over in 9 s"), "{how}");
        assert_eq!(record.observed, ["inside: pid -> 1"]);
    }

    #[test]
    fn modules_are_wanted_once() {
        let wanted = wanted_modules();
        let mut sorted = wanted.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), wanted.len());
        assert!(wanted.contains(&"veth") && wanted.contains(&"bridge"));
    }
}
