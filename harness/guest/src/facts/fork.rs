//! Probes that change the process they run in, so they run in a child.

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, waitpid};

use crate::error::{Error, Result};
use crate::kernel_log::last_errno;

/// How a probe's child ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The value the probe returned, or the exit status of what it became.
    Status(u8),
    /// A signal's number.
    Signal(i32),
}

/// Runs `probe` in a child. An errno it answers with becomes the exit status;
/// 0 is success. All errno a probe meets are below 134, so they fit.
///
/// # Errors
/// When no child can be made or waited for.
pub(super) fn in_child(probe: impl FnOnce() -> std::result::Result<(), Errno>) -> Result<Ended> {
    // SAFETY: this program has one thread, so the child is a whole copy of it.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let status = match probe() {
            Ok(()) => 0,
            Err(errno) => errno.raw_os_error(),
        };
        // SAFETY: ends the child without the parent's buffers and hooks.
        unsafe { libc::_exit(status) }
    }
    let Some(pid) = Pid::from_raw(pid).filter(|_| pid > 0) else {
        return Err(Error::call("fork")(last_errno()));
    };
    let status = loop {
        match waitpid(Some(pid), WaitOptions::empty()) {
            Ok(Some((_, status))) => break status,
            Ok(None) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::call("waitpid")(errno)),
        }
    };
    // Without WUNTRACED it has exited or been killed.
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Ok(Ended::Status(u8::try_from(code & 0xff).unwrap_or(u8::MAX))),
        (None, Some(signal)) => Ok(Ended::Signal(signal)),
        (None, None) => Err(Error::call("waitpid")(Errno::INVAL)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_answers_by_errno() {
        assert_eq!(in_child(|| Ok(())).unwrap(), Ended::Status(0));
        assert_eq!(
            in_child(|| Err(Errno::NOSPC)).unwrap(),
            Ended::Status(u8::try_from(Errno::NOSPC.raw_os_error()).unwrap())
        );
    }
}
