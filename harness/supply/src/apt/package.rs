//! One package, as the archive's index tells of it.

use super::version::Version;

/// One package of one suite, as its verified Packages index describes it.
#[derive(Clone, Debug)]
pub struct Package {
    /// `bash`.
    pub name: String,
    /// `5.2.15-2+b8`.
    pub version: Version,
    /// `amd64`, `i386` or `all`.
    pub architecture: String,
    /// Name of its source package; its own name where the index gives none.
    pub source: String,
    /// Path of the .deb below `url`.
    pub filename: String,
    /// Bytes of the .deb.
    pub size: u64,
    /// SHA-256 of the .deb, 64 hexadecimal digits.
    pub sha256: String,
    /// How much a system needs it.
    pub priority: Priority,
    /// `Essential: yes`.
    pub essential: bool,
    /// `Multi-Arch: foreign` satisfies dependencies of other architectures, …
    pub multi_arch: String,
    /// The Depends field as written.
    pub depends: String,
    /// The Pre-Depends field as written.
    pub pre_depends: String,
    /// The Provides field as written.
    pub provides: String,
    /// Base URL of the archive it came from, without a slash at the end.
    pub url: String,
    /// `bookworm`.
    pub suite: String,
}

/// Debian's priorities, most needed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Needed for dpkg to work.
    Required,
    /// Expected on any Unix system.
    Important,
    /// A small text-mode system.
    Standard,
    /// All else.
    Optional,
    /// Deprecated by policy, still seen.
    Extra,
}
