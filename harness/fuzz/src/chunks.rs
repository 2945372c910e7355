//! A source that gives its bytes in the pieces the fuzzer chooses.

use std::io::{self, Read};

/// Gives at most as many bytes at a time as `sizes` says, over and over; a zero is a
/// signal that came between.
#[derive(Debug)]
pub struct Chunks<'data> {
    data: &'data [u8],
    sizes: &'data [u8],
    turn: usize,
}

impl<'data> Chunks<'data> {
    /// All of `data`; in one piece where there are no sizes.
    pub fn new(data: &'data [u8], sizes: &'data [u8]) -> Self {
        Self {
            data,
            sizes,
            turn: 0,
        }
    }
}

impl Read for Chunks<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut most = buffer.len();
        if !self.sizes.is_empty() && self.sizes.iter().any(|size| *size > 0) {
            let size = self.sizes[self.turn % self.sizes.len()];
            self.turn += 1;
            if size == 0 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            most = most.min(size.into());
        }
        let (now, rest) = self.data.split_at(most.min(self.data.len()));
        buffer[..now.len()].copy_from_slice(now);
        self.data = rest;
        Ok(now.len())
    }
}
