//! The one form every source of files ends as, and every image is written from.
//!
//! A [`Tree`] knows names, owners, modes, links, devices and extended
//! attributes; what is in the files stays outside of memory, see [`Content`].
//! Nothing that is put into a tree can land outside of it: a path that climbs is
//! refused, and a path that goes through a symbolic link is followed as it would
//! be with the tree as `/`.

mod content;
mod digest;
mod directory;
mod extract;
mod layer;
mod path;
mod pax;
mod tar_reader;
mod tar_stream;
mod tar_writer;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use content::{Content, ContentError, Spool};
pub use digest::digest;
pub use directory::{DirectoryError, Walk, fingerprint, read as read_directory};
pub use extract::{ExtractError, Link, MOST_EXTRACTED, extract_tar};
pub use layer::{Layer, LayerError};
pub use path::{PathError, check as check_path};
pub use tar_reader::{
    Budget, Member, TarError, Visited, read_members, read_members_within, read_tar, visit_tar,
};
pub(crate) use tar_reader::{Indexed, index_tar};
pub use tar_writer::{WriteError, write_tar};

/// Owner, mode and what else an entry carries besides its kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Permission bits with set-user-id, set-group-id and sticky: 0o7777 at most.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last modification, seconds since 1970.
    pub mtime: i64,
    /// Extended attributes by full name (`security.capability`); values are bytes.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Metadata {
    /// Root's, with this mode, at the epoch.
    pub fn with_mode(mode: u32) -> Self {
        Self {
            mode,
            ..Self::default()
        }
    }
}

/// What an entry is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A directory; its entries are those whose paths begin with its own.
    Directory,
    /// A regular file.
    File(Content),
    /// A symbolic link, and where it points: any bytes, as given.
    Symlink(Vec<u8>),
    /// A character device.
    CharacterDevice(Device),
    /// A block device.
    BlockDevice(Device),
    /// A named pipe.
    Fifo,
}

/// A device's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// The driver's part.
    pub major: u32,
    /// The driver's own numbering.
    pub minor: u32,
}

/// A file, whatever its names.
#[derive(Clone, Debug)]
pub struct Inode {
    /// What it is.
    pub kind: Kind,
    /// What it carries.
    pub metadata: Metadata,
}

impl Inode {
    /// A directory of root's.
    pub fn directory(mode: u32) -> Self {
        Self {
            kind: Kind::Directory,
            metadata: Metadata::with_mode(mode),
        }
    }

    /// A symbolic link of root's.
    pub fn symlink(target: impl Into<Vec<u8>>) -> Self {
        Self {
            kind: Kind::Symlink(target.into()),
            metadata: Metadata::with_mode(0o777),
        }
    }

    /// A file of root's with these bytes, held in memory: for small ones.
    pub fn file(mode: u32, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            kind: Kind::File(Content::held(bytes)),
            metadata: Metadata::with_mode(mode),
        }
    }

    fn is_directory(&self) -> bool {
        matches!(self.kind, Kind::Directory)
    }
}

/// A name in a tree.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'tree> {
    /// From the root, without a leading slash; empty for the root itself.
    pub path: &'tree [u8],
    /// Equal for the names of one file (hard links), and only for these.
    pub number: usize,
    /// What it names.
    pub inode: &'tree Inode,
}

/// The longest target of a symbolic link Linux takes, bytes.
const LONGEST_TARGET: usize = 4095;

/// The most bytes the names of a [bounded](Tree::bounded) tree come to.
const MOST_NAME_BYTES: u64 = 64 << 20;

/// A root file system: names, and the files they name.
#[derive(Clone, Debug)]
pub struct Tree {
    /// Path → index into `inodes`. In byte order a directory comes before all
    /// that is in it.
    names: BTreeMap<Vec<u8>, usize>,
    /// What was replaced or removed stays here unnamed.
    inodes: Vec<Inode>,
    room: Room,
}

/// What may still be named in a tree, whether or not it is replaced later.
#[derive(Clone, Copy, Debug)]
struct Room {
    /// Of the whole tree, for messages.
    most: u64,
    names: u64,
    bytes: u64,
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            names: BTreeMap::from([(Vec::new(), 0)]),
            inodes: vec![Inode::directory(0o755)],
            room: Room {
                most: u64::MAX,
                names: u64::MAX,
                bytes: u64::MAX,
            },
        }
    }
}

/// Why an entry could not be put into a tree.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The path is not one a tree can hold.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A hard link names what is not there (yet).
    #[error("{}: a hard link to {}, which is not in the tree", path.display(), target.display())]
    LinkTarget {
        /// The link.
        path: PathBuf,
        /// What it names.
        target: PathBuf,
    },
    /// A hard link names a directory.
    #[error("{}: a hard link to {}, which is a directory", path.display(), target.display())]
    LinkToDirectory {
        /// The link.
        path: PathBuf,
        /// What it names.
        target: PathBuf,
    },
    /// The root must stay a directory.
    #[error("an entry that is no directory in place of the root itself")]
    RootReplaced,
    /// No system can make this symbolic link.
    #[error("{}: a symbolic link whose target {reason}", path.display())]
    SymlinkTarget {
        /// The link.
        path: PathBuf,
        /// What is wrong with where it points.
        reason: &'static str,
    },
    /// More names than a bounded tree takes.
    #[error(
        "{}: with it there are more than {most} entries, folders that were not listed counted\nhint: MATRIX_IMAGE_ENTRIES allows more",
        path.display()
    )]
    Names {
        /// The entry.
        path: PathBuf,
        /// The limit.
        most: u64,
    },
    /// Names that are longer than a bounded tree takes, all together.
    #[error(
        "{}: with it there are more than {} MiB of names, folders that were not listed counted",
        path.display(),
        MOST_NAME_BYTES >> 20
    )]
    NameBytes {
        /// The entry.
        path: PathBuf,
    },
}

impl Tree {
    /// A tree with an empty root: mode 755, root's.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same for what is not trusted: it takes at most so many entries and 64 MiB
    /// of names. Folders that are on the way of a path and not listed count: a path of
    /// two thousand of them is four kilobytes in an archive and four megabytes here.
    pub fn bounded(entries: u64) -> Self {
        Self {
            room: Room {
                most: entries,
                names: entries,
                bytes: MOST_NAME_BYTES,
            },
            ..Self::default()
        }
    }

    /// Puts an entry in, as tar would: parents are made where they lack, what is
    /// there is replaced (a directory only by another kind; over a directory a
    /// directory changes only what it carries), symbolic links on the way are
    /// followed inside the tree.
    ///
    /// # Errors
    /// When the path climbs out, is absolute, too long, or leads through a file.
    pub fn insert(&mut self, path: &[u8], inode: Inode) -> Result<(), TreeError> {
        let path = self.place(path)?;
        self.put(path, inode)
    }

    /// Like [`Tree::insert`], but a directory leaves alone a symbolic link to a
    /// directory that has its name, and what is behind it. So does dpkg; it is
    /// how `/bin` stays a link to `usr/bin` when a package brings a `/bin`.
    ///
    /// # Errors
    /// Those of [`Tree::insert`].
    pub fn insert_keeping_links(&mut self, path: &[u8], inode: Inode) -> Result<(), TreeError> {
        let path = self.place(path)?;
        if inode.is_directory()
            && matches!(self.get(&path), Some(there) if matches!(there.kind, Kind::Symlink(_)))
            && self
                .lookup(&path)
                .is_some_and(|entry| entry.inode.is_directory())
        {
            return Ok(());
        }
        self.put(path, inode)
    }

    /// Gives the file at `target` another name.
    ///
    /// # Errors
    /// When a path is refused as in [`Tree::insert`], or `target` is a directory
    /// or not there.
    pub fn link(&mut self, path: &[u8], target: &[u8]) -> Result<(), TreeError> {
        let place = self.place(path)?;
        let target_place = self.place(target)?;
        let Some(&number) = self.names.get(&target_place) else {
            return Err(TreeError::LinkTarget {
                path: path::display(path),
                target: path::display(target),
            });
        };
        if self.inodes[number].is_directory() {
            return Err(TreeError::LinkToDirectory {
                path: path::display(path),
                target: path::display(target),
            });
        }
        if place == target_place {
            return Ok(());
        }
        self.link_place(place, number)
    }

    /// The root itself.
    pub fn root(&self) -> &Inode {
        // Made first, and nothing takes it out.
        &self.inodes[0]
    }

    /// What has exactly this path; the last name is not followed, nor any other.
    pub fn get(&self, path: &[u8]) -> Option<&Inode> {
        self.names.get(path).map(|number| &self.inodes[*number])
    }

    /// What a process with this root would find at `path`: every link is followed.
    pub fn lookup(&self, path: &[u8]) -> Option<Entry<'_>> {
        let place = path::resolve(self, path, path::Last::Followed).ok()?;
        let (path, number) = self.names.get_key_value(&place)?;
        Some(Entry {
            path,
            number: *number,
            inode: &self.inodes[*number],
        })
    }

    /// Takes out what has this path and all below it; nothing where there is none.
    ///
    /// # Errors
    /// When the path is refused as in [`Tree::insert`], or is the root's.
    pub fn remove(&mut self, path: &[u8]) -> Result<(), TreeError> {
        let place = self.place(path)?;
        if place.is_empty() {
            return Err(TreeError::RootReplaced);
        }
        self.remove_place(&place);
        Ok(())
    }

    /// Every name in byte order: a directory before what is in it, the root first.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.names.iter().map(|(path, number)| Entry {
            path,
            number: *number,
            inode: &self.inodes[*number],
        })
    }

    /// How many bytes the files hold together, each counted once.
    pub fn size(&self) -> u64 {
        let mut seen = vec![false; self.inodes.len()];
        let mut size = 0;
        for entry in self.entries() {
            if let Kind::File(content) = &entry.inode.kind
                && !std::mem::replace(&mut seen[entry.number], true)
            {
                size += content.length();
            }
        }
        size
    }

    /// Where an entry of this path belongs, links on the way followed.
    pub(crate) fn place(&self, path: &[u8]) -> Result<Vec<u8>, TreeError> {
        path::check(path)?;
        Ok(path::resolve(self, path, path::Last::Kept)?)
    }

    fn put(&mut self, path: Vec<u8>, inode: Inode) -> Result<(), TreeError> {
        if path.is_empty() && !inode.is_directory() {
            return Err(TreeError::RootReplaced);
        }
        if let Kind::Symlink(target) = &inode.kind {
            let reason = match target.as_slice() {
                [] => Some("is empty"),
                target if target.contains(&0) => Some("has a NUL byte"),
                target if target.len() > LONGEST_TARGET => Some("is longer than 4095 bytes"),
                _ => None,
            };
            if let Some(reason) = reason {
                let path = path::display(&path);
                return Err(TreeError::SymlinkTarget { path, reason });
            }
        }
        if inode.is_directory()
            && let Some(&number) = self.names.get(&path)
            && self.inodes[number].is_directory()
        {
            self.inodes[number].metadata = inode.metadata;
            return Ok(());
        }
        self.make_parents(&path)?;
        self.remove_place(&path);
        self.inodes.push(inode);
        self.name(path, self.inodes.len() - 1)
    }

    /// Gives the file of this number a name at `place`, links on the way followed.
    fn link_place(&mut self, place: Vec<u8>, number: usize) -> Result<(), TreeError> {
        if place.is_empty() {
            return Err(TreeError::RootReplaced);
        }
        self.make_parents(&place)?;
        self.remove_place(&place);
        self.name(place, number)
    }

    fn make_parents(&mut self, path: &[u8]) -> Result<(), TreeError> {
        let slashes: Vec<usize> = (0..path.len()).filter(|at| path[*at] == b'/').collect();
        for at in slashes {
            if !self.names.contains_key(&path[..at]) {
                self.inodes.push(Inode::directory(0o755));
                self.name(path[..at].to_vec(), self.inodes.len() - 1)?;
            }
        }
        Ok(())
    }

    fn name(&mut self, path: Vec<u8>, number: usize) -> Result<(), TreeError> {
        let room = &mut self.room;
        let Some(names) = room.names.checked_sub(1) else {
            return Err(TreeError::Names {
                path: path::display(&path),
                most: room.most,
            });
        };
        let Some(bytes) = room.bytes.checked_sub(path.len() as u64) else {
            return Err(TreeError::NameBytes {
                path: path::display(&path),
            });
        };
        (room.names, room.bytes) = (names, bytes);
        self.names.insert(path, number);
        Ok(())
    }

    fn remove_place(&mut self, path: &[u8]) {
        let Some(number) = self.names.remove(path) else {
            return;
        };
        if !self.inodes[number].is_directory() {
            return;
        }
        let mut below = path.to_vec();
        below.push(b'/');
        let mut end = path.to_vec();
        // The byte after the slash: the end of all that begins with `path/`.
        end.push(b'/' + 1);
        let gone: Vec<Vec<u8>> = self
            .names
            .range(below..end)
            .map(|(path, _)| path.clone())
            .collect();
        for path in gone {
            self.names.remove(&path);
        }
    }
}

#[cfg(test)]
mod tests;
