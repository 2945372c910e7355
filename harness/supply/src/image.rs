//! Images: the root file systems of userlands, as disks.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::apt::AptError;
use crate::cache::{Cache, CacheError, Key, hex};
use crate::debian_root::{self, RootError};
use crate::disk::{self, DiskError};
use crate::kernel::Packaged;
use crate::progress::Progress;
use crate::tools::{Tool, ToolError};
use crate::tree::{self, ContentError, DirectoryError, Inode, Spool, TarError, Tree, TreeError};

const DISK: &str = "root.squashfs";
const RECORD: &str = "image.json";

/// An image, ready to be attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageDisk {
    /// A squashfs.
    pub path: PathBuf,
    /// `sha256:…` of what it was made from.
    pub digest: String,
    /// Where it is from, for the report.
    pub source: BTreeMap<String, String>,
}

/// Why an image is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The archive does not have a package, or cannot be reached.
    #[error(transparent)]
    Apt(#[from] AptError),
    /// The packages make no root.
    #[error(transparent)]
    Root(#[from] RootError),
    /// The folder cannot be read.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The tarball is broken or holds what no root can.
    #[error("{}: {source}", path.display())]
    Tarball {
        /// The tarball.
        path: PathBuf,
        /// Why.
        source: TarError,
    },
    /// No such program is built in.
    #[error("no built-in program is called {name}; there is {known}")]
    Program {
        /// As asked for.
        name: String,
        /// Those that are.
        known: String,
    },
    /// A root of our own making is not one.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// Content could not be stored or read.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// mksquashfs is not to be had.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// mksquashfs failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The cache could not be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A file could not be read or written; the message has its path.
    #[error(transparent)]
    File(#[from] io::Error),
    /// The record beside a disk is damaged.
    #[error("{}: not a record of an image", path.display())]
    Record {
        /// The record.
        path: PathBuf,
    },
}

/// What an image's making needs.
pub(crate) struct Maker<'supply> {
    pub(crate) cache: &'supply Cache,
    pub(crate) progress: &'supply dyn Progress,
    /// Asked only where a disk has to be made.
    pub(crate) mksquashfs: &'supply dyn Fn() -> Result<Tool, ToolError>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    digest: String,
    source: BTreeMap<String, String>,
}

impl Maker<'_> {
    /// A minimal root of these packages.
    pub(crate) fn packages(
        &self,
        packages: &[Packaged],
        source: BTreeMap<String, String>,
        fetch: impl FnOnce() -> Result<Vec<PathBuf>, ImageError>,
    ) -> Result<ImageDisk, ImageError> {
        let mut key = Key::new(debian_root::VERSION);
        let mut hash = Sha256::new();
        for package in packages {
            key = key.with("deb", &package.sha256);
            hash.update(format!("{} {}\n", package.name, package.sha256));
        }
        let digest = format!("sha256:{}", hex(&hash.finalize()));
        self.disk(key, || {
            let debs = fetch()?;
            let spool = self.spool()?;
            let tree = debian_root::assemble(&debs, &spool)?;
            Ok((tree, Record { digest, source }))
        })
    }

    /// A folder of this machine.
    pub(crate) fn directory(&self, folder: &Path) -> Result<ImageDisk, ImageError> {
        let key = Key::new("directory-v1").with("fingerprint", tree::fingerprint(folder)?);
        self.disk(key, || {
            let walk = tree::read_directory(folder)?;
            for note in &walk.notes {
                self.progress.note(note);
            }
            let record = Record {
                digest: tree::digest(&walk.tree)?,
                source: path_of("directory", folder),
            };
            Ok((walk.tree, record))
        })
    }

    /// A tar of a root file system.
    pub(crate) fn tarball(&self, path: &Path) -> Result<ImageDisk, ImageError> {
        let sha256 = sha256_of(path)?;
        let key = Key::new("tarball-v1").with("sha256", &sha256);
        self.disk(key, || {
            let spool = self.spool()?;
            let mut tree = Tree::new();
            let file = fs::File::open(path)?;
            tree::read_tar(file, &spool, &mut tree).map_err(|source| ImageError::Tarball {
                path: path.to_path_buf(),
                source,
            })?;
            let record = Record {
                digest: format!("sha256:{sha256}"),
                source: path_of("tarball", path),
            };
            Ok((tree, record))
        })
    }

    /// A program alone in its root.
    pub(crate) fn program(
        &self,
        name: &str,
        programs: &BTreeMap<String, &'static [u8]>,
    ) -> Result<ImageDisk, ImageError> {
        let Some(bytes) = programs.get(name) else {
            let known: Vec<&str> = programs.keys().map(String::as_str).collect();
            return Err(ImageError::Program {
                name: name.to_owned(),
                known: known.join(", "),
            });
        };
        let sha256 = hex(&Sha256::digest(bytes));
        let key = Key::new("program-v1")
            .with("name", name)
            .with("sha256", &sha256);
        self.disk(key, || {
            let mut tree = Tree::new();
            for folder in ["proc", "sys", "dev", "etc"] {
                tree.insert(folder.as_bytes(), Inode::directory(0o755))?;
            }
            tree.insert(b"tmp", Inode::directory(0o1777))?;
            tree.insert(name.as_bytes(), Inode::file(0o755, *bytes))?;
            let record = Record {
                digest: format!("sha256:{sha256}"),
                source: BTreeMap::from([("program".to_owned(), name.to_owned())]),
            };
            Ok((tree, record))
        })
    }

    fn disk(
        &self,
        key: Key,
        make: impl FnOnce() -> Result<(Tree, Record), ImageError>,
    ) -> Result<ImageDisk, ImageError> {
        let key = key.with("disk", disk::VERSION);
        let root = self.cache.build("image", &key, |staging| {
            let (tree, record) = make()?;
            let tool = (self.mksquashfs)()?;
            fs::create_dir_all(staging)?;
            disk::write(&tree, &tool, &staging.join(DISK))?;
            let path = staging.join(RECORD);
            let text = serde_json::to_vec_pretty(&record)
                .map_err(|_| ImageError::Record { path: path.clone() })?;
            fs::write(path, text)?;
            Ok::<_, ImageError>(())
        })?;
        let path = root.join(RECORD);
        let record: Record = fs::read(&path)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .ok_or(ImageError::Record { path })?;
        Ok(ImageDisk {
            path: root.join(DISK),
            digest: record.digest,
            source: record.source,
        })
    }

    /// On the cache's file system: it grows to the size of the root. The folder goes
    /// at once, the spool has no name there.
    fn spool(&self) -> Result<std::sync::Arc<Spool>, ImageError> {
        let folder = self.cache.staging()?;
        Ok(Spool::new(folder.path())?)
    }
}

fn path_of(kind: &str, path: &Path) -> BTreeMap<String, String> {
    BTreeMap::from([(kind.to_owned(), path.display().to_string())])
}

fn sha256_of(path: &Path) -> Result<String, ImageError> {
    use std::io::Read as _;
    let mut file = fs::File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hex(&hash.finalize())),
            Ok(count) => hash.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests;
