//! What is known of a running container outside of it: a file
//! `/run/matrix-runtime/ID.json` for each that has cgroups of its own.
//!
//! Its runtime holds a lock on it. A file whose lock is free is that of a
//! runtime that was killed: the next to start removes what it left.
//!
//! What one runtime at a time may do is guarded by a file there, too ([`Turn`]).

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::cgroup::freezer::Freezer;
use crate::descriptor::errno_of;
use crate::failure::{Failure, Step};

const FOLDER: &str = "/run/matrix-runtime";

/// How often a file is opened anew that was removed under one's hands.
const TRIES: usize = 16;

/// How long a runtime waits for its turn. Others' take milliseconds each, but
/// many may come at once, and the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks whether it has come.
const PAUSE: Duration = Duration::from_millis(5);

/// What one runtime at a time has, until it is dropped. Its file can be opened
/// by root alone, so that nobody else can hold it.
#[derive(Debug)]
pub(crate) struct Turn {
    path: PathBuf,
    #[expect(dead_code, reason = "open as long as the lock is held")]
    file: File,
}

impl Turn {
    /// Waits for whoever has it.
    ///
    /// # Errors
    /// Also when that takes longer than [`PATIENCE`].
    pub(crate) fn take(name: &str) -> Result<Self, Failure> {
        Self::take_in(Path::new(FOLDER), name, PATIENCE)
    }

    fn take_in(folder: &Path, name: &str, patience: Duration) -> Result<Self, Failure> {
        fs::create_dir_all(folder)
            .map_err(errno_of)
            .on("make the folder", folder)?;
        let path = folder.join(name);
        let begun = Instant::now();
        loop {
            let file = open(&path)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) if is_there(&file, &path)? => return Ok(Self { path, file }),
                Ok(()) | Err(Errno::WOULDBLOCK | Errno::INTR) => {}
                Err(errno) => return Err(errno).on("lock", &path),
            }
            if begun.elapsed() > patience {
                let path = path.display();
                return Err(Errno::WOULDBLOCK)
                    .step(|| format!("lock {path}, held by another for {} s", patience.as_secs()));
            }
            // Not a call that blocks: signals are held back meanwhile.
            std::thread::sleep(PAUSE);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // While it is held: who has opened it sees that it is gone. One that
        // stays is the next one's.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether who had a file has not removed it in between.
fn is_there(file: &File, path: &Path) -> Result<bool, Failure> {
    let status = file.metadata().map_err(errno_of).on("stat", path)?;
    Ok(status.nlink() > 0)
}

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
        // One at a time: who cleans holds the locks of the dead.
        let _turn = Turn::take_in(folder, "lock", PATIENCE)?;
        sweep(folder, clean)?;
        let path = folder.join(format!("{id}.json"));
        for _ in 0..TRIES {
            let file = open(&path)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::WOULDBLOCK) => {
                    return Err(Errno::BUSY).step(|| {
                        let path = path.display();
                        format!("claim {path}: a container {id} runs already")
                    });
                }
                answer => answer.on("lock", &path)?,
            }
            if !is_there(&file, &path)? {
                continue;
            }
            // What is told of there would be forgotten.
            let length = file.metadata().map_err(errno_of).on("stat", &path)?.len();
            if length > 0 {
                return Err(Errno::BUSY).step(|| {
                    let path = path.display();
                    format!("remove what an earlier container left, told in {path}")
                });
            }
            return Ok(Self { path, file });
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
        let second = second.to_string();
        assert!(second.contains("a container a runs already"), "{second}");
        Entry::claim_in(folder.path(), "b", |state| {
            panic!("{state:?} is no dead one's")
        })
        .unwrap();
        first.remove().unwrap();
        assert!(read_in(folder.path(), "a").is_err());
        Entry::claim_in(folder.path(), "a", nothing).unwrap();
    }

    #[test]
    fn a_turn_is_one_runtimes_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let take = |patience| Turn::take_in(folder.path(), "lock", patience);
        let one = take(Duration::ZERO).unwrap();
        let other = take(Duration::from_millis(20)).unwrap_err().to_string();
        assert!(other.contains("lock, held by another"), "{other}");
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| take(PATIENCE).map(drop));
            drop(one);
            waiting.join().unwrap().unwrap();
        });
        assert!(!folder.path().join("lock").exists());
    }

    #[test]
    fn what_cannot_be_cleaned_is_not_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let claim = || {
            Entry::claim_in(folder.path(), "a", |_| {
                Err(Failure::invalid("x", "cannot be cleaned"))
            })
        };
        claim().unwrap().write(&state("/x")).unwrap();
        let again = claim().unwrap_err().to_string();
        assert!(again.contains("what an earlier container left"), "{again}");
        let mut seen = None;
        Entry::claim_in(folder.path(), "a", |state| {
            seen = Some(state.clone());
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, Some(state("/x")));
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
