//! The command line: `runtime run --bundle DIR [--status-fd N] [--console-socket
//! PATH] ID`, and docker's dialect ([`docker`]): `runtime run --rootfs DIR [OPTIONS] -- COMMAND`.
//! `runtime fallbacks` and `runtime refused` tell of the runtime itself.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::fd::{BorrowedFd, FromRawFd, RawFd};
use std::path::PathBuf;

use rustix::io::{Errno, FdFlags, fcntl_getfd, fcntl_setfd};
use thiserror::Error;

use crate::fallback::Fallback;
use crate::run::run;
use crate::status::{Line, Status};
use crate::{docker, self_copy, specification};

/// What the command line is for people.
const USAGE: &str = "usage: runtime run --bundle DIR [--status-fd N] [--console-socket PATH] ID, or runtime run --rootfs DIR [OPTIONS] -- COMMAND";

/// Why nothing was run.
#[derive(Debug, Error)]
pub enum CommandError {
    /// The arguments are not the ones there are.
    #[error("{problem}\nhint: {USAGE}")]
    Usage {
        /// What is wrong.
        problem: String,
    },
    /// `--status-fd` names no open descriptor.
    #[error("--status-fd {number}: {errno}\nhint: the descriptor must be open and above 2")]
    StatusFd {
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
            Self::Usage { .. } | Self::StatusFd { .. } | Self::Write { .. } => 125,
        }
    }
}

fn told(status: &Status) -> String {
    match status {
        Status::Exited { code } => format!("exit {code}"),
        Status::Signaled { signal, .. } => format!("signal {signal}"),
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
    id: String,
}

/// Does what `arguments` (without the program's name) say and gives the exit
/// code. Takes `--status-fd` for its own: the number must name nothing this
/// process uses otherwise.
///
/// # Errors
/// [`CommandError`]; with `--status-fd` only those of the command line itself.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Result<u8, CommandError> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if let [word] = arguments.as_slice()
        && let Some(list) = listed(word)
    {
        return std::io::stdout()
            .write_all(list.as_bytes())
            .map(|()| 0)
            .map_err(|source| CommandError::Write { source });
    }
    if is_dockers(&arguments) {
        return dockers(arguments);
    }
    let arguments = parse(arguments)?;
    self_copy::ensure().map_err(|failure| CommandError::Failed {
        id: arguments.id.clone(),
        status: failure.into(),
    })?;
    let mut status_fd = arguments.status_fd.map(open_status_fd).transpose()?;
    let line = run(&arguments.bundle, arguments.console_socket.as_deref());
    let code = line.status.exit_code();
    match &mut status_fd {
        Some(file) => write_line(file, &line).map(|()| code),
        None => match line.status {
            Status::Exited { .. } | Status::Signaled { .. } => Ok(code),
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
    match line.status {
        Status::Exited { .. } | Status::Signaled { .. } => Ok(line.status.exit_code()),
        status => Err(failed(status)),
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

fn open_status_fd(number: RawFd) -> Result<File, CommandError> {
    let refused = |errno| CommandError::StatusFd { number, errno };
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
    let (mut bundle, mut status_fd, mut id) = (None, None, None);
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
            "--status-fd" => {
                let word = value()?.to_string_lossy().into_owned();
                let number = word
                    .parse()
                    .map_err(|_parse| usage(format!("--status-fd {word}: not a number")))?;
                status_fd = Some(number);
            }
            option if option.starts_with('-') => {
                return Err(usage(format!("no such option: {option}")));
            }
            _ if id.is_some() => return Err(usage(format!("one ID too many: {text}"))),
            _ => id = Some(text),
        }
    }
    let id = id.ok_or_else(|| usage("no ID".to_owned()))?;
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "_+-.".contains(letter);
    if id.is_empty() || !id.chars().all(allowed) {
        return Err(usage(format!("ID {id:?}: letters, digits and _+-. only")));
    }
    Ok(Arguments {
        bundle: bundle.unwrap_or_else(|| PathBuf::from(".")),
        status_fd,
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
    fn a_closed_status_fd_is_refused() {
        for number in [-1, 0, 2, 99_999] {
            assert!(open_status_fd(number).is_err(), "{number}");
        }
    }
}
