//! Looking after the cache: what is in it, whether it is sound, what can go.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Cache;
use super::error::CacheError;
use super::seal::{self, Seal, Trust};

/// One thing in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `blob`, `suite`, … as given to [`Cache::build`].
    pub kind: String,
    /// The key's hexadecimal digits.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Bytes of all its files, as they were when it was made.
    pub bytes: u64,
    /// Bytes it takes on the disk: fewer where files have holes.
    pub on_disk: u64,
    /// When it was last used, to the minute.
    pub used: SystemTime,
}

impl Cache {
    /// All there is, by kind and name. What was never finished is not listed.
    pub fn entries(&self) -> Result<Vec<Entry>, CacheError> {
        let mut entries = Vec::new();
        for kind in names(self.root())? {
            let folder = self.root().join(&kind);
            if !folder.is_dir() || kind == "lock" || kind == "staging" {
                continue;
            }
            for name in names(&folder)? {
                let path = folder.join(&name);
                if name.ends_with(".seal") {
                    continue;
                }
                let Some(seal) = Seal::read(&path) else {
                    continue;
                };
                let bytes = match seal {
                    Ok(seal) => seal.bytes,
                    Err(damage) => return Err(CacheError::Damaged { path, damage }),
                };
                let seal = seal::path(&path);
                let used = std::fs::metadata(&seal)
                    .and_then(|metadata| metadata.modified())
                    .map_err(|source| CacheError::io(&seal, source))?;
                let on_disk = on_disk(&path).map_err(|source| CacheError::io(&path, source))?;
                entries.push(Entry {
                    kind: kind.clone(),
                    name,
                    path,
                    bytes,
                    on_disk,
                    used,
                });
            }
        }
        Ok(entries)
    }

    /// Reads all of a thing; an error if it is not what was stored. The damaged
    /// thing is removed, so that its next use makes it again.
    pub fn verify(&self, entry: &Entry) -> Result<(), CacheError> {
        let Some(seal) = Seal::read(&entry.path) else {
            return Ok(());
        };
        match seal.and_then(|seal| seal.check_all(&entry.path)) {
            Ok(()) => Ok(()),
            Err(damage) => {
                self.remove(entry)?;
                Err(CacheError::Damaged {
                    path: entry.path.clone(),
                    damage,
                })
            }
        }
    }

    /// Removes one thing.
    pub fn remove(&self, entry: &Entry) -> Result<(), CacheError> {
        let _lock = self.lock(&entry.kind, &entry.name)?;
        self.discard(&entry.path)
    }

    /// Removes what was not used for `age`; the bytes that were freed.
    pub fn collect(&self, age: Duration) -> Result<u64, CacheError> {
        let now = SystemTime::now();
        let mut freed = 0;
        for entry in self.entries()? {
            // A time in the future is no age at all.
            if now
                .duration_since(entry.used)
                .is_ok_and(|unused| unused > age)
            {
                self.remove(&entry)?;
                freed += entry.on_disk;
            }
        }
        Ok(freed)
    }

    /// Removes things of one kind, those used longest ago first, until the others take
    /// no more than `most` bytes on the disk. `kept` stays in any case. Gives the
    /// bytes that were freed.
    pub fn shrink(&self, kind: &str, most: u64, kept: &Path) -> Result<u64, CacheError> {
        let mut entries: Vec<Entry> = self
            .entries()?
            .into_iter()
            .filter(|entry| entry.kind == kind)
            .collect();
        entries.sort_by_key(|entry| entry.used);
        let mut taken: u64 = entries.iter().map(|entry| entry.on_disk).sum();
        let mut freed = 0;
        for entry in entries.iter().filter(|entry| entry.path != kept) {
            if taken <= most {
                break;
            }
            self.remove(entry)?;
            taken -= entry.on_disk;
            freed += entry.on_disk;
        }
        Ok(freed)
    }
}

/// Bytes in the blocks of all files of a thing.
fn on_disk(path: &Path) -> io::Result<u64> {
    let metadata = std::fs::symlink_metadata(path)?;
    let mut bytes = metadata.blocks() * 512;
    if metadata.is_dir() {
        for entry in std::fs::read_dir(path)? {
            bytes += on_disk(&entry?.path())?;
        }
    }
    Ok(bytes)
}

/// Marks a thing as used and sound now, for [`Cache::collect`] and for the next
/// [`Seal::check`]. Once a minute is enough, unless its content had to be read; and
/// a cache that cannot be written to is never collected either.
pub(super) fn mark_used(path: &Path, trust: Trust) {
    let Ok(seal) = std::fs::File::open(seal::path(path)) else {
        return;
    };
    let used = seal.metadata().and_then(|metadata| metadata.modified());
    let recently = |used: SystemTime| {
        used.elapsed()
            .is_ok_and(|unused| unused < Duration::from_secs(60))
    };
    if trust == Trust::Content || !used.is_ok_and(recently) {
        let _ = seal.set_modified(SystemTime::now());
    }
}

fn names(folder: &Path) -> Result<Vec<String>, CacheError> {
    let failed = |source| CacheError::io(folder, source);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        names.push(
            entry
                .map_err(failed)?
                .file_name()
                .to_string_lossy()
                .into_owned(),
        );
    }
    names.sort();
    Ok(names)
}
