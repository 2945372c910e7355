//! The content-addressed cache: everything fetched or built, once.
//!
//! ```text
//! ROOT/KIND/KEY        a file or a folder
//! ROOT/KIND/KEY.seal   what it was when it was made: bytes, files, checksum
//! ROOT/lock/           one file per key being made
//! ROOT/staging/        where programs now running write
//! ```
//!
//! A thing is written under staging/, on the same file system, and renamed into
//! place; its seal comes last. What has no seal was never finished and is made
//! again; what its seal does not fit is damaged, is reported, and is made again.

mod error;
mod key;
mod lock;
mod maintenance;
mod seal;
mod staging;

use std::collections::HashSet;
use std::fmt::{Display, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use etcetera::BaseStrategy;
use etcetera::base_strategy::Xdg;

pub use error::CacheError;
pub use key::Key;
pub use maintenance::Entry;

use crate::progress::{Progress, Silent};
use lock::Lock;
use seal::Seal;
use staging::Session;

/// A folder in which things are kept under keys. Cheap to share between threads
/// behind an `Arc`; any number of programs can use one folder at once.
pub struct Cache {
    root: PathBuf,
    session: Session,
    progress: Arc<dyn Progress>,
    /// Damage that was told, until it is mended: each is met more than once on the
    /// way to that.
    told: Mutex<HashSet<PathBuf>>,
}

impl Cache {
    /// Opens the cache in `root`, which is made if need be, and removes what dead
    /// programs left under staging/.
    pub fn open(root: &Path) -> Result<Cache, CacheError> {
        for folder in [root.to_owned(), root.join("lock"), root.join("staging")] {
            std::fs::create_dir_all(&folder).map_err(|source| CacheError::io(&folder, source))?;
        }
        let root = std::fs::canonicalize(root).map_err(|source| CacheError::io(root, source))?;
        staging::sweep(&root.join("staging"))?;
        let session = Session::new(root.join("staging"));
        Ok(Cache {
            root,
            session,
            progress: Arc::new(Silent),
            told: Mutex::default(),
        })
    }

    /// The same cache; damage it meets is told to `progress`.
    #[must_use]
    pub fn with_progress(mut self, progress: Arc<dyn Progress>) -> Cache {
        self.progress = progress;
        self
    }

    /// `$MATRIX_CACHE`, else `matrix` in `$XDG_CACHE_HOME`, else in `~/.cache`.
    pub fn default_root() -> Result<PathBuf, CacheError> {
        match std::env::var_os("MATRIX_CACHE") {
            Some(root) if !root.is_empty() => Ok(PathBuf::from(root)),
            _ => match Xdg::new() {
                Ok(base) => Ok(base.cache_dir().join("matrix")),
                Err(_) => Err(CacheError::NoHome),
            },
        }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The path of the thing of this kind and key, made by `make` if it is not
    /// there. `make` gets a path that does not exist yet and creates a file or a
    /// folder there; if it fails, nothing is kept. Other threads and programs that
    /// want the same key wait and share the result.
    pub fn build<E: From<CacheError> + Display>(
        &self,
        kind: &str,
        key: &Key,
        make: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        self.build_named(kind, &key.hex(), make)
    }

    /// As [`Cache::build`], for a thing whose name is the SHA-256 of its content,
    /// which `make` has to see to.
    pub fn blob<E: From<CacheError> + Display>(
        &self,
        sha256: &str,
        make: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        self.build_named("blob", sha256, make)
    }

    /// What [`Cache::build`] made earlier, if it is there and undamaged.
    pub fn get(&self, kind: &str, key: &Key) -> Option<PathBuf> {
        self.find(kind, &key.hex())
    }

    /// What [`Cache::blob`] made earlier, if it is there and undamaged.
    pub fn get_blob(&self, sha256: &str) -> Option<PathBuf> {
        self.find("blob", sha256)
    }

    /// As [`Cache::build`], but what is there already is replaced: for what changes
    /// under one name, as a suite's Release does.
    pub fn replace<E: From<CacheError> + Display>(
        &self,
        kind: &str,
        key: &Key,
        make: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        let _lock = self.lock(kind, &key.hex())?;
        self.make(kind, &key.hex(), make)
    }

    /// Until the guard is dropped, no other thread or program holds this kind and
    /// key: for work on what is not made by [`Cache::build`]. `kind` must not be one
    /// that is built under the same key meanwhile.
    pub(crate) fn hold(&self, kind: &str, key: &Key) -> Result<Lock, CacheError> {
        self.lock(kind, &key.hex())
    }

    /// Removes the thing of this kind and key, if it is there.
    pub fn forget(&self, kind: &str, key: &Key) -> Result<(), CacheError> {
        let _lock = self.lock(kind, &key.hex())?;
        self.discard(&self.path(kind, &key.hex()))
    }

    /// A folder on the cache's own file system, removed when dropped.
    pub fn staging(&self) -> Result<tempfile::TempDir, CacheError> {
        self.session.folder()
    }

    fn path(&self, kind: &str, name: &str) -> PathBuf {
        self.root.join(kind).join(name)
    }

    fn lock(&self, kind: &str, name: &str) -> Result<Lock, CacheError> {
        Lock::take(&self.root.join("lock").join(format!("{kind}-{name}")))
    }

    fn build_named<E: From<CacheError> + Display>(
        &self,
        kind: &str,
        name: &str,
        make: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        if let Some(path) = self.find(kind, name) {
            return Ok(path);
        }
        let _lock = self.lock(kind, name)?;
        // Someone else may have made it while this one waited.
        match self.find(kind, name) {
            Some(path) => Ok(path),
            None => self.make(kind, name, make),
        }
    }

    /// Makes a thing and puts it in its place. The key's lock is held.
    fn make<E: From<CacheError> + Display>(
        &self,
        kind: &str,
        name: &str,
        make: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        let staging = self.staging()?;
        let (made, made_seal) = (staging.path().join("made"), staging.path().join("seal"));
        if let Err(error) = make(&made) {
            // Now, before what was half made is removed and there is room again.
            let full = CacheError::full_meanwhile(&made, &error.to_string());
            return Err(full.map_or(error, E::from));
        }
        let seal = Seal::of(&made)?;
        std::fs::write(&made_seal, seal.to_text())
            .map_err(|source| CacheError::io(&made_seal, source))?;
        let path = self.path(kind, name);
        let folder = self.root.join(kind);
        std::fs::create_dir_all(&folder).map_err(|source| CacheError::io(&folder, source))?;
        self.discard(&path)?;
        rename(&made, &path)?;
        rename(&made_seal, &seal::path(&path))?;
        self.told().remove(&path);
        Ok(path)
    }

    fn find(&self, kind: &str, name: &str) -> Option<PathBuf> {
        let path = self.path(kind, name);
        // Without a seal it was never finished, and there is nothing to report.
        let seal = Seal::read(&path)?;
        match seal.and_then(|seal| seal.check(&path)) {
            Ok(trust) => {
                maintenance::mark_used(&path, trust);
                Some(path)
            }
            Err(damage) => {
                if self.told().insert(path.clone()) {
                    let path = path.display();
                    self.progress
                        .note(&format!("{path}: damaged ({damage}), made again"));
                }
                None
            }
        }
    }

    fn told(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes a thing with its seal; the seal first, so that it is never found
    /// half removed.
    fn discard(&self, path: &Path) -> Result<(), CacheError> {
        for path in [&seal::path(path), path] {
            let removed = match std::fs::symlink_metadata(path) {
                Err(_) => continue,
                Ok(metadata) if metadata.is_dir() => remove_folder(path),
                Ok(_) => std::fs::remove_file(path),
            };
            removed.map_err(|source| CacheError::io(path, source))?;
        }
        Ok(())
    }
}

/// Removes a folder that can hold folders without write permission, as a root file
/// system does.
fn remove_folder(path: &Path) -> std::io::Result<()> {
    staging::open_up(path);
    std::fs::remove_dir_all(path)
}

fn rename(from: &Path, to: &Path) -> Result<(), CacheError> {
    std::fs::rename(from, to).map_err(|source| CacheError::io(to, source))
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests;
