//! Kernels: from packages, from files fetched or of this machine, from build trees,
//! from images. Whatever the source, it ends as [`KernelFiles`].

mod archive;
mod build_tree;
mod layout;
mod local;
mod packaged;
mod rpms;
mod unpacked;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use crate::apt::AptError;
use crate::cache::CacheError;
use crate::deb::DebError;
use crate::image::ImageError;
use crate::oci::OciError;
use crate::rpm::{PackageError, RpmError};
use crate::tree::{ContentError, DirectoryError, ExtractError};

pub(crate) use archive::file_unpacked;
pub use archive::{at_path, downloaded, in_image};
pub use local::local;
pub(crate) use packaged::is_unpacked;
pub use packaged::{Packaged, packaged};
pub use rpms::rpms;
pub(crate) use rpms::rpms_unpacked;

/// A kernel, ready to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelFiles {
    /// A bzImage or an ELF vmlinux.
    pub image: PathBuf,
    /// What would be /lib/modules/VERSION: `*.ko*` in folders, modules.builtin,
    /// modules.order. None: all is built in, or at least nothing else is there.
    pub modules: Option<PathBuf>,
    /// Its .config.
    pub configuration: Option<PathBuf>,
    /// `6.1.0-50-cloud-amd64`, as the image itself says; none where it does not.
    pub release: Option<String>,
    /// Where it is from, for the report: name, version, url and sha256 of a
    /// package, and who signed it; or the path of a file; or an image's reference.
    pub package: BTreeMap<String, String>,
    /// `sha256:…` of what it was made from.
    pub digest: String,
}

/// Why a kernel is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The archive does not have it, or cannot be reached.
    #[error(transparent)]
    Apt(#[from] AptError),
    /// The entry names no package, or several.
    #[error("a kernel is one package, this entry names {count}")]
    Packages {
        /// How many.
        count: usize,
    },
    /// A package is broken.
    #[error(transparent)]
    Deb(#[from] DebError),
    /// The cache could not be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A file could not be read or written; the message has its path.
    #[error(transparent)]
    File(#[from] io::Error),
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
    /// The packages hold no kernel.
    #[error("no kernel in {packages}")]
    NoImage {
        /// Their names.
        packages: String,
    },
    /// The file is no kernel that x86-64 can start.
    #[error("{}: not a kernel for x86-64 but {what}\nhint: a bzImage (arch/x86/boot/bzImage, /boot/vmlinuz-*) or an ELF vmlinux is needed", path.display())]
    NotAKernel {
        /// The file.
        path: PathBuf,
        /// What it seems to be.
        what: String,
    },
    /// The folder of modules that was named cannot be read.
    #[error("the modules: {0}")]
    Modules(#[from] DirectoryError),
    /// The RPM repository does not have it, or cannot be reached or verified.
    #[error(transparent)]
    Repository(#[from] RpmError),
    /// A file that is no sound RPM package.
    #[error(transparent)]
    Rpm(#[from] PackageError),
    /// A file, or that of its checksum, could not be fetched.
    #[error(transparent)]
    Download(Box<ImageError>),
    /// A tar is broken.
    #[error("{}: {source}", path.display())]
    Tar {
        /// The tar.
        path: PathBuf,
        /// Why.
        source: ExtractError,
    },
    /// The image is not to be had, or broken.
    #[error(transparent)]
    Image(#[from] OciError),
    /// Content of an image could not be read.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// More than one kernel where one is meant.
    #[error(
        "{what} has several kernels: {which}\nhint: name one of them by its own path, or make a tar of its boot/ and lib/modules/"
    )]
    Several {
        /// The file, folder or image.
        what: String,
        /// Their releases, or where they are.
        which: String,
    },
    /// A build tree in which nothing was built.
    #[error("{}: a kernel's build tree without arch/x86/boot/bzImage\nhint: make bzImage modules", folder.display())]
    NotBuilt {
        /// The tree.
        folder: PathBuf,
    },
    /// `modules` beside something that brings its own.
    #[error("{}: it brings its own modules, and {} is named besides\nhint: leave `modules` away", path.display(), modules.display())]
    NeedlessModules {
        /// The file or folder.
        path: PathBuf,
        /// As named.
        modules: PathBuf,
    },
    /// The record of what was unpacked is damaged.
    #[error("{}: not a record of an unpacked kernel", path.display())]
    Record {
        /// The record.
        path: PathBuf,
    },
}
