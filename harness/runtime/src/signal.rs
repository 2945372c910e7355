//! Signals: passed on to the container while the runtime waits for it, and at
//! their defaults when its program starts.

use std::sync::atomic::{AtomicI32, Ordering};

use rustix::io::Errno;
use rustix::process::Pid;

use crate::descriptor::last_errno;
use crate::failure::{Failure, Step};

/// What is passed on, as `docker run` does.
const FORWARDED: [libc::c_int; 6] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
];

static CONTAINER: AtomicI32 = AtomicI32::new(0);

extern "C" fn pass_on(signal: libc::c_int) {
    let container = CONTAINER.load(Ordering::Relaxed);
    if container > 0 {
        // SAFETY: kill is async-signal-safe and touches no memory. That it may
        // fail when the container has just ended is of no consequence.
        unsafe { libc::kill(container, signal) };
    }
}

/// From now on passes signals for the runtime on to `container`.
pub(crate) fn forward_to(container: Pid) -> Result<(), Failure> {
    CONTAINER.store(container.as_raw_nonzero().get(), Ordering::Relaxed);
    for signal in FORWARDED {
        let handler = pass_on as extern "C" fn(libc::c_int) as libc::sighandler_t;
        // SAFETY: the handler only loads an atomic and calls kill.
        if unsafe { libc::signal(signal, handler) } == libc::SIG_ERR {
            return Err(last_errno()).step(|| format!("sigaction {signal}"));
        }
    }
    Ok(())
}

/// The container is gone: its number may soon be another's.
pub(crate) fn forward_to_nobody() {
    CONTAINER.store(0, Ordering::Relaxed);
}

/// Every signal at its default and none blocked: execve hands on what is
/// ignored (Rust ignores SIGPIPE) and what is blocked.
pub(crate) fn reset() -> Result<(), Failure> {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: no handler is installed, one is taken away.
        if unsafe { libc::signal(signal, libc::SIG_DFL) } == libc::SIG_ERR {
            match last_errno() {
                // SIGKILL, SIGSTOP, and the two glibc keeps for itself.
                Errno::INVAL => {}
                errno => return Err(errno).step(|| format!("sigaction {signal}")),
            }
        }
    }
    // SAFETY: sigemptyset fills the set before sigprocmask reads it.
    let answer = unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut())
    };
    if answer == 0 {
        Ok(())
    } else {
        Err(last_errno()).step(|| "sigprocmask".to_owned())
    }
}
