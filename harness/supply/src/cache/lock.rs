//! Locks between threads and programs: flock(2) on a file that is removed again.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::error::CacheError;

/// An exclusive lock, let go when dropped. Each has its own open file, so it also
/// excludes other threads of this program.
pub(crate) struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// Takes the lock, waiting for it as long as need be.
    pub(super) fn take(path: &Path) -> Result<Lock, CacheError> {
        loop {
            if let Some(lock) = Lock::attempt(path, FlockOperation::LockExclusive)? {
                return Ok(lock);
            }
        }
    }

    /// Takes the lock if no one holds it.
    pub(super) fn attempt_now(path: &Path) -> Result<Option<Lock>, CacheError> {
        Lock::attempt(path, FlockOperation::NonBlockingLockExclusive)
    }

    fn attempt(path: &Path, operation: FlockOperation) -> Result<Option<Lock>, CacheError> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .map_err(|source| CacheError::io(path, source))?;
        loop {
            match flock(&file, operation) {
                Ok(()) => break,
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) => return Ok(None),
                Err(errno) => return Err(CacheError::io(path, errno.into())),
            }
        }
        // The holder before may have removed the file while this one waited: then
        // the lock is on a file that no one else can find, and holds nobody off.
        let held = file
            .metadata()
            .map_err(|source| CacheError::io(path, source))?;
        match std::fs::metadata(path) {
            Ok(named) if (named.dev(), named.ino()) == (held.dev(), held.ino()) => Ok(Some(Lock {
                path: path.to_owned(),
                _file: file,
            })),
            _ => Ok(None),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is still held: see `attempt`. If it stays, it is taken again.
        let _ = std::fs::remove_file(&self.path);
    }
}
