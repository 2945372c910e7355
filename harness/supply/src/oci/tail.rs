//! A file that is read while it is still being fetched.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A file on its way: the fetching side tells of it, the reading side waits for it.
#[derive(Debug, Default)]
pub(super) struct Tail {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    path: Option<PathBuf>,
    length: u64,
    /// How often it began anew: what was read before may be wrong.
    restarts: u32,
    end: Option<End>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Complete,
    Failed,
}

impl Tail {
    /// It grows at this path.
    pub(super) fn begin(&self, path: PathBuf) {
        self.lock().path = Some(path);
        self.changed.notify_all();
    }

    /// So many bytes are in it.
    pub(super) fn landed(&self, length: u64) {
        let mut state = self.lock();
        if length < state.length {
            state.restarts += 1;
        }
        state.length = length;
        self.changed.notify_all();
    }

    /// All of it is there, at this path.
    pub(super) fn complete(&self, path: PathBuf) {
        let mut state = self.lock();
        // A file that is open already is this one: it was renamed.
        state.path = Some(path);
        state.end = Some(End::Complete);
        self.changed.notify_all();
    }

    /// No more will come.
    pub(super) fn fail(&self) {
        self.lock().end = Some(End::Failed);
        self.changed.notify_all();
    }

    /// It began anew at least once.
    pub(super) fn restarted(&self) -> bool {
        self.lock().restarts > 0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a [`Tail`] from its beginning.
#[derive(Debug)]
pub(super) struct TailReader {
    tail: Arc<Tail>,
    file: Option<File>,
    position: u64,
}

impl TailReader {
    pub(super) fn new(tail: Arc<Tail>) -> Self {
        Self {
            tail,
            file: None,
            position: 0,
        }
    }

    /// Waits until there is something to read, or nothing more will come; how many
    /// bytes may be read now.
    fn wait(&mut self) -> io::Result<u64> {
        let mut state = self.tail.lock();
        loop {
            if state.restarts > 0 {
                return Err(io::Error::other("the transfer began anew"));
            }
            if state.end == Some(End::Failed) {
                return Err(io::Error::other("the transfer failed"));
            }
            let complete = state.end == Some(End::Complete);
            if let Some(path) = &state.path
                && (complete || state.length > self.position)
            {
                if self.file.is_none() {
                    self.file = match File::open(path) {
                        Ok(file) => Some(file),
                        // It is being put in its place: the end tells where that is.
                        Err(error) if error.kind() == io::ErrorKind::NotFound && !complete => None,
                        Err(error) => return Err(error),
                    };
                }
                if self.file.is_some() {
                    return Ok(if complete {
                        u64::MAX
                    } else {
                        state.length - self.position
                    });
                }
            }
            state = self
                .tail
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Read for TailReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let there = self.wait()?;
        let want = usize::try_from(there).map_or(buffer.len(), |there| there.min(buffer.len()));
        let Some(file) = &mut self.file else {
            return Ok(0);
        };
        let count = file.read(&mut buffer[..want])?;
        self.position += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn what_comes_late_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let (growing, done) = (folder.path().join("growing"), folder.path().join("done"));
        let tail = Arc::new(Tail::default());
        let mut reader = TailReader::new(Arc::clone(&tail));
        let read = std::thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).map(|_| text)
        });
        std::fs::write(&growing, "one ").unwrap();
        tail.begin(growing.clone());
        tail.landed(4);
        // Not written anew: that would make it empty for a moment.
        let mut file = File::options().append(true).open(&growing).unwrap();
        file.write_all(b"two").unwrap();
        tail.landed(7);
        std::fs::rename(&growing, &done).unwrap();
        tail.complete(done);
        assert_eq!(read.join().unwrap().unwrap(), "one two");
    }

    #[test]
    fn a_file_that_is_moved_before_it_is_opened_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let done = folder.path().join("done");
        let tail = Arc::new(Tail::default());
        let mut reader = TailReader::new(Arc::clone(&tail));
        tail.begin(folder.path().join("moved"));
        tail.landed(3);
        let read = std::thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).map(|_| text)
        });
        std::fs::write(&done, "all").unwrap();
        tail.complete(done);
        assert_eq!(read.join().unwrap().unwrap(), "all");
    }

    #[test]
    fn a_transfer_that_begins_anew_or_fails_ends_the_reading() {
        for restart in [true, false] {
            let tail = Arc::new(Tail::default());
            tail.landed(5);
            if restart {
                tail.landed(0);
            } else {
                tail.fail();
            }
            let mut reader = TailReader::new(tail);
            assert!(reader.read(&mut [0; 4]).is_err());
        }
    }
}
