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
        "{}: no space left on the file system at {}\nhint: `matrix cache gc` frees some, MATRIX_CACHE names another place",
        path.display(), mount.display()
    )]
    Full {
        /// What was being written.
        path: PathBuf,
        /// Where the full file system is mounted.
        mount: PathBuf,
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
            },
            _ => CacheError::Io {
                path: path.to_owned(),
                source,
            },
        }
    }
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
        assert!(error.to_string().contains("at /proc\nhint: "), "{error}");
    }
}
