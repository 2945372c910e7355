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

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, waitpid};

use crate::bundle::{Bundle, Namespace};
use crate::cgroup::Group;
use crate::container;
use crate::descriptor::last_errno;
use crate::failure::{Failure, Step};
use crate::fallback::{Fallback, Fallbacks};
use crate::handshake::{self, Message, Outside, Stage};
use crate::status::{Line, Status};
use crate::{namespace, self_copy, signal};

/// Runs the container of the bundle in `folder` to its end, as `id`. The process
/// must have one thread; the container gets its descriptors 0, 1 and 2.
pub fn run(folder: &Path, id: &str) -> Line {
    line(Bundle::load(folder).and_then(|bundle| run_bundle(&bundle, id)))
}

/// The line for a failure, too.
pub(crate) fn line(ran: Result<Line, Failure>) -> Line {
    ran.unwrap_or_else(|failure| Line {
        status: failure.into(),
        fallbacks: Vec::new(),
        cgroup: None,
    })
}

/// Runs the container of a bundle that was read, to its end.
pub(crate) fn run_bundle(bundle: &Bundle, id: &str) -> Result<Line, Failure> {
    let fallbacks = Fallbacks::default();
    self_copy::note(&fallbacks);
    let mut group = match &bundle.cgroup {
        Some(request) => Some(Group::make(request, id, &fallbacks)?),
        None => None,
    };
    let ran = contain(bundle, group.as_mut(), &fallbacks);
    // However it went: nothing of the container is left outside of it.
    let report = group.map(Group::remove);
    let mut line = ran?;
    line.cgroup = report;
    line.fallbacks.extend(fallbacks.list());
    line.fallbacks.sort_unstable();
    Ok(line)
}

/// From the fork to the end of all of the container's processes.
fn contain(
    bundle: &Bundle,
    mut group: Option<&mut Group>,
    fallbacks: &Fallbacks,
) -> Result<Line, Failure> {
    let (inside, outside) = handshake::pipes()?;
    namespace::enter(Namespace::Pid, &Fallbacks::default())?;
    signal::hold()?;
    // SAFETY: the process has one thread, so the child may do all it likes.
    let child = match unsafe { libc::fork() } {
        -1 => return Err(last_errno()).step(|| "fork".to_owned()),
        0 => {
            drop(outside);
            let told = container::start(bundle, inside);
            // SAFETY: _exit ends the process without running what the
            // runtime's copy will run.
            unsafe { libc::_exit(if told { 1 } else { 2 }) }
        }
        child => child,
    };
    drop(inside);
    let Some(child) = Pid::from_raw(child) else {
        return Err(Errno::SRCH).step(|| "fork".to_owned());
    };
    signal::forward_to(child)?;
    let story = listen(outside, |stage| {
        prepare(stage, child, group.as_deref(), fallbacks)
    });
    let end = wait(child)?;
    signal::forward_to_nobody();
    let memory = match group.as_mut() {
        Some(group) if end.signal() == Some(libc::SIGKILL) => group.killed_for_memory(child)?,
        Some(group) => {
            group.count_kills()?;
            false
        }
        None => false,
    };
    Ok(conclude(story?, end, memory))
}

/// The runtime's part, outside of the container, while its first process stands
/// at `stage`.
fn prepare(
    stage: Stage,
    first: Pid,
    group: Option<&Group>,
    _fallbacks: &Fallbacks,
) -> Result<(), Failure> {
    match stage {
        Stage::Born => group.map_or(Ok(()), |group| group.join(first)),
        Stage::Namespaces => Ok(()),
        Stage::Root => group.map_or(Ok(()), Group::restrict_devices),
    }
}

/// What the first process told until execve or its end.
#[derive(Debug, Default)]
struct Story {
    ready: bool,
    failed: Option<Status>,
    fallbacks: Vec<Fallback>,
}

/// Hears the first process out, and does with `prepare` what it stops for. Where
/// that fails it never goes on, and the failure is what is told.
fn listen(
    mut outside: Outside,
    mut prepare: impl FnMut(Stage) -> Result<(), Failure>,
) -> Result<Story, Failure> {
    let mut story = Story::default();
    while let Some(message) = outside.hear()? {
        match message {
            Message::Waiting { at } => {
                prepare(at)?;
                outside.go_on();
            }
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

/// `memory` is whether it was killed for that.
fn conclude(story: Story, end: ExitStatus, memory: bool) -> Line {
    let status = match story {
        Story {
            failed: Some(status),
            ..
        } => status,
        Story { ready: true, .. } if memory => Status::OutOfMemory,
        Story { ready: true, .. } => of_wait(end),
        Story { .. } => Status::Trouble {
            step: "set the container up".to_owned(),
            errno: None,
            message: match memory {
                true => "its first process was killed for memory before its program started: its \
                         limit is too low for the runtime itself"
                    .to_owned(),
                false => {
                    format!("its first process ended before its program started: {end}")
                }
            },
        },
    };
    Line {
        status,
        fallbacks: story.fallbacks,
        cgroup: None,
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
        for (raw, memory) in [(0, false), (9, false), (9, true)] {
            let line = conclude(Story::default(), ExitStatus::from_raw(raw), memory);
            assert!(matches!(line.status, Status::Trouble { .. }), "{line:?}");
        }
    }

    #[test]
    fn a_kill_for_memory_is_no_other_signal() {
        let end = ExitStatus::from_raw(9);
        let told = |memory| {
            let story = Story {
                ready: true,
                ..Story::default()
            };
            conclude(story, end, memory).status
        };
        assert_eq!(told(true), Status::OutOfMemory);
        assert!(matches!(told(false), Status::Signaled { signal: 9, .. }));
    }
}
