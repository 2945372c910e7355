//! Paths of entries: which are taken, and where they lead inside a tree.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use super::{Kind, Tree};

/// How many symbolic links one path may lead through: Linux's own limit.
const MAX_LINKS: usize = 40;

/// The longest name Linux takes, bytes.
const MAX_NAME: usize = 255;

/// The longest path Linux takes, bytes; with its NUL that is PATH_MAX.
const MAX_PATH: usize = 4095;

/// How much of a path that is too long is shown, bytes.
const SHOWN: usize = 80;

/// Why a path is not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It has a `..`.
    #[error("{}: the path climbs out of its tree", path.display())]
    Climbs {
        /// As given.
        path: PathBuf,
    },
    /// It begins with a slash.
    #[error("{}: the path is absolute, so it names a place outside of its tree", path.display())]
    Absolute {
        /// As given.
        path: PathBuf,
    },
    /// It has a NUL byte, which no path on Linux can.
    #[error("{}: the path has a NUL byte", path.display())]
    Nul {
        /// As given.
        path: PathBuf,
    },
    /// A name of more than 255 bytes.
    #[error("{}: a name in the path is longer than {MAX_NAME} bytes", path.display())]
    NameTooLong {
        /// As given.
        path: PathBuf,
    },
    /// More than 4095 bytes, as it stands or once the links on its way are followed.
    #[error("{}…: the path is longer than {MAX_PATH} bytes", begins.display())]
    TooLong {
        /// Its beginning.
        begins: PathBuf,
    },
    /// It leads through something that is no directory.
    #[error("{}: {} on the way is not a directory", path.display(), obstacle.display())]
    NotADirectory {
        /// As given.
        path: PathBuf,
        /// What is in the way.
        obstacle: PathBuf,
    },
    /// It leads through links without end.
    #[error("{}: the path leads through more than {MAX_LINKS} symbolic links", path.display())]
    LinkLoop {
        /// As given.
        path: PathBuf,
    },
}

/// Whether a link that has the whole path is followed too.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    Kept,
    Followed,
}

/// For messages: of a long one its beginning and its end.
pub(super) fn display(path: &[u8]) -> PathBuf {
    let shown = match path.len() {
        0..=320 => path.to_vec(),
        length => [&path[..200], "…".as_bytes(), &path[length - 80..]].concat(),
    };
    PathBuf::from(OsString::from_vec(shown))
}

fn names(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty() && *name != b".")
}

/// Refuses paths that must not come from an archive.
///
/// # Errors
/// When it climbs out, is absolute, has a NUL byte, or it or a name is too long.
pub fn check(path: &[u8]) -> Result<(), PathError> {
    if path.len() > MAX_PATH {
        return Err(too_long(path));
    }
    let shown = || display(path);
    if path.contains(&0) {
        return Err(PathError::Nul { path: shown() });
    }
    if path.starts_with(b"/") {
        return Err(PathError::Absolute { path: shown() });
    }
    for name in names(path) {
        if name == b".." {
            return Err(PathError::Climbs { path: shown() });
        }
        if name.len() > MAX_NAME {
            return Err(PathError::NameTooLong { path: shown() });
        }
    }
    Ok(())
}

fn too_long(path: &[u8]) -> PathError {
    PathError::TooLong {
        begins: display(&path[..path.len().min(SHOWN)]),
    }
}

/// Where `path` leads with the tree's root as `/`: `..` in a link's target stops
/// at the root as it does in a chroot. What is not there is taken as it stands.
pub(super) fn resolve(tree: &Tree, path: &[u8], last: Last) -> Result<Vec<u8>, PathError> {
    let mut ahead: VecDeque<Vec<u8>> = names(path).map(<[u8]>::to_vec).collect();
    let mut place = Vec::with_capacity(path.len());
    let mut links = 0;
    while let Some(name) = ahead.pop_front() {
        if name == b".." {
            let parent = place.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
            place.truncate(parent);
            continue;
        }
        let parent = place.len();
        if parent > 0 {
            place.push(b'/');
        }
        place.extend_from_slice(&name);
        if place.len() > MAX_PATH {
            return Err(too_long(path));
        }
        let Some(inode) = tree.get(&place) else {
            continue;
        };
        match &inode.kind {
            Kind::Directory => {}
            Kind::Symlink(_) if ahead.is_empty() && last == Last::Kept => {}
            Kind::Symlink(target) => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(PathError::LinkLoop {
                        path: display(path),
                    });
                }
                place.truncate(if target.starts_with(b"/") { 0 } else { parent });
                for name in names(target).rev() {
                    ahead.push_front(name.to_vec());
                }
            }
            _ if ahead.is_empty() => {}
            _ => {
                return Err(PathError::NotADirectory {
                    path: display(path),
                    obstacle: display(&place),
                });
            }
        }
    }
    Ok(place)
}
