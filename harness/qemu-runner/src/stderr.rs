//! What QEMU itself says: kept, bounded, and listened to for the one thing that
//! it says without ending.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Mutex, PoisonError};

/// Bytes kept; QEMU's reasons come first, dumps of registers after.
const MAX_KEPT: usize = 16 << 10;

/// QEMU's stderr.
#[derive(Debug, Default)]
pub(crate) struct Stderr(Mutex<Vec<u8>>);

impl Stderr {
    /// Reads until the stream ends; `stopped` hears of a line that says that the
    /// machine was stopped although QEMU runs on.
    pub(crate) fn collect(&self, stream: impl Read, mut stopped: impl FnMut(String)) {
        let mut reader = BufReader::new(stream);
        loop {
            let mut line = Vec::new();
            // A line is cut at what is kept, so that a stream without newlines
            // does not grow without bound.
            match reader
                .by_ref()
                .take(MAX_KEPT as u64)
                .read_until(b'\n', &mut line)
            {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let room = MAX_KEPT.saturating_sub(kept.len());
            kept.extend_from_slice(&line[..line.len().min(room)]);
            drop(kept);
            let text = String::from_utf8_lossy(&line);
            // After these QEMU stops the virtual CPU, prints its registers, and
            // waits for a monitor's command that never comes.
            if text.starts_with("KVM internal error") || text.starts_with("error: kvm run failed") {
                stopped(text.trim_end().to_owned());
            }
        }
    }

    /// What was kept.
    pub(crate) fn text(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&kept).trim_end().to_owned()
    }
}
