//! Some files of a tar → a folder of the host.

use std::fs::Permissions;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use fs_err as fs;
use tar::EntryType;

use super::path::check;
use super::tar_reader::{TarError, Visited, visit_tar};

/// The most bytes that are extracted at once. A kernel whose modules carry their
/// debugging information comes to four gigabytes.
pub const MOST_EXTRACTED: u64 = 8 << 30;

/// Why files could not be extracted.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// The archive is broken, or a path of it leads out of the folder.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// A file could not be written; the message has its path.
    #[error("unpacking: {0}")]
    Write(io::Error),
    /// Too much.
    #[error("it unpacks to more than {} MiB", MOST_EXTRACTED >> 20)]
    Bomb,
}

/// A link of an archive, not yet made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// A symbolic one.
    Symbolic {
        /// Below the destination.
        place: String,
        /// As the archive has it.
        target: String,
    },
    /// Another name of a file.
    Hard {
        /// Below the destination.
        place: String,
        /// Below the destination.
        target: String,
    },
}

/// Writes some of a tar's files below `destination`, which holds no symbolic links
/// yet; the tar may be compressed. `place` says where a member's path (`usr/bin/x`)
/// goes, none: nowhere. Owners, devices and attributes are left out; links are not
/// followed and not written through: they are given back, to be made when all files
/// are written.
///
/// # Errors
/// When the archive is broken or holds too much, or a file cannot be written.
pub fn extract_tar(
    source: impl Read,
    destination: &Path,
    place: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<Link>, ExtractError> {
    let mut links = Vec::new();
    let mut failed = None;
    let mut left = MOST_EXTRACTED;
    let visited = visit_tar(source, &mut |head: Visited<'_>, data| {
        match member(&head, data, destination, place, &mut links, &mut left) {
            Ok(()) => Ok(()),
            Err(error) => {
                failed = Some(error);
                // Nothing after it matters, and a bomb must not go on.
                Err(TarError::Read(io::ErrorKind::Interrupted.into()))
            }
        }
    });
    match failed {
        Some(error) => Err(error),
        None => Ok(visited.map(|()| links)?),
    }
}

fn member(
    head: &Visited<'_>,
    data: &mut dyn Read,
    destination: &Path,
    place: &dyn Fn(&str) -> Option<String>,
    links: &mut Vec<Link>,
    left: &mut u64,
) -> Result<(), ExtractError> {
    // What is unpacked so is only ever looked up by names that are text.
    let placed = |path: &[u8]| {
        let path = std::str::from_utf8(path).ok()?;
        place(path.trim_start_matches("./").trim_end_matches('/'))
    };
    let Some(to) = placed(head.path) else {
        return Ok(());
    };
    check(to.as_bytes()).map_err(|error| TarError::Tree(error.into()))?;
    let target = destination.join(&to);
    match head.kind {
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent).map_err(ExtractError::Write)?;
            }
            let mut file = fs::File::create(&target).map_err(ExtractError::Write)?;
            let copied = io::copy(&mut data.take(*left + 1), &mut file);
            let copied = copied.map_err(ExtractError::Write)?;
            *left = left.checked_sub(copied).ok_or(ExtractError::Bomb)?;
            let mode = head.mode & 0o755 | 0o600;
            fs::set_permissions(&target, Permissions::from_mode(mode))
                .map_err(ExtractError::Write)?;
        }
        EntryType::Symlink => links.push(Link::Symbolic {
            place: to,
            target: String::from_utf8_lossy(head.link).into_owned(),
        }),
        EntryType::Link => {
            if let Some(target) = placed(head.link) {
                check(target.as_bytes()).map_err(|error| TarError::Tree(error.into()))?;
                links.push(Link::Hard { place: to, target });
            }
        }
        _ => {}
    }
    Ok(())
}
