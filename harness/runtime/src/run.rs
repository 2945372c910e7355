//! `runtime run`: the runtime's own side. It clones the container's first
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
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::bundle::Bundle;
use crate::cgroup::Group;
use crate::container;
use crate::descriptor::errno_of;
use crate::failure::{Failure, Step};
use crate::fallback::{Fallback, Fallbacks};
use crate::handshake::{self, Message, Outside, Stage};
use crate::network::Connection;
use crate::status::{Line, NetworkLine, Status};
use crate::terminal::Link;
use crate::trace::Tracer;
use crate::{namespace, self_copy, shared, signal};

/// Runs the container of the bundle in `folder` to its end, as `id`. The process
/// must have one thread; the container gets its descriptors 0, 1 and 2, or with
/// `process.terminal` a terminal, whose other end goes to the socket `console`,
/// or is served here where there is none.
///
/// With `trace` the program is traced, see [`crate::trace`].
pub fn run(folder: &Path, id: &str, console: Option<&Path>, trace: Option<File>) -> Line {
    let tracer = trace.map(Tracer::new);
    line(Bundle::load(folder).and_then(|bundle| run_traced(bundle, id, console, tracer)))
}

/// The line for a failure, too.
pub(crate) fn line(ran: Result<Line, Failure>) -> Line {
    ran.unwrap_or_else(|failure| Line {
        status: failure.into(),
        fallbacks: Vec::new(),
        cgroup: None,
        network: None,
    })
}

/// Runs the container of a bundle that was read, to its end.
pub(crate) fn run_bundle(
    bundle: Bundle,
    id: &str,
    console: Option<&Path>,
) -> Result<Line, Failure> {
    run_traced(bundle, id, console, None)
}

fn run_traced(
    mut bundle: Bundle,
    id: &str,
    console: Option<&Path>,
    tracer: Option<Tracer>,
) -> Result<Line, Failure> {
    // Who relays a terminal waits for its program, which would wait for the tracer.
    if tracer.is_some() && bundle.terminal.is_some() && console.is_none() {
        return Err(Failure::invalid(
            "process.terminal",
            "a program that is traced needs --console-socket for its terminal",
        ));
    }
    bundle.traced = tracer.is_some();
    let fallbacks = Fallbacks::default();
    self_copy::note(&fallbacks);
    // What is made from here on has to be removed again.
    signal::hold()?;
    let mut outside = OutsideParts {
        group: match &bundle.cgroup {
            Some(request) => Some(Group::make(request, id, &fallbacks)?),
            None => None,
        },
        network: None,
        tracer,
    };
    let ran = connect(&mut bundle, &fallbacks).and_then(|network| {
        outside.network = network;
        contain(&bundle, &mut outside, console)
    });
    // However it went: nothing of the container is left outside of it.
    let network = outside.network.map(disconnect);
    let cgroup = outside.group.map(Group::remove);
    // Also of one that failed: what could not be removed is told.
    let mut line = line(ran);
    line.network = network;
    line.cgroup = cgroup;
    line.fallbacks.extend(fallbacks.list());
    line.fallbacks.sort_unstable();
    Ok(line)
}

/// What of a container is outside of it.
#[derive(Debug)]
struct OutsideParts {
    group: Option<Group>,
    network: Option<Connection>,
    tracer: Option<Tracer>,
}

/// From the fork to the end of all of the container's processes.
fn contain(
    bundle: &Bundle,
    parts: &mut OutsideParts,
    console: Option<&Path>,
) -> Result<Line, Failure> {
    let in_memory = match console {
        None => born_in_memory(bundle)?,
        Some(_) => None,
    };
    let (child, outside, link) = match in_memory {
        Some((child, outside)) => (child, outside, None),
        None => born_by_fork(bundle, console)?,
    };
    // Who is traced stops for a signal, and before its program starts the tracer,
    // which listens until then, would not see it.
    let traced = parts.tracer.is_some();
    if !traced {
        signal::forward_to(child)?;
    }
    let story = listen(outside, |stage| prepare(bundle, stage, child, parts));
    if traced {
        signal::forward_to(child)?;
    }
    if let Some(network) = &mut parts.network {
        // Bound by now, or never.
        network.files = None;
    }
    let relayed = match (&story, link) {
        (Ok(Story { ready: true, .. }), Some(link)) => link.relay(),
        _ => Ok(()),
    };
    if relayed.is_err() {
        // Nobody serves its terminal any more. That it may have ended by now is
        // seen below.
        let _ = kill_process(child, Signal::KILL);
    }
    let end = match &mut parts.tracer {
        Some(tracer) => tracer.wait(child)?,
        None => wait(child)?,
    };
    signal::forward_to_nobody();
    let memory = match parts.group.as_mut() {
        Some(group) if end.signal() == Some(libc::SIGKILL) => group.killed_for_memory(child)?,
        Some(group) => {
            group.count_kills()?;
            false
        }
        None => false,
    };
    relayed?;
    Ok(conclude(story?, end, memory))
}

/// Its first process, which has told all it will, and a program of its own or an end;
/// none where it needs the runtime meanwhile, or a kernel refuses.
fn born_in_memory(bundle: &Bundle) -> Result<Option<(Pid, Outside)>, Failure> {
    if !bundle.needs_nobody_outside() {
        return Ok(None);
    }
    let (mut inside, outside) = handshake::in_memory()?;
    let child = shared::first_process(|| exit_code(container::start(bundle, &mut inside, None)));
    Ok(child.map(|child| (child, outside)))
}

/// Its first process, which goes on beside the runtime, and the link to its terminal.
fn born_by_fork(
    bundle: &Bundle,
    console: Option<&Path>,
) -> Result<(Pid, Outside, Option<Link>), Failure> {
    let (mut inside, outside) = handshake::pipes()?;
    let (link, console) = Link::new(bundle.terminal.as_ref(), console)?;
    match namespace::first_process(bundle.user_namespace.is_some())? {
        Some(child) => Ok((child, outside, link)),
        None => {
            drop((outside, link));
            let told = container::start(bundle, &mut inside, console);
            // SAFETY: _exit ends the process without running what the runtime's copy
            // will run.
            unsafe { libc::_exit(exit_code(told)) }
        }
    }
}

/// Of a first process that has not become the program.
fn exit_code(told: bool) -> libc::c_int {
    match told {
        true => 1,
        false => 2,
    }
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
fn prepare(
    bundle: &Bundle,
    stage: Stage,
    child: Pid,
    parts: &mut OutsideParts,
) -> Result<(), Failure> {
    let group = parts.group.as_ref();
    match stage {
        Stage::Born => {
            if let Some(tracer) = &mut parts.tracer {
                tracer.seize(child);
            }
            group.map_or(Ok(()), |group| group.join(child))?;
            if let Some(score) = bundle.oom_score {
                let path = PathBuf::from(format!("/proc/{}/oom_score_adj", child.as_raw_nonzero()));
                std::fs::write(&path, score.to_string())
                    .map_err(errno_of)
                    .on("write", &path)?;
            }
            if let Some(namespace) = &bundle.user_namespace {
                // Rights in the container's own namespace are not enough for it.
                bundle.credentials.raise_ceilings(child)?;
                namespace.write_maps(child)?;
            }
            Ok(())
        }
        Stage::Namespaces => parts
            .network
            .as_ref()
            .map_or(Ok(()), |network| network.enter(child)),
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
