//! What can go wrong with the cache.

use std::io;
use std::path::PathBuf;

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
    /// The disk is full.
    #[error("{}: no space left on the file system mounted at {}\nhint: `matrix cache gc` frees space, MATRIX_CACHE names another place", path.display(), mount.display())]
    Full {
        /// What was being written.
        path: PathBuf,
        /// Where the full file system is mounted.
        mount: PathBuf,
    },
    /// Neither MATRIX_CACHE, XDG_CACHE_HOME nor HOME is set.
    #[error("no place for the cache: neither MATRIX_CACHE, XDG_CACHE_HOME nor HOME is set")]
    NoHome,
}
