//! A folder of the host → a tree.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs::Metadata as HostMetadata;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::digest::hexadecimal;
use super::{Content, Device, Inode, Kind, Metadata, Tree, TreeError};

/// Why a folder could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// It, or something in it, cannot be listed or read; the message has the path.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// It is no folder.
    #[error("{}: not a folder", path.display())]
    NotADirectory {
        /// As given.
        path: PathBuf,
    },
    /// Extended attributes cannot be read.
    #[error("{}: the extended attribute {name}: {source}", path.display())]
    Attribute {
        /// The file.
        path: PathBuf,
        /// The attribute's name, or `list`.
        name: String,
        /// The system's word.
        source: io::Error,
    },
    /// A file cannot be read by this user.
    #[error("{}: {source}\nhint: run as a user that may read all of the image's folder, or make a tar of it", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// The tree refuses it.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// A folder, read.
#[derive(Debug)]
pub struct Walk {
    /// What is in it; the files' content stays where it is.
    pub tree: Tree,
    /// What was left out, and why: one line each.
    pub notes: Vec<String>,
}

/// One thing a walk comes by.
struct Visit<'walk> {
    /// On the host.
    path: &'walk Path,
    /// From the walk's root.
    relative: &'walk [u8],
    host: &'walk HostMetadata,
    /// Another file system begins here; what is in it is not visited.
    mount_point: bool,
}

/// Reads a folder as the root of a tree. Other file systems mounted in it are left
/// out but for their mount points, as are sockets; each is told in the notes.
///
/// # Errors
/// When something in it cannot be read.
pub fn read(root: &Path) -> Result<Walk, DirectoryError> {
    let mut tree = Tree::new();
    let mut notes = Vec::new();
    let mut names: HashMap<u64, Vec<u8>> = HashMap::new();
    walk(root, &mut |visit| {
        let Visit { path, host, .. } = *visit;
        let file_type = host.file_type();
        if visit.mount_point {
            notes.push(format!(
                "{}: another file system is mounted there, its content is left out",
                path.display()
            ));
        }
        if host.nlink() > 1 && !file_type.is_dir() {
            if let Some(first) = names.get(&host.ino()) {
                tree.link(visit.relative, first)?;
                return Ok(());
            }
            if !file_type.is_socket() {
                names.insert(host.ino(), visit.relative.to_vec());
            }
        }
        let device = Device {
            major: rustix::fs::major(host.rdev()),
            minor: rustix::fs::minor(host.rdev()),
        };
        let kind = if file_type.is_dir() {
            Kind::Directory
        } else if file_type.is_file() {
            readable(path)?;
            Kind::File(Content::Host {
                path: path.to_path_buf(),
                length: host.len(),
            })
        } else if file_type.is_symlink() {
            Kind::Symlink(fs::read_link(path)?.into_os_string().into_vec())
        } else if file_type.is_char_device() {
            Kind::CharacterDevice(device)
        } else if file_type.is_block_device() {
            Kind::BlockDevice(device)
        } else if file_type.is_fifo() {
            Kind::Fifo
        } else {
            notes.push(format!("{}: a socket, left out", path.display()));
            return Ok(());
        };
        let metadata = Metadata {
            mode: host.mode() & 0o7777,
            uid: host.uid(),
            gid: host.gid(),
            mtime: host.mtime(),
            xattrs: attributes(path)?,
        };
        tree.insert(visit.relative, Inode { kind, metadata })?;
        Ok(())
    })?;
    Ok(Walk { tree, notes })
}

/// A key for a folder as it is now, without reading its files: `sha256:…` over
/// every path with size, times in nanoseconds, inode, mode and owner. The time of
/// the last change of the inode is in it, which no program can set back.
///
/// # Errors
/// When something in it cannot be listed.
pub fn fingerprint(root: &Path) -> Result<String, DirectoryError> {
    let mut hash = Sha256::new();
    walk(root, &mut |visit| {
        let host = visit.host;
        hash.update((visit.relative.len() as u64).to_le_bytes());
        hash.update(visit.relative);
        for number in [host.dev(), host.ino(), host.size(), host.mode().into(), host.rdev()] {
            hash.update(number.to_le_bytes());
        }
        for number in [host.uid(), host.gid(), u32::from(visit.mount_point)] {
            hash.update(number.to_le_bytes());
        }
        for number in [host.mtime(), host.mtime_nsec(), host.ctime(), host.ctime_nsec()] {
            hash.update(number.to_le_bytes());
        }
        Ok(())
    })?;
    Ok(format!("sha256:{}", hexadecimal(&hash.finalize())))
}

/// Visits the root and all in it, a folder before its content, in byte order.
fn walk(
    root: &Path,
    visit: &mut dyn FnMut(&Visit<'_>) -> Result<(), DirectoryError>,
) -> Result<(), DirectoryError> {
    let host = fs::metadata(root)?;
    if !host.is_dir() {
        return Err(DirectoryError::NotADirectory {
            path: root.to_path_buf(),
        });
    }
    let device = host.dev();
    let root = fs::canonicalize(root)?;
    visit(&Visit {
        path: &root,
        relative: b"",
        host: &host,
        mount_point: false,
    })?;
    let mut folders = vec![(root, Vec::new())];
    while let Some((folder, relative)) = folders.pop() {
        let mut names = Vec::new();
        for entry in fs::read_dir(&folder)? {
            names.push(entry?.file_name());
        }
        names.sort();
        let mut inner = Vec::new();
        for name in names {
            let path = folder.join(&name);
            let mut relative: Vec<u8> = relative.clone();
            if !relative.is_empty() {
                relative.push(b'/');
            }
            relative.extend_from_slice(name.as_bytes());
            let host = fs::symlink_metadata(&path)?;
            let mount_point = host.dev() != device;
            visit(&Visit {
                path: &path,
                relative: &relative,
                host: &host,
                mount_point,
            })?;
            if host.is_dir() && !mount_point {
                inner.push((path, relative));
            }
        }
        folders.extend(inner.into_iter().rev());
    }
    Ok(())
}

/// Better said now, with a hint, than when the image is half written.
fn readable(path: &Path) -> Result<(), DirectoryError> {
    use rustix::fs::{Access, AtFlags, CWD, accessat};
    accessat(CWD, path, Access::READ_OK, AtFlags::EACCESS).map_err(|error| DirectoryError::Unreadable {
        path: path.to_path_buf(),
        source: error.into(),
    })
}

/// The attributes that belong to the files rather than to this host: its security
/// modules' labels stay here, and a squashfs holds no ACLs (`system.`).
fn attributes(path: &Path) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, DirectoryError> {
    let failed = |name: &str, error: Errno| DirectoryError::Attribute {
        path: path.to_path_buf(),
        name: name.to_owned(),
        source: error.into(),
    };
    let mut list = vec![0; 64 << 10];
    let length = match rustix::fs::llistxattr(path, &mut list[..]) {
        Ok(length) => length,
        // The file system has none.
        Err(Errno::NOTSUP) => return Ok(BTreeMap::new()),
        Err(error) => return Err(failed("list", error)),
    };
    let mut attributes = BTreeMap::new();
    for name in list[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let belongs = name.starts_with(b"user.") || name.starts_with(b"trusted.") || name == b"security.capability";
        if !belongs {
            continue;
        }
        // The largest value Linux takes.
        let mut value = vec![0; 64 << 10];
        match rustix::fs::lgetxattr(path, OsStr::from_bytes(name), &mut value[..]) {
            Ok(length) => {
                value.truncate(length);
                attributes.insert(name.to_vec(), value);
            }
            // Taken away since it was listed.
            Err(Errno::NODATA) => {}
            Err(error) => return Err(failed(&String::from_utf8_lossy(name), error)),
        }
    }
    Ok(attributes)
}
