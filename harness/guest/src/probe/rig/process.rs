//! Processes as the machine outside sees them, in its own /proc.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{Probing, Stop, trouble};

/// How long a process that is expected to come or go is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// The program inside, as /proc/PID/stat names it.
pub(in crate::probe) const INSIDE: &str = "probe-inside";

/// A process outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::probe) struct Process {
    pub(in crate::probe) pid: u32,
    parent: u32,
    /// The name its program has.
    pub(in crate::probe) name: String,
    /// `R`, `S`, `Z`, …
    pub(in crate::probe) state: char,
    /// Clock ticks spent in user mode and in the kernel.
    pub(in crate::probe) ticks: u64,
}

impl Process {
    /// Its own folder in /proc.
    pub(in crate::probe) fn folder(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}", self.pid))
    }

    /// A field of its /proc/PID/status: `NSpid`.
    pub(in crate::probe) fn status(&self, field: &str) -> Probing<Option<String>> {
        let path = self.folder().join("status");
        let text = fs::read_to_string(&path).map_err(trouble(path.display()))?;
        Ok(status_field(&text, field))
    }

    /// What `ns/KIND` links to, beside the machine's own: `pid:[4026532190]`.
    pub(in crate::probe) fn namespaces(&self, kind: &str) -> Probing<(String, String)> {
        let read = |pid: String| {
            let path = format!("/proc/{pid}/ns/{kind}");
            fs::read_link(&path)
                .map(|link| link.display().to_string())
                .map_err(trouble(path))
        };
        Ok((read(self.pid.to_string())?, read("self".to_owned())?))
    }

    /// As it is now; none when it is gone.
    pub(in crate::probe) fn now(&self) -> Option<Self> {
        parse(&fs::read_to_string(self.folder().join("stat")).ok()?)
    }
}

/// The value of a line `FIELD:\tvalue`.
pub(in crate::probe) fn status_field(text: &str, field: &str) -> Option<String> {
    text.lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
        .map(|value| value.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// All processes of the machine.
pub(in crate::probe) fn all() -> Probing<Vec<Process>> {
    let mut processes = Vec::new();
    for entry in fs::read_dir("/proc").map_err(trouble("/proc"))? {
        let path = entry.map_err(trouble("/proc"))?.path().join("stat");
        // No process, or gone since.
        processes.extend(fs::read_to_string(path).ok().as_deref().and_then(parse));
    }
    Ok(processes)
}

/// Those of the program inside, zombies too.
pub(in crate::probe) fn inside() -> Probing<Vec<Process>> {
    Ok(all()?
        .into_iter()
        .filter(|process| process.name == INSIDE)
        .collect())
}

/// The first process inside that descends from the runtime.
pub(super) fn find_inside(runtime: u32) -> Probing<Process> {
    let all = all()?;
    let parents: BTreeMap<u32, u32> = all.iter().map(|one| (one.pid, one.parent)).collect();
    let descends = |process: &Process| {
        let mut pid = process.pid;
        while let Some(parent) = parents.get(&pid) {
            if *parent == runtime {
                return true;
            }
            pid = *parent;
        }
        false
    };
    all.iter()
        .filter(|process| process.name == INSIDE && descends(process))
        // Its children have higher numbers: the machine is young.
        .min_by_key(|process| process.pid)
        .cloned()
        .ok_or_else(|| Stop::Failed("outside sees no process of the container".to_owned()))
}

/// Waits for the processes inside to be what is expected; those there are when
/// the time is over.
pub(in crate::probe) fn wait_for(expected: impl Fn(&[Process]) -> bool) -> Probing<Vec<Process>> {
    let begun = Instant::now();
    loop {
        let seen = inside()?;
        if expected(&seen) || begun.elapsed() > PATIENCE {
            return Ok(seen);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// `412 S, 413 Z`.
pub(in crate::probe) fn list(processes: &[Process]) -> String {
    match processes {
        [] => "none".to_owned(),
        some => some
            .iter()
            .map(|one| format!("{} {}", one.pid, one.state))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// `PID (NAME) STATE PPID … utime stime …`; the times are fields 14 and 15.
fn parse(stat: &str) -> Option<Process> {
    let (pid, rest) = stat.split_once(" (")?;
    let (name, rest) = rest.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Process {
        pid: pid.parse().ok()?,
        parent: fields.get(1)?.parse().ok()?,
        name: name.to_owned(),
        state: fields.first()?.chars().next()?,
        ticks: number(11)? + number(12)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_of_a_real_kernel() {
        let line = "88 (a) R (b) D 1 88 88 0 -1 4194304 85 0 0 0 21 4 0 0 20 0 1 0 180 2 3";
        let process = parse(line).unwrap();
        assert_eq!((process.pid, process.parent), (88, 1));
        assert_eq!((process.name.as_str(), process.state), ("a) R (b", 'D'));
        assert_eq!(process.ticks, 25);
        assert_eq!(parse("garbage"), None);
    }

    #[test]
    fn a_field_of_status() {
        let text = "Name:\tx\nUid:\t100000\t100000\t100000\t100000\nNSpid:\t88\t1\n";
        assert_eq!(status_field(text, "NSpid").as_deref(), Some("88 1"));
        assert_eq!(
            status_field(text, "Uid").as_deref(),
            Some("100000 100000 100000 100000")
        );
        assert_eq!(status_field(text, "Seccomp"), None);
    }
}
