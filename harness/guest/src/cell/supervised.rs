//! Any program watched as a cell's runtime is: bounded in time, its streams
//! read, and nothing of it left behind.

use std::os::fd::{AsFd, AsRawFd};
use std::process::Command;

use rustix::pipe::{PipeFlags, pipe_with};
use wire::{FrameError, Limits};

use super::processes::{self, PidOne};
use super::runtime_process::RuntimeProcess;
use super::watch::{self, Watched};
use crate::boot::Channel;
use crate::error::{Error, Result};

/// A program that has ended, with everything it started.
#[derive(Debug)]
pub(crate) struct Supervised {
    /// How it ended, in words.
    pub(crate) end: String,
    /// What it wrote to the descriptor it was given.
    pub(crate) report: String,
    /// The end of what it wrote to descriptor 2.
    pub(crate) stderr: String,
    /// It was killed for its time.
    pub(crate) timed_out: bool,
    /// Something did not end though everything was killed.
    pub(crate) stuck: Option<String>,
    /// Processes that were still there after it.
    pub(crate) survivors: Vec<String>,
}

/// Runs what `command` makes of the descriptor to report on.
///
/// # Errors
/// When it cannot be started, the harness went away meanwhile, or processes can
/// be neither waited for nor killed.
pub(crate) fn supervise(
    command: impl FnOnce(i32) -> Command,
    limits: Limits,
    channel: &Channel,
) -> Result<Supervised> {
    let (report, status) = pipe_with(PipeFlags::CLOEXEC).map_err(Error::call("pipe"))?;
    let command = command(status.as_raw_fd());
    let process = RuntimeProcess::spawn(&command, report, status, &[])?;
    match watch::watch(process, limits, Some(channel.as_fd()), &PidOne)? {
        Watched::HarnessGone => Err(FrameError::Closed.into()),
        Watched::Ended(ended) => {
            let mut survivors = ended.survivors;
            survivors.extend(processes::end_survivors()?);
            Ok(Supervised {
                end: ended.runtime,
                report: ended.report,
                stderr: String::from_utf8_lossy(&ended.stderr.bytes).into_owned(),
                timed_out: ended.timed_out,
                stuck: ended.stuck,
                survivors,
            })
        }
    }
}
