//! What can go wrong with the cache.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What can go wrong with the cache. It is sound after each of them: nothing
/// half-written is ever found under a key.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// Reading or writing failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The disk, or this user's share of it, is full.
    #[error(
        "{}: no space left on the file system at {}: {}\nhint: MATRIX_CACHE or --cache names another place",
        path.display(), mount.display(), room(*free, *needed)
    )]
    Full {
        /// What was being written.
        path: PathBuf,
        /// Where the full file system is mounted.
        mount: PathBuf,
        /// Bytes that are free there; none where the system does not tell.
        free: Option<u64>,
        /// Bytes that were wanted, where that is known.
        needed: Option<u64>,
    },
    /// Something that was being made failed when the disk was full.
    #[error(
        "{failure}\nno space left on the file system at {}: {}\nhint: MATRIX_CACHE or --cache names another place",
        mount.display(), room(Some(*free), None)
    )]
    FullMeanwhile {
        /// What failed, in its own words.
        failure: String,
        /// Where the full file system is mounted.
        mount: PathBuf,
        /// Bytes that are free there.
        free: u64,
    },
    /// Neither MATRIX_CACHE, XDG_CACHE_HOME nor HOME is set.
    #[error(
        "no place for the cache: neither XDG_CACHE_HOME nor HOME is set\nhint: MATRIX_CACHE names one"
    )]
    NoHome,
    /// A file that [`super::Cache::verify`] looked at is not what was stored.
    #[error("{}: damaged ({damage})", path.display())]
    Damaged {
        /// The file or folder.
        path: PathBuf,
        /// What does not fit.
        damage: String,
    },
}

impl CacheError {
    /// From a failed reading or writing of `path`; a full disk is told as such. The
    /// error is to come from std, not from fs-err, which names the path as well.
    pub fn io(path: &Path, source: io::Error) -> CacheError {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => CacheError::Full {
                path: path.to_owned(),
                mount: mount_of(path),
                free: free_space(path),
                needed: None,
            },
            _ => CacheError::Io {
                path: path.to_owned(),
                source,
            },
        }
    }
}

impl CacheError {
    /// That `needed` bytes do not fit where `path` is to be written; none where
    /// they do, or where the system does not tell.
    pub(crate) fn no_room(path: &Path, needed: u64) -> Option<CacheError> {
        let free = free_space(path)?;
        (free < needed).then(|| CacheError::Full {
            path: path.to_owned(),
            mount: mount_of(path),
            free: Some(free),
            needed: Some(needed),
        })
    }

    /// That the disk is full, told with what failed on it; none where it has room.
    pub(super) fn full_meanwhile(path: &Path, failure: &str) -> Option<CacheError> {
        let free = free_space(path)?;
        // It may say the same by itself.
        (free < FULL && !failure.contains(NO_SPACE)).then(|| CacheError::FullMeanwhile {
            failure: failure.to_owned(),
            mount: mount_of(path),
            free,
        })
    }
}

/// Fewer bytes than this are no room for anything.
const FULL: u64 = 256 << 10;

/// The words of [`CacheError::Full`].
const NO_SPACE: &str = "no space left on the file system at";

/// `12 bytes are free, 27000000 are needed`.
fn room(free: Option<u64>, needed: Option<u64>) -> String {
    let free = match free {
        Some(free) => format!("{free} bytes are free"),
        None => "how much is free is not known".to_owned(),
    };
    match needed {
        Some(needed) => format!("{free}, {needed} are needed"),
        None => free,
    }
}

/// Bytes an unprivileged user can still write where `path` is or is to be.
fn free_space(path: &Path) -> Option<u64> {
    let there = path.ancestors().find(|folder| folder.exists())?;
    let answer = rustix::fs::statvfs(there).ok()?;
    Some(answer.f_bavail.saturating_mul(answer.f_frsize))
}

/// Where the file system that holds `path` is mounted: the topmost folder on the
/// same device.
fn mount_of(path: &Path) -> PathBuf {
    let mut mount = PathBuf::from("/");
    let mut device = None;
    for folder in path.ancestors() {
        // What does not exist yet is looked for further up.
        let Ok(metadata) = std::fs::metadata(folder) else {
            continue;
        };
        if device.is_some_and(|device| device != metadata.dev()) {
            break;
        }
        device = Some(metadata.dev());
        folder.clone_into(&mut mount);
    }
    mount
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_names_the_file_system() {
        let source = io::Error::from(io::ErrorKind::StorageFull);
        let error = CacheError::io(Path::new("/proc/nothing/here"), source);
        assert!(matches!(&error, CacheError::Full { mount, .. } if mount == Path::new("/proc")));
        assert!(error.to_string().contains("at /proc: "), "{error}");
        assert!(error.to_string().contains(NO_SPACE), "{error}");
    }

    #[test]
    fn what_does_not_fit_is_told_before_it_is_fetched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("not/yet/there");
        assert!(CacheError::no_room(&path, 1).is_none());
        let error = CacheError::no_room(&path, u64::MAX).unwrap().to_string();
        assert!(
            error.contains(" bytes are free, 18446744073709551615 are needed"),
            "{error}"
        );
    }
}
