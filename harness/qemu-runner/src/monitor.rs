//! QEMU's monitor (QMP): JSON lines over a socket that QEMU inherited.
//!
//! Only what keeps and restores a machine is asked for. Written here because it is
//! small, and because file descriptors must be handed over with a command, which
//! `qapi` (last released in 2024) does not do.

use std::io::{self, BufRead, BufReader, IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde_json::{Value, json};

/// How long QEMU may leave a command unanswered. It answers within a millisecond,
/// but a crowded host may not let it run.
const PATIENCE: Duration = Duration::from_secs(20);

/// A monitor that is ready for commands.
#[derive(Debug)]
pub(crate) struct Monitor {
    stream: UnixStream,
    lines: BufReader<UnixStream>,
}

/// Why a command came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MonitorError {
    /// The socket failed; QEMU's end is one way.
    #[error("QEMU's monitor: {0}")]
    Io(#[from] io::Error),
    /// What came is no JSON.
    #[error("QEMU's monitor said {line:?}: {source}")]
    NotJson {
        /// What came.
        line: String,
        /// Why it is none.
        source: serde_json::Error,
    },
    /// QEMU refused.
    #[error("QEMU refused {command}: {said}")]
    Refused {
        /// The command.
        command: &'static str,
        /// Its words.
        said: String,
    },
}

impl Monitor {
    /// Over this socket, past the greeting.
    ///
    /// # Errors
    /// When the socket fails or QEMU does not greet.
    pub(crate) fn open(stream: UnixStream) -> Result<Self, MonitorError> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let lines = BufReader::new(stream.try_clone()?);
        let mut monitor = Self { stream, lines };
        monitor.next()?;
        monitor.execute("qmp_capabilities", None)?;
        Ok(monitor)
    }

    /// Carries out a command; gives what it returned.
    ///
    /// # Errors
    /// When the socket fails or QEMU refuses.
    pub(crate) fn execute(
        &mut self,
        command: &'static str,
        arguments: Option<Value>,
    ) -> Result<Value, MonitorError> {
        let line = line(command, arguments);
        self.stream.write_all(line.as_bytes())?;
        self.answer(command)
    }

    /// Gives QEMU a file descriptor under a name (`getfd`).
    ///
    /// # Errors
    /// As [`Monitor::execute`].
    pub(crate) fn give(
        &mut self,
        name: &str,
        descriptor: BorrowedFd<'_>,
    ) -> Result<(), MonitorError> {
        let line = line("getfd", Some(json!({ "fdname": name })));
        let descriptors = [descriptor];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(io::Error::from(io::ErrorKind::InvalidInput).into());
        }
        // The descriptor travels with the first byte; a socket takes so short a
        // line whole, and what it did not take follows.
        let sent = sendmsg(
            self.stream.as_fd(),
            &[IoSlice::new(line.as_bytes())],
            &mut ancillary,
            SendFlags::NOSIGNAL,
        )
        .map_err(io::Error::from)?;
        self.stream.write_all(&line.as_bytes()[sent..])?;
        self.answer("getfd").map(drop)
    }

    /// The answer to the command; events before it are passed over.
    fn answer(&mut self, command: &'static str) -> Result<Value, MonitorError> {
        loop {
            let mut message = self.next()?;
            if let Some(value) = message.get_mut("return") {
                return Ok(value.take());
            }
            if let Some(error) = message.get("error") {
                let said = error.get("desc").and_then(Value::as_str);
                return Err(MonitorError::Refused {
                    command,
                    said: said.map_or_else(|| error.to_string(), str::to_owned),
                });
            }
        }
    }

    fn next(&mut self) -> Result<Value, MonitorError> {
        let mut line = String::new();
        if self.lines.read_line(&mut line)? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        serde_json::from_str(&line).map_err(|source| MonitorError::NotJson { line, source })
    }
}

fn line(command: &str, arguments: Option<Value>) -> String {
    let message = match arguments {
        Some(arguments) => json!({ "execute": command, "arguments": arguments }),
        None => json!({ "execute": command }),
    };
    format!("{message}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A QEMU that says these lines, and what it was asked.
    fn scripted(lines: &str) -> (Result<Monitor, MonitorError>, UnixStream) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(lines.as_bytes()).unwrap();
        (Monitor::open(ours), theirs)
    }

    const GREETING: &str = "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\n{\"return\": {}}\n";

    #[test]
    fn events_between_a_command_and_its_answer_are_passed_over() {
        let (monitor, mut qemu) = scripted(GREETING);
        qemu.write_all(
            b"{\"event\": \"STOP\", \"data\": {}}\n{\"return\": {\"status\": \"paused\"}}\n",
        )
        .unwrap();
        let status = monitor.unwrap().execute("query-status", None).unwrap();
        assert_eq!(status["status"], "paused");
    }

    #[test]
    fn a_refusal_is_told_in_qemus_words() {
        let (monitor, mut qemu) = scripted(GREETING);
        qemu.write_all(
            b"{\"error\": {\"class\": \"GenericError\", \"desc\": \"State blocked by invtsc\"}}\n",
        )
        .unwrap();
        let error = monitor.unwrap().execute("migrate", None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "QEMU refused migrate: State blocked by invtsc"
        );
    }

    #[test]
    fn a_closed_monitor_and_one_that_speaks_no_json_are_errors() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        assert!(matches!(Monitor::open(ours), Err(MonitorError::Io(_))));
        let (monitor, _qemu) = scripted("hello\n");
        assert!(matches!(monitor, Err(MonitorError::NotJson { .. })));
    }
}
