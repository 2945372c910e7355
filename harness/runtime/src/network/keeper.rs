//! The keeper: a process beside the runtime, outside of the container, that
//! forwards what comes for published ports, and removes the network when the
//! runtime is killed before it could.
//!
//! The runtime holds the one end of a pipe to it. A byte says that all has been
//! removed; the pipe's end without it, that the runtime is no more.

use std::fs::{File, OpenOptions};
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, chdir, setsid, waitpid};
use rustix::thread::set_name;

use super::Place;
use super::forwarder::Forwarder;
use super::published::Published;
use crate::descriptor::{close_others, errno_of, last_errno};
use crate::failure::{Failure, Step};
use crate::fallback::Fallbacks;

/// Its name among the processes, at most 15 bytes.
const NAME: &std::ffi::CStr = c"matrix-network";

/// The runtime's hold on it.
#[derive(Debug)]
pub(super) struct Keeper {
    pid: Pid,
    pipe: PipeWriter,
}

impl Keeper {
    /// Starts it. Must be called while the process has one thread, and before it
    /// is about to fork into another PID namespace.
    pub(super) fn start(published: Vec<Published>, place: &Place) -> Result<Self, Failure> {
        let step = || "start the process that keeps the network".to_owned();
        let (reader, pipe) = pipe().map_err(errno_of).step(step)?;
        // SAFETY: the process has one thread, so the child may do all it likes.
        match unsafe { libc::fork() } {
            -1 => Err(last_errno()).step(step),
            0 => {
                drop(pipe);
                let kept = keep(reader, published, place);
                // SAFETY: ends the process without running what the runtime's
                // copy will run.
                unsafe { libc::_exit(if kept.is_ok() { 0 } else { 1 }) }
            }
            child => match Pid::from_raw(child) {
                Some(pid) => Ok(Self { pid, pipe }),
                None => Err(Errno::SRCH).step(step),
            },
        }
    }

    /// All has been removed: ends it. The error is of one that has ended before.
    pub(super) fn dismiss(mut self) -> Result<(), Failure> {
        let told = self.pipe.write_all(b"d");
        let status = loop {
            match waitpid(Some(self.pid), WaitOptions::empty()) {
                Err(Errno::INTR) | Ok(None) => {}
                answer => break answer,
            }
        };
        let step = || "wait for the process that keeps the network".to_owned();
        let ended = status
            .step(step)?
            .map(|(_, status)| ExitStatus::from_raw(status.as_raw()));
        match (told, ended) {
            (Ok(()), Some(status)) if status.success() => Ok(()),
            (_, status) => Err(Errno::CHILD).step(|| {
                let how = status.map_or(String::new(), |status| format!(" ({status})"));
                format!("keep the network: its process ended early{how}")
            }),
        }
    }
}

/// What it does until it is dismissed.
fn keep(mut runtime: PipeReader, published: Vec<Published>, place: &Place) -> Result<(), Failure> {
    let _ = set_name(NAME);
    // It was born with signals held back, and keeps to it: what is sent to end
    // the runtime or all processes must not end who tidies up after it. It ends
    // with the pipe.
    // Neither the terminal's signals nor a folder that is to be unmounted are
    // its own business.
    setsid().step(|| "setsid".to_owned())?;
    chdir("/").step(|| "chdir".to_owned())?;
    let mut kept: Vec<RawFd> = published
        .iter()
        .map(|port| port.socket.as_raw_fd())
        .collect();
    kept.push(runtime.as_raw_fd());
    close_others(kept, &Fallbacks::default())?;
    leave_streams();
    let mut forwarder = Forwarder::new(published, place.address);
    forwarder
        .run(runtime.as_fd())
        .step(|| "wait for connections".to_owned())?;
    match runtime.read(&mut [0]) {
        Ok(1..) => Ok(()),
        // The ports must be free as soon as the rest is.
        _ => {
            drop(forwarder);
            place.remove()
        }
    }
}

/// Whoever waits for the end of the runtime's output does not wait for this.
fn leave_streams() {
    let null: Result<File, _> = OpenOptions::new().read(true).write(true).open("/dev/null");
    if let Ok(null) = null {
        for stream in [0, 1, 2] {
            // SAFETY: the three are nobody's own in this process, and stay open.
            unsafe { libc::dup2(null.as_raw_fd(), stream) };
        }
    }
}
