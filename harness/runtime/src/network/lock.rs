//! One runtime at a time changes a network: the lock is on the network
//! namespace itself, so that it is one wherever its file is mounted, and never
//! left behind.

use std::fs::File;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::descriptor::errno_of;
use crate::failure::{Failure, Step};

/// Held until it is dropped.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "open as long as the lock is held")] File);

impl Lock {
    /// Waits for whoever has it.
    pub(super) fn take() -> Result<Self, Failure> {
        let path = Path::new("/proc/self/ns/net");
        let file = File::open(path).map_err(errno_of).on("open", path)?;
        loop {
            match flock(&file, FlockOperation::LockExclusive) {
                Err(Errno::INTR) => {}
                answer => return answer.on("lock", path).map(|()| Self(file)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_lock() {
        let lock = Lock::take().unwrap();
        let other = File::open("/proc/self/ns/net").unwrap();
        let asked = flock(&other, FlockOperation::NonBlockingLockExclusive);
        assert_eq!(asked, Err(Errno::AGAIN));
        drop(lock);
        flock(&other, FlockOperation::LockExclusive).unwrap();
    }
}
