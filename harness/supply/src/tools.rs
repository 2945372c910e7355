//! QEMU and mksquashfs: the machine's own where they will do, otherwise from
//! Debian's packages, unpacked into the cache and started with their own loader.
//! Nothing is installed, and no root is needed. The [`Peer`]s come the same way, and
//! no run needs them.

mod elf;
mod machine;
mod peers;
mod unpack;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use crate::apt::{Apt, AptError};
use crate::cache::{Cache, CacheError};
use crate::deb::DebError;
use crate::progress::Progress;
use crate::purpose;

pub use peers::Peer;

/// A program that can be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    /// What is executed: the program, or the loader that came with it.
    pub program: PathBuf,
    /// Arguments that come before any other.
    pub prefix_arguments: Vec<OsString>,
    /// As it says of itself: `7.2.22`.
    pub version: String,
    /// `machine: /usr/bin/qemu-system-x86_64`, or `Debian bookworm 1:7.2+dfsg-7`.
    pub origin: String,
}

impl Tool {
    /// A command that starts it, without arguments of its own yet.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.prefix_arguments);
        command
    }
}

/// Why a tool is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// It could not be started, or said nothing of its version.
    #[error("{}: does not tell its version: {reason}", program.display())]
    NoVersion {
        /// The program.
        program: PathBuf,
        /// What came instead.
        reason: String,
    },
    /// The one that was asked for is too old.
    #[error("{} is version {version}, {needed} is needed\nhint: leave --qemu away to have one from the Debian mirror", program.display())]
    TooOld {
        /// The program.
        program: PathBuf,
        /// As it says.
        version: String,
        /// The oldest that will do.
        needed: &'static str,
    },
    /// It is not to be had from Debian.
    #[error("{tool} from Debian: {source}\nhint: install {package}, or run once with a network")]
    Archive {
        /// What for.
        tool: &'static str,
        /// The package that has it.
        package: &'static str,
        /// Why.
        source: Box<AptError>,
    },
    /// A package of it is broken.
    #[error(transparent)]
    Deb(#[from] DebError),
    /// The cache could not be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A file could not be read or written where it is unpacked.
    #[error("unpacking {tool}: {source}")]
    Unpack {
        /// What for.
        tool: &'static str,
        /// The system's word, with the path.
        source: std::io::Error,
    },
    /// A program or library of it is no ELF file.
    #[error("{}: {reason}", path.display())]
    Elf {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// No package of its dependencies has a library it needs.
    #[error("{tool} from Debian: no package of its dependencies has {library}")]
    Library {
        /// What for.
        tool: &'static str,
        /// The library's name.
        library: String,
    },
    /// The record of what was unpacked is damaged.
    #[error("{}: not a record of an unpacked tool", path.display())]
    Record {
        /// The record.
        path: PathBuf,
    },
}

/// What is needed of a tool, and where Debian has it.
struct Recipe {
    name: &'static str,
    /// The program's file name.
    program: &'static str,
    /// Asks it for its version.
    version_argument: &'static str,
    /// What comes before the version in the answer.
    version_prefix: &'static str,
    /// The oldest that will do.
    oldest: (u32, u32),
    oldest_text: &'static str,
    /// Debian's package.
    package: &'static str,
    /// The stable suite it is taken from. What is in it starts on any kernel since 3.2.
    suite: &'static str,
    /// All packages of which more than libraries is needed.
    packages: &'static [&'static str],
    /// Where a file of those goes; none: nowhere.
    place: fn(&str) -> Option<String>,
    /// Folders that `-L` names.
    data: &'static [&'static str],
}

const QEMU: Recipe = Recipe {
    name: "qemu",
    program: "qemu-system-x86_64",
    version_argument: "--version",
    version_prefix: "QEMU emulator version ",
    // The first with AVX2 under TCG, which x86-64-v3 userlands need.
    oldest: (7, 2),
    oldest_text: "7.2",
    package: "qemu-system-x86",
    // QEMU 10.0. 7.2 translates a program's and its libraries' code anew in each
    // process, for address space randomisation puts it elsewhere (2,500 blocks for a
    // `uname`); 10.0 translates it once. A boot, which runs most code once, is a fifth
    // slower with it.
    suite: "trixie",
    packages: &[
        "qemu-system-x86",
        "qemu-system-common",
        "qemu-system-data",
        "seabios",
    ],
    place: place_qemu,
    data: &["share/qemu", "share/seabios"],
};

const MKSQUASHFS: Recipe = Recipe {
    name: "mksquashfs",
    program: "mksquashfs",
    version_argument: "-version",
    version_prefix: "mksquashfs version ",
    // The first that takes a tar.
    oldest: (4, 5),
    oldest_text: "4.5",
    package: "squashfs-tools",
    suite: "bookworm",
    packages: &["squashfs-tools"],
    place: place_mksquashfs,
    data: &[],
};

/// What a machine without display needs: none of the loadable modules, of the firmware
/// what boots a kernel given on the command line.
fn place_qemu(path: &str) -> Option<String> {
    const FIRMWARE: [&str; 9] = [
        "share/qemu/bios-microvm.bin",
        "share/qemu/kvmvapic.bin",
        "share/qemu/linuxboot.bin",
        "share/qemu/linuxboot_dma.bin",
        "share/qemu/multiboot_dma.bin",
        "share/qemu/pvh.bin",
        "share/qemu/qboot.rom",
        "share/seabios/bios-256k.bin",
        "share/seabios/bios-microvm.bin",
    ];
    let path = path.strip_prefix("usr/")?;
    (path == "bin/qemu-system-x86_64" || FIRMWARE.contains(&path)).then(|| path.to_owned())
}

fn place_mksquashfs(path: &str) -> Option<String> {
    (path == "usr/bin/mksquashfs").then(|| "bin/mksquashfs".to_owned())
}

/// Finds tools, once each.
pub struct Tools {
    cache: Arc<Cache>,
    apt: Arc<Apt>,
    progress: Arc<dyn Progress>,
    found: Mutex<Vec<(&'static str, Option<PathBuf>, Tool)>>,
}

impl Tools {
    /// With this cache and this way to Debian's packages.
    pub fn new(cache: Arc<Cache>, apt: Arc<Apt>, progress: Arc<dyn Progress>) -> Self {
        Self {
            cache,
            apt,
            progress,
            found: Mutex::new(Vec::new()),
        }
    }

    /// QEMU for x86-64, 7.2 or later: the one `requested`, else the machine's, else
    /// Debian's.
    ///
    /// # Errors
    /// When the requested one will not do, or Debian's is not to be had.
    pub fn qemu(&self, requested: Option<&Path>) -> Result<Tool, ToolError> {
        self.find(&QEMU, requested)
    }

    /// mksquashfs, 4.5 or later: the machine's, else Debian's.
    ///
    /// # Errors
    /// When Debian's is needed and not to be had.
    pub fn mksquashfs(&self) -> Result<Tool, ToolError> {
        self.find(&MKSQUASHFS, None)
    }

    /// QEMU from Debian's packages, whatever the machine has.
    ///
    /// # Errors
    /// When it is not to be had.
    pub fn debian_qemu(&self) -> Result<Tool, ToolError> {
        unpack::debian(&QEMU, &self.cache, &self.apt, &*self.progress)
    }

    /// mksquashfs from Debian's packages, whatever the machine has.
    ///
    /// # Errors
    /// When it is not to be had.
    pub fn debian_mksquashfs(&self) -> Result<Tool, ToolError> {
        unpack::debian(&MKSQUASHFS, &self.cache, &self.apt, &*self.progress)
    }

    /// A program that this one is held against, from Debian's packages whatever the
    /// machine has: the same version everywhere.
    ///
    /// # Errors
    /// When it is not to be had.
    pub fn peer(&self, peer: Peer) -> Result<Tool, ToolError> {
        unpack::debian(peer.recipe(), &self.cache, &self.apt, &*self.progress)
    }

    fn find(&self, recipe: &Recipe, requested: Option<&Path>) -> Result<Tool, ToolError> {
        // Held while a tool is looked for: a second caller would only do the same.
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let known = found
            .iter()
            .find(|(name, asked, _)| *name == recipe.name && asked.as_deref() == requested);
        if let Some((_, _, tool)) = known {
            return Ok(tool.clone());
        }
        let tool = match requested {
            Some(program) => machine::requested(recipe, program, &self.cache)?,
            None => match machine::on_path(recipe, &self.cache, &*self.progress) {
                Some(tool) => tool,
                None => {
                    let _for = purpose::begin(recipe.name);
                    unpack::debian(recipe, &self.cache, &self.apt, &*self.progress)?
                }
            },
        };
        found.push((recipe.name, requested.map(Path::to_path_buf), tool.clone()));
        Ok(tool)
    }
}
