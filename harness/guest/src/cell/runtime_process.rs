//! The runtime as a process: its descriptors and its place in the cgroups.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use rustix::pipe::{PipeFlags, pipe_with};

use super::bundle::Bundle;
use crate::cgroup::CellCgroup;
use crate::error::{Error, Result};

/// A started runtime and the ends of its pipes.
#[derive(Debug)]
pub(super) struct RuntimeProcess {
    pub(super) child: Child,
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
        let kept = [Some(status), writer].into_iter().flatten().collect();
        let mut process = Self::spawn_keeping(command, report, kept, doors)?;
        process.trace = trace.map(File::from);
        Ok(process)
    }

    /// Starts any program that reports on descriptor `status`.
    pub(super) fn spawn(
        command: Command,
        report: OwnedFd,
        status: OwnedFd,
        doors: Vec<CString>,
    ) -> Result<Self> {
        Self::spawn_keeping(command, report, vec![status], doors)
    }

    /// Starts a program that is handed these descriptors by their numbers.
    fn spawn_keeping(
        mut command: Command,
        report: OwnedFd,
        kept: Vec<OwnedFd>,
        doors: Vec<CString>,
    ) -> Result<Self> {
        let program = command.get_program().to_owned();
        let (stdout, stdout_writer) = pipe(PipeFlags::CLOEXEC)?;
        let (stderr, stderr_writer) = pipe(PipeFlags::CLOEXEC)?;
        let numbers: Vec<RawFd> = kept.iter().map(AsRawFd::as_raw_fd).collect();
        command
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(stdout_writer)
            .stderr(stderr_writer);
        // SAFETY: what runs between fork and exec makes system calls only.
        unsafe { command.pre_exec(move || enter(&doors, &numbers)) };
        let child = command.spawn().map_err(Error::file("start", &program))?;
        // `command` holds this side's copies of the writing ends; while they
        // are open no end is ever seen.
        drop(command);
        drop(kept);
        Ok(Self {
            child,
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

/// In the child: joins the cell's cgroups, leaves the guest's session, keeps
/// descriptors over exec.
fn enter(doors: &[CString], kept: &[RawFd]) -> io::Result<()> {
    let check = |result: libc::c_int| match result {
        -1 => Err(io::Error::last_os_error()),
        other => Ok(other),
    };
    for door in doors {
        // SAFETY: the path ends in a zero, the buffer is one byte long. 0 is
        // whoever writes it.
        unsafe {
            let descriptor = check(libc::open(door.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC))?;
            if libc::write(descriptor, c"0".as_ptr().cast(), 1) != 1 {
                return Err(io::Error::last_os_error());
            }
            libc::close(descriptor);
        }
    }
    // SAFETY: take no pointer.
    unsafe {
        check(libc::setsid())?;
        for number in kept {
            check(libc::fcntl(*number, libc::F_SETFD, 0))?;
        }
    }
    Ok(())
}
