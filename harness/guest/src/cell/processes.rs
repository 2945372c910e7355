//! The processes of the machine, as PID 1 is answerable for them.

use std::fs;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus, wait};

use crate::error::{Error, Result};
use crate::kernel_log::last_errno;

/// A process that is on its way out, or a helper the kernel started for a
/// moment, is no survivor: it has this long to be gone.
const GRACE: Duration = Duration::from_millis(50);

/// How long killed processes may take to be gone.
const DEATH: Duration = wire::Limits::PROCESSES;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(1);

/// Who ends and buries processes.
pub(super) trait Keeper {
    /// Reaps whatever has ended; the status of `wanted` if it was among it.
    fn reap(&self, wanted: Pid) -> Result<Option<WaitStatus>>;

    /// SIGKILL to everything a cell has started.
    fn kill(&self) -> Result<()>;

    /// What of a cell is still alive.
    fn survivors(&self) -> Result<Vec<String>>;
}

/// PID 1 itself. A machine runs one cell at a time and nothing else, so a cell's
/// processes are all there are: none can hide, whatever it forks, and no cgroup
/// is needed to find them.
#[derive(Debug)]
pub(super) struct PidOne;

impl Keeper for PidOne {
    fn reap(&self, wanted: Pid) -> Result<Option<WaitStatus>> {
        let mut found = None;
        loop {
            // rustix's `waitpid(None, …)` is waitpid(0): the own process group,
            // which the runtime has left. This is waitpid(-1).
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == wanted => found = Some(status),
                Ok(Some(_)) => {}
                Ok(None) | Err(Errno::CHILD) => return Ok(found),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::call("waitpid")(errno)),
            }
        }
    }

    fn kill(&self) -> Result<()> {
        // Every process but this one, in one go: the kernel holds the list of
        // processes meanwhile, and a fork under way sees the signal and fails.
        // SAFETY: takes no pointer.
        match unsafe { libc::kill(-1, libc::SIGKILL) } {
            0 => Ok(()),
            _ => match last_errno() {
                Errno::SRCH => Ok(()),
                errno => Err(Error::call("kill of all processes")(errno)),
            },
        }
    }

    fn survivors(&self) -> Result<Vec<String>> {
        living()
    }
}

/// Reaps whatever has ended; whether no child is left, dead or alive.
fn reap_all() -> Result<bool> {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return Ok(false),
            Err(Errno::CHILD) => return Ok(true),
            Err(errno) => return Err(Error::call("waitpid")(errno)),
        }
    }
}

/// Names what is left after a container, ends it, and waits until it is gone,
/// so that the next cell starts alone.
///
/// # Errors
/// When processes cannot be listed or killed.
pub(super) fn end_survivors() -> Result<Vec<String>> {
    let left = wait_until_alone(GRACE)?;
    if left.is_empty() {
        return Ok(left);
    }
    PidOne.kill()?;
    let mut survivors = left;
    for name in wait_until_alone(DEATH)? {
        survivors.push(format!(
            "{name}, not gone {} s after SIGKILL",
            DEATH.as_secs()
        ));
    }
    Ok(survivors)
}

/// Reaps until nothing lives, or the time is over; what lives then.
fn wait_until_alone(patience: Duration) -> Result<Vec<String>> {
    let begun = Instant::now();
    loop {
        // Every process descends from this one, or from a thread of the kernel: one
        // that has no children is alone. To look through /proc takes longer than all
        // else that is done after a small cell.
        if reap_all()? {
            return Ok(Vec::new());
        }
        let left = living()?;
        if left.is_empty() || begun.elapsed() > patience {
            return Ok(left);
        }
        std::thread::sleep(PAUSE);
    }
}

/// Processes other than this one and the kernel's own threads, as
/// `NAME (pid N, state S)`.
fn living() -> Result<Vec<String>> {
    let folder = "/proc";
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::file("list", folder))? {
        let entry = entry.map_err(Error::file("list", folder))?;
        if entry.file_name().to_string_lossy().parse::<u32>().is_err() {
            continue;
        }
        // Gone between the listing and the look: not living.
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        names.extend(
            Process::parse(&stat)
                .filter(|process| !process.is_ours() && !process.is_dead())
                .map(|process| {
                    format!(
                        "{} (pid {}, state {})",
                        process.name, process.pid, process.state
                    )
                }),
        );
    }
    Ok(names)
}

/// What /proc/PID/stat says, as far as it matters.
#[derive(Debug, PartialEq, Eq)]
struct Process<'a> {
    pid: u32,
    name: &'a str,
    state: &'a str,
    flags: u32,
    /// Those that have not ended.
    threads: u32,
}

impl<'a> Process<'a> {
    /// `PID (NAME) STATE PPID PGRP SESSION TTY TPGID FLAGS …`, the number
    /// of threads as the 20th field. The name may hold
    /// anything, parentheses too.
    fn parse(stat: &'a str) -> Option<Self> {
        let (pid, rest) = stat.split_once(" (")?;
        let (name, rest) = rest.rsplit_once(") ")?;
        let mut fields = rest.split_whitespace();
        Some(Self {
            pid: pid.parse().ok()?,
            name,
            state: fields.next()?,
            flags: fields.nth(5)?.parse().ok()?,
            threads: fields.nth(10)?.parse().ok()?,
        })
    }

    /// It has ended, and waits to be waited for: it does nothing any more, and who
    /// waits for it is PID 1, sooner or later. The state is that of its first
    /// thread, which may have ended before the others.
    fn is_dead(&self) -> bool {
        matches!(self.state, "Z" | "X") && self.threads <= 1
    }

    /// PID 1, or a thread of the kernel.
    fn is_ours(&self) -> bool {
        /// From the kernel's sched.h.
        const PF_KTHREAD: u32 = 0x0020_0000;
        self.pid == 1 || self.flags & PF_KTHREAD != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_lines_of_real_processes() {
        let kthread = "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 1 0 0";
        let init = "1 (init) S 0 1 1 0 -1 4194560 2189 0 0 0 1 3 0 0 20 0 1 0 2 1310720 50";
        let odd = "88 (a) R (b) D 1 88 88 0 -1 4194304 85 0 0 0 0 0 0 0 20 0 1 0 180 2 3";
        assert!(Process::parse(kthread).unwrap().is_ours());
        assert!(Process::parse(init).unwrap().is_ours());
        let process = Process::parse(odd).unwrap();
        assert_eq!(
            (process.pid, process.name, process.state),
            (88, "a) R (b", "D")
        );
        assert!(!process.is_ours() && !process.is_dead());
        let zombie = "78 (trouble) Z 1 78 78 0 -1 4194316 0 0 0 0 0 0 0 0 20 0 1 0 180 0 0";
        assert!(Process::parse(zombie).unwrap().is_dead());
        let leaderless = "79 (go) Z 1 79 79 0 -1 4194316 0 0 0 0 9 2 0 0 20 0 3 0 180 0 0";
        assert!(!Process::parse(leaderless).unwrap().is_dead());
        assert_eq!(Process::parse("garbage"), None);
    }

    #[test]
    fn this_machine_has_processes_besides_pid_one() {
        // This test's own process, for one.
        let me = format!("(pid {}, state ", std::process::id());
        assert!(living().unwrap().iter().any(|name| name.contains(&me)));
    }
}
