//! The command line: `runtime run --bundle DIR [--status-fd N] [--trace-fd N]
//! [--console-socket PATH] ID`, and docker's dialect ([`docker`]): `runtime run
//! --rootfs DIR [OPTIONS] -- COMMAND`; `runtime pause ID` and `runtime resume ID` for
//! a container that runs and has cgroups of its own. `runtime fallbacks` and `runtime
//! refused` tell of the runtime itself.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::fd::{BorrowedFd, FromRawFd, RawFd};
use std::path::PathBuf;

use rustix::io::{Errno, FdFlags, fcntl_getfd, fcntl_setfd};
use thiserror::Error;

use crate::failure::Failure;
use crate::fallback::Fallback;
use crate::run::run;
use crate::status::{Line, Status};
use crate::{docker, self_copy, specification, state};

/// What the command line is for people.
const USAGE: &str = "usage: runtime run --bundle DIR [--status-fd N] [--trace-fd N] [--console-socket PATH] ID, runtime run --rootfs DIR [OPTIONS] -- COMMAND, or runtime pause|resume ID";

/// Where the status line goes.
const STATUS_FD: &str = "--status-fd";

/// Where the trace goes.
const TRACE_FD: &str = "--trace-fd";

/// Why nothing was run.
#[derive(Debug, Error)]
pub enum CommandError {
    /// The arguments are not the ones there are.
    #[error("{problem}\nhint: {USAGE}")]
    Usage {
        /// What is wrong.
        problem: String,
    },
    /// `--status-fd` or `--trace-fd` names no open descriptor.
    #[error("{option} {number}: {errno}\nhint: the descriptor must be open and above 2")]
    Descriptor {
        /// The option.
        option: &'static str,
        /// The number given.
        number: RawFd,
        /// The system's answer.
        errno: Errno,
    },
    /// The line could not be written where it was wanted.
    #[error("write: {source}")]
    Write {
        /// The system's answer.
        source: std::io::Error,
    },
    /// The container could not be made, and there was no `--status-fd` to say
    /// so on.
    #[error("container {id}: {}", told(.status))]
    Failed {
        /// The ID of the command line.
        id: String,
        /// Any but an exit or a signal.
        status: Status,
    },
}

impl CommandError {
    /// The process's exit code: docker's numbers.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Failed { status, .. } => status.exit_code(),
            Self::Usage { .. } | Self::Descriptor { .. } | Self::Write { .. } => 125,
        }
    }
}

fn told(status: &Status) -> String {
    match status {
        Status::Exited { code } => format!("exit {code}"),
        Status::Signaled { signal, .. } => format!("signal {signal}"),
        Status::OutOfMemory => "killed for memory".to_owned(),
        Status::Exec { errno, path } => {
            format!(
                "execve {path}: {}",
                std::io::Error::from_raw_os_error(*errno)
            )
        }
        Status::Unsupported { what } => format!("this kernel has no {what}"),
        Status::Trouble { message, .. } => message.clone(),
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Arguments {
    bundle: PathBuf,
    status_fd: Option<RawFd>,
    console_socket: Option<PathBuf>,
    trace_fd: Option<RawFd>,
    id: String,
}

/// Does what `arguments` (without the program's name) say and gives the exit
/// code. Takes `--status-fd` and `--trace-fd` for its own: the numbers must name nothing
/// this process uses otherwise.
///
/// # Errors
/// [`CommandError`]; with `--status-fd` only those of the command line itself.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Result<u8, CommandError> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if let [word] = arguments.as_slice()
        && let Some(list) = listed(word)
    {
        let mut stdout = std::io::stdout();
        return stdout
            .write_all(list.as_bytes())
            .and_then(|()| stdout.flush())
            .map(|()| 0)
            .map_err(|source| CommandError::Write { source });
    }
    if is_dockers(&arguments) {
        return dockers(arguments);
    }
    if let [word, ..] = arguments.as_slice()
        && (word == "pause" || word == "resume")
    {
        return freeze(word == "pause", &arguments[1..]);
    }
    let arguments = parse(arguments)?;
    self_copy::ensure().map_err(|failure| CommandError::Failed {
        id: arguments.id.clone(),
        status: failure.into(),
    })?;
    let open = |option, number: Option<RawFd>| number.map(|it| take(option, it)).transpose();
    let mut status_fd = open(STATUS_FD, arguments.status_fd)?;
    let trace_fd = open(TRACE_FD, arguments.trace_fd)?;
    let line = run(
        &arguments.bundle,
        &arguments.id,
        arguments.console_socket.as_deref(),
        trace_fd,
    );
    if status_fd.is_none() {
        complain(&line);
    }
    let code = line.status.exit_code();
    match &mut status_fd {
        Some(file) => write_line(file, &line).map(|()| code),
        None => match line.status {
            Status::Exited { .. } | Status::Signaled { .. } | Status::OutOfMemory => Ok(code),
            status => Err(CommandError::Failed {
                id: arguments.id,
                status,
            }),
        },
    }
}

/// What the runtime tells of itself.
fn listed(word: &OsString) -> Option<String> {
    let mut list = String::new();
    if word == "fallbacks" {
        for fallback in Fallback::ALL {
            let (lacking, instead) = fallback.told();
            list.push_str(&format!(
                "{}: without {lacking}, {instead}\n",
                fallback.name()
            ));
        }
    } else if word == "refused" {
        for place in specification::refused() {
            list.push_str(&format!("{place}\n"));
        }
        for (place, values) in specification::REFUSED_VALUES {
            list.push_str(&format!("{place}: {values}\n"));
        }
    } else {
        return None;
    }
    Some(list)
}

/// `run` with `--rootfs` before the container's own words.
fn is_dockers(arguments: &[OsString]) -> bool {
    let own = arguments
        .split(|word| word == "--")
        .next()
        .unwrap_or_default();
    arguments.first().is_some_and(|word| word == "run")
        && own
            .iter()
            .any(|word| word.as_encoded_bytes().starts_with(b"--rootfs"))
}

fn dockers(arguments: Vec<OsString>) -> Result<u8, CommandError> {
    let failed = |status| CommandError::Failed {
        id: "of --rootfs".to_owned(),
        status,
    };
    self_copy::ensure().map_err(|failure| failed(failure.into()))?;
    let line = docker::run(arguments.into_iter().skip(1))
        .map_err(|problem| CommandError::Usage { problem })?;
    complain(&line);
    match line.status {
        Status::Exited { .. } | Status::Signaled { .. } | Status::OutOfMemory => {
            Ok(line.status.exit_code())
        }
        status => Err(failed(status)),
    }
}

/// `pause ID` and `resume ID`.
fn freeze(pause: bool, arguments: &[OsString]) -> Result<u8, CommandError> {
    let [id] = arguments else {
        let problem = "pause and resume take one ID".to_owned();
        return Err(CommandError::Usage { problem });
    };
    let id = check_id(id.to_string_lossy().into_owned())?;
    let failed = |failure: Failure| CommandError::Failed {
        id: id.clone(),
        status: failure.into(),
    };
    let freezer = state::read(&id).map_err(failed)?.freezer.ok_or_else(|| {
        failed(Failure::Unsupported {
            what: "cgroup hierarchy to freeze by".to_owned(),
        })
    })?;
    match pause {
        true => freezer.freeze(),
        false => freezer.thaw(),
    }
    .map_err(failed)?;
    Ok(0)
}

/// An ID is part of the names of files.
pub(crate) fn check_id(id: String) -> Result<String, CommandError> {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "_+-.".contains(letter);
    if id.is_empty() || !id.chars().all(allowed) {
        let problem = format!("ID {id:?}: letters, digits and _+-. only");
        return Err(CommandError::Usage { problem });
    }
    Ok(id)
}

/// What has gone wrong besides, to stderr.
fn complain(line: &Line) {
    let network = line.network.iter().flat_map(|it| &it.left_behind);
    let cgroups = line.cgroup.iter().flat_map(|it| &it.left);
    for left in network.chain(cgroups) {
        // Nowhere is left to complain about a closed stderr.
        let _ = writeln!(std::io::stderr(), "runtime: {left}");
    }
}

fn write_line(file: &mut File, line: &Line) -> Result<(), CommandError> {
    let mut text = serde_json::to_vec(line).map_err(|error| CommandError::Write {
        source: error.into(),
    })?;
    text.push(b'\n');
    file.write_all(&text)
        .map_err(|source| CommandError::Write { source })
}

fn take(option: &'static str, number: RawFd) -> Result<File, CommandError> {
    let refused = |errno| CommandError::Descriptor {
        option,
        number,
        errno,
    };
    if number <= 2 {
        return Err(refused(Errno::BADF));
    }
    // SAFETY: only asked whether it is open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    let flags = fcntl_getfd(borrowed).map_err(refused)?;
    fcntl_setfd(borrowed, flags | FdFlags::CLOEXEC).map_err(refused)?;
    // SAFETY: it is open, it was given to us by its number, and nothing else
    // here has opened a descriptor that is still open.
    Ok(unsafe { File::from_raw_fd(number) })
}

fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Arguments, CommandError> {
    let usage = |problem: String| CommandError::Usage { problem };
    let mut arguments = arguments.into_iter();
    match arguments.next() {
        Some(word) if word == "run" => {}
        Some(word) => return Err(usage(format!("no such command: {}", word.display()))),
        None => return Err(usage("no command".to_owned())),
    }
    let (mut bundle, mut status_fd, mut trace_fd, mut id) = (None, None, None, None);
    let mut console_socket = None;
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy().into_owned();
        let mut value = || {
            arguments
                .next()
                .ok_or_else(|| usage(format!("{text} needs a value")))
        };
        match text.as_str() {
            "--bundle" | "-b" => bundle = Some(PathBuf::from(value()?)),
            "--console-socket" => console_socket = Some(PathBuf::from(value()?)),
            STATUS_FD | TRACE_FD => {
                let word = value()?.to_string_lossy().into_owned();
                let number = word
                    .parse()
                    .map_err(|_parse| usage(format!("{text} {word}: not a number")))?;
                if text == STATUS_FD {
                    status_fd = Some(number);
                } else {
                    trace_fd = Some(number);
                }
            }
            option if option.starts_with('-') => {
                return Err(usage(format!("no such option: {option}")));
            }
            _ if id.is_some() => return Err(usage(format!("one ID too many: {text}"))),
            _ => id = Some(text),
        }
    }
    if status_fd.is_some() && status_fd == trace_fd {
        return Err(usage(
            "the status and the trace need descriptors of their own".to_owned(),
        ));
    }
    let id = check_id(id.ok_or_else(|| usage("no ID".to_owned()))?)?;
    Ok(Arguments {
        bundle: bundle.unwrap_or_else(|| PathBuf::from(".")),
        status_fd,
        trace_fd,
        console_socket,
        id,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Arguments, CommandError> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn the_command_line_is_read() {
        assert_eq!(
            parsed("run --bundle /b --status-fd 5 --console-socket /s c1").unwrap(),
            Arguments {
                bundle: PathBuf::from("/b"),
                status_fd: Some(5),
                console_socket: Some(PathBuf::from("/s")),
                trace_fd: None,
                id: "c1".to_owned(),
            }
        );
        assert_eq!(parsed("run c1").unwrap().bundle, PathBuf::from("."));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, problem) in [
            ("", "no command"),
            ("create x", "no such command: create"),
            ("run", "no ID"),
            ("run --detach x", "no such option: --detach"),
            ("run --bundle", "--bundle needs a value"),
            ("run --status-fd x c1", "--status-fd x: not a number"),
            ("run a b", "one ID too many: b"),
            ("run a/b", "ID \"a/b\""),
        ] {
            let message = parsed(line).unwrap_err().to_string();
            assert!(message.starts_with(problem), "{line}: {message}");
            assert!(message.contains("hint: usage"), "{line}: {message}");
        }
    }

    #[test]
    fn one_container_is_paused_at_a_time() {
        for line in ["pause", "resume a b", "pause ../x"] {
            let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            assert!(
                matches!(main(words), Err(CommandError::Usage { .. })),
                "{line}"
            );
        }
    }

    #[test]
    fn a_closed_status_fd_is_refused() {
        for number in [-1, 0, 2, 99_999] {
            assert!(take(STATUS_FD, number).is_err(), "{number}");
        }
    }
}
