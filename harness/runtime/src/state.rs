//! What is known of a running container outside of it: a file
//! `/run/matrix-runtime/ID.json` for each that has cgroups of its own.
//!
//! Its runtime holds a lock on it. A file whose lock is free is that of a
//! runtime that was killed: the next to start removes what it left.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::cgroup::freezer::Freezer;
use crate::descriptor::errno_of;
use crate::failure::{Failure, Step};

const FOLDER: &str = "/run/matrix-runtime";

/// How often a file is opened anew that was removed under one's hands.
const TRIES: usize = 16;

/// What the file says, as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    /// The cgroups made for it, each before those below it.
    pub(crate) cgroups: Vec<PathBuf>,
    /// By what its processes are stopped.
    pub(crate) freezer: Option<Freezer>,
}

/// The file of this runtime's own container.
#[derive(Debug)]
pub(crate) struct Entry {
    path: PathBuf,
    file: File,
}

impl Entry {
    /// Claims `id`, after `clean` has been given what killed runtimes left.
    /// What it cannot clean stays for the next.
    pub(crate) fn claim(
        id: &str,
        clean: impl FnMut(&State) -> Result<(), Failure>,
    ) -> Result<Self, Failure> {
        Self::claim_in(Path::new(FOLDER), id, clean)
    }

    fn claim_in(
        folder: &Path,
        id: &str,
        clean: impl FnMut(&State) -> Result<(), Failure>,
    ) -> Result<Self, Failure> {
        fs::create_dir_all(folder)
            .map_err(errno_of)
            .on("make the folder", folder)?;
        // One at a time: who cleans holds the locks of the dead.
        let path = folder.join("lock");
        let turn = open(&path)?;
        flock(&turn, FlockOperation::LockExclusive).on("lock", &path)?;
        sweep(folder, clean)?;
        let path = folder.join(format!("{id}.json"));
        for _ in 0..TRIES {
            let file = open(&path)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::WOULDBLOCK) => {
                    return Err(Failure::invalid(
                        "ID",
                        format!("a container {id} runs already"),
                    ));
                }
                answer => answer.on("lock", &path)?,
            }
            // The runtime that had the ID may have removed it in between.
            let links = file.metadata().map_err(errno_of).on("stat", &path)?.nlink();
            if links > 0 {
                return Ok(Self { path, file });
            }
        }
        Err(Errno::BUSY).on("claim", &path)
    }

    /// Says it.
    pub(crate) fn write(&mut self, state: &State) -> Result<(), Failure> {
        let text = serde_json::to_vec(state).map_err(|source| Failure::Json {
            path: self.path.clone(),
            source,
        })?;
        self.file
            .set_len(0)
            .and_then(|()| self.file.write_all(&text))
            .map_err(errno_of)
            .on("write", &self.path)
    }

    /// Nothing is left of the container.
    pub(crate) fn remove(self) -> Result<(), Failure> {
        fs::remove_file(&self.path)
            .map_err(errno_of)
            .on("remove", &self.path)
    }
}

/// Of the running container `id`.
pub(crate) fn read(id: &str) -> Result<State, Failure> {
    read_in(Path::new(FOLDER), id)
}

fn read_in(folder: &Path, id: &str) -> Result<State, Failure> {
    let path = folder.join(format!("{id}.json"));
    let none = || {
        Failure::invalid(
            "ID",
            format!("no container {id} with cgroups of its own runs"),
        )
    };
    let mut file = match File::open(&path) {
        Err(error) if errno_of_ref(&error) == Errno::NOENT => return Err(none()),
        answer => answer.map_err(errno_of).on("open", &path)?,
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Err(Errno::WOULDBLOCK) => {}
        answer => {
            answer.on("lock", &path)?;
            return Err(none());
        }
    }
    let mut text = String::new();
    file.read_to_string(&mut text)
        .map_err(errno_of)
        .on("read", &path)?;
    serde_json::from_str(&text).map_err(|source| Failure::Json { path, source })
}

/// Gives `clean` the states of runtimes that are gone.
fn sweep(
    folder: &Path,
    mut clean: impl FnMut(&State) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let entries = fs::read_dir(folder).map_err(errno_of).on("read", folder)?;
    for entry in entries {
        let path = entry.map_err(errno_of).on("read", folder)?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let Ok(mut file) = File::open(&path) else {
            // Its runtime has just ended.
            continue;
        };
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => continue,
            answer => answer.on("lock", &path)?,
        }
        let mut text = String::new();
        file.read_to_string(&mut text)
            .map_err(errno_of)
            .on("read", &path)?;
        // A runtime that was killed before it had written made nothing.
        let state: State = serde_json::from_str(&text).unwrap_or_default();
        if clean(&state).is_ok() {
            match fs::remove_file(&path) {
                Err(error) if errno_of_ref(&error) != Errno::NOENT => {
                    return Err(errno_of(error)).on("remove", &path);
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn errno_of_ref(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

fn open(path: &Path) -> Result<File, Failure> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(errno_of)
        .on("open", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing(_: &State) -> Result<(), Failure> {
        Ok(())
    }

    fn state(name: &str) -> State {
        State {
            cgroups: vec![PathBuf::from(name)],
            freezer: None,
        }
    }

    #[test]
    fn an_id_is_one_containers_until_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = Entry::claim_in(folder.path(), "a", nothing).unwrap();
        first.write(&state("/x")).unwrap();
        assert_eq!(read_in(folder.path(), "a").unwrap(), state("/x"));
        let second = Entry::claim_in(folder.path(), "a", nothing).unwrap_err();
        assert_eq!(second.to_string(), "ID: a container a runs already");
        Entry::claim_in(folder.path(), "b", |state| {
            panic!("{state:?} is no dead one's")
        })
        .unwrap();
        first.remove().unwrap();
        assert!(read_in(folder.path(), "a").is_err());
        Entry::claim_in(folder.path(), "a", nothing).unwrap();
    }

    #[test]
    fn what_a_killed_runtime_left_is_cleaned_by_the_next() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            let mut dead = Entry::claim_in(folder.path(), name, |_| {
                Err(Failure::invalid("x", "not yet"))
            })
            .unwrap();
            dead.write(&state(name)).unwrap();
            // Dropped without being removed: the lock is free.
        }
        assert!(read_in(folder.path(), "a").is_err());
        let mut seen = Vec::new();
        let next = Entry::claim_in(folder.path(), "c", |state| {
            seen.extend(state.cgroups.clone());
            match seen.len() {
                1 => Err(Failure::invalid("x", "cannot be cleaned")),
                _ => Ok(()),
            }
        })
        .unwrap();
        assert_eq!(seen.len(), 2);
        let mut again = 0;
        Entry::claim_in(folder.path(), "d", |_| {
            again += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!(again, 1, "what could not be cleaned was kept");
        next.remove().unwrap();
    }
}
