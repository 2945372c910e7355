//! Watching a runtime: reading what it says, holding it to its time, and not
//! letting anything it leaves behind hold the cell.

use std::fs::File;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::WaitStatus;
use rustix::time::Timespec;
use wire::{Captured, Limits};

use super::capture::{Capture, Chunk};
use super::processes::Keeper;
use super::runtime_process::RuntimeProcess;
use crate::error::{Error, Result};

/// How long pipes may stay open after the runtime has ended. Its container is
/// gone then, and with it every writer, so this passes only where something got
/// out.
const DRAIN: Duration = Duration::from_secs(2);

/// How long killed processes may take to let go of the pipes.
const DEATH: Duration = Limits::PIPES;

/// The longest sleep: how soon an end is seen that no descriptor tells of.
const TICK: Duration = Duration::from_millis(50);

/// The sleep once the runtime has said its last: it is about to end.
const SHORT_TICK: Duration = Duration::from_micros(500);

/// The longest status line that is kept, bytes.
const REPORT: u64 = 64 << 10;

/// How much of a trace's end is kept, bytes.
const TRACE: u64 = 64 << 10;

/// What became of a runtime.
#[derive(Debug)]
pub(super) enum Watched {
    /// It ended, by itself or killed.
    Ended(Ended),
    /// The harness hung up meanwhile.
    HarnessGone,
}

/// A runtime that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// How it ended itself, in words: `exited with status 0`.
    pub(super) runtime: String,
    /// What came on the status descriptor.
    pub(super) report: String,
    /// The end of what came on the trace descriptor.
    pub(super) trace: Captured,
    pub(super) stdout: Captured,
    pub(super) stderr: Captured,
    /// It was killed for its time.
    pub(super) timed_out: bool,
    /// A pipe never closed, or the runtime never ended.
    pub(super) stuck: Option<String>,
    /// Processes that held a pipe after the runtime's end.
    pub(super) survivors: Vec<String>,
}

/// Where a watch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The runtime runs.
    Running,
    /// It has ended, its pipes are being emptied.
    Draining,
    /// Everything was killed.
    Killed,
}

/// The streams and state of one watch.
struct Watch {
    stdout: Capture,
    stderr: Capture,
    report: Capture,
    trace: Capture,
    chunk: Chunk,
    phase: Phase,
    deadline: Instant,
    status: Option<WaitStatus>,
    timed_out: bool,
    survivors: Vec<String>,
}

/// Watches until the runtime has ended and its pipes are closed.
///
/// # Errors
/// When processes can be neither waited for nor killed, or a pipe not be read.
pub(super) fn watch(
    process: RuntimeProcess,
    limits: Limits,
    harness: Option<BorrowedFd<'_>>,
    keeper: &impl Keeper,
) -> Result<Watched> {
    let pid = process.process;
    let mut watch = Watch {
        stdout: Capture::new(process.stdout, limits.output),
        stderr: Capture::new(process.stderr, limits.output),
        report: Capture::new(process.report, REPORT),
        trace: Capture::last(process.trace, TRACE),
        chunk: Chunk::new(),
        phase: Phase::Running,
        deadline: Instant::now() + Duration::from_millis(limits.time),
        status: None,
        timed_out: false,
        survivors: Vec::new(),
    };
    loop {
        if let Some(status) = keeper.reap(pid)? {
            watch.status = Some(status);
            if watch.phase == Phase::Running {
                watch.enter(Phase::Draining, DRAIN);
            }
        }
        if watch.status.is_some() && watch.closed() {
            return Ok(Watched::Ended(watch.end(None)));
        }
        if Instant::now() >= watch.deadline {
            match watch.phase {
                Phase::Running => watch.timed_out = true,
                Phase::Draining => watch.survivors = keeper.survivors()?,
                Phase::Killed => {
                    let what = watch.stuck();
                    return Ok(Watched::Ended(watch.end(Some(what))));
                }
            }
            keeper.kill()?;
            watch.enter(Phase::Killed, DEATH);
        }
        if !watch.step(harness)? {
            return Ok(Watched::HarnessGone);
        }
    }
}

impl Watch {
    fn enter(&mut self, phase: Phase, patience: Duration) {
        self.phase = phase;
        self.deadline = Instant::now() + patience;
    }

    /// All pipes have ended.
    fn closed(&self) -> bool {
        [&self.stdout, &self.stderr, &self.report, &self.trace]
            .iter()
            .all(|capture| capture.pipe().is_none())
    }

    /// Sleeps until something is to be read, and reads it. False when the
    /// harness has hung up.
    fn step(&mut self, harness: Option<BorrowedFd<'_>>) -> Result<bool> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let tick = if self.status.is_none() && self.report.pipe().is_none() {
            SHORT_TICK
        } else {
            TICK
        };
        let ready = wait(
            [&self.stdout, &self.stderr, &self.report, &self.trace].map(Capture::pipe),
            harness,
            left.min(tick),
        )?;
        let captures = [
            &mut self.stdout,
            &mut self.stderr,
            &mut self.report,
            &mut self.trace,
        ];
        for (capture, ready) in captures.into_iter().zip(ready.pipes) {
            if ready {
                capture
                    .take(&mut self.chunk)
                    .map_err(Error::file("read", "a pipe of the runtime"))?;
            }
        }
        Ok(!ready.hung_up)
    }

    /// What did not come to an end though everything was killed.
    fn stuck(&self) -> String {
        let what = if self.status.is_none() {
            "the runtime did not end"
        } else {
            "an output pipe stayed open"
        };
        format!(
            "{what} within {} s of SIGKILL to every process",
            DEATH.as_secs()
        )
    }

    fn end(self, stuck: Option<String>) -> Ended {
        Ended {
            runtime: self.status.map_or_else(|| "did not end".to_owned(), word),
            report: String::from_utf8_lossy(&self.report.finish().bytes).into_owned(),
            trace: self.trace.finish(),
            stdout: self.stdout.finish(),
            stderr: self.stderr.finish(),
            timed_out: self.timed_out,
            stuck,
            survivors: self.survivors,
        }
    }
}

/// stdout, stderr, the report and the trace.
const PIPES: usize = 4;

/// What a wait woke up for.
struct Ready {
    pipes: [bool; PIPES],
    hung_up: bool,
}

/// Waits for a pipe to have something, or to end, or the harness to hang up.
fn wait(
    pipes: [Option<&File>; PIPES],
    harness: Option<BorrowedFd<'_>>,
    patience: Duration,
) -> Result<Ready> {
    let mut fds: Vec<PollFd<'_>> = pipes
        .iter()
        .flatten()
        .map(|pipe| PollFd::new(*pipe, PollFlags::IN))
        .collect();
    // Asked for nothing, poll still tells of a hang-up.
    fds.extend(harness.map(|harness| PollFd::from_borrowed_fd(harness, PollFlags::empty())));
    let timeout = Timespec {
        tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(patience.subsec_nanos()),
    };
    match poll(&mut fds, Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(errno) => return Err(Error::call("poll of the runtime's pipes")(errno)),
    }
    let mut answers = fds.iter().map(PollFd::revents);
    let ready =
        pipes.map(|pipe| pipe.is_some() && answers.next().is_some_and(|events| !events.is_empty()));
    Ok(Ready {
        pipes: ready,
        hung_up: answers
            .next()
            .is_some_and(|events| events.contains(PollFlags::HUP)),
    })
}

/// A wait status in words.
fn word(status: WaitStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("exited with status {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => format!("has the wait status {:#x}", status.as_raw()),
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::Pid;

    use super::*;
    use rustix::process::{Signal, WaitOptions, kill_process_group, waitpid};
    use std::os::fd::AsRawFd;
    use std::process::Command;
    use std::sync::Mutex;

    /// Ends one process group, not the machine.
    struct GroupKeeper(Pid, Mutex<u32>);

    impl Keeper for GroupKeeper {
        fn reap(&self, wanted: Pid) -> Result<Option<WaitStatus>> {
            match waitpid(Some(wanted), WaitOptions::NOHANG) {
                Ok(found) => Ok(found.map(|(_, status)| status)),
                Err(Errno::CHILD) => Ok(None),
                Err(errno) => Err(Error::call("waitpid")(errno)),
            }
        }

        fn kill(&self) -> Result<()> {
            *self.1.lock().unwrap() += 1;
            match kill_process_group(self.0, Signal::KILL) {
                Ok(()) | Err(Errno::SRCH) => Ok(()),
                Err(errno) => Err(Error::call("kill")(errno)),
            }
        }

        fn survivors(&self) -> Result<Vec<String>> {
            Ok(vec!["left".into()])
        }
    }

    /// Watches a shell script as if it were a runtime; `$STATUS` is its status
    /// descriptor. Also how often something had to be killed.
    fn run(script: &str, limits: Limits) -> (Ended, u32) {
        let (report, status) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let script = script.replace("$STATUS", &status.as_raw_fd().to_string());
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(script);
        let process = RuntimeProcess::spawn(&command, report, status, &[]).unwrap();
        let keeper = GroupKeeper(process.process, Mutex::new(0));
        match watch(process, limits, None, &keeper).unwrap() {
            Watched::Ended(ended) => (ended, keeper.1.into_inner().unwrap()),
            Watched::HarnessGone => panic!("there is no harness to hang up"),
        }
    }

    const LIMITS: Limits = Limits {
        time: 20_000,
        output: 1000,
    };

    #[test]
    fn streams_and_report_are_kept_apart_and_whole() {
        let script = "echo out; echo err >&2; echo report >&$STATUS; exit 3";
        let (ended, kills) = run(script, LIMITS);
        assert_eq!(ended.stdout.bytes, b"out\n");
        assert_eq!(ended.stderr.bytes, b"err\n");
        assert_eq!(ended.report, "report\n");
        assert_eq!(ended.runtime, "exited with status 3");
        assert!(!ended.timed_out && ended.stuck.is_none() && kills == 0);
    }

    #[test]
    fn a_flood_is_read_counted_and_bounded() {
        let (ended, _) = run("head -c 1000000 /dev/zero; echo late >&2", LIMITS);
        assert_eq!(ended.stdout.bytes.len(), 1000);
        assert_eq!(ended.stdout.dropped, 999_000);
        assert_eq!(ended.stderr.bytes, b"late\n");
    }

    #[test]
    fn what_exceeds_its_time_is_killed_and_what_it_said_is_kept() {
        let limits = Limits {
            time: 300,
            ..LIMITS
        };
        let begun = Instant::now();
        let (ended, kills) = run("echo before; sleep 60", limits);
        assert!(ended.timed_out);
        assert_eq!(kills, 1);
        assert_eq!(ended.stdout.bytes, b"before\n");
        assert_eq!(ended.runtime, "was ended by signal 9");
        let took = begun.elapsed();
        assert!(
            took >= Duration::from_millis(300) && took < Duration::from_secs(10),
            "{took:?}"
        );
    }

    #[test]
    fn a_flood_does_not_keep_its_time_limit_away() {
        let limits = Limits {
            time: 300,
            ..LIMITS
        };
        let (ended, _) = run("while :; do echo yyyyyyyyyyyyyyyyy; done", limits);
        assert!(ended.timed_out && ended.stdout.dropped > 0);
    }

    #[test]
    fn a_left_over_process_that_holds_a_pipe_is_named_and_ended() {
        let (ended, kills) = run("sleep 60 & echo done", LIMITS);
        assert_eq!(ended.survivors, ["left"]);
        assert_eq!(kills, 1);
        assert_eq!(ended.stdout.bytes, b"done\n");
        assert_eq!(ended.runtime, "exited with status 0");
        assert!(!ended.timed_out && ended.stuck.is_none());
    }

    #[test]
    fn a_runtime_that_crashes_is_told_as_it_ended() {
        let (ended, _) = run("kill -SEGV $$", LIMITS);
        assert_eq!(ended.runtime, "was ended by signal 11");
        assert_eq!(ended.report, "");
    }
}
