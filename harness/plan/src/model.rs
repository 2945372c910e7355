//! The resolved types: no defaults left to fill in, no names left to look up.

use std::collections::BTreeMap;
use std::path::PathBuf;

use verdict::judge::Children;
use verdict::{AddedCapabilities, Seccomp};

use crate::ImageReference;

/// A kernel as one column of the table: an entry of kernels.toml, a variant of
/// one, or a file named on the command line.
#[derive(Clone, Debug, PartialEq)]
pub struct Kernel {
    /// What selectors and tables call it: `6.1`, `6.1+vsyscall=emulate`,
    /// `6.1@6.1.170-1`.
    pub id: String,
    /// The entry's version, as given; none for a file named on the command line.
    pub version: Option<String>,
    /// Where it comes from: the first that can be reached and has it. Never empty.
    pub sources: Vec<KernelSource>,
    /// How it is started.
    pub settings: Settings,
    /// A run in which it could not be had still counts as complete.
    pub optional: bool,
    /// The entry's own words about it.
    pub notes: Option<String>,
}

/// Where a bootable kernel comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KernelSource {
    /// A package of a Debian-style archive.
    Apt(AptSource),
    /// A package of an RPM repository.
    Rpm(RpmSource),
    /// A kernel, package or tar that is fetched.
    Download(DownloadSource),
    /// A file or folder of this machine.
    Path {
        /// A bzImage or vmlinux, a .deb, .rpm or tar with a kernel, or the folder of a
        /// build tree or of an installed kernel (boot/ and lib/modules/).
        kernel: PathBuf,
        /// The folder with a bzImage's or vmlinux's modules (what would be
        /// /lib/modules/VERSION); none: look beside the kernel
        /// (`../lib/modules/VERSION`), else all is taken to be built in.
        modules: Option<PathBuf>,
    },
    /// An image of a registry that holds a kernel.
    Oci(OciSource),
    /// An image in a file or folder that holds a kernel.
    Archive(ArchiveSource),
    /// One of the others, at what a lock file has for it.
    Locked {
        /// The one that had it when the lock was made.
        source: Box<KernelSource>,
        /// What it was then.
        pin: Pin,
    },
}

/// A kernel's package in an RPM repository. What it is split into (kernel-core,
/// kernel-modules, …) comes with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RpmSource {
    /// The folder that holds repodata/, as a URL: http, https or file.
    pub base: String,
    /// `kernel`, `kernel-core`, `kernel-default`, …
    pub package: String,
    /// `3.10.0-1160.el7`, or its beginning up to a dash, or a glob; none: the newest.
    pub version: Option<String>,
    /// A file of OpenPGP keys, one of which must have signed repomd.xml or the
    /// packages; none: a key shipped for that repository, where there is one.
    pub key: Option<PathBuf>,
    /// Take what was signed by a key that has expired since, as an archive needs.
    pub allow_expired: bool,
}

/// What a lock file keeps of a source.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pin {
    /// The very packages, by name.
    Packages(Vec<LockedPackage>),
    /// `sha256:…` of what the source comes to.
    Digest(String),
    /// The version of a package of an RPM repository, and `sha256:…` of what it and
    /// its siblings come to.
    Version {
        /// As the repository has it.
        version: String,
        /// Over the packages.
        digest: String,
    },
    /// Nothing: it is a part of this program.
    Program,
}

/// A package as a lock file keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LockedPackage {
    /// `linux-image-6.1.0-50-cloud-amd64`.
    pub name: String,
    /// `6.1.170-1`.
    pub version: String,
    /// Where it is; on Debian's own server where the Debian mirror had it.
    pub url: String,
    /// 64 hexadecimal digits, lower case.
    pub sha256: String,
}

/// Suites of Debian-style archives, taken together as apt would, and what to take
/// from them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AptSource {
    /// Where to look; the newest version in any of them is taken. Never empty.
    pub suites: Vec<AptSuite>,
    /// Package names; for a kernel exactly one, which may be a metapackage or a
    /// glob (`linux-image-6.16.*-cloud-amd64`), and may demand a version, as apt
    /// writes it: `linux-image-cloud-amd64=6.1.170-1`.
    pub packages: Vec<String>,
    /// `amd64` or `i386`.
    pub architecture: String,
    /// Packages that the archive's pool still has and its index no more. What is in
    /// the index comes first.
    pub pinned: Vec<PinnedPackage>,
}

/// A .deb that is trusted by its digest, which somebody put into the entry, and not
/// by a signed index.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PinnedPackage {
    /// Its path below the archive: `pool/main/l/linux/NAME_VERSION_amd64.deb`.
    pub path: String,
    /// Its name, as the path says.
    pub name: String,
    /// Its version, as the path says.
    pub version: String,
    /// Bytes of the .deb.
    pub size: u64,
    /// Its SHA-256, 64 hexadecimal digits, lower case.
    pub sha256: String,
}

/// One suite of one archive.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AptSuite {
    /// Where the archive is.
    pub archive: Archive,
    /// `bookworm`, `bookworm-security`, …
    pub suite: String,
    /// Take a Release that is past its Valid-Until.
    pub allow_expired: bool,
}

/// A Debian-style archive.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Archive {
    /// `debian`: the Debian mirror, found at run time.
    Debian,
    /// `debian-security`: the same mirror's security archive.
    DebianSecurity,
    /// Either of them as it was at a moment, from Debian's archive of snapshots.
    Snapshot {
        /// The security archive.
        security: bool,
        /// `20260101T000000Z`.
        time: String,
    },
    /// Any other, by its base URL.
    Url(String),
    /// Any other, signed by the keys of a file.
    Keyed {
        /// Its base URL.
        url: String,
        /// A keyring, armoured or not.
        key: PathBuf,
    },
}

/// How a kernel is started: the host's choice, not the kernel's.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Appended to the kernel's command line, after the harness's own words.
    pub command_line: Vec<String>,
    /// QEMU's CPU model; `max` unless said otherwise.
    pub cpu: String,
    /// MiB.
    pub memory: u32,
    /// Processors; 1 unless said otherwise.
    pub cpus: u32,
    /// How cgroups are mounted.
    pub cgroup: Cgroup,
    /// Written before anything runs.
    pub sysctl: BTreeMap<String, String>,
}

/// cgroup layouts an entry can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cgroup {
    /// One hierarchy per controller: the default before 5.x.
    V1,
    /// The unified hierarchy: the default from 5.x on.
    V2,
    /// Controllers on v1, an empty v2 beside them.
    Hybrid,
}

/// A userland: a group of rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// `debian:12`.
    pub name: String,
    /// Where its files come from: the first that can be reached and has it. Never
    /// empty.
    pub sources: Vec<ImageSource>,
    /// Environment of its containers, in order; PATH is always there.
    pub environment: Vec<(String, String)>,
    /// `UID[:GID]` or names from its own passwd.
    pub user: String,
    /// Absolute.
    pub directory: String,
    /// Its rows, in order.
    pub checks: Vec<Check>,
    /// What is known of it; the first that applies to a cell wins.
    pub expectations: Vec<verdict::Expectation>,
    /// Checks of it that are known to be flaky.
    pub quarantines: Vec<Quarantine>,
    /// Which of environment, user and directory the file gives. In the others an
    /// image that brings a configuration (a registry's) has its own way.
    pub given: Given,
    /// A run in which it could not be had still counts as complete.
    pub optional: bool,
}

/// What an image's file says of how its containers run, as against defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Variables the file sets, without the PATH that is added.
    pub environment: Vec<(String, String)>,
    /// `user` is given.
    pub user: bool,
    /// `directory` is given.
    pub directory: bool,
}

/// Where a userland's files come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ImageSource {
    /// A minimal root assembled from packages.
    Apt(AptSource),
    /// A folder on this machine that holds a root file system.
    Directory(PathBuf),
    /// A tar of a root file system: plain, gzip, xz or zstd.
    Tarball(PathBuf),
    /// A program of our own, alone in its root: `vsyscall`.
    Program(String),
    /// An image of a registry.
    Oci(OciSource),
    /// An image in a file or folder: what `docker save` writes, or an OCI layout.
    Archive(ArchiveSource),
    /// An image that a container engine of this machine has.
    Daemon(DaemonSource),
    /// A tar of a root file system that is fetched.
    Download(DownloadSource),
    /// One of the others, at what a lock file has for it.
    Locked {
        /// The one that had it when the lock was made.
        source: Box<ImageSource>,
        /// What it was then.
        pin: Pin,
    },
}

/// An image of a registry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OciSource {
    /// Which.
    pub reference: ImageReference,
    /// `amd64` or `i386`, of an image that is there for several.
    pub architecture: String,
    /// Plain http is taken, which otherwise only a registry on loopback may speak.
    pub insecure: bool,
}

/// An image in a file or folder.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ArchiveSource {
    /// A tar, compressed or not, or a folder.
    pub path: PathBuf,
    /// Which of several: a name and tag, or an OCI layout's reference name.
    pub image: Option<String>,
    /// `amd64` or `i386`.
    pub architecture: String,
}

/// An image that a container engine of this machine has.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DaemonSource {
    /// Which engine.
    pub engine: Engine,
    /// As the engine knows it.
    pub image: String,
}

/// Container engines whose `save` is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Engine {
    /// `docker save`.
    Docker,
    /// `podman save`.
    Podman,
}

impl Engine {
    /// Its command.
    pub fn program(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
        }
    }
}

/// A tar of a root file system that is fetched.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DownloadSource {
    /// `https://…/alpine-minirootfs-3.20.0-x86_64.tar.gz`.
    pub url: String,
    /// What its bytes must come to.
    pub checksum: Checksum,
}

/// What a fetched file is held against.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Checksum {
    /// 64 hexadecimal digits in lower case.
    Sha256(String),
    /// The URL of a file as `sha256sum` writes it, with a line for this one.
    File(String),
}

/// One command run in a container of an image, with what counts as a pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The row's name.
    pub name: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// A regular expression that stdout must match for a pass; `{release}` in
    /// it stands for the running kernel's release, literally.
    pub stdout: Option<String>,
    /// Its own time limit, milliseconds before scaling; the run's where none.
    pub timeout: Option<u64>,
    /// What it means that another process of it died, its first ending with status 0.
    pub children: Children,
    /// The image's own entry point goes before the command, as with `docker run`.
    pub entrypoint: bool,
    /// The profile its container's system calls go through.
    pub seccomp: Seccomp,
    /// What its container may besides docker's 14 capabilities.
    pub capabilities: AddedCapabilities,
}

/// What stands between a check's name and the profile it runs under, where it runs
/// under several.
const UNDER: &str = "+seccomp=";

impl Check {
    /// The name its file gives it: `test-x` of `test-x+seccomp=eperm`.
    pub fn given_name(&self) -> &str {
        self.name
            .split_once(UNDER)
            .map_or(&*self.name, |(given, _)| given)
    }

    /// Whether this is its name or the one its file gives it: what is said of
    /// `test-x` is said of it under every profile.
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.given_name() == name
    }

    /// Its name, with the profile where the name does not say it, and with what its
    /// container may besides docker's capabilities.
    pub fn shown(&self) -> String {
        let mut besides = Vec::new();
        if self.seccomp != Seccomp::None && !self.name.contains(UNDER) {
            besides.push(format!("seccomp={}", self.seccomp.name()));
        }
        if !self.capabilities.is_empty() {
            let names = self.capabilities.names().join("+");
            besides.push(format!("capabilities={names}"));
        }
        match besides.is_empty() {
            true => self.name.clone(),
            false => format!("{}({})", self.name, besides.join(", ")),
        }
    }

    /// The check under one of several profiles. Under none it keeps its name.
    pub(crate) fn under(&self, seccomp: Seccomp) -> Check {
        let name = match seccomp {
            Seccomp::None => self.name.clone(),
            profile => format!("{}{UNDER}{}", self.name, profile.name()),
        };
        Check {
            name,
            seccomp,
            ..self.clone()
        }
    }
}

/// A check of an image that is known to be flaky.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantine {
    /// The check's name.
    pub check: String,
    /// Who sees to it.
    pub owner: String,
    /// The last day it is put up with, `2027-01-31`.
    pub until: String,
    /// Why it is.
    pub because: Option<String>,
}

/// What one run does.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Columns, in order.
    pub kernels: Vec<Kernel>,
    /// Rows, in order; each with the selected checks only.
    pub images: Vec<Image>,
}
