//! A cgroup of its own for each cell, in every hierarchy, as docker gives each
//! container one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use wire::Cgroup;

use super::ROOT;
use crate::error::{Error, Result};

/// How long removing waits for the kernel to let go of the last process.
const PATIENCE: Duration = wire::Limits::CGROUP;

/// The folders of one cell's cgroup.
#[derive(Debug)]
pub(crate) struct CellCgroup {
    folders: Vec<PathBuf>,
}

impl CellCgroup {
    /// Makes the one with this number. Empty where the machine has no hierarchy.
    ///
    /// # Errors
    /// When a folder cannot be made.
    pub(crate) fn make(layout: Cgroup, number: u64) -> Result<Self> {
        let mut cgroup = Self {
            folders: Vec::new(),
        };
        for hierarchy in hierarchies(Path::new(ROOT), layout)? {
            let folder = hierarchy.join(format!("cell-{number}"));
            if let Err(error) = fs::create_dir(&folder) {
                let error = Error::file("create", &folder)(error);
                return match cgroup.remove() {
                    Ok(()) | Err(_) => Err(error),
                };
            }
            cgroup.folders.push(folder);
        }
        Ok(cgroup)
    }

    /// The files a process joins by, one per hierarchy.
    pub(crate) fn doors(&self) -> impl Iterator<Item = PathBuf> {
        self.folders
            .iter()
            .map(|folder| folder.join("cgroup.procs"))
    }

    /// Removes it, and what the container's processes made below it.
    ///
    /// # Errors
    /// When a process is still in it.
    pub(crate) fn remove(self) -> Result<()> {
        let begun = Instant::now();
        for folder in &self.folders {
            // A process that was just reaped can still be counted (EBUSY).
            while let Err(error) = remove_tree(folder) {
                if begun.elapsed() > PATIENCE {
                    return Err(Error::file("remove", folder)(error));
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(())
    }
}

/// The mounted hierarchies. Those that are symbolic links (`cpu` →
/// `cpu,cpuacct`) are there under their own name.
fn hierarchies(root: &Path, layout: Cgroup) -> Result<Vec<PathBuf>> {
    match layout {
        Cgroup::None => Ok(Vec::new()),
        Cgroup::V2 => Ok(vec![root.to_owned()]),
        Cgroup::V1 | Cgroup::Hybrid => {
            let mut found = Vec::new();
            for entry in fs::read_dir(root).map_err(Error::file("list", root))? {
                let entry = entry.map_err(Error::file("list", root))?;
                let kind = entry
                    .file_type()
                    .map_err(Error::file("read", entry.path()))?;
                if kind.is_dir() {
                    found.push(entry.path());
                }
            }
            Ok(found)
        }
    }
}

/// rmdir, from the leaves up where there are any; a cgroup's files go with it.
fn remove_tree(folder: &Path) -> io::Result<()> {
    if fs::remove_dir(folder).is_ok() {
        return Ok(());
    }
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_tree_is_removed_and_one_that_is_gone_is() {
        let root = std::env::temp_dir().join(format!("guest-cgroups-{}", std::process::id()));
        fs::create_dir_all(root.join("made/by")).unwrap();
        fs::create_dir_all(root.join("its own")).unwrap();
        remove_tree(&root).unwrap();
        assert!(!root.exists());
        remove_tree(&root).unwrap();
        // What is no cgroup's own cannot be removed, and is not passed over.
        fs::create_dir_all(&root).unwrap();
        fs::write(root.join("held"), "").unwrap();
        assert!(remove_tree(&root).is_err());
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn joined_hierarchies_count_once() {
        let root = std::env::temp_dir().join(format!("guest-cgroup-{}", std::process::id()));
        fs::create_dir_all(root.join("cpu,cpuacct")).unwrap();
        fs::create_dir_all(root.join("memory")).unwrap();
        symlink("cpu,cpuacct", root.join("cpu")).unwrap();
        let mut found = hierarchies(&root, Cgroup::V1).unwrap();
        found.sort();
        assert_eq!(found, [root.join("cpu,cpuacct"), root.join("memory")]);
        assert_eq!(
            hierarchies(&root, Cgroup::V2).unwrap(),
            std::slice::from_ref(&root)
        );
        assert!(hierarchies(&root, Cgroup::None).unwrap().is_empty());
        fs::remove_dir_all(&root).unwrap();
    }
}
