//! Tar archives → trees.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use tar::EntryType;

use super::path;
use super::tar_stream::{Head, Stream};
use super::{Content, ContentError, Device, Inode, Kind, Metadata, Spool, Tree, TreeError};
use crate::compression::{self, CompressionError};

/// Why a tar archive could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// It is compressed in a way that is not read.
    #[error(transparent)]
    Compression(#[from] CompressionError),
    /// The stream failed; a compressor's complaint is here too.
    #[error("reading the archive: {0}")]
    Read(io::Error),
    /// The first block is no tar header.
    #[error("not a tar archive (plain, gzip, xz or zstd)")]
    NotTar,
    /// It ends inside a member.
    #[error("the archive is cut short at byte {at}")]
    Truncated {
        /// Of the decompressed stream.
        at: u64,
    },
    /// It ends between two members, without the block of zeros that ends one.
    #[error("the archive has no end at byte {at}: it was cut short")]
    NoEnd {
        /// Of the decompressed stream.
        at: u64,
    },
    /// A header's checksum is wrong.
    #[error("the header at byte {at} has a wrong checksum")]
    Checksum {
        /// Of the decompressed stream.
        at: u64,
    },
    /// A header's field is no number.
    #[error("the header at byte {at}: the {field}: {source}")]
    Header {
        /// Of the decompressed stream.
        at: u64,
        /// Which.
        field: &'static str,
        /// The tar crate's word.
        source: io::Error,
    },
    /// An extension header (PAX, GNU long name) makes no sense.
    #[error("the extension of the header at byte {at}: {reason}")]
    Extension {
        /// Of the decompressed stream.
        at: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A sparse file that cannot be read.
    #[error("the sparse file at byte {at}: {reason}")]
    Sparse {
        /// Of the decompressed stream.
        at: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A kind of member that no root file system has: a volume label, a part of
    /// a file, …
    #[error("{}: a member of type {:?}", path.display(), *flag as char)]
    Kind {
        /// The member.
        path: PathBuf,
        /// Its type flag.
        flag: u8,
    },
    /// A member's content could not be stored.
    #[error("{}: {source}", path.display())]
    Content {
        /// The member.
        path: PathBuf,
        /// Why.
        source: ContentError,
    },
    /// The tree refuses a member.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// A member of an archive, not yet put anywhere.
#[derive(Clone, Debug)]
pub enum Member {
    /// A file of its own.
    Inode {
        /// As the archive has it: nothing is checked yet.
        path: Vec<u8>,
        /// What it is.
        inode: Inode,
    },
    /// Another name of an earlier one.
    Link {
        /// As the archive has it.
        path: Vec<u8>,
        /// The earlier one's path.
        target: Vec<u8>,
    },
}

impl Member {
    /// As the archive has it.
    pub fn path(&self) -> &[u8] {
        match self {
            Self::Inode { path, .. } | Self::Link { path, .. } => path,
        }
    }
}

/// Reads a tar archive, compressed or not, and puts all of it into `tree`.
///
/// # Errors
/// When the archive is broken, or holds what a tree refuses.
pub fn read_tar(source: impl Read, spool: &Arc<Spool>, tree: &mut Tree) -> Result<(), TarError> {
    read_members(source, spool, |member| {
        match member {
            Member::Inode { path, inode } => tree.insert(&path, inode)?,
            Member::Link { path, target } => tree.link(&path, &target)?,
        }
        Ok(())
    })
}

/// Reads a tar archive, compressed or not, and gives its members one by one.
///
/// # Errors
/// When the archive is broken, or `take` fails.
pub fn read_members(
    source: impl Read,
    spool: &Arc<Spool>,
    mut take: impl FnMut(Member) -> Result<(), TarError>,
) -> Result<(), TarError> {
    let mut stream = Stream::new(compression::decompress(source)?);
    while let Some(head) = stream.next()? {
        take(member(head, &mut stream, spool)?)?;
    }
    Ok(())
}

fn member<R: Read>(head: Head, stream: &mut Stream<R>, spool: &Arc<Spool>) -> Result<Member, TarError> {
    let device = Device {
        major: head.major,
        minor: head.minor,
    };
    let kind = match head.kind {
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => Kind::File(
            content(&head, stream, spool).map_err(|source| TarError::Content {
                path: path::display(&head.path),
                source,
            })?,
        ),
        EntryType::Directory => Kind::Directory,
        EntryType::Symlink => Kind::Symlink(head.link),
        EntryType::Link => {
            return Ok(Member::Link {
                path: head.path,
                target: head.link,
            });
        }
        EntryType::Char => Kind::CharacterDevice(device),
        EntryType::Block => Kind::BlockDevice(device),
        EntryType::Fifo => Kind::Fifo,
        other => {
            return Err(TarError::Kind {
                path: path::display(&head.path),
                flag: other.as_byte(),
            });
        }
    };
    Ok(Member::Inode {
        path: head.path,
        inode: Inode {
            kind,
            metadata: Metadata {
                mode: head.mode,
                uid: head.uid,
                gid: head.gid,
                mtime: head.mtime,
                xattrs: head.xattrs.into_iter().collect(),
            },
        },
    })
}

fn content<R: Read>(head: &Head, stream: &mut Stream<R>, spool: &Arc<Spool>) -> Result<Content, ContentError> {
    let Some(extents) = &head.extents else {
        return spool.store(stream, head.size);
    };
    let offset = spool.reserve(head.size)?;
    for extent in extents {
        spool.fill(stream, offset + extent.offset, extent.length)?;
    }
    if head.size > 0 {
        spool.extend_to(offset + head.size)?;
    }
    Ok(Content::Spooled {
        spool: Arc::clone(spool),
        offset,
        length: head.size,
    })
}
