//! One package, as the archive's index tells of it.

use std::fmt;

use super::dependency::{self, Group, MalformedDependency};
use super::version::Version;

/// One package of one suite, as its verified Packages index describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// SHA-256 of the .deb, 64 hexadecimal digits, lower case.
    pub sha256: String,
    /// How much a system needs it.
    pub priority: Priority,
    /// `Essential: yes`.
    pub essential: bool,
    /// The Multi-Arch field: `foreign`, `same`, `allowed`, `no` or nothing.
    pub multi_arch: String,
    /// The Depends field as written.
    pub depends: String,
    /// The Pre-Depends field as written.
    pub pre_depends: String,
    /// The Provides field as written.
    pub provides: String,
    /// Base URL of the archive it came from, without a slash at the end.
    pub url: String,
    /// The suite it came from, as the source names it: `bookworm`.
    pub suite: String,
}

impl Package {
    /// A package that an entry pins by its digest, in the archive at `url`. What it
    /// depends on is not known without an index, and for a part of a kernel not
    /// asked.
    pub(super) fn pinned(pinned: &plan::PinnedPackage, url: &str, suite: &str) -> Self {
        Self {
            name: pinned.name.clone(),
            version: Version::new(&*pinned.version),
            architecture: "amd64".to_owned(),
            source: pinned.name.clone(),
            filename: pinned.path.clone(),
            size: pinned.size,
            sha256: pinned.sha256.clone(),
            priority: Priority::Optional,
            essential: false,
            multi_arch: String::new(),
            depends: String::new(),
            pre_depends: String::new(),
            provides: String::new(),
            url: url.to_owned(),
            suite: suite.to_owned(),
        }
    }

    /// What it needs: Pre-Depends, then Depends.
    pub fn dependencies(&self) -> Result<Vec<Group>, MalformedDependency> {
        let mut groups = dependency::parse(&self.pre_depends)?;
        groups.extend(dependency::parse(&self.depends)?);
        Ok(groups)
    }

    /// Where its .deb is.
    pub fn deb_url(&self) -> String {
        format!("{}/{}", self.url, self.filename)
    }
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
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
    /// Deprecated by policy, still seen; also what an index gives no priority.
    Extra,
}

impl Priority {
    const ALL: [Priority; 5] = [
        Priority::Required,
        Priority::Important,
        Priority::Standard,
        Priority::Optional,
        Priority::Extra,
    ];

    /// From the Priority field. Words that policy does not know rank last.
    pub fn from_field(field: &str) -> Priority {
        match field {
            "required" => Priority::Required,
            "important" => Priority::Important,
            "standard" => Priority::Standard,
            "optional" => Priority::Optional,
            _ => Priority::Extra,
        }
    }

    pub(super) fn to_byte(self) -> u8 {
        self as u8
    }

    /// From [`Priority::to_byte`].
    pub(super) fn from_byte(byte: u8) -> Priority {
        Priority::ALL
            .get(usize::from(byte))
            .copied()
            .unwrap_or(Priority::Extra)
    }
}
