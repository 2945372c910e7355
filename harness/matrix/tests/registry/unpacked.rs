//! A root file system in a folder, entry by entry: everything about it that a process
//! could see.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Folder,
    /// Length and SHA-256.
    File(u64, String),
    Symlink(Vec<u8>),
    Character(u64),
    Block(u64),
    Fifo,
    Socket,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    /// Seconds.
    pub(crate) mtime: i64,
    /// The first name, in byte order, of the same file.
    pub(crate) same_as: Vec<u8>,
    pub(crate) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// Of all that is in a folder, and of the folder itself (under the empty name).
pub(crate) fn entries(root: &Path) -> BTreeMap<Vec<u8>, Entry> {
    let mut all = BTreeMap::new();
    let mut inodes: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    let mut ahead = vec![Vec::new()];
    let mut numbers = BTreeMap::new();
    while let Some(name) = ahead.pop() {
        let path = root.join(OsStr::from_bytes(&name));
        let metadata = fs_err::symlink_metadata(&path).unwrap();
        let file_type = metadata.file_type();
        let kind = if file_type.is_dir() {
            for entry in fs_err::read_dir(&path).unwrap() {
                let mut inside = name.clone();
                if !inside.is_empty() {
                    inside.push(b'/');
                }
                inside.extend(entry.unwrap().file_name().as_bytes());
                ahead.push(inside);
            }
            Kind::Folder
        } else if file_type.is_symlink() {
            let target = fs_err::read_link(&path).unwrap();
            Kind::Symlink(target.as_os_str().as_bytes().to_vec())
        } else if file_type.is_char_device() {
            Kind::Character(metadata.rdev())
        } else if file_type.is_block_device() {
            Kind::Block(metadata.rdev())
        } else if file_type.is_fifo() {
            Kind::Fifo
        } else if file_type.is_socket() {
            Kind::Socket
        } else {
            Kind::File(metadata.len(), sha256(&path))
        };
        let first = inodes.entry(metadata.ino()).or_insert_with(|| name.clone());
        if name < *first {
            first.clone_from(&name);
        }
        numbers.insert(name.clone(), metadata.ino());
        all.insert(
            name.clone(),
            Entry {
                kind,
                mode: metadata.mode() & 0o7777,
                owner: (metadata.uid(), metadata.gid()),
                mtime: metadata.mtime(),
                same_as: Vec::new(),
                xattrs: xattrs(&path),
            },
        );
    }
    for (name, entry) in &mut all {
        entry.same_as.clone_from(&inodes[&numbers[name]]);
    }
    all
}

fn xattrs(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut names = vec![0; 64 << 10];
    let length = match rustix::fs::llistxattr(path, &mut names[..]) {
        Ok(length) => length,
        // A file system without any.
        Err(rustix::io::Errno::OPNOTSUPP) => return BTreeMap::new(),
        Err(error) => panic!("{}: {error}", path.display()),
    };
    names[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| {
            let mut value = vec![0; 64 << 10];
            let length = rustix::fs::lgetxattr(path, OsStr::from_bytes(name), &mut value[..]);
            value.truncate(length.unwrap());
            (name.to_vec(), value)
        })
        .collect()
}

fn sha256(path: &Path) -> String {
    let digest = Sha256::digest(fs_err::read(path).unwrap());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What differs between two of them, a line each; a name with its entries.
pub(crate) fn differences(
    ours: &BTreeMap<Vec<u8>, Entry>,
    theirs: &BTreeMap<Vec<u8>, Entry>,
) -> Vec<(String, String)> {
    let names = ours.keys().chain(theirs.keys());
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    for name in names {
        let (ours, theirs) = (ours.get(name), theirs.get(name));
        if ours != theirs {
            let shown = String::from_utf8_lossy(name).into_owned();
            all.insert(shown, format!("ours {ours:?}, theirs {theirs:?}"));
        }
    }
    all.into_iter().collect()
}
