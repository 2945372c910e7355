//! What can go wrong with an RPM repository.

use std::io;
use std::path::PathBuf;

use super::package::PackageError;
use super::xml::XmlError;
use crate::cache::CacheError;
use crate::compression::CompressionError;
use crate::http::HttpError;
use crate::openpgp::OpenPgpError;

/// What can go wrong with an RPM repository. After each of them no kernel was made of
/// what was at fault.
#[derive(Debug, thiserror::Error)]
pub enum RpmError {
    /// The cache could not be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// Something could not be fetched.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// A file could not be read or written; the message has its path.
    #[error(transparent)]
    File(io::Error),
    /// The entry's key is none.
    #[error("the key {}: {source}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        source: OpenPgpError,
    },
    /// There is no repository.
    #[error(
        "{url}: no repository, it has no repodata/repomd.xml\nhint: the folder that holds repodata/ is meant: https://vault.centos.org/7.9.2009/os/x86_64"
    )]
    NoRepository {
        /// As the entry has it.
        url: String,
    },
    /// repomd.xml's signature is not good.
    #[error("{url}: {source}")]
    Signature {
        /// What is signed.
        url: String,
        /// Why the signature is not good.
        source: OpenPgpError,
    },
    /// The repository's description cannot be read.
    #[error("{url}: {source}")]
    Xml {
        /// The file.
        url: String,
        /// Why.
        source: XmlError,
    },
    /// It is compressed in a way that is not read.
    #[error("{url}: {source}")]
    Compression {
        /// The file.
        url: String,
        /// Why.
        source: CompressionError,
    },
    /// It unpacks to more than the repository says, or than any does.
    #[error("{url}: it unpacks to more than the {limit} bytes it may have")]
    Bomb {
        /// The file.
        url: String,
        /// The most it may have.
        limit: u64,
    },
    /// Something is not what the repository tells of.
    #[error(
        "{url}: its checksum is {actual}, the repository says {expected}\nhint: a mirror in the midst of an update mends itself within the hour; else it was tampered with"
    )]
    Tampered {
        /// The file.
        url: String,
        /// As the repository says.
        expected: String,
        /// As it is.
        actual: String,
    },
    /// The repository lists what it does not have.
    #[error(
        "{url}: the repository lists it, and it is not there\nhint: the list may be older than the repository; try again later"
    )]
    Gone {
        /// The file.
        url: String,
    },
    /// No package of that name.
    #[error("{url} has no package `{package}` for x86_64{}", near(kernels))]
    PackageNotFound {
        /// The repository.
        url: String,
        /// What was looked for.
        package: String,
        /// Names there that begin with `kernel`.
        kernels: Vec<String>,
    },
    /// No such version of the package.
    #[error("{url} has no version `{version}` of {package}\nhint: there is {}", there.join(", "))]
    VersionNotFound {
        /// The repository.
        url: String,
        /// The package.
        package: String,
        /// What was looked for.
        version: String,
        /// The newest there are, from old to new.
        there: Vec<String>,
    },
    /// What should be a glob is none.
    #[error("`{glob}` is no glob: {source}")]
    Glob {
        /// As written.
        glob: String,
        /// Why.
        source: globset::Error,
    },
    /// A package is broken, or not signed as it must be.
    #[error("{url}: {source}")]
    Package {
        /// Where it is from.
        url: String,
        /// Why.
        source: PackageError,
    },
    /// A package is another one than the repository tells of.
    #[error("{url}: it is {found}, the repository says {expected}")]
    Another {
        /// Where it is from.
        url: String,
        /// As the repository says.
        expected: String,
        /// As it says itself.
        found: String,
    },
}

fn near(names: &[String]) -> String {
    if names.is_empty() {
        return String::new();
    }
    format!("\nhint: there is {}", names.join(", "))
}
