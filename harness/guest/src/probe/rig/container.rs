//! A container that is talked to: its program says what it sees, a line a verb,
//! and stops at `pause` until outside has looked.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use runtime::status::Status;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::process::{self, Process};
use super::report::Reporter;
use super::{Probing, Stop, trouble};

/// What a verb's answer starts with when it was refused.
const REFUSED: &str = "error ";

/// A running container.
#[derive(Debug)]
pub(in crate::probe) struct Container {
    runtime: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    status: File,
    reporter: Reporter,
    said: Said,
}

/// What the program inside answered, by verb.
#[derive(Clone, Debug, Default)]
pub(in crate::probe) struct Said(Vec<(String, String)>);

impl Said {
    /// The last answer to a verb, as it was given: `read /x`.
    pub(in crate::probe) fn of(&self, verb: &str) -> Probing<&str> {
        self.0
            .iter()
            .rev()
            .find(|(asked, _)| asked == verb)
            .map(|(_, answer)| answer.as_str())
            .ok_or_else(|| Stop::Failed(format!("the program inside did not come to `{verb}`")))
    }

    /// The verb was carried out; its answer.
    pub(in crate::probe) fn done(&self, verb: &str) -> Probing<&str> {
        let answer = self.of(verb)?;
        match answer.strip_prefix(REFUSED) {
            None => Ok(answer),
            Some(errno) => Err(Stop::Failed(format!("inside, `{verb}` gives {errno}"))),
        }
    }

    /// The verb was refused with one of these errors.
    pub(in crate::probe) fn refused(&self, verb: &str, errnos: &[&str]) -> Probing {
        let answer = self.of(verb)?;
        match answer.strip_prefix(REFUSED) {
            Some(errno) if errnos.contains(&errno) => Ok(()),
            _ => Err(Stop::Failed(format!(
                "inside, `{verb}` gives {answer}, not {}",
                errnos.join(" or ")
            ))),
        }
    }

    /// A field of an answer: `uid` of `uid=0 gid=0`.
    pub(in crate::probe) fn field(&self, verb: &str, name: &str) -> Probing<&str> {
        let answer = self.done(verb)?;
        answer
            .split_whitespace()
            .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
            .ok_or_else(|| Stop::Trouble(format!("`{verb}` answers {answer} without {name}")))
    }

    /// A field that is a number.
    pub(in crate::probe) fn number(&self, verb: &str, name: &str) -> Probing<u64> {
        let field = self.field(verb, name)?;
        field
            .parse()
            .map_err(|_| Stop::Trouble(format!("`{verb}`: {name}={field} is no number")))
    }
}

impl Container {
    /// Starts `runtime run --bundle FOLDER`.
    pub(super) fn start(folder: &Path, id: &str, reporter: Reporter) -> Probing<Self> {
        let (status, writer) = pipe_with(PipeFlags::CLOEXEC).map_err(trouble("pipe"))?;
        let number = writer.as_raw_fd();
        let mut command = Command::new(wire::RUNTIME_PATH);
        command
            .args(["run", "--bundle"])
            .arg(folder)
            .args(["--status-fd", &number.to_string(), id])
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        // SAFETY: fcntl is a system call, and takes no pointer.
        unsafe {
            command.pre_exec(move || match libc::fcntl(number, libc::F_SETFD, 0) {
                -1 => Err(std::io::Error::last_os_error()),
                _ => Ok(()),
            });
        }
        let mut runtime = command
            .spawn()
            .map_err(trouble(format!("start {}", wire::RUNTIME_PATH)))?;
        drop::<OwnedFd>(writer);
        let (stdin, stdout) = (runtime.stdin.take(), runtime.stdout.take());
        let stdout = stdout.ok_or_else(|| Stop::Trouble("the runtime has no stdout".to_owned()))?;
        Ok(Self {
            runtime,
            stdin,
            stdout: BufReader::new(stdout),
            status: status.into(),
            reporter,
            said: Said::default(),
        })
    }

    /// Reads what is said up to the next `pause`. When there is none, the
    /// container has ended, and why is the outcome.
    pub(in crate::probe) fn pause(&mut self) -> Probing<&Said> {
        if self.listen()? {
            return Ok(&self.said);
        }
        let status = self.finish()?;
        succeeded(&status)?;
        Err(Stop::Failed(
            "the program inside ended before it paused".to_owned(),
        ))
    }

    /// Lets the program inside go on.
    pub(in crate::probe) fn resume(&mut self) -> Probing {
        match &mut self.stdin {
            Some(stdin) => stdin.write_all(b"\n").map_err(trouble("resume")),
            None => Ok(()),
        }
    }

    /// Reads all that is said, and how it ended.
    pub(in crate::probe) fn end(mut self) -> Probing<(Said, Status)> {
        // A program that pauses once more sees the end of its input.
        self.stdin = None;
        while self.listen()? {}
        let status = self.finish()?;
        Ok((std::mem::take(&mut self.said), status))
    }

    /// Reads all that is said; the program must have exited with 0.
    pub(in crate::probe) fn succeed(self) -> Probing {
        let (_, status) = self.end()?;
        succeeded(&status)
    }

    /// The container's first process, as outside numbers it: the runtime's
    /// child, or a child of that where it needs one between.
    pub(in crate::probe) fn process(&self) -> Probing<Process> {
        process::find_inside(self.runtime.id())
    }

    /// False at the end of what is said.
    fn listen(&mut self) -> Probing<bool> {
        loop {
            let mut line = String::new();
            let length = self
                .stdout
                .read_line(&mut line)
                .map_err(trouble("read what is said inside"))?;
            if length == 0 {
                return Ok(false);
            }
            // A terminal ends its lines with both.
            let line = line.trim_end_matches(['\n', '\r']);
            if line == "pause" {
                return Ok(true);
            }
            self.reporter.observed(&format!("inside: {line}"));
            if let Some((verb, answer)) = line.split_once(" -> ") {
                self.said.0.push((verb.to_owned(), answer.to_owned()));
            }
        }
    }

    /// The runtime's status line, once it has ended.
    fn finish(&mut self) -> Probing<Status> {
        self.stdin = None;
        let mut report = String::new();
        self.status
            .read_to_string(&mut report)
            .map_err(trouble("read the runtime's status"))?;
        let exit = self.runtime.wait().map_err(trouble("wait"))?;
        let line = report.lines().rfind(|line| !line.trim().is_empty());
        let Some(line) = line else {
            return Err(Stop::Failed(format!(
                "the runtime gave no status and ended with {exit}"
            )));
        };
        let line: Value =
            serde_json::from_str(line).map_err(trouble("the runtime's status line"))?;
        // Whatever else it says (fallbacks, which NAT was taken) is evidence.
        for (name, value) in line.as_object().into_iter().flatten() {
            let silent = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
            if name != "status" && !silent {
                self.reporter
                    .observed(&format!("the runtime: {name}: {value}"));
            }
        }
        serde_json::from_value(line["status"].clone()).map_err(trouble("the runtime's status"))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if matches!(self.runtime.try_wait(), Ok(Some(_))) {
            return;
        }
        // An outcome that comes early leaves it running. With its PID 1 the
        // container ends, and with it the runtime.
        let first = self.process().ok();
        let pid = first.and_then(|process| Pid::from_raw(process.pid.cast_signed()));
        let ended = match pid {
            Some(pid) => kill_process(pid, Signal::KILL).is_ok(),
            None => false,
        };
        if !ended {
            let _ = self.runtime.kill();
        }
        let _ = self.runtime.wait();
    }
}

/// The container came up; what that means where it did not.
pub(in crate::probe) fn came_up(status: &Status) -> Probing {
    match status {
        Status::Exited { .. } | Status::Signaled { .. } | Status::OutOfMemory => Ok(()),
        Status::Unsupported { what } => Err(Stop::Unsupported(what.clone())),
        Status::Exec { errno, path } => Err(Stop::Failed(format!(
            "the program inside could not be started: execve {path}: {}",
            std::io::Error::from_raw_os_error(*errno)
        ))),
        // A configuration it does not do is no word about the kernel.
        Status::Trouble { step, message, .. } if step == "read config.json" => {
            Err(Stop::Trouble(format!("the runtime refuses: {message}")))
        }
        Status::Trouble { message, .. } => Err(Stop::Failed(format!(
            "the container could not be made: {message}"
        ))),
    }
}

/// It came up, and its program exited with 0.
pub(in crate::probe) fn succeeded(status: &Status) -> Probing {
    came_up(status)?;
    match status {
        Status::Exited { code: 0 } => Ok(()),
        other => Err(Stop::Failed(format!(
            "the program inside ended with {other:?}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said() -> Said {
        Said(
            [
                ("read /x", "error EROFS"),
                ("id", "uid=0 gid=7"),
                ("read /x", "error ENOENT"),
            ]
            .map(|(verb, answer)| (verb.to_owned(), answer.to_owned()))
            .to_vec(),
        )
    }

    #[test]
    fn answers_are_judged_by_the_last_of_a_verb() {
        let said = said();
        assert!(said.refused("read /x", &["ENOENT"]).is_ok());
        assert!(matches!(
            said.refused("read /x", &["EROFS"]),
            Err(Stop::Failed(_))
        ));
        assert!(matches!(said.done("read /x"), Err(Stop::Failed(_))));
        assert!(matches!(
            said.refused("id", &["EROFS"]),
            Err(Stop::Failed(_))
        ));
        assert_eq!(said.number("id", "gid").unwrap(), 7);
        assert!(matches!(said.done("write /x"), Err(Stop::Failed(_))));
    }

    #[test]
    fn a_refused_configuration_is_no_failure_of_the_kernels() {
        let trouble = |step: &str| Status::Trouble {
            step: step.to_owned(),
            errno: None,
            message: "linux.seccomp is not implemented by this runtime".to_owned(),
        };
        assert!(matches!(
            came_up(&trouble("read config.json")),
            Err(Stop::Trouble(_))
        ));
        assert!(matches!(
            came_up(&trouble("mount /proc")),
            Err(Stop::Failed(_))
        ));
        let lacking = Status::Unsupported {
            what: "x".to_owned(),
        };
        assert!(matches!(came_up(&lacking), Err(Stop::Unsupported(_))));
        assert!(came_up(&Status::Exited { code: 3 }).is_ok());
        assert!(matches!(
            succeeded(&Status::Exited { code: 3 }),
            Err(Stop::Failed(_))
        ));
    }
}
