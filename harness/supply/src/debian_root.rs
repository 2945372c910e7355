//! Debian packages → a minimal root file system, without root and without running
//! what the packages would run on installation.
//!
//! What the maintainer scripts of Debian's essential packages do, and a program in
//! a container can notice, is done here instead: the links of the merged `/usr`,
//! `sh` and `awk`, the accounts, the files of base-files and libc-bin, dpkg's
//! database. `ldconfig` is not needed: `ld.so` looks in Debian's library folders
//! without a cache (libc-bin's own triggers file says so); a package that brings
//! libraries elsewhere, named in /etc/ld.so.conf.d, is not served by that.

mod accounts;
mod database;
mod defaults;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::deb::{self, Deb, DebError};
use crate::tree::{ContentError, Inode, Kind, Member, Spool, Tree, TreeError};

/// Changes whenever the same packages would give another root.
pub const VERSION: &str = "debian-root-v1";

/// Folders of `/` that are links into `/usr` in every Debian with a merged `/usr`.
const MERGED: [&str; 3] = ["bin", "sbin", "lib"];

/// Those that are so only where a package has something there.
const MERGED_IF_USED: [&str; 4] = ["lib64", "lib32", "libx32", "libo32"];

/// At most so many packages are unpacked at once: each needs up to 10 MiB.
const MAX_THREADS: usize = 4;

/// Why a root could not be assembled.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// A package cannot be read.
    #[error(transparent)]
    Deb(#[from] DebError),
    /// A package brings what a root cannot take.
    #[error("{}: {source}", package.display())]
    Tree {
        /// The package.
        package: PathBuf,
        /// Why.
        source: TreeError,
    },
    /// A file made here does not go in.
    #[error("completing the root: {0}")]
    Complete(#[from] TreeError),
    /// A file of the root cannot be read back.
    #[error("completing the root: {0}")]
    Content(#[from] ContentError),
}

/// Assembles the root that these packages make.
///
/// # Errors
/// When a package is broken, or two of them cannot be in one root.
pub fn assemble(packages: &[PathBuf], spool: &Arc<Spool>) -> Result<Tree, RootError> {
    let debs = read_all(packages, spool)?;
    let mut tree = Tree::new();
    merge_usr(&mut tree, &debs)?;
    for (package, deb) in packages.iter().zip(&debs) {
        unpack(&mut tree, deb).map_err(|source| RootError::Tree {
            package: package.clone(),
            source,
        })?;
    }
    defaults::complete(&mut tree)?;
    accounts::complete(&mut tree)?;
    database::complete(&mut tree, &debs)?;
    Ok(tree)
}

/// Reads packages on several threads; the result is in the order given.
fn read_all(packages: &[PathBuf], spool: &Arc<Spool>) -> Result<Vec<Deb>, RootError> {
    let threads =
        std::thread::available_parallelism().map_or(1, |count| count.get().min(MAX_THREADS));
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(packages.len()));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(package) = packages.get(at) else {
                        return;
                    };
                    let result = deb::read(Path::new(package), spool);
                    if result.is_err() {
                        // The others may stop: the root cannot be made.
                        next.store(packages.len(), Ordering::Relaxed);
                    }
                    results
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((at, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(at, _)| *at);
    let mut debs = Vec::with_capacity(results.len());
    for (_, result) in results {
        debs.push(result?);
    }
    Ok(debs)
}

/// Debootstrap does this for every suite since bullseye; from bookworm on packages
/// rely on it.
fn merge_usr(tree: &mut Tree, debs: &[Deb]) -> Result<(), TreeError> {
    let used = |folder: &str| {
        let mut paths = debs.iter().flat_map(|deb| &deb.members).map(Member::path);
        paths.any(|path| {
            let path = path.strip_prefix(b"./").unwrap_or(path);
            let path = path.strip_prefix(b"usr/").unwrap_or(path);
            path.strip_prefix(folder.as_bytes())
                .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
        })
    };
    let folders = MERGED_IF_USED.into_iter().filter(|folder| used(folder));
    for folder in MERGED.into_iter().chain(folders) {
        tree.insert(format!("usr/{folder}").as_bytes(), Inode::directory(0o755))?;
        tree.insert(folder.as_bytes(), Inode::symlink(format!("usr/{folder}")))?;
    }
    Ok(())
}

fn unpack(tree: &mut Tree, deb: &Deb) -> Result<(), TreeError> {
    for member in &deb.members {
        match member {
            Member::Inode { path, inode } => {
                if let Kind::Symlink(target) = &inode.kind
                    && leads_to_itself(tree, path, target)
                {
                    // `/usr/bin/x` → `/bin/x` of a time when they were two places.
                    continue;
                }
                tree.insert_keeping_links(path, inode.clone())?;
            }
            Member::Link { path, target } => tree.link(path, target)?,
        }
    }
    Ok(())
}

/// A link that in the merged `/usr` would stand in place of what it names.
fn leads_to_itself(tree: &Tree, path: &[u8], target: &[u8]) -> bool {
    let Ok(place) = tree.place(path) else {
        return false;
    };
    let Some(there) = tree.get(&place) else {
        return false;
    };
    if matches!(there.kind, Kind::Symlink(_)) {
        return false;
    }
    let from_root = if let Some(absolute) = target.strip_prefix(b"/") {
        absolute.to_vec()
    } else {
        let parent = place.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        [&place[..parent], b"/", target].concat()
    };
    tree.lookup(&from_root)
        .is_some_and(|entry| entry.path == place)
}

#[cfg(test)]
mod tests;
