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
use crate::container;
use crate::descriptor::last_errno;
use crate::failure::{Failure, Step};
use crate::fallback::{Fallback, Fallbacks};
use crate::handshake::{self, Message, Outside, Stage};
use crate::network::Connection;
use crate::status::{Line, NetworkLine, Status};
use crate::{namespace, self_copy, signal};

/// Runs the container of the bundle in `folder` to its end. The process must
/// have one thread; the container gets its descriptors 0, 1 and 2.
pub fn run(folder: &Path) -> Line {
    line(Bundle::load(folder).and_then(run_bundle))
}

/// The line for a failure, too.
pub(crate) fn line(ran: Result<Line, Failure>) -> Line {
    ran.unwrap_or_else(|failure| Line {
        status: failure.into(),
        fallbacks: Vec::new(),
        network: None,
    })
}

/// Runs the container of a bundle that was read, to its end.
pub(crate) fn run_bundle(mut bundle: Bundle) -> Result<Line, Failure> {
    let copied = Fallbacks::default();
    self_copy::note(&copied);
    let mut network = connect(&mut bundle, &copied)?;
    let bundle = &bundle;
    let (inside, outside) = handshake::pipes()?;
    namespace::enter(Namespace::Pid, &Fallbacks::default())?;
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
    let story = listen(outside, |stage| prepare(network.as_ref(), stage, child));
    if let Some(network) = &mut network {
        // Bound by now, or never.
        network.files = None;
    }
    let end = wait(child);
    signal::forward_to_nobody();
    let network = network.map(disconnect);
    let mut line = conclude(story?, end?);
    line.network = network;
    line.fallbacks.extend(copied.list());
    line.fallbacks.sort_unstable();
    Ok(line)
}

/// The host's part of the network, where the container asks for one.
fn connect(bundle: &mut Bundle, fallbacks: &Fallbacks) -> Result<Option<Connection>, Failure> {
    let Some(request) = bundle.bridged() else {
        return Ok(None);
    };
    let name = bundle.hostname.as_deref().unwrap_or("localhost");
    let network = Connection::make(request, name, fallbacks)?;
    if let Some(files) = &network.files {
        bundle.bind_files(files)?;
    }
    Ok(Some(network))
}

/// The program's end stands, whatever cannot be removed after it.
fn disconnect(network: Connection) -> NetworkLine {
    NetworkLine {
        nat: network.nat(),
        left_behind: network.remove().err().map(|failure| failure.to_string()),
    }
}

/// The runtime's part, outside of the container, while `child` stands at `stage`.
fn prepare(network: Option<&Connection>, stage: Stage, child: Pid) -> Result<(), Failure> {
    match stage {
        Stage::Born => Ok(()),
        Stage::Namespaces => network.map_or(Ok(()), |network| network.enter(child)),
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
        network: None,
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
