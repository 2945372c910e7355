//! Where wall time goes: how long at least one piece of each kind of work was
//! under way. Kinds overlap, since they are done side by side.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Kinds of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Bytes come over the network.
    Fetch,
    /// Images, kernels and tools are unpacked and built.
    Build,
    /// A machine is between QEMU's start and the waiting guest.
    Boot,
    /// Cells run.
    Cells,
    /// Probes run.
    Probes,
}

impl Phase {
    fn name(self) -> &'static str {
        match self {
            Phase::Fetch => "fetch",
            Phase::Build => "build",
            Phase::Boot => "boot",
            Phase::Cells => "cells",
            Phase::Probes => "probes",
        }
    }
}

/// A stopwatch per kind of work.
#[derive(Debug)]
pub(crate) struct Phases {
    begun: Instant,
    watches: Mutex<BTreeMap<Phase, Watch>>,
}

#[derive(Debug, Default)]
struct Watch {
    under_way: u32,
    since: Option<Instant>,
    total: Duration,
}

impl Phases {
    pub(crate) fn begin() -> Self {
        Phases {
            begun: Instant::now(),
            watches: Mutex::default(),
        }
    }

    /// Counts until the guard is dropped.
    pub(crate) fn enter(&self, phase: Phase) -> PhaseGuard<'_> {
        self.start(phase);
        PhaseGuard {
            phases: self,
            phase,
        }
    }

    /// The same without a guard, for work whose two ends are told by others.
    pub(crate) fn start(&self, phase: Phase) {
        let mut watches = self.lock();
        let watch = watches.entry(phase).or_default();
        watch.under_way += 1;
        watch.since.get_or_insert_with(Instant::now);
    }

    /// Ends what [`Phases::start`] began.
    pub(crate) fn stop(&self, phase: Phase) {
        let mut watches = self.lock();
        let watch = watches.entry(phase).or_default();
        watch.under_way = watch.under_way.saturating_sub(1);
        if watch.under_way == 0
            && let Some(since) = watch.since.take()
        {
            watch.total += since.elapsed();
        }
    }

    /// Milliseconds of each kind, and `total` since the beginning.
    pub(crate) fn timings(&self) -> BTreeMap<String, u64> {
        let mut timings: BTreeMap<String, u64> = self
            .lock()
            .iter()
            .map(|(phase, watch)| {
                let running = watch.since.map_or(Duration::ZERO, |since| since.elapsed());
                (phase.name().to_owned(), milliseconds(watch.total + running))
            })
            .collect();
        timings.insert("total".to_owned(), milliseconds(self.begun.elapsed()));
        timings
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Phase, Watch>> {
        // A panic elsewhere leaves the numbers as they were: still usable.
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends its phase when dropped.
#[derive(Debug)]
pub(crate) struct PhaseGuard<'a> {
    phases: &'a Phases,
    phase: Phase,
}

impl Drop for PhaseGuard<'_> {
    fn drop(&mut self) {
        self.phases.stop(self.phase);
    }
}

/// Whole milliseconds.
pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_work_of_one_kind_is_counted_once() {
        let phases = Phases::begin();
        let first = phases.enter(Phase::Boot);
        let second = phases.enter(Phase::Boot);
        std::thread::sleep(Duration::from_millis(5));
        drop(first);
        drop(second);
        let timings = phases.timings();
        assert!(timings["boot"] <= timings["total"], "{timings:?}");
        assert!(timings["boot"] >= 5, "{timings:?}");
        assert!(!timings.contains_key("cells"));
    }
}
