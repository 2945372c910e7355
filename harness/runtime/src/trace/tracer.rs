//! The tracer: waits for the container's processes, and writes down what they are
//! refused.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::io::Errno;
use rustix::process::Pid;

use super::What;
use super::call::{self, Call};
use super::process::{self, Phase, Resume};
use super::steps::Steps;
use crate::descriptor::last_errno;
use crate::failure::{Failure, Step};

/// How long nothing may happen before it is told what is waited for, seconds.
const QUIET: libc::time_t = 1;

/// Calls answer with an errno in this range, negated.
const ERRORS: std::ops::RangeInclusive<i64> = 1..=4095;

/// ERESTARTSYS and its like: the kernel's own, the program never sees them.
const RESTARTS: std::ops::RangeInclusive<i64> = 512..=516;

/// Signals that end most programs and come with a reason.
const TELLING: [libc::c_int; 7] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGILL,
    libc::SIGFPE,
    libc::SIGSYS,
    libc::SIGABRT,
    libc::SIGTRAP,
];

/// Follows a container's processes.
#[derive(Debug)]
pub(crate) struct Tracer {
    steps: Steps,
    /// The first process is among them once it has executed its program.
    tasks: HashMap<libc::pid_t, Task>,
    /// Something happened since it was last told what is waited for.
    moved: bool,
}

/// A process or a thread.
#[derive(Debug, Default)]
struct Task {
    /// The call it is in.
    inside: Option<Call>,
    /// It shares its process with others: its end is none.
    thread: bool,
}

impl Tracer {
    /// A tracer that writes to `to`.
    pub(crate) fn new(to: File) -> Self {
        Self {
            steps: Steps::new(to),
            tasks: HashMap::new(),
            moved: false,
        }
    }

    /// Seizes the container's first process, which must not have executed its
    /// program yet. Where that is refused the container runs without.
    pub(crate) fn seize(&mut self, first: Pid) {
        let first = first.as_raw_nonzero().get();
        if let Err(errno) = process::seize(first) {
            let errno = errno.raw_os_error();
            self.steps.add(first, What::Refused { errno });
            self.steps.flush();
        }
    }

    /// Waits until `first` has ended, and follows all others until then.
    ///
    /// # Errors
    /// When processes cannot be waited for.
    pub(crate) fn wait(&mut self, first: Pid) -> Result<ExitStatus, Failure> {
        let first = first.as_raw_nonzero().get();
        block_child_signals().step(|| "block SIGCHLD".to_owned())?;
        loop {
            let mut status = 0;
            // SAFETY: the kernel writes one int.
            let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG | libc::__WALL) };
            match pid {
                0 => {
                    if !child_signal(QUIET) {
                        self.quiet();
                    }
                }
                -1 => match last_errno() {
                    Errno::INTR => {}
                    errno => {
                        return Err(errno).step(|| "wait for the container's processes".to_owned());
                    }
                },
                pid => {
                    let ended = self.changed(pid, status);
                    if ended && pid == first {
                        self.steps.flush();
                        return Ok(ExitStatus::from_raw(status));
                    }
                }
            }
        }
    }

    /// A process has ended, or stopped and goes on; true if it has ended.
    fn changed(&mut self, pid: libc::pid_t, status: libc::c_int) -> bool {
        self.moved = true;
        if libc::WIFSTOPPED(status) {
            // That a process is gone before it could be looked at is told by the
            // next wait.
            if let Ok(resume) = self.stopped(pid, status) {
                let _ = process::resume(pid, resume);
            } else {
                let _ = process::resume(pid, Resume::ToCall(0));
            }
            return false;
        }
        let thread = self.tasks.remove(&pid).is_none_or(|task| task.thread);
        if !thread {
            let what = if libc::WIFSIGNALED(status) {
                What::Killed {
                    signal: libc::WTERMSIG(status),
                }
            } else {
                What::Exited {
                    code: libc::WEXITSTATUS(status),
                }
            };
            self.steps.add(pid, what);
        }
        true
    }

    fn stopped(&mut self, pid: libc::pid_t, status: libc::c_int) -> Result<Resume, Errno> {
        let signal = libc::WSTOPSIG(status);
        match status >> 16 {
            0 if signal == libc::SIGTRAP | 0x80 => {
                self.at_call(pid)?;
                Ok(Resume::ToCall(0))
            }
            0 => {
                self.about_to_get(pid, signal)?;
                // Before its program runs nothing of it is of interest.
                Ok(match self.tasks.contains_key(&pid) {
                    true => Resume::ToCall(signal),
                    false => Resume::Free(signal),
                })
            }
            libc::PTRACE_EVENT_EXEC => {
                process::follow(pid)?;
                // Its other threads are gone, the one that called goes by its number
                // and has none of its own any more.
                if let Ok(former) = process::event_message(pid)
                    && former != pid
                {
                    self.tasks.remove(&former);
                }
                self.tasks.insert(pid, Task::default());
                let program = std::fs::read_link(format!("/proc/{pid}/exe"))
                    .map_or_else(|_| "?".to_owned(), |path| path.display().to_string());
                self.steps.add(pid, What::Started { program });
                Ok(Resume::ToCall(0))
            }
            event @ (libc::PTRACE_EVENT_FORK
            | libc::PTRACE_EVENT_VFORK
            | libc::PTRACE_EVENT_CLONE) => {
                let child = process::event_message(pid)?;
                let thread = event == libc::PTRACE_EVENT_CLONE && is_thread(child);
                // It may have been seen already, by its own first stop.
                self.tasks.entry(child).or_default().thread = thread;
                Ok(Resume::ToCall(0))
            }
            libc::PTRACE_EVENT_STOP => {
                self.tasks.entry(pid).or_default();
                let stops = [libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];
                Ok(match stops.contains(&signal) {
                    true => Resume::Listen,
                    false => Resume::ToCall(0),
                })
            }
            _ => Ok(Resume::ToCall(0)),
        }
    }

    /// Stopped on its way into a call, or out of it.
    ///
    /// Before Linux 5.3 only the registers tell which: on the way in the answer is
    /// -ENOSYS. A call that seccomp refuses before Linux 4.8 stops on its way out
    /// only.
    fn at_call(&mut self, pid: libc::pid_t) -> Result<(), Errno> {
        let at = process::at_call(pid)?;
        let task = self.tasks.entry(pid).or_default();
        let enters = match at.phase {
            Some(phase) => phase == Phase::Entry,
            None => task.inside.is_none() && at.answer == -i64::from(Errno::NOSYS.raw_os_error()),
        };
        if enters {
            task.inside = Some(at.call);
            return Ok(());
        }
        let call = task.inside.take().unwrap_or(at.call);
        let errno = -at.answer;
        if ERRORS.contains(&errno) && !RESTARTS.contains(&errno) {
            let what = What::Failed {
                call: call.name(),
                arguments: arguments(pid, &call),
                errno: i32::try_from(errno).unwrap_or(0),
            };
            self.steps.add(pid, what);
        }
        Ok(())
    }

    fn about_to_get(&mut self, pid: libc::pid_t, signal: libc::c_int) -> Result<(), Errno> {
        if !TELLING.contains(&signal) {
            return Ok(());
        }
        let known = process::signal(pid, signal)?;
        self.steps.add(
            pid,
            What::Signal {
                signal,
                code: known.code,
                address: known.address,
                instruction: process::instruction(pid)?,
                call: known
                    .call
                    .map(|(number, compat)| call::name(number, compat)),
            },
        );
        Ok(())
    }

    /// Nothing happens: what is waited for is told once.
    fn quiet(&mut self) {
        if !std::mem::take(&mut self.moved) {
            return;
        }
        let mut waiting: Vec<(libc::pid_t, Call)> = self
            .tasks
            .iter()
            .filter_map(|(pid, task)| Some((*pid, task.inside.clone()?)))
            .collect();
        waiting.sort_by_key(|(pid, _)| *pid);
        for (pid, call) in waiting {
            let what = What::Waits {
                call: call.name(),
                // Memory of a process that runs cannot be read.
                arguments: hexadecimal(&call),
            };
            self.steps.add(pid, what);
        }
        self.steps.flush();
    }
}

/// The path, quoted, or the first three arguments.
fn arguments(pid: libc::pid_t, call: &Call) -> String {
    match call.path().and_then(|address| process::text(pid, address)) {
        Some(path) => format!("{path:?}"),
        None => hexadecimal(call),
    }
}

fn hexadecimal(call: &Call) -> String {
    let [first, second, third, ..] = call.arguments;
    format!("{first:#x}, {second:#x}, {third:#x}")
}

/// A thread of another process has that one's number as its group.
fn is_thread(pid: libc::pid_t) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
    status.is_ok_and(|text| {
        text.lines()
            .find_map(|line| line.strip_prefix("Tgid:"))
            .is_some_and(|group| group.trim() != pid.to_string())
    })
}

/// So that one that comes is kept for [`child_signal`].
fn block_child_signals() -> Result<(), Errno> {
    // SAFETY: the set is initialised by sigemptyset, and outlives the calls.
    let answer = unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut())
    };
    if answer == 0 {
        Ok(())
    } else {
        Err(last_errno())
    }
}

/// Waits for a SIGCHLD, `seconds` at most; false if none came.
fn child_signal(seconds: libc::time_t) -> bool {
    let timeout = libc::timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    // SAFETY: the set is initialised by sigemptyset; all outlive the call.
    let answer = unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        libc::sigtimedwait(&raw const set, std::ptr::null_mut(), &raw const timeout)
    };
    // A signal that is passed on interrupts: nothing is known then.
    answer >= 0 || io::Error::last_os_error().raw_os_error() == Some(libc::EINTR)
}
