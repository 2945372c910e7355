//! Reading an image's disk again: names, links and files of a squashfs.
//!
//! Only what [`super::write`] makes is read: version 4.0, nothing compressed. That
//! is what an image looks like in the cache, whatever it was made from; the tree it
//! was made of is gone by then. The layout is the kernel's
//! Documentation/filesystems/squashfs.rst.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::tree::check_path;

/// As many links as the kernel follows in one path (MAXSYMLINKS).
const LINKS: u32 = 40;

/// The longest path a program can name (PATH_MAX).
const PATH: usize = 4096;

/// Metadata comes in blocks of so much.
const METADATA: usize = 8192;

/// Of a file or a fragment: there is none.
const NONE: u32 = u32::MAX;

/// Bit 24 of a data block's size: it is not compressed.
const PLAIN_DATA: u32 = 1 << 24;

/// Bit 15 of a metadata block's size: it is not compressed.
const PLAIN_METADATA: u16 = 1 << 15;

/// Why an image's files cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ContentsError {
    /// The disk cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The disk.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// It is no disk of ours, or damaged.
    #[error("{}: not an image of this program's making: {reason}", path.display())]
    Format {
        /// The disk.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no such file.
    #[error("the image has no file {0}")]
    Missing(String),
}

/// The files of an image.
#[derive(Debug)]
pub struct Contents {
    path: PathBuf,
    disk: File,
    block: u64,
    fragments: Vec<Extent>,
    /// By path from the root, without a leading slash.
    nodes: BTreeMap<Vec<u8>, Node>,
}

/// Bytes of the disk.
#[derive(Clone, Copy, Debug)]
struct Extent {
    start: u64,
    size: u32,
}

#[derive(Clone, Debug)]
enum Node {
    Folder,
    File(Data),
    Link(Vec<u8>),
    /// A device, a FIFO, a socket.
    Special,
}

#[derive(Clone, Debug)]
struct Data {
    mode: u16,
    size: u64,
    start: u64,
    blocks: Vec<u32>,
    /// The fragment and the offset in it.
    tail: Option<(u32, u32)>,
}

/// What is at a path, links followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A regular file, at this path, with these permission bits.
    File {
        /// Absolute, links resolved.
        path: String,
        /// 0o7777 at most.
        mode: u16,
    },
    /// A folder, a device, a FIFO, a socket.
    Other,
    /// Nothing.
    Missing,
}

impl Contents {
    /// Opens an image's disk and reads its names.
    ///
    /// # Errors
    /// When it cannot be read, or is none of ours.
    pub fn open(path: &Path) -> Result<Self, ContentsError> {
        let read = |source| ContentsError::Read {
            path: path.to_path_buf(),
            source,
        };
        let disk = File::open(path).map_err(read)?;
        let mut head = [0; 96];
        disk.read_exact_at(&mut head, 0).map_err(read)?;
        let mut contents = Self {
            path: path.to_path_buf(),
            disk,
            block: 0,
            fragments: Vec::new(),
            nodes: BTreeMap::new(),
        };
        contents.load(&head)?;
        Ok(contents)
    }

    /// The paths of all regular files, absolute. A name that is no UTF-8 is left
    /// out: no log and no program's words could name it.
    pub fn files(&self) -> impl Iterator<Item = String> {
        self.nodes
            .iter()
            .filter(|(_, node)| matches!(node, Node::File(_)))
            .filter_map(|(path, _)| Some(format!("/{}", std::str::from_utf8(path).ok()?)))
    }

    /// What a process with this root finds at a path.
    pub fn find(&self, path: &str) -> Place {
        let Some(place) = self.resolve(path.as_bytes()) else {
            return Place::Missing;
        };
        match self.nodes.get(&place) {
            None => Place::Missing,
            Some(Node::File(data)) => Place::File {
                path: format!("/{}", String::from_utf8_lossy(&place)),
                mode: data.mode,
            },
            Some(Node::Folder | Node::Link(_) | Node::Special) => Place::Other,
        }
    }

    /// How long a file is, bytes; none where there is no such file.
    pub fn length(&self, path: &str) -> Option<u64> {
        match self.nodes.get(path.trim_start_matches('/').as_bytes()) {
            Some(Node::File(data)) => Some(data.size),
            _ => None,
        }
    }

    /// A regular file's bytes, by its own path.
    ///
    /// # Errors
    /// When there is none, or the disk cannot be read.
    pub fn read(&self, path: &str) -> Result<Vec<u8>, ContentsError> {
        let Some(Node::File(data)) = self.nodes.get(path.trim_start_matches('/').as_bytes()) else {
            return Err(ContentsError::Missing(path.to_owned()));
        };
        let mut bytes = Vec::with_capacity(usize::try_from(data.size).unwrap_or(0));
        let mut at = data.start;
        for size in &data.blocks {
            let left = data.size - bytes.len() as u64;
            let length = left.min(self.block);
            // A block of no size is one of zeroes.
            if *size == 0 {
                bytes.resize(bytes.len() + self.word(length)?, 0);
                continue;
            }
            let stored = self.plain(*size)?;
            bytes.extend(self.bytes(at, stored)?);
            at += u64::from(stored);
        }
        if let Some((fragment, offset)) = data.tail {
            let extent = self
                .fragments
                .get(fragment as usize)
                .ok_or_else(|| self.damaged("a fragment that is not there"))?;
            self.plain(extent.size)?;
            let left = data.size - bytes.len() as u64;
            let left = u32::try_from(left).map_err(|_| self.damaged("too long a fragment"))?;
            bytes.extend(self.bytes(extent.start + u64::from(offset), left)?);
        }
        if bytes.len() as u64 != data.size {
            return Err(self.damaged("a file whose blocks do not make its length"));
        }
        Ok(bytes)
    }

    /// The path with all links followed; none where they lead in circles.
    fn resolve(&self, path: &[u8]) -> Option<Vec<u8>> {
        let mut links = 0;
        let mut ahead: Vec<Vec<u8>> = parts(path).rev().map(<[u8]>::to_vec).collect();
        let mut here: Vec<Vec<u8>> = Vec::new();
        while let Some(name) = ahead.pop() {
            if name == b".." {
                here.pop();
                continue;
            }
            here.push(name);
            if let Some(Node::Link(target)) = self.nodes.get(&here.join(&b'/')) {
                links += 1;
                if links > LINKS {
                    return None;
                }
                if target.starts_with(b"/") {
                    here.clear();
                } else {
                    here.pop();
                }
                ahead.extend(parts(target).rev().map(<[u8]>::to_vec));
            }
        }
        Some(here.join(&b'/'))
    }

    fn load(&mut self, head: &[u8; 96]) -> Result<(), ContentsError> {
        let field = |at| Field(head, at);
        if &head[..4] != b"hsqs" || field(28).u16() != 4 || field(30).u16() != 0 {
            return Err(self.damaged("no squashfs 4.0"));
        }
        self.block = u64::from(field(12).u32());
        let (inodes, folders) = (field(64).u64(), field(72).u64());
        let fragments = field(80).u64();
        // One table ends where the next begins.
        let tables = [
            field(48).u64(),
            folders,
            fragments,
            field(88).u64(),
            field(40).u64(),
        ];
        let after = |start: u64| {
            let next = tables.iter().filter(|table| **table > start).min();
            next.copied().unwrap_or(start)
        };
        let inode_table = self.metadata(inodes, folders)?;
        let folder_table = self.metadata(folders, after(folders))?;
        self.fragments = self.fragment_table(fragments, field(16).u32())?;
        let root = field(32).u64();
        let mut walk = vec![(Vec::new(), root)];
        while let Some((path, reference)) = walk.pop() {
            let (node, entries) = self.inode(&inode_table, &folder_table, reference)?;
            for (name, reference) in entries {
                let mut child = path.clone();
                if !child.is_empty() {
                    child.push(b'/');
                }
                child.extend(name);
                // A folder that holds itself would never end.
                if child.len() > PATH || check_path(&child).is_err() {
                    return Err(self.damaged("a name that no image has"));
                }
                walk.push((child, reference));
            }
            self.nodes.insert(path, node);
        }
        Ok(())
    }

    /// The metadata blocks between two places, and where each begins in them.
    fn metadata(&self, start: u64, end: u64) -> Result<Metadata, ContentsError> {
        let mut table = Metadata::default();
        let mut at = start;
        while at < end {
            table.blocks.insert(at - start, table.bytes.len());
            let head = self.bytes(at, 2)?;
            let size = Field(&head, 0).u16();
            if size & PLAIN_METADATA == 0 {
                return Err(self.damaged("its metadata is compressed"));
            }
            let size = size & !PLAIN_METADATA;
            table.bytes.extend(self.bytes(at + 2, u32::from(size))?);
            at += 2 + u64::from(size);
        }
        Ok(table)
    }

    /// Pointers to blocks of 512 entries of 16 bytes.
    fn fragment_table(&self, start: u64, count: u32) -> Result<Vec<Extent>, ContentsError> {
        const ENTRY: usize = 16;
        const ENTRIES: u32 = (METADATA / ENTRY) as u32;
        let pointers = self.bytes(start, count.div_ceil(ENTRIES) * 8);
        let pointers = match count {
            0 => return Ok(Vec::new()),
            _ => pointers?,
        };
        let mut fragments = Vec::new();
        for at in (0..pointers.len()).step_by(8) {
            let block = Field(&pointers, at).u64();
            let size = Field(&self.bytes(block, 2)?, 0).u16() & !PLAIN_METADATA;
            let entries = self.bytes(block + 2, u32::from(size))?;
            for at in (0..entries.len() / ENTRY * ENTRY).step_by(ENTRY) {
                fragments.push(Extent {
                    start: Field(&entries, at).u64(),
                    size: Field(&entries, at + 8).u32(),
                });
            }
        }
        Ok(fragments)
    }

    /// An inode, and a folder's names with their inodes' references.
    #[expect(clippy::type_complexity, reason = "one use")]
    fn inode(
        &self,
        inodes: &Metadata,
        folders: &Metadata,
        reference: u64,
    ) -> Result<(Node, Vec<(Vec<u8>, u64)>), ContentsError> {
        let bytes = inodes
            .at(reference >> 16, reference & 0xffff)
            .ok_or_else(|| self.damaged("an inode outside of its table"))?;
        let cut = || self.damaged("an inode that is cut off");
        let field = |at: usize, length: usize| match bytes.len() >= at + length {
            true => Ok(Field(bytes, at)),
            false => Err(cut()),
        };
        let kind = field(0, 2)?.u16();
        let mode = field(2, 2)?.u16();
        let node = match kind {
            // Folders: plain, and with an index.
            1 => {
                let (start, size) = (field(16, 4)?.u32(), field(24, 2)?.u16());
                let offset = field(26, 2)?.u16();
                let entries = self.entries(folders, start, offset, u32::from(size))?;
                return Ok((Node::Folder, entries));
            }
            8 => {
                let (size, start) = (field(20, 4)?.u32(), field(24, 4)?.u32());
                let offset = field(34, 2)?.u16();
                return Ok((Node::Folder, self.entries(folders, start, offset, size)?));
            }
            // Files: plain; with more names, attributes, holes, or long ones.
            2 => {
                let start = u64::from(field(16, 4)?.u32());
                let tail = (field(20, 4)?.u32(), field(24, 4)?.u32());
                let size = u64::from(field(28, 4)?.u32());
                self.data(bytes, 32, mode, (start, size), tail)?
            }
            9 => {
                let (start, size) = (field(16, 8)?.u64(), field(24, 8)?.u64());
                let tail = (field(44, 4)?.u32(), field(48, 4)?.u32());
                self.data(bytes, 56, mode, (start, size), tail)?
            }
            3 | 10 => {
                let length = field(20, 4)?.u32() as usize;
                field(24, length)?;
                Node::Link(bytes[24..24 + length].to_vec())
            }
            4..=7 | 11..=14 => Node::Special,
            other => return Err(self.damaged(&format!("an inode of kind {other}"))),
        };
        Ok((node, Vec::new()))
    }

    fn data(
        &self,
        inode: &[u8],
        list: usize,
        mode: u16,
        (start, size): (u64, u64),
        (fragment, offset): (u32, u32),
    ) -> Result<Node, ContentsError> {
        let tail = (fragment != NONE).then_some((fragment, offset));
        let count = match tail {
            Some(_) => size / self.block,
            None => size.div_ceil(self.block),
        };
        let end = list + self.word(count)? * 4;
        let sizes = inode
            .get(list..end)
            .ok_or_else(|| self.damaged("a list of blocks that is cut off"))?;
        Ok(Node::File(Data {
            mode: mode & 0o7777,
            size,
            start,
            blocks: (0..sizes.len())
                .step_by(4)
                .map(|at| Field(sizes, at).u32())
                .collect(),
            tail,
        }))
    }

    /// A folder's names: runs of entries that share a block of inodes.
    fn entries(
        &self,
        folders: &Metadata,
        start: u32,
        offset: u16,
        size: u32,
    ) -> Result<Vec<(Vec<u8>, u64)>, ContentsError> {
        // The two that are not stored, `.` and `..`, count three.
        let size = size.saturating_sub(3) as usize;
        let mut names = Vec::new();
        if size == 0 {
            return Ok(names);
        }
        let cut = || self.damaged("a folder that is cut off");
        let bytes = folders
            .at(u64::from(start), u64::from(offset))
            .and_then(|bytes| bytes.get(..size))
            .ok_or_else(cut)?;
        let mut at = 0;
        while at + 12 <= bytes.len() {
            let count = Field(bytes, at).u32() + 1;
            let block = u64::from(Field(bytes, at + 4).u32());
            at += 12;
            for _ in 0..count {
                if at + 8 > bytes.len() {
                    return Err(cut());
                }
                let inode = u64::from(Field(bytes, at).u16());
                let length = usize::from(Field(bytes, at + 6).u16()) + 1;
                let name = bytes.get(at + 8..at + 8 + length).ok_or_else(cut)?;
                names.push((name.to_vec(), block << 16 | inode));
                at += 8 + length;
            }
        }
        Ok(names)
    }

    /// The size of a data block without its flag.
    fn plain(&self, size: u32) -> Result<u32, ContentsError> {
        match size & PLAIN_DATA {
            0 => Err(self.damaged("its data is compressed")),
            _ => Ok(size & !PLAIN_DATA),
        }
    }

    fn bytes(&self, at: u64, length: u32) -> Result<Vec<u8>, ContentsError> {
        let mut bytes = vec![0; length as usize];
        self.disk
            .read_exact_at(&mut bytes, at)
            .map_err(|source| ContentsError::Read {
                path: self.path.clone(),
                source,
            })?;
        Ok(bytes)
    }

    fn word(&self, number: u64) -> Result<usize, ContentsError> {
        usize::try_from(number).map_err(|_| self.damaged("a number out of range"))
    }

    fn damaged(&self, reason: &str) -> ContentsError {
        ContentsError::Format {
            path: self.path.clone(),
            reason: reason.to_owned(),
        }
    }
}

/// Names between slashes.
fn parts(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty() && *name != b".")
}

/// A table of metadata, its blocks joined.
#[derive(Debug, Default)]
struct Metadata {
    bytes: Vec<u8>,
    /// Where a block begins on the disk, from the table's start → in `bytes`.
    blocks: BTreeMap<u64, usize>,
}

impl Metadata {
    /// Everything from a place on.
    fn at(&self, block: u64, offset: u64) -> Option<&[u8]> {
        let start = self.blocks.get(&block)? + usize::try_from(offset).ok()?;
        self.bytes.get(start..)
    }
}

/// A little-endian number at a place, which must be there.
struct Field<'a>(&'a [u8], usize);

impl Field<'_> {
    fn array<const N: usize>(&self) -> [u8; N] {
        let mut array = [0; N];
        array.copy_from_slice(&self.0[self.1..self.1 + N]);
        array
    }

    fn u16(&self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    fn u32(&self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    fn u64(&self) -> u64 {
        u64::from_le_bytes(self.array())
    }
}
