//! docker's `--init`: PID 1 is the runtime's, the program its child. It passes
//! signals on, waits for every orphan, and ends as the program ends.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Pid, WaitOptions, set_dumpable_behavior, wait};

use crate::descriptor::last_errno;
use crate::failure::{Failure, Step};
use crate::signal;

/// Who this process is after [`split`].
pub(crate) enum Side {
    /// The one that becomes the program.
    Program,
    /// PID 1, with the program's PID.
    Init(Pid),
}

/// Forks the program's process off.
pub(crate) fn split() -> Result<Side, Failure> {
    // SAFETY: the process has one thread, so the child may do all it likes.
    match unsafe { libc::fork() } {
        -1 => Err(last_errno()).step(|| "fork from the init process".to_owned()),
        child => Ok(Pid::from_raw(child).map_or(Side::Program, Side::Init)),
    }
}

/// Waits for all there is until `program` has ended; its exit status is the
/// container's, 128 and the number for a signal.
pub(crate) fn reap(program: Pid) -> ! {
    // Its environment and its memory are the runtime's: not for the container's
    // root to read. A system call filter can refuse that, and with it the program
    // goes on all the same.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let code = match signal::forward_to(program) {
        Ok(()) => until_end(program),
        Err(_) => 125,
    };
    // SAFETY: ends the process, and with PID 1 all others of the container.
    unsafe { libc::_exit(code) }
}

fn until_end(program: Pid) -> libc::c_int {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == program => {
                let status = ExitStatus::from_raw(status.as_raw());
                if let Some(code) = status.code() {
                    return code;
                }
                if let Some(signal) = status.signal() {
                    return 128 + signal;
                }
            }
            Ok(_) | Err(Errno::INTR) => {}
            // The program cannot be gone without having been seen here.
            Err(_) => return 125,
        }
    }
}
