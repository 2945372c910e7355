//! Which file descriptors a container inherits: 0, 1 and 2.

use std::os::fd::{BorrowedFd, RawFd};

use rustix::io::{Errno, FdFlags, fcntl_getfd, fcntl_setfd};

use crate::failure::{Failure, Step};
use crate::fallback::{Fallback, Fallbacks};

/// Marks every descriptor above 2 to be closed by execve.
pub(crate) fn close_on_exec(fallbacks: &Fallbacks) -> Result<(), Failure> {
    match close_range() {
        // ENOSYS before Linux 5.9, EINVAL before 5.11's CLOSE_RANGE_CLOEXEC.
        Err(Errno::NOSYS | Errno::INVAL) => {
            fallbacks.record(Fallback::CloseRange);
            one_by_one()
        }
        answer => answer.step(|| "close_range".to_owned()),
    }
}

/// close_range(2): Linux 5.9, its flag 5.11. glibc's wrapper is younger than
/// the glibc this may be built with.
fn close_range() -> Result<(), Errno> {
    // SAFETY: close_range touches no memory; with CLOSE_RANGE_CLOEXEC it closes
    // nothing, so no owner loses its descriptor.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            3_u32,
            u32::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    if answer == 0 {
        Ok(())
    } else {
        Err(last_errno())
    }
}

fn one_by_one() -> Result<(), Failure> {
    let step = || "read /proc/self/fd".to_owned();
    let entries = std::fs::read_dir("/proc/self/fd")
        .map_err(errno_of)
        .step(step)?;
    // All names first: the listing holds a descriptor of its own, which is
    // closed, and so unknown, by the time its turn comes.
    let mut numbers: Vec<RawFd> = Vec::new();
    for entry in entries {
        let name = entry.map_err(errno_of).step(step)?.file_name();
        if let Some(number) = name.to_str().and_then(|name| name.parse().ok()) {
            numbers.push(number);
        }
    }
    for number in numbers.into_iter().filter(|number| *number > 2) {
        // SAFETY: the borrow ends within this iteration, and nothing here
        // closes descriptors.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        match fcntl_getfd(descriptor) {
            Err(Errno::BADF) => {}
            Ok(flags) => fcntl_setfd(descriptor, flags | FdFlags::CLOEXEC)
                .step(|| format!("fcntl F_SETFD {number}"))?,
            Err(errno) => return Err(errno).step(|| format!("fcntl F_GETFD {number}")),
        }
    }
    Ok(())
}

/// errno after a failed libc call.
pub(crate) fn last_errno() -> Errno {
    errno_of(std::io::Error::last_os_error())
}

/// The errno of an error of std; one that std made up itself counts as EIO.
#[expect(clippy::needless_pass_by_value, reason = "used with map_err")]
pub(crate) fn errno_of(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}
