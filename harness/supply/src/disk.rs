//! Trees → squashfs images, by mksquashfs.
//!
//! Uncompressed: it is built fastest, read fastest under emulation, and needs no
//! decompressor in the kernel (squashfs with extended attributes is there since
//! 2.6.35). mksquashfs takes a tar from its standard input (4.5 and later), so
//! owners, devices and attributes need no root here.

mod contents;

use std::fs::File;
use std::io::{self, BufWriter, Read};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::cache::CacheError;
use crate::tools::Tool;
use crate::tree::{Tree, WriteError, write_tar};

pub use contents::{Contents, ContentsError, Place};

/// Changes whenever the same tree would give another image.
pub const VERSION: &str = "squashfs-v3";

/// Why an image could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// mksquashfs could not be started.
    #[error("starting {}: {source}", program.display())]
    Start {
        /// What was to be started.
        program: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// mksquashfs ended with an error.
    #[error("{} ended with {status} while making {}: {stderr}", program.display(), output.display())]
    Failed {
        /// What was started.
        program: PathBuf,
        /// How it ended.
        status: std::process::ExitStatus,
        /// The image.
        output: PathBuf,
        /// What it said.
        stderr: String,
    },
    /// The tree could not be given to it.
    #[error("making {}: {source}", output.display())]
    Tree {
        /// The image.
        output: PathBuf,
        /// Why.
        source: WriteError,
    },
    /// The image would not fit.
    #[error(transparent)]
    Room(CacheError),
    /// Its root could not be given its time.
    #[error("making {}: {source}", output.display())]
    RootTime {
        /// The image.
        output: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// Its end could not be waited for.
    #[error("waiting for {}: {source}", program.display())]
    Wait {
        /// What was started.
        program: PathBuf,
        /// The system's word.
        source: io::Error,
    },
}

/// Writes the tree as an image to `output`, which must not exist. The same tree
/// gives the same bytes.
///
/// # Errors
/// When mksquashfs fails, or the tree's content cannot be read.
pub fn write(tree: &Tree, mksquashfs: &Tool, output: &Path) -> Result<(), DiskError> {
    // mksquashfs removes what it has when the disk is full: nobody could tell
    // afterwards that it was.
    if let Some(error) = CacheError::no_room(output, tree.size()) {
        return Err(DiskError::Room(error));
    }
    let root = &tree.root().metadata;
    let mut command = mksquashfs.command();
    command.arg("-").arg(output);
    command.args([
        "-tar",
        "-noI",
        "-noD",
        "-noF",
        "-noX",
        "-no-progress",
        "-quiet",
        "-noappend",
    ]);
    // Nothing is compressed, so more makes it no faster: a tar of 4.6 GB took as long with
    // 16M as with 256M.
    command.args(["-no-recovery", "-mem", "64M"]);
    // From a tar it takes the root's own owner and mode from nowhere.
    command.args(["-root-mode", &format!("{:o}", root.mode)]);
    command.args([
        "-root-uid",
        &root.uid.to_string(),
        "-root-gid",
        &root.gid.to_string(),
    ]);
    // Every time after this one is made this one, and the image's own time is this: the
    // newest of all leaves the others as they are.
    let newest = tree
        .entries()
        .map(|entry| seconds(entry.inode.metadata.mtime))
        .max();
    command.env("SOURCE_DATE_EPOCH", newest.unwrap_or(0).to_string());
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let program = mksquashfs.program.clone();
    let mut child = command.spawn().map_err(|source| DiskError::Start {
        program: program.clone(),
        source,
    })?;
    let stdin = child.stdin.take();
    let stderr = child.stderr.take();
    let (written, said) = std::thread::scope(|scope| {
        // Its messages are read meanwhile: a full pipe would stop it for ever.
        let said = scope.spawn(move || {
            let mut said = Vec::new();
            if let Some(stderr) = stderr {
                // What could be read is enough for a message.
                let _ = stderr.take(64 << 10).read_to_end(&mut said);
            }
            said
        });
        let written = match stdin {
            Some(stdin) => write_tar(tree, &mut BufWriter::with_capacity(1 << 20, stdin)),
            None => Err(WriteError::Write(io::ErrorKind::BrokenPipe.into())),
        };
        if matches!(written, Err(WriteError::Content { .. })) {
            // What it has is half a tree: it must not take that for the whole.
            let _ = child.kill();
        }
        (written, said.join().unwrap_or_default())
    });
    let status = child.wait().map_err(|source| DiskError::Wait {
        program: program.clone(),
        source,
    })?;
    let stderr = String::from_utf8_lossy(&said).trim().to_owned();
    match written {
        // It ended before it had read all: its own words say why.
        Err(WriteError::Write(_)) | Ok(()) if !status.success() => Err(DiskError::Failed {
            program,
            status,
            output: output.to_path_buf(),
            stderr,
        }),
        Err(source) => Err(DiskError::Tree {
            output: output.to_path_buf(),
            source,
        }),
        Ok(()) => root_time(output, seconds(root.mtime)).map_err(|source| DiskError::RootTime {
            output: output.to_path_buf(),
            source,
        }),
    }
}

/// What of a tree an image cannot hold, in words: squashfs has extended attributes of
/// three kinds (ACLs, which are `system.`, are none of them).
pub(crate) fn left_out(tree: &Tree) -> Option<String> {
    const KINDS: [&[u8]; 3] = [b"user.", b"trusted.", b"security."];
    let foreign = |name: &&Vec<u8>| !KINDS.iter().any(|kind| name.starts_with(kind));
    let mut all = tree.entries().flat_map(|entry| {
        let names = entry.inode.metadata.xattrs.keys().filter(foreign);
        names.map(move |name| (entry.path, name))
    });
    let (path, name) = all.next()?;
    let (path, name) = (String::from_utf8_lossy(path), String::from_utf8_lossy(name));
    Some(match all.count() {
        0 => format!("{name} of /{path} is left out: a squashfs cannot hold it"),
        more => format!(
            "{name} of /{path} and {more} other extended attributes are left out: a squashfs \
             cannot hold them"
        ),
    })
}

/// Gives the root its time: mksquashfs 4.5 takes the present for it, whatever
/// `-root-time` says, where it reads a tar. The inode is not compressed, so it can be
/// written over where it lies (the kernel's Documentation/filesystems/squashfs.rst).
/// What is no squashfs is left alone: no kernel would mount it.
fn root_time(disk: &Path, seconds: u32) -> io::Result<()> {
    /// Of the superblock: where the root's inode and the table of inodes are.
    const ROOT_INODE: usize = 32;
    const INODE_TABLE: usize = 64;
    /// Of an inode: type, mode, owner and group stand before its time, 16 bits each.
    const TIME: u64 = 8;
    /// Before each block of inodes stands its length, 16 bits.
    const LENGTH: u64 = 2;
    let file = File::options().read(true).write(true).open(disk)?;
    let mut head = [0; 96];
    if file.read_exact_at(&mut head, 0).is_err() || !head.starts_with(b"hsqs") {
        return Ok(());
    }
    let number = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&head[at..at + 8]);
        u64::from_le_bytes(bytes)
    };
    // Its block, from the table's beginning, and its place in it.
    let (block, offset) = (number(ROOT_INODE) >> 16, number(ROOT_INODE) & 0xffff);
    let inode = number(INODE_TABLE) + block + LENGTH + offset;
    file.write_all_at(&seconds.to_le_bytes(), inode + TIME)
}

/// squashfs has 32 unsigned bits for a time.
fn seconds(mtime: i64) -> u32 {
    u32::try_from(mtime.max(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
