//! `runtime run`: the runtime's own side. It forks the container's first
//! process into a new PID namespace, waits for it, and says how it ended.
//!
//! The program is PID 1 of its namespace, as under docker without `--init`.
//! What follows from that is the kernel's doing and is passed on as it is:
//!
//! - A signal PID 1 sends itself, or a process of the container sends it, does
//!   nothing unless PID 1 has a handler for it: `kill -SEGV $$` in a shell that
//!   is PID 1 is not noticed, and abort(3) ends in SIGSEGV, not SIGABRT: glibc
//!   falls back to a privileged instruction after the signal was ignored.
//! - A fault is not a sent signal: a null pointer, a call into a vsyscall page
//!   that is not there, kill PID 1 with SIGSEGV as they would any process.
//! - When PID 1 ends, the kernel kills all others and reports PID 1's end only
//!   when they are gone. Orphans are PID 1's children; whether it waits for
//!   them is its own affair.

use std::fs::File;
use std::io::{BufRead, BufReader, PipeReader, Read, pipe};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, waitpid};

use crate::bundle::{Bundle, Namespace};
use crate::container::{self, Message};
use crate::descriptor::{errno_of, last_errno};
use crate::failure::{Failure, Step};
use crate::fallback::{Fallback, Fallbacks};
use crate::status::{Line, Status};
use crate::trace::Tracer;
use crate::{namespace, self_copy, signal};

/// Runs the container of the bundle in `folder` to its end. The process must
/// have one thread; the container gets its descriptors 0, 1 and 2.
///
/// With `trace` the program is traced, see [`crate::trace`].
pub fn run(folder: &Path, trace: Option<File>) -> Line {
    let tracer = trace.map(Tracer::new);
    line(Bundle::load(folder).and_then(|bundle| run_traced(&bundle, tracer)))
}

/// The line for a failure, too.
pub(crate) fn line(ran: Result<Line, Failure>) -> Line {
    ran.unwrap_or_else(|failure| Line {
        status: failure.into(),
        fallbacks: Vec::new(),
    })
}

/// Runs the container of a bundle that was read, to its end.
pub(crate) fn run_bundle(bundle: &Bundle) -> Result<Line, Failure> {
    run_traced(bundle, None)
}

fn run_traced(bundle: &Bundle, mut tracer: Option<Tracer>) -> Result<Line, Failure> {
    let copied = Fallbacks::default();
    self_copy::note(&copied);
    let (from_container, to_runtime) = pipe().map_err(errno_of).step(|| "pipe".to_owned())?;
    // The first process waits at it until it has been seized.
    let (mut at_gate, gate) = pipe().map_err(errno_of).step(|| "pipe".to_owned())?;
    namespace::enter(Namespace::Pid, &Fallbacks::default())?;
    // SAFETY: the process has one thread, so the child may do all it likes.
    let child = match unsafe { libc::fork() } {
        -1 => return Err(last_errno()).step(|| "fork".to_owned()),
        0 => {
            drop((from_container, gate));
            // It ends when the runtime closes the gate, or is gone itself.
            let _ = at_gate.read(&mut [0]);
            drop(at_gate);
            let told = container::start(bundle, to_runtime);
            // SAFETY: _exit ends the process without running what the
            // runtime's copy will run.
            unsafe { libc::_exit(if told { 1 } else { 2 }) }
        }
        child => child,
    };
    drop((to_runtime, at_gate));
    let Some(child) = Pid::from_raw(child) else {
        return Err(Errno::SRCH).step(|| "fork".to_owned());
    };
    if let Some(tracer) = &mut tracer {
        tracer.seize(child);
    }
    drop(gate);
    signal::forward_to(child)?;
    let story = listen(from_container);
    let end = match &mut tracer {
        Some(tracer) => tracer.wait(child)?,
        None => wait(child)?,
    };
    signal::forward_to_nobody();
    let mut line = conclude(story?, end);
    line.fallbacks.extend(copied.list());
    line.fallbacks.sort_unstable();
    Ok(line)
}

/// What the first process told until execve or its end.
#[derive(Debug, Default)]
struct Story {
    ready: bool,
    failed: Option<Status>,
    fallbacks: Vec<Fallback>,
}

fn listen(pipe: PipeReader) -> Result<Story, Failure> {
    let mut story = Story::default();
    for line in BufReader::new(pipe).lines() {
        let line = line
            .map_err(errno_of)
            .step(|| "read from the container's first process".to_owned())?;
        let message = serde_json::from_str(&line).map_err(|source| Failure::Json {
            path: "what the container's first process says".into(),
            source,
        })?;
        match message {
            Message::Ready { fallbacks } => {
                story.ready = true;
                story.fallbacks = fallbacks;
            }
            Message::Failed { status, fallbacks } => {
                story.failed = Some(status);
                story.fallbacks = fallbacks;
            }
        }
    }
    Ok(story)
}

fn wait(child: Pid) -> Result<ExitStatus, Failure> {
    loop {
        match waitpid(Some(child), WaitOptions::empty()) {
            Err(Errno::INTR) | Ok(None) => {}
            Ok(Some((_, status))) => return Ok(ExitStatus::from_raw(status.as_raw())),
            Err(errno) => {
                return Err(errno).step(|| "wait for the container's first process".to_owned());
            }
        }
    }
}

fn conclude(story: Story, end: ExitStatus) -> Line {
    let status = match story {
        Story {
            failed: Some(status),
            ..
        } => status,
        Story { ready: true, .. } => of_wait(end),
        Story { .. } => Status::Trouble {
            step: "set the container up".to_owned(),
            errno: None,
            message: format!("its first process ended before its program started: {end}"),
        },
    };
    Line {
        status,
        fallbacks: story.fallbacks,
    }
}

/// Exhaustive: a wait status that is neither an exit nor a signal is trouble.
fn of_wait(end: ExitStatus) -> Status {
    let code = end.code().and_then(|code| u8::try_from(code).ok());
    let signal = end.signal().and_then(|signal| u8::try_from(signal).ok());
    match (code, signal) {
        (Some(code), None) => Status::Exited { code },
        (None, Some(signal)) => Status::Signaled {
            signal,
            core: end.core_dumped(),
        },
        _ => Status::Trouble {
            step: "wait for the container's first process".to_owned(),
            errno: None,
            message: format!("its wait status is neither an exit nor a signal: {end}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_status_is_passed_on_whole() {
        for (raw, status) in [
            (0x0000, Status::Exited { code: 0 }),
            (0xff00, Status::Exited { code: 255 }),
            (
                0x000b,
                Status::Signaled {
                    signal: 11,
                    core: false,
                },
            ),
            (
                0x008b,
                Status::Signaled {
                    signal: 11,
                    core: true,
                },
            ),
            (
                0x0009,
                Status::Signaled {
                    signal: 9,
                    core: false,
                },
            ),
        ] {
            assert_eq!(of_wait(ExitStatus::from_raw(raw)), status, "{raw:#x}");
        }
        assert!(matches!(
            of_wait(ExitStatus::from_raw(0x137f)),
            Status::Trouble { .. }
        ));
    }

    #[test]
    fn a_set_up_that_dies_is_no_result() {
        let line = conclude(Story::default(), ExitStatus::from_raw(0));
        assert!(matches!(line.status, Status::Trouble { .. }), "{line:?}");
    }
}
