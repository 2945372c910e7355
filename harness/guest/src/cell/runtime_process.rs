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
}

impl RuntimeProcess {
    /// Starts `runtime run` on a bundle, in the cell's cgroup.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn start(bundle: &Bundle, cgroup: &CellCgroup, id: u64) -> Result<Self> {
        let (report, status) = pipe(PipeFlags::CLOEXEC)?;
        let mut command = Command::new(wire::RUNTIME_PATH);
        command
            .arg("run")
            .arg("--bundle")
            .arg(bundle.folder())
            .arg("--status-fd")
            .arg(status.as_raw_fd().to_string())
            .arg(format!("cell-{id}"));
        let doors = cgroup
            .doors()
            .map(|door| {
                CString::new(door.into_os_string().into_encoded_bytes()).map_err(io::Error::from)
            })
            .collect::<io::Result<Vec<_>>>()
            .map_err(Error::file("name", "/sys/fs/cgroup"))?;
        Self::spawn(command, report, status, doors)
    }

    /// Starts any program that reports on descriptor `status`.
    pub(super) fn spawn(
        mut command: Command,
        report: OwnedFd,
        status: OwnedFd,
        doors: Vec<CString>,
    ) -> Result<Self> {
        let program = command.get_program().to_owned();
        let (stdout, stdout_writer) = pipe(PipeFlags::CLOEXEC)?;
        let (stderr, stderr_writer) = pipe(PipeFlags::CLOEXEC)?;
        let number = status.as_raw_fd();
        command
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(stdout_writer)
            .stderr(stderr_writer);
        // SAFETY: what runs between fork and exec makes system calls only.
        unsafe { command.pre_exec(move || enter(&doors, number)) };
        let child = command.spawn().map_err(Error::file("start", &program))?;
        // `command` holds this side's copies of the writing ends; while they
        // are open no end is ever seen.
        drop(command);
        drop(status);
        Ok(Self {
            child,
            stdout: stdout.into(),
            stderr: stderr.into(),
            report: report.into(),
        })
    }
}

fn pipe(flags: PipeFlags) -> Result<(OwnedFd, OwnedFd)> {
    pipe_with(flags).map_err(Error::call("pipe"))
}

/// In the child: joins the cell's cgroups, leaves the guest's session, keeps the
/// status descriptor over exec.
fn enter(doors: &[CString], status: RawFd) -> io::Result<()> {
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
        check(libc::fcntl(status, libc::F_SETFD, 0))?;
    }
    Ok(())
}
