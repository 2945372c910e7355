//! A bounded copy of an output stream.

use std::fs::File;
use std::io::{self, Read};

use wire::Captured;

/// Read at once: what a pipe holds.
const CHUNK: usize = 64 << 10;

/// A pipe's reading end and what came out of it.
#[derive(Debug)]
pub(super) struct Capture {
    /// None once its end was seen.
    pipe: Option<File>,
    limit: u64,
    end: Kept,
    kept: Captured,
}

/// Which bytes of a stream that is too long are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    First,
    Last,
}

impl Capture {
    /// Keeps the first `limit` bytes.
    pub(super) fn new(pipe: File, limit: u64) -> Self {
        Self {
            pipe: Some(pipe),
            limit,
            end: Kept::First,
            kept: Captured::default(),
        }
    }

    /// Keeps the last `limit` bytes; of no pipe, none.
    pub(super) fn last(pipe: Option<File>, limit: u64) -> Self {
        Self {
            pipe,
            limit,
            end: Kept::Last,
            kept: Captured::default(),
        }
    }

    /// The pipe, while it is open.
    pub(super) fn pipe(&self) -> Option<&File> {
        self.pipe.as_ref()
    }

    /// Takes what is there; blocks if nothing is, so call it when poll said so.
    ///
    /// # Errors
    /// When the pipe cannot be read.
    pub(super) fn take(&mut self, chunk: &mut Chunk) -> io::Result<()> {
        let Some(pipe) = &mut self.pipe else {
            return Ok(());
        };
        match pipe.read(&mut chunk.0) {
            Ok(0) => self.pipe = None,
            Ok(length) => self.keep(&chunk.0[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.end == Kept::Last {
            self.kept.bytes.extend_from_slice(bytes);
            let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
            let surplus = self.kept.bytes.len().saturating_sub(limit);
            self.kept.bytes.drain(..surplus);
            self.kept.dropped += surplus as u64;
            return;
        }
        let room = self.limit.saturating_sub(self.kept.bytes.len() as u64);
        let kept = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        self.kept.bytes.extend_from_slice(&bytes[..kept]);
        self.kept.dropped += (bytes.len() - kept) as u64;
    }

    /// What came; whoever still writes gets SIGPIPE from now on.
    pub(super) fn finish(self) -> Captured {
        self.kept
    }
}

/// Room to read into, shared by all pipes of a cell.
#[derive(Debug)]
pub(super) struct Chunk(Box<[u8]>);

impl Chunk {
    pub(super) fn new() -> Self {
        Self(vec![0; CHUNK].into_boxed_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn the_first_bytes_are_kept_and_the_rest_counted() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let mut writer = File::from(writer);
        let mut capture = Capture::new(File::from(reader), 5);
        let mut chunk = Chunk::new();
        for part in [&b"abc"[..], b"defg", b"h"] {
            writer.write_all(part).unwrap();
            capture.take(&mut chunk).unwrap();
        }
        assert!(capture.pipe().is_some());
        drop(writer);
        capture.take(&mut chunk).unwrap();
        assert!(capture.pipe().is_none());
        assert_eq!(
            capture.finish(),
            Captured {
                bytes: b"abcde".to_vec(),
                dropped: 3
            }
        );
    }
}
