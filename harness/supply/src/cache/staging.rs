//! Where programs now running write, and what they leave when they die.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::error::CacheError;
use super::lock::Lock;

/// One program's folder under staging/, with a lock beside it that the kernel lets
/// go when the program ends, however it ends.
pub(super) struct Session {
    parent: PathBuf,
    open: Mutex<Option<Open>>,
}

struct Open {
    folder: PathBuf,
    _lock: Lock,
}

impl Session {
    pub(super) fn new(parent: PathBuf) -> Session {
        Session {
            parent,
            open: Mutex::new(None),
        }
    }

    /// A new folder in this program's own.
    pub(super) fn folder(&self) -> Result<tempfile::TempDir, CacheError> {
        let mut open = self
            .open
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let session = match &mut *open {
            Some(session) => session,
            None => open.insert(Open::new(&self.parent)?),
        };
        tempfile::Builder::new()
            .prefix("")
            .tempdir_in(&session.folder)
            .map_err(|source| CacheError::io(&session.folder, source))
    }
}

impl Open {
    fn new(parent: &Path) -> Result<Open, CacheError> {
        loop {
            // The lock comes before the folder: a folder without one is swept away.
            let name = format!("{}-{}", std::process::id(), unique());
            let folder = parent.join(&name);
            let Some(lock) = Lock::attempt_now(&parent.join(format!("{name}.lock")))? else {
                continue;
            };
            match std::fs::create_dir(&folder) {
                Ok(()) => {
                    return Ok(Open {
                        folder,
                        _lock: lock,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(CacheError::io(&folder, source)),
            }
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // Not empty if a caller still holds a folder in it; then it is swept later.
        let _ = std::fs::remove_dir(&self.folder);
    }
}

/// A number no other call of this program got.
fn unique() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Removes the folders of programs that no longer run.
pub(super) fn sweep(parent: &Path) -> Result<(), CacheError> {
    let entries = std::fs::read_dir(parent).map_err(|source| CacheError::io(parent, source))?;
    for entry in entries {
        let path = entry
            .map_err(|source| CacheError::io(parent, source))?
            .path();
        let folder = match path.extension() {
            Some(extension) if extension == "lock" => path.with_extension(""),
            _ => path,
        };
        let Some(_lock) = Lock::attempt_now(&folder.with_extension("lock"))? else {
            continue;
        };
        if folder.is_dir() {
            open_up(&folder);
            match std::fs::remove_dir_all(&folder) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(CacheError::io(&folder, source)),
            }
        }
    }
    Ok(())
}

/// Gives folders back the permissions without which they cannot be emptied; an
/// unpacked root file system has some that lack them. What fails shows when the
/// removal fails.
pub(super) fn open_up(folder: &Path) {
    let Ok(metadata) = std::fs::symlink_metadata(folder) else {
        return;
    };
    if !metadata.is_dir() {
        return;
    }
    let mode = metadata.permissions().mode();
    if mode & 0o700 != 0o700 {
        let _ = std::fs::set_permissions(folder, std::fs::Permissions::from_mode(mode | 0o700));
    }
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        }
    }
}
