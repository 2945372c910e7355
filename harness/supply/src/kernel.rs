//! Kernels: from packages, or as files of this machine.

mod local;
mod packaged;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use crate::apt::AptError;
use crate::cache::CacheError;
use crate::deb::DebError;
use crate::tree::DirectoryError;

pub use local::local;
pub(crate) use packaged::is_unpacked;
pub use packaged::{Packaged, packaged};

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
    /// package, or the path of a file.
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
    /// RPM repositories are not read.
    #[error(
        "{package} of {base}: RPM repositories cannot be read by this version\nhint: unpack the package (rpm2cpio) and name its vmlinuz: source = {{ path = \"boot/vmlinuz-…\", modules = \"lib/modules/…\" }}"
    )]
    Rpm {
        /// The repository.
        base: String,
        /// The package.
        package: String,
    },
    /// The record of what was unpacked is damaged.
    #[error("{}: not a record of an unpacked kernel", path.display())]
    Record {
        /// The record.
        path: PathBuf,
    },
}
