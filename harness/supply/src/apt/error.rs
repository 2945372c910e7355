//! What can go wrong with an archive.

use std::path::PathBuf;

use super::dependency::MalformedDependency;
use super::index::MalformedIndex;
use super::release::MalformedRelease;
use crate::cache::CacheError;
use crate::http::HttpError;
use crate::openpgp::OpenPgpError;

/// What can go wrong with an archive. After each of them nothing of what was at
/// fault is in the cache.
#[derive(Debug, thiserror::Error)]
pub enum AptError {
    /// The cache could not be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// Something could not be fetched.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The archive has no such suite.
    #[error(
        "{url} has no suite `{suite}`\nhint: suites Debian no longer supports are at http://archive.debian.org/debian, with `allow-expired = true`"
    )]
    SuiteNotFound {
        /// The archive.
        url: String,
        /// What was looked for.
        suite: String,
    },
    /// A Release that is not signed, or not by a key that may.
    #[error("{url}: {source}")]
    Signature {
        /// What is signed.
        url: String,
        /// Why the signature is not good.
        source: OpenPgpError,
    },
    /// A Release signed by a key that is good for another vendor's archives.
    #[error(
        "{url}: it is of `{origin}` and signed by a key of {vendor}, which is good for {vendor}'s archives only: {key}\nhint: `key = \"PATH\"` names the keys of the archive itself"
    )]
    ForeignKey {
        /// What is signed.
        url: String,
        /// The Release's Origin.
        origin: String,
        /// Fingerprint.
        key: String,
        /// Whose it is.
        vendor: &'static str,
    },
    /// A Release of a later time than the snapshot that was asked for.
    #[error("{url}: it is of {date}, which is after the snapshot's time")]
    NotTheSnapshot {
        /// Where it is.
        url: String,
        /// Its date.
        date: jiff::Timestamp,
    },
    /// No version of a package is the one demanded.
    #[error("no version {version} of `{name}` in {}{}", suites.join(", "), versions(there))]
    VersionNotFound {
        /// The package, as the entry has it.
        name: String,
        /// What was demanded.
        version: String,
        /// Where it was looked for.
        suites: Vec<String>,
        /// What there is, oldest first.
        there: Vec<String>,
    },
    /// The file of an entry's key cannot be read.
    #[error("{}: {reason}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A verified Release that is none.
    #[error("{url}: it is no Release file: {source}")]
    MalformedRelease {
        /// Where it is.
        url: String,
        /// What it lacks.
        source: MalformedRelease,
    },
    /// A Release of another suite, served in place of the one asked for.
    #[error("{url}: it is the Release of `{found}`, not of `{wanted}`")]
    WrongSuite {
        /// Where it is.
        url: String,
        /// What was asked for.
        wanted: String,
        /// What it is.
        found: String,
    },
    /// A Release past its Valid-Until.
    #[error(
        "{url}: it was valid until {valid_until}\nhint: `allow-expired = true` takes it all the same, as a frozen mirror needs"
    )]
    ExpiredRelease {
        /// Where it is.
        url: String,
        /// When it ended.
        valid_until: jiff::Timestamp,
    },
    /// A Release of the future.
    #[error(
        "{url}: it is dated {date}, which is still to come\nhint: look at this machine's clock"
    )]
    NotYetValid {
        /// Where it is.
        url: String,
        /// Its date.
        date: jiff::Timestamp,
    },
    /// The suite is not made for the architecture.
    #[error("{url}: suite `{suite}` has no packages for {architecture}; it has {}", offered.join(", "))]
    ArchitectureNotFound {
        /// The archive.
        url: String,
        /// The suite.
        suite: String,
        /// What was asked for.
        architecture: String,
        /// What there is.
        offered: Vec<String>,
    },
    /// An index is not the one the Release tells of.
    #[error(
        "{url}: its SHA-256 is {actual}, the signed Release says {expected}\nhint: a mirror in the midst of an update mends itself within the hour; else it was tampered with"
    )]
    TamperedIndex {
        /// Where it is.
        url: String,
        /// The signed digest.
        expected: String,
        /// The digest it has.
        actual: String,
    },
    /// Something has another size than the signed one.
    #[error(
        "{url}: {actual} bytes, the signed index says {expected}\nhint: a mirror in the midst of an update mends itself within the hour; else it was cut or tampered with"
    )]
    WrongSize {
        /// Where it is.
        url: String,
        /// The signed size.
        expected: u64,
        /// The size it has.
        actual: u64,
    },
    /// An index that unpacks to more than the Release says.
    #[error("{url}: it unpacks to more than the {limit} bytes it may have")]
    Bomb {
        /// Where it is.
        url: String,
        /// The most it may have.
        limit: u64,
    },
    /// An index that cannot be unpacked.
    #[error("{url}: it cannot be unpacked: {source}")]
    Unpack {
        /// Where it is.
        url: String,
        /// Why.
        source: std::io::Error,
    },
    /// A verified index that cannot be read.
    #[error("{url}: {source}")]
    MalformedIndex {
        /// Where it is.
        url: String,
        /// What is wrong.
        source: MalformedIndex,
    },
    /// An index kept in the cache that cannot be read, although its checksum fits.
    #[error("{}: it is no index of this version of matrix\nhint: `matrix cache rm index` removes it", path.display())]
    CachedIndex {
        /// The file.
        path: PathBuf,
    },
    /// A .deb is not the one the index tells of.
    #[error(
        "{url}: {package} is not what the signed index tells of: its SHA-256 is {actual}, not {expected}"
    )]
    TamperedPackage {
        /// Where it is.
        url: String,
        /// Name and version.
        package: String,
        /// The signed digest.
        expected: String,
        /// The digest it has.
        actual: String,
    },
    /// A .deb is not the one the lock file tells of.
    #[error(
        "{url}: {package} is not what matrix.lock has: its SHA-256 is {actual}, not {expected}"
    )]
    NotAsLocked {
        /// Where it is.
        url: String,
        /// Name and version.
        package: String,
        /// The locked digest.
        expected: String,
        /// The digest it has.
        actual: String,
    },
    /// The pool has dropped what the lock file names.
    #[error(
        "{url}: {package} is in matrix.lock and no longer in the archive's pool\nhint: `matrix update` takes what there is now; Debian's archive of snapshots keeps what was: `snapshot = \"TIME\"` in the entry"
    )]
    LockedPackageGone {
        /// Where it was.
        url: String,
        /// Name and version.
        package: String,
    },
    /// The archive lists a .deb that it does not have.
    #[error(
        "{url}: {package} is listed but not there\nhint: the index may be older than the archive; try again later"
    )]
    PackageGone {
        /// Where it should be.
        url: String,
        /// Name and version.
        package: String,
    },
    /// No package of that name.
    #[error("no package `{name}` in {}{}", suites.join(", "), near(near_names))]
    PackageNotFound {
        /// What was looked for.
        name: String,
        /// Where.
        suites: Vec<String>,
        /// Names that look like it, or packages that provide it.
        near_names: Vec<String>,
    },
    /// A glob that matches no package.
    #[error("no package matches `{glob}` in {}{}", suites.join(", "), near(near_names))]
    NothingMatches {
        /// The glob.
        glob: String,
        /// Where.
        suites: Vec<String>,
        /// Names that look like it.
        near_names: Vec<String>,
    },
    /// What should be a glob is none.
    #[error("`{glob}` is no glob: {source}")]
    Glob {
        /// As written.
        glob: String,
        /// Why.
        source: globset::Error,
    },
    /// A dependency that nothing in the suites satisfies.
    #[error("{} needs {wanted}, which nothing in {} satisfies", chain.join(", which needs "), suites.join(", "))]
    Unsatisfiable {
        /// From the package that was asked for to the one that lacks something.
        chain: Vec<String>,
        /// What is lacking.
        wanted: String,
        /// Where it was looked for.
        suites: Vec<String>,
    },
    /// Two packages need different versions of a third.
    #[error("{} needs {wanted}, but {chosen} is needed too", chain.join(", which needs "))]
    Conflict {
        /// From the package that was asked for to the one that lacks something.
        chain: Vec<String>,
        /// What it needs.
        wanted: String,
        /// What was taken already.
        chosen: String,
    },
    /// A dependency field that cannot be read.
    #[error("{package}: {source}")]
    MalformedDependency {
        /// Name and version.
        package: String,
        /// What is wrong.
        source: MalformedDependency,
    },
    /// No Debian mirror has the suite.
    #[error("no Debian mirror with suite `{suite}`:\n{}\nhint: {variable} names a mirror", tried.join("\n"))]
    NoMirror {
        /// What was looked for.
        suite: String,
        /// Each mirror with why it was not taken.
        tried: Vec<String>,
        /// The environment variable that names one.
        variable: &'static str,
    },
    /// An archive as it was is asked for, and no archive of snapshots is known.
    #[error(
        "no archive of snapshots is known, to take what there was at {time}\nhint: {variable}=URL names one, below which are debian/{time} and debian-security/{time}"
    )]
    NoSnapshots {
        /// The moment that was asked for.
        time: String,
        /// The environment variable that names one.
        variable: &'static str,
    },
    /// A file of apt's configuration could not be read.
    #[error("{}: {source}", path.display())]
    Configuration {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

fn near(names: &[String]) -> String {
    if names.is_empty() {
        return String::new();
    }
    format!("\nhint: there is {}", names.join(", "))
}

fn versions(there: &[String]) -> String {
    if there.is_empty() {
        return String::new();
    }
    format!("\nhint: there is {}", there.join(", "))
}
