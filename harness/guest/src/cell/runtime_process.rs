//! The runtime as a process: its descriptors and its place in the cgroups.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Pid;

use super::bundle::Bundle;
use super::spawn::{self, Start};
use crate::cgroup::CellCgroup;
use crate::error::{Error, Result};

/// A started runtime and the ends of its pipes.
#[derive(Debug)]
pub(super) struct RuntimeProcess {
    pub(super) process: Pid,
    pub(super) stdout: File,
    pub(super) stderr: File,
    /// Where its status line comes from.
    pub(super) report: File,
    /// Where its trace comes from, if it writes one.
    pub(super) trace: Option<File>,
}

impl RuntimeProcess {
    /// Starts `runtime run` on a bundle, in the cell's cgroup; with `traced` it
    /// traces the container's program.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn start(
        bundle: &Bundle,
        cgroup: &CellCgroup,
        id: u64,
        traced: bool,
    ) -> Result<Self> {
        let (report, status) = pipe(PipeFlags::CLOEXEC)?;
        let trace = traced.then(|| pipe(PipeFlags::CLOEXEC)).transpose()?;
        let mut command = Command::new(wire::RUNTIME_PATH);
        command
            .arg("run")
            .arg("--bundle")
            .arg(bundle.folder())
            .arg("--status-fd")
            .arg(status.as_raw_fd().to_string());
        if let Some((_, writer)) = &trace {
            command
                .arg("--trace-fd")
                .arg(writer.as_raw_fd().to_string());
        }
        command.arg(format!("cell-{id}"));
        let doors = cgroup
            .doors()
            .map(|door| {
                CString::new(door.into_os_string().into_encoded_bytes()).map_err(io::Error::from)
            })
            .collect::<io::Result<Vec<_>>>()
            .map_err(Error::file("name", "/sys/fs/cgroup"))?;
        let (trace, writer) = trace.unzip();
        let kept: Vec<_> = [Some(status), writer].into_iter().flatten().collect();
        let mut process = Self::spawn_keeping(&command, report, &kept, &doors)?;
        process.trace = trace.map(File::from);
        Ok(process)
    }

    /// Starts any program that reports on descriptor `status`; of the command, its path
    /// and arguments are taken.
    pub(super) fn spawn(
        command: &Command,
        report: OwnedFd,
        status: OwnedFd,
        doors: &[CString],
    ) -> Result<Self> {
        Self::spawn_keeping(command, report, &[status], doors)
    }

    /// Starts a program that is handed these descriptors by their numbers.
    fn spawn_keeping(
        command: &Command,
        report: OwnedFd,
        kept: &[OwnedFd],
        doors: &[CString],
    ) -> Result<Self> {
        let program = command.get_program();
        let start = Error::file("start", program);
        let words: io::Result<Vec<_>> = std::iter::once(program)
            .chain(command.get_args())
            .map(|word| CString::new(word.as_bytes()).map_err(io::Error::from))
            .collect();
        let null = File::open("/dev/null").map_err(Error::file("open", "/dev/null"))?;
        let (stdout, stdout_writer) = pipe(PipeFlags::CLOEXEC)?;
        let (stderr, stderr_writer) = pipe(PipeFlags::CLOEXEC)?;
        let kept: Vec<RawFd> = kept.iter().map(AsRawFd::as_raw_fd).collect();
        let process = words
            .and_then(|words| {
                spawn::start(&Start {
                    path: &words[0],
                    arguments: &words,
                    streams: [
                        null.as_raw_fd(),
                        stdout_writer.as_raw_fd(),
                        stderr_writer.as_raw_fd(),
                    ],
                    kept: &kept,
                    doors,
                })
            })
            .map_err(start)?;
        // The writing ends close here; while this side's are open no end is ever seen.
        Ok(Self {
            process,
            stdout: stdout.into(),
            stderr: stderr.into(),
            report: report.into(),
            trace: None,
        })
    }
}

fn pipe(flags: PipeFlags) -> Result<(OwnedFd, OwnedFd)> {
    pipe_with(flags).map_err(Error::call("pipe"))
}
