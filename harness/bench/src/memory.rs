//! The most memory that a program and its machines took, looked at in a run of its
//! own: looking takes time that a timed run does not have.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Serialize;

/// How often is looked.
const INTERVAL: Duration = Duration::from_millis(10);

/// Resident bytes at most (the kernel's VmHWM: none is missed between two looks but
/// of what lives shorter than that).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Peak {
    /// Of the program itself.
    pub(crate) program: u64,
    /// Of the largest of its children.
    pub(crate) machine: u64,
}

/// Looks until it is ended.
#[derive(Debug)]
pub(crate) struct Watch {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Peak>,
}

/// Looks at this process and its children from now on.
pub(crate) fn watch(process: u32) -> Watch {
    let over = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&over);
    let thread = std::thread::spawn(move || {
        let mut peak = Peak::default();
        while !told.load(Ordering::Relaxed) {
            peak.program = peak.program.max(most_resident(process).unwrap_or(0));
            for child in children(process) {
                peak.machine = peak.machine.max(most_resident(child).unwrap_or(0));
            }
            std::thread::sleep(INTERVAL);
        }
        peak
    });
    Watch { over, thread }
}

impl Watch {
    pub(crate) fn end(self) -> Peak {
        self.over.store(true, Ordering::Relaxed);
        match self.thread.join() {
            Ok(peak) => peak,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// Looks at a process and all that come of it, added up, until it is ended: what they
/// have resident at one moment, bytes. Pages that two of them share count twice.
#[derive(Debug)]
pub(crate) struct TreeWatch {
    over: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

/// Looks at them from now on.
pub(crate) fn watch_tree(process: u32) -> TreeWatch {
    let over = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&over);
    let thread = std::thread::spawn(move || {
        let mut peak = 0;
        while !told.load(Ordering::Relaxed) {
            let (mut ahead, mut now) = (vec![process], 0);
            while let Some(next) = ahead.pop() {
                now += field(next, "VmRSS:").unwrap_or(0);
                ahead.extend(children(next));
            }
            peak = peak.max(now);
            std::thread::sleep(INTERVAL);
        }
        peak
    });
    TreeWatch { over, thread }
}

impl TreeWatch {
    pub(crate) fn end(self) -> u64 {
        self.over.store(true, Ordering::Relaxed);
        match self.thread.join() {
            Ok(peak) => peak,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// None once it is gone.
pub(crate) fn most_resident(process: u32) -> Option<u64> {
    field(process, "VmHWM:")
}

fn field(process: u32, name: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes << 10)
}

/// Of any of its threads: one of them starts the machines.
fn children(process: u32) -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else {
        return Vec::new();
    };
    threads
        .flatten()
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|number| number.parse().ok())
                .collect::<Vec<u32>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_taken_some() {
        assert!(most_resident(std::process::id()).unwrap() > 100 << 10);
        assert_eq!(most_resident(u32::MAX), None);
    }
}
