//! Which file descriptors a container inherits: 0, 1 and 2. All others are
//! closed before anything of the container's is looked at: a working directory
//! or a program of `/proc/self/fd/7` would lead out of it (CVE-2024-21626).

use std::os::fd::RawFd;

use rustix::io::Errno;

use crate::failure::{Failure, Step};
use crate::fallback::{Fallback, Fallbacks};

/// Closes every descriptor above 2 but those in `keep`, which must be the only
/// ones this process owns, and which execve closes.
pub(crate) fn close_others(
    keep: impl IntoIterator<Item = RawFd>,
    fallbacks: &Fallbacks,
) -> Result<(), Failure> {
    let mut keep: Vec<RawFd> = keep.into_iter().collect();
    keep.sort_unstable();
    match close_around(&keep) {
        // Before Linux 5.9.
        Err(Errno::NOSYS) => {
            fallbacks.record(Fallback::CloseRange);
            one_by_one(&keep)
        }
        answer => answer.step(|| "close_range".to_owned()),
    }
}

/// `keep` in ascending order.
fn close_around(keep: &[RawFd]) -> Result<(), Errno> {
    let mut first = 3;
    for kept in keep {
        let kept = kept.cast_unsigned();
        if kept > first {
            close_range(first, kept - 1)?;
        }
        first = first.max(kept + 1);
    }
    close_range(first, u32::MAX)
}

/// close_range(2), Linux 5.9. glibc's wrapper is younger than the glibc this
/// may be built with.
fn close_range(first: u32, last: u32) -> Result<(), Errno> {
    // SAFETY: close_range touches no memory, and the caller owns none of these.
    let answer = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if answer == 0 {
        Ok(())
    } else {
        Err(last_errno())
    }
}

fn one_by_one(keep: &[RawFd]) -> Result<(), Failure> {
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
    for number in numbers {
        if number > 2 && !keep.contains(&number) {
            // SAFETY: nobody in this process owns it; the listing's own is
            // closed by now, and EBADF is its answer.
            unsafe { libc::close(number) };
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
