//! The content-addressed cache: everything fetched or built, once.

mod error;
mod key;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use error::CacheError;
pub use key::Key;

use crate::progress::Progress;

/// The cache: a folder.
pub struct Cache;

impl Cache {
    /// Opens (and makes, if need be) the cache in `root`.
    pub fn open(root: &Path) -> Result<Cache, CacheError> {
        todo!()
    }
    /// The same cache, telling of damage it met.
    pub fn with_progress(self, progress: Arc<dyn Progress>) -> Cache {
        todo!()
    }
    /// `$MATRIX_CACHE`, else `$XDG_CACHE_HOME/matrix`, else `~/.cache/matrix`.
    pub fn default_root() -> Result<PathBuf, CacheError> {
        todo!()
    }
    /// The folder.
    pub fn root(&self) -> &Path {
        todo!()
    }
    /// A folder or file made once per key; `make` writes to the staging path it is given.
    pub fn build<E: From<CacheError>>(
        &self,
        kind: &str,
        key: &Key,
        make: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        todo!()
    }
    /// What `build` made earlier, if it did.
    pub fn get(&self, kind: &str, key: &Key) -> Option<PathBuf> {
        todo!()
    }
    /// A folder on the cache's file system, removed when dropped.
    pub fn staging(&self) -> Result<tempfile::TempDir, CacheError> {
        todo!()
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
