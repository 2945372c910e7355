//! Tar archives → trees.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
    /// More than an image may have.
    #[error("{}: with it the image has {what}{}", path.display(), variable.map(|name| format!("\nhint: {name} allows more")).unwrap_or_default())]
    Budget {
        /// The member.
        path: PathBuf,
        /// What there is too much of, and the limit.
        what: String,
        /// The environment's variable that sets the limit.
        variable: Option<&'static str>,
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

/// Reads a tar archive, compressed or not, and puts all of it into `tree`, as long as
/// it is within the budget.
///
/// # Errors
/// When the archive is broken or too large, or holds what a tree refuses.
pub fn read_tar(
    source: impl Read,
    spool: &Arc<Spool>,
    budget: &Budget,
    tree: &mut Tree,
) -> Result<(), TarError> {
    read_members_within(compression::decompress(source)?, spool, budget, |member| {
        match member {
            Member::Inode { path, inode } => tree.insert(&path, inode)?,
            Member::Link { path, target } => tree.link(&path, &target)?,
        }
        Ok(())
    })
}

/// What all archives of one image together may hold: a decompression bomb, or a
/// million names of nothing, ends here. Shared between the threads that read them.
#[derive(Debug)]
pub struct Budget {
    bytes: u64,
    entries: u64,
    used_bytes: AtomicU64,
    used_entries: AtomicU64,
    used_names: AtomicU64,
}

impl Budget {
    /// The most bytes of names and extended attributes, which are kept in memory.
    const NAMES: u64 = 128 << 20;

    /// At most so many bytes in files (holes count) and so many entries.
    pub fn new(bytes: u64, entries: u64) -> Self {
        Self {
            bytes,
            entries,
            used_bytes: AtomicU64::new(0),
            used_entries: AtomicU64::new(0),
            used_names: AtomicU64::new(0),
        }
    }

    fn take(&self, head: &Head) -> Result<(), TarError> {
        let names = head
            .xattrs
            .iter()
            .fold(head.path.len() + head.link.len(), |sum, (name, value)| {
                sum + name.len() + value.len()
            }) as u64;
        let add = |used: &AtomicU64, more: u64| {
            used.fetch_add(more, Ordering::Relaxed).saturating_add(more)
        };
        let refuse = |what: String, variable| {
            Err(TarError::Budget {
                path: path::display(&head.path),
                what,
                variable,
            })
        };
        // A size is at most 63 bits, and the first that goes over ends the reading:
        // with few threads the sum cannot wrap.
        if head.size > self.bytes || add(&self.used_bytes, head.size) > self.bytes {
            return refuse(
                format!("more than {} MiB in its files", self.bytes >> 20),
                Some("MATRIX_IMAGE_MIB"),
            );
        }
        if add(&self.used_entries, 1) > self.entries {
            return refuse(
                format!("more than {} entries", self.entries),
                Some("MATRIX_IMAGE_ENTRIES"),
            );
        }
        if add(&self.used_names, names) > Self::NAMES {
            return refuse(
                format!(
                    "more than {} MiB of names and extended attributes",
                    Self::NAMES >> 20
                ),
                None,
            );
        }
        Ok(())
    }
}

/// Reads a tar archive that is not compressed and gives its members one by one, as
/// long as they are within the budget.
///
/// # Errors
/// When the archive is broken or too large, or `take` fails.
pub fn read_members_within(
    source: impl Read,
    spool: &Arc<Spool>,
    budget: &Budget,
    mut take: impl FnMut(Member) -> Result<(), TarError>,
) -> Result<(), TarError> {
    let mut stream = Stream::new(source);
    while let Some(head) = stream.next()? {
        budget.take(&head)?;
        take(member(head, &mut stream, spool)?)?;
    }
    Ok(())
}

/// Where a member's data is in an archive that is not compressed.
#[derive(Clone, Debug)]
pub(crate) struct Indexed {
    /// As the archive has it, `./` and slashes at its ends off.
    pub(crate) path: Vec<u8>,
    pub(crate) kind: EntryType,
    /// A link's target, as the archive has it.
    pub(crate) link: Vec<u8>,
    /// Of its first byte.
    pub(crate) offset: u64,
    pub(crate) size: u64,
}

/// The members of an archive that is not compressed: at most `most`, and a sparse
/// file is none.
///
/// # Errors
/// When the archive is broken or has more members.
pub(crate) fn index_tar(source: impl Read, most: usize) -> Result<Vec<Indexed>, TarError> {
    let mut stream = Stream::new(source);
    let mut all = Vec::new();
    let mut names = 0;
    while let Some(head) = stream.next()? {
        if head.extents.is_some() {
            continue;
        }
        names += (head.path.len() + head.link.len()) as u64;
        let what = if all.len() == most {
            Some(format!("more than {most} files"))
        } else {
            (names > Budget::NAMES)
                .then(|| format!("more than {} MiB of names", Budget::NAMES >> 20))
        };
        if let Some(what) = what {
            return Err(TarError::Budget {
                path: path::display(&head.path),
                what,
                variable: None,
            });
        }
        let bare = head.path.strip_prefix(b"./").unwrap_or(&head.path);
        let bare = bare.strip_suffix(b"/").unwrap_or(bare);
        all.push(Indexed {
            path: bare.to_vec(),
            kind: head.kind,
            link: head.link,
            offset: stream.position(),
            size: head.size,
        });
    }
    Ok(all)
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

/// A member as [`visit_tar`] shows it.
#[derive(Clone, Copy, Debug)]
pub struct Visited<'head> {
    /// As the archive has it.
    pub path: &'head [u8],
    /// A link's target, as the archive has it.
    pub link: &'head [u8],
    /// What it is.
    pub kind: EntryType,
    /// Permission bits.
    pub mode: u32,
}

/// Reads a tar archive, compressed or not, and shows its members with their data,
/// storing nothing.
///
/// # Errors
/// When the archive is broken, has a sparse file with holes, or `visit` fails.
pub fn visit_tar(
    source: impl Read,
    visit: &mut dyn FnMut(Visited<'_>, &mut dyn Read) -> Result<(), TarError>,
) -> Result<(), TarError> {
    let mut stream = Stream::new(compression::decompress(source)?);
    while let Some(head) = stream.next()? {
        if head.extents.is_some() {
            return Err(TarError::Sparse {
                at: stream.position(),
                reason: "not read here",
            });
        }
        let shown = Visited {
            path: &head.path,
            link: &head.link,
            kind: head.kind,
            mode: head.mode,
        };
        visit(shown, &mut stream)?;
    }
    Ok(())
}

fn member<R: Read>(
    head: Head,
    stream: &mut Stream<R>,
    spool: &Arc<Spool>,
) -> Result<Member, TarError> {
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

fn content<R: Read>(
    head: &Head,
    stream: &mut Stream<R>,
    spool: &Arc<Spool>,
) -> Result<Content, ContentError> {
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
