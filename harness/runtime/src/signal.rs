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

/// Holds back what is to be passed on until there is somebody to pass it to, so
/// that nothing the runtime makes before is left behind. A child inherits that,
/// up to its own [`reset`].
pub(crate) fn hold() -> Result<(), Failure> {
    mask(libc::SIG_BLOCK)
}

fn mask(how: libc::c_int) -> Result<(), Failure> {
    // SAFETY: all zeros is a sigset_t, which sigemptyset makes an empty one; the
    // three functions touch nothing but it, and it outlives them.
    let answer = unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in FORWARDED {
            libc::sigaddset(&raw mut set, signal);
        }
        libc::sigprocmask(how, &raw const set, std::ptr::null_mut())
    };
    if answer == 0 {
        Ok(())
    } else {
        Err(last_errno()).step(|| "sigprocmask".to_owned())
    }
}

/// From now on passes signals for the runtime on to `container`, with those that
/// were held back.
pub(crate) fn forward_to(container: Pid) -> Result<(), Failure> {
    CONTAINER.store(container.as_raw_nonzero().get(), Ordering::Relaxed);
    for signal in FORWARDED {
        let handler = pass_on as extern "C" fn(libc::c_int) as libc::sighandler_t;
        // SAFETY: the handler only loads an atomic and calls kill.
        if unsafe { libc::signal(signal, handler) } == libc::SIG_ERR {
            return Err(last_errno()).step(|| format!("sigaction {signal}"));
        }
    }
    mask(libc::SIG_UNBLOCK)
}

/// The container is gone: its number may soon be another's.
pub(crate) fn forward_to_nobody() {
    CONTAINER.store(0, Ordering::Relaxed);
}

/// Every signal at its default and none blocked: execve hands on what is
/// ignored (Rust ignores SIGPIPE) and what is blocked.
///
/// By the system calls themselves: glibc's functions refuse to touch signals 32
/// and 33, which another libc may have left ignored.
pub(crate) fn reset() -> Result<(), Failure> {
    for signal in 1..=LAST {
        // SAFETY: the kernel reads one struct, which outlives the call, and
        // writes none. No handler is installed, one is taken away.
        let answer = unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                &raw const DEFAULT,
                std::ptr::null_mut::<KernelAction>(),
                SET_SIZE,
            )
        };
        if answer != 0 {
            match last_errno() {
                // SIGKILL and SIGSTOP.
                Errno::INVAL => {}
                errno => return Err(errno).step(|| format!("sigaction {signal}")),
            }
        }
    }
    let none = 0_u64;
    // SAFETY: the kernel reads one set, which outlives the call, and writes none.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const none,
            std::ptr::null_mut::<u64>(),
            SET_SIZE,
        )
    };
    if answer == 0 {
        Ok(())
    } else {
        Err(last_errno()).step(|| "sigprocmask".to_owned())
    }
}

/// The kernel's `_NSIG`.
const LAST: libc::c_int = 64;
/// The size of its sigset_t.
const SET_SIZE: usize = 8;

/// The kernel's struct sigaction on x86-64, which is not libc's.
#[repr(C)]
struct KernelAction {
    handler: usize,
    flags: u64,
    restorer: usize,
    mask: u64,
}

/// SIG_DFL.
static DEFAULT: KernelAction = KernelAction {
    handler: libc::SIG_DFL,
    flags: 0,
    restorer: 0,
    mask: 0,
};
