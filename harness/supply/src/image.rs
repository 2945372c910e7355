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
use crate::http::{Http, HttpError};
use crate::kernel::Packaged;
use crate::oci::archive::{self, Archive};
use crate::oci::{self, Digest, ImageConfig, Limits, OciError, Registries};
use crate::progress::Progress;
use crate::tools::{Tool, ToolError};
use crate::tree::{
    self, Budget, ContentError, DirectoryError, Inode, Spool, TarError, Tree, TreeError,
};

mod download;

pub(crate) use download::{checksum, tarball as fetched};

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
    /// What the image says of how its containers run; empty of one that brings no
    /// configuration.
    pub config: ImageConfig,
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
    /// The registry, the archive or the engine does not have it, or it is broken.
    #[error(transparent)]
    Oci(#[from] OciError),
    /// A tarball or its checksums cannot be fetched.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// A file of checksums has no line for the tarball.
    #[error("{url}: no line with a SHA-256 for {name}")]
    Checksums {
        /// The file of checksums.
        url: String,
        /// The tarball's name.
        name: String,
    },
    /// It is not what a lock file has.
    #[error(
        "it is {actual}, and matrix.lock has {expected}\nhint: `matrix update` takes it as it is now"
    )]
    NotAsLocked {
        /// The locked digest.
        expected: String,
        /// The digest it has.
        actual: String,
    },
    /// A lock that is not one of its kind of source.
    #[error("matrix.lock has no packages for it\nhint: `matrix update` writes it anew")]
    LockKind,
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
    #[serde(default)]
    config: ImageConfig,
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
            Ok((
                tree,
                Record {
                    digest,
                    source,
                    config: ImageConfig::default(),
                },
            ))
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
                config: ImageConfig::default(),
            };
            Ok((walk.tree, record))
        })
    }

    /// A tar of a root file system, or one that begins as an archive of images does.
    pub(crate) fn tarball(&self, path: &Path, limits: Limits) -> Result<ImageDisk, ImageError> {
        if archive::begins_like_one(path)? {
            return self.archive(
                &plan::ArchiveSource {
                    path: path.to_path_buf(),
                    image: None,
                    architecture: "amd64".to_owned(),
                },
                limits,
            );
        }
        let sha256 = sha256_of(path)?;
        self.tar(&sha256, path_of("tarball", path), limits, || {
            Ok(path.to_path_buf())
        })
    }

    /// A tar of a root file system that is fetched.
    pub(crate) fn download(
        &self,
        http: &Http,
        source: &plan::DownloadSource,
        limits: Limits,
    ) -> Result<ImageDisk, ImageError> {
        let sha256 = match &source.checksum {
            plan::Checksum::Sha256(sha256) => sha256.clone(),
            plan::Checksum::File(url) => checksum(self.cache, http, url, &source.url)?,
        };
        let words = BTreeMap::from([
            ("tarball".to_owned(), source.url.clone()),
            ("sha256".to_owned(), sha256.clone()),
        ]);
        self.tar(&sha256, words, limits, || {
            fetched(self.cache, http, &source.url, &sha256)
        })
    }

    fn tar(
        &self,
        sha256: &str,
        source: BTreeMap<String, String>,
        limits: Limits,
        fetch: impl FnOnce() -> Result<PathBuf, ImageError>,
    ) -> Result<ImageDisk, ImageError> {
        let key = Key::new("tarball-v2").with("sha256", sha256);
        let disk = self.disk(key, || {
            let path = fetch()?;
            let spool = self.spool()?;
            let mut tree = Tree::bounded(limits.entries);
            let budget = Budget::new(limits.bytes, limits.entries);
            let file = fs::File::open(&path)?;
            tree::read_tar(file, &spool, &budget, &mut tree)
                .map_err(|source| ImageError::Tarball { path, source })?;
            let record = Record {
                digest: format!("sha256:{sha256}"),
                source: source.clone(),
                config: ImageConfig::default(),
            };
            Ok((tree, record))
        })?;
        // The same bytes may have been built under another name.
        Ok(ImageDisk { source, ..disk })
    }

    /// An image of a registry. Built once per configuration, which names all its
    /// layers' plain bytes; so a tag that moves to the same image is not built again.
    pub(crate) fn oci(
        &self,
        registries: &Registries,
        source: &plan::OciSource,
    ) -> Result<ImageDisk, ImageError> {
        let resolved = registries.resolve(source)?;
        let digest = resolved.manifest_digest.to_string();
        let disk = self.image(&resolved.manifest.config.digest, || {
            let config = registries.config(source, &resolved)?;
            let tree = registries.tree(source, &resolved, &config, &self.spool()?)?;
            Ok((tree, config.image))
        })?;
        Ok(ImageDisk {
            digest,
            source: resolved.words(),
            ..disk
        })
    }

    /// An image in a file or folder.
    pub(crate) fn archive(
        &self,
        source: &plan::ArchiveSource,
        limits: Limits,
    ) -> Result<ImageDisk, ImageError> {
        let staging = self.cache.staging()?;
        let archive = Archive::open(&source.path, staging.path(), limits)?;
        let chosen = archive.choose(source.image.as_deref(), &source.architecture)?;
        let disk = self.image(&chosen.digest, || {
            let tree = archive.tree(&chosen, &self.spool()?, limits)?;
            Ok((tree, chosen.config.image.clone()))
        })?;
        let mut words = path_of("archive", &source.path);
        words.extend(
            source
                .image
                .clone()
                .map(|image| ("image".to_owned(), image)),
        );
        Ok(ImageDisk {
            digest: chosen.digest.to_string(),
            source: words,
            ..disk
        })
    }

    /// An image of a container engine, which is asked to save it only where the image
    /// it calls so is another than the last time.
    pub(crate) fn daemon(
        &self,
        source: &plan::DaemonSource,
        limits: Limits,
    ) -> Result<ImageDisk, ImageError> {
        let program = source.engine.program();
        let id = oci::engine_id(program, &source.image)?;
        let words = BTreeMap::from([
            ("daemon".to_owned(), program.to_owned()),
            ("image".to_owned(), source.image.clone()),
            ("id".to_owned(), id.clone()),
        ]);
        let saved = Key::new("saved-v1").with("engine", program).with("id", &id);
        let known = self
            .cache
            .get("saved", &saved)
            .and_then(|path| fs::read_to_string(path).ok())
            .and_then(|text| Digest::parse(text.trim()));
        if let Some(digest) = known
            && self
                .cache
                .get("image", &image_key(&digest).with("disk", disk::VERSION))
                .is_some()
        {
            let disk = self.finished(image_key(&digest))?;
            return Ok(ImageDisk {
                digest: digest.to_string(),
                source: words,
                ..disk
            });
        }
        let staging = self.cache.staging()?;
        let path = staging.path().join("saved.tar");
        oci::saved(program, &source.image, &path)?;
        let disk = self.archive(
            &plan::ArchiveSource {
                path,
                image: None,
                architecture: "amd64".to_owned(),
            },
            limits,
        )?;
        self.cache.replace("saved", &saved, |path| {
            std::fs::write(path, &disk.digest).map_err(|source| CacheError::io(path, source))
        })?;
        Ok(ImageDisk {
            source: words,
            ..disk
        })
    }

    fn image(
        &self,
        config: &Digest,
        make: impl FnOnce() -> Result<(Tree, ImageConfig), ImageError>,
    ) -> Result<ImageDisk, ImageError> {
        self.disk(image_key(config), || {
            let (tree, image) = make()?;
            let record = Record {
                digest: config.to_string(),
                source: BTreeMap::new(),
                config: image,
            };
            Ok((tree, record))
        })
    }

    /// One that is there.
    fn finished(&self, key: Key) -> Result<ImageDisk, ImageError> {
        self.disk(key, || {
            // It was there a moment ago.
            Err(ImageError::Record {
                path: self.cache.root().join("image"),
            })
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
                config: ImageConfig::default(),
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
            if let Some(note) = disk::left_out(&tree) {
                self.progress.note(&note);
            }
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
            config: record.config,
        })
    }

    /// On the cache's file system: it grows to the size of the root. The folder goes
    /// at once, the spool has no name there.
    fn spool(&self) -> Result<std::sync::Arc<Spool>, ImageError> {
        let folder = self.cache.staging()?;
        Ok(Spool::new(folder.path())?)
    }
}

/// The rest of the key is added by [`Maker::disk`].
fn image_key(config: &Digest) -> Key {
    Key::new("oci-v2").with("config", config.as_str())
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
