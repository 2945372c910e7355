//! What is in a tree's files: references, so that a root of half a gigabyte costs
//! little memory.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fs_err as fs;

/// How much is copied at a time, bytes.
const CHUNK: usize = 128 << 10;

/// The bytes of a file: where they are.
#[derive(Clone, Debug)]
pub enum Content {
    /// In memory: for what is made here and small.
    Held(Arc<[u8]>),
    /// A part of a spool.
    Spooled {
        /// The file that has them.
        spool: Arc<Spool>,
        /// Where they begin.
        offset: u64,
        /// How many they are.
        length: u64,
    },
    /// A whole file of the host.
    Host {
        /// Absolute.
        path: PathBuf,
        /// Its length when it was listed; another one later is an error.
        length: u64,
    },
}

/// Why content could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The spool could not be made, written or read.
    #[error("the spool file in {}: {source}", directory.display())]
    Spool {
        /// Where spools are made.
        directory: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// What is to be stored could not be read.
    #[error("reading what to store: {0}")]
    Source(io::Error),
    /// The source ended early.
    #[error("{missing} bytes are missing of {length}")]
    Short {
        /// How many there should be.
        length: u64,
        /// How many did not come.
        missing: u64,
    },
    /// A file of the host could not be read; the message has its path.
    #[error(transparent)]
    Host(io::Error),
    /// A file of the host is not what it was when it was listed.
    #[error("{}: changed while it was read: {expected} bytes were listed, {found} found", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// When it was listed.
        expected: u64,
        /// Now.
        found: u64,
    },
}

impl Content {
    /// Content held in memory.
    pub fn held(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Held(bytes.into().into())
    }

    /// How many bytes it is.
    pub fn length(&self) -> u64 {
        match self {
            Self::Held(bytes) => bytes.len() as u64,
            Self::Spooled { length, .. } | Self::Host { length, .. } => *length,
        }
    }

    /// Gives all of it, piece by piece.
    ///
    /// # Errors
    /// When it cannot be read, is no longer what it was, or `take` fails.
    pub fn read<E: From<ContentError>>(&self, mut take: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        match self {
            Self::Held(bytes) => take(bytes),
            Self::Spooled { spool, offset, length } => {
                let mut buffer = vec![0; CHUNK.min(usize::try_from(*length).unwrap_or(CHUNK))];
                let mut at = *offset;
                let end = offset + length;
                while at < end {
                    let count = (end - at).min(buffer.len() as u64) as usize;
                    spool.read_at(&mut buffer[..count], at)?;
                    take(&buffer[..count])?;
                    at += count as u64;
                }
                Ok(())
            }
            Self::Host { path, length } => {
                let mut file = fs::File::open(path).map_err(ContentError::Host)?;
                let mut buffer = vec![0; CHUNK.min(usize::try_from(*length).unwrap_or(CHUNK)).max(1)];
                let mut found = 0;
                loop {
                    let count = file.read(&mut buffer).map_err(ContentError::Host)?;
                    if count == 0 {
                        break;
                    }
                    found += count as u64;
                    if found > *length {
                        break;
                    }
                    take(&buffer[..count])?;
                }
                if found != *length {
                    return Err(ContentError::Changed {
                        path: path.clone(),
                        expected: *length,
                        found,
                    }
                    .into());
                }
                Ok(())
            }
        }
    }

    /// All of it at once: for small files.
    ///
    /// # Errors
    /// Those of [`Content::read`].
    pub fn to_vec(&self) -> Result<Vec<u8>, ContentError> {
        let mut bytes = Vec::new();
        self.read(|piece| {
            bytes.extend_from_slice(piece);
            Ok::<_, ContentError>(())
        })?;
        Ok(bytes)
    }
}

/// An unnamed file that takes the decompressed content of archives, from several
/// threads at once. It is gone when the last tree that refers to it is.
#[derive(Debug)]
pub struct Spool {
    file: File,
    directory: PathBuf,
    /// Where the next content goes.
    end: AtomicU64,
}

impl Spool {
    /// Makes one on the file system of `directory`.
    ///
    /// # Errors
    /// When no file can be made there.
    pub fn new(directory: &Path) -> Result<Arc<Self>, ContentError> {
        let file = tempfile::tempfile_in(directory).map_err(|source| ContentError::Spool {
            directory: directory.to_path_buf(),
            source,
        })?;
        Ok(Arc::new(Self {
            file,
            directory: directory.to_path_buf(),
            end: AtomicU64::new(0),
        }))
    }

    /// Reserves `length` bytes.
    pub(super) fn reserve(&self, length: u64) -> Result<u64, ContentError> {
        self.end
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |end| {
                end.checked_add(length).filter(|end| i64::try_from(*end).is_ok())
            })
            .map_err(|_| self.error(io::ErrorKind::FileTooLarge.into()))
    }

    pub(super) fn write_at(&self, bytes: &[u8], at: u64) -> Result<(), ContentError> {
        self.file.write_all_at(bytes, at).map_err(|source| self.error(source))
    }

    /// Never read or written: reads as zeros, as a hole of a sparse file should.
    pub(super) fn extend_to(&self, end: u64) -> Result<(), ContentError> {
        // A hole at the end of the spool is past the file's end until written.
        let length = self.file.metadata().map_err(|source| self.error(source))?.len();
        if length < end {
            self.file.write_all_at(&[0], end - 1).map_err(|source| self.error(source))?;
        }
        Ok(())
    }

    /// Stores exactly `length` bytes of `source`.
    ///
    /// # Errors
    /// When the source ends early or fails, or the spool cannot be written.
    pub fn store(self: &Arc<Self>, source: &mut impl Read, length: u64) -> Result<Content, ContentError> {
        let offset = self.reserve(length)?;
        self.fill(source, offset, length)?;
        Ok(Content::Spooled {
            spool: Arc::clone(self),
            offset,
            length,
        })
    }

    /// Copies exactly `length` bytes of `source` to `offset`, which is reserved.
    pub(super) fn fill(&self, source: &mut impl Read, offset: u64, length: u64) -> Result<(), ContentError> {
        let mut buffer = vec![0; CHUNK.min(usize::try_from(length).unwrap_or(CHUNK))];
        let mut done = 0;
        while done < length {
            let want = (length - done).min(buffer.len() as u64) as usize;
            let count = match source.read(&mut buffer[..want]) {
                Ok(0) => {
                    return Err(ContentError::Short {
                        length,
                        missing: length - done,
                    });
                }
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(ContentError::Source(error)),
            };
            self.write_at(&buffer[..count], offset + done)?;
            done += count as u64;
        }
        Ok(())
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> Result<(), ContentError> {
        self.file.read_exact_at(buffer, at).map_err(|source| self.error(source))
    }

    fn error(&self, source: io::Error) -> ContentError {
        ContentError::Spool {
            directory: self.directory.clone(),
            source,
        }
    }
}
