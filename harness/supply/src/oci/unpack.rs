//! Layers → a tree. Each is decompressed, held against its digest and taken apart on
//! a thread of its own, while it is still being fetched; laid over one another they
//! are in order.

use std::io::{self, BufReader, Cursor, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use super::{Digest, Limits, OciError};
use crate::tree::{Budget, Layer, Spool, TarError, Tree, read_members_within};

/// How many layers are taken apart at once.
const AT_ONCE: usize = 4;

/// The largest window of a zstd stream, as a power of two: 128 MiB, the format's own
/// advice for what every reader should take.
const LARGEST_WINDOW: u32 = 27;

/// Bytes of a layer's archive for each entry beyond those of its file: its header, one
/// of PAX with a short body, padding.
const OVERHEAD: u64 = 2048;

/// Bytes of a layer's archive beyond all that: long names and attributes, of which
/// [`Budget`] takes 128 MiB, and what the archive is filled up with at its end.
const SLACK: u64 = 192 << 20;

/// Takes all layers apart, some at once, and lays them over one another. `read` takes
/// one apart: its number and what all of them share.
///
/// # Errors
/// The error of the lowest layer that has one.
pub fn layers(
    names: &[String],
    limits: Limits,
    read: impl Fn(usize, &Budget) -> Result<Layer, OciError> + Sync,
) -> Result<Tree, OciError> {
    let budget = Budget::new(limits.bytes, limits.entries);
    let next = AtomicUsize::new(0);
    let done: Vec<Mutex<Option<Result<Layer, OciError>>>> =
        names.iter().map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(names.len()) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(place) = done.get(number) else {
                        return;
                    };
                    let layer = read(number, &budget);
                    if layer.is_err() {
                        // The others would be for nothing.
                        next.store(names.len(), Ordering::Relaxed);
                    }
                    *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(layer);
                }
            });
        }
    });
    let mut tree = Tree::bounded(limits.entries);
    let mut missing = false;
    for (name, place) in names.iter().zip(done) {
        match place.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(layer) if !missing => {
                layer?.apply(&mut tree).map_err(|source| OciError::Apply {
                    layer: name.clone(),
                    source,
                })?;
            }
            // The one that failed is further up: its error is what counts.
            Some(layer) => {
                layer?;
            }
            None => missing = true,
        }
    }
    Ok(tree)
}

/// Takes one layer apart.
///
/// # Errors
/// When its plain bytes are not those of `diff_id`, or it is no archive, or holds more
/// than the budget has left.
pub fn layer(
    name: &str,
    source: impl Read,
    diff_id: &Digest,
    spool: &Arc<Spool>,
    budget: &Budget,
    limits: Limits,
) -> Result<Layer, OciError> {
    let mut hashed = Hashed {
        inner: plain(name, source)?,
        hash: Sha256::new(),
        left: limits
            .entries
            .saturating_mul(OVERHEAD)
            .saturating_add(limits.bytes)
            .saturating_add(SLACK),
    };
    let mut layer = Layer::default();
    let members = read_members_within(&mut hashed, spool, budget, |member| {
        layer.push(member);
        Ok(())
    });
    match members {
        Ok(()) => {}
        // Some builders leave out the end, and other readers do not ask for it. That
        // nothing is missing the digest tells.
        Err(TarError::NoEnd { .. }) => {}
        Err(source) => {
            return Err(OciError::Layer {
                layer: name.to_owned(),
                source,
            });
        }
    }
    let actual = Digest::from_hash(&hashed.hash.finalize());
    if actual != *diff_id {
        return Err(OciError::Digest {
            what: format!("{name}, decompressed"),
            expected: diff_id.to_string(),
            actual: actual.to_string(),
        });
    }
    Ok(layer)
}

/// The plain bytes of a layer: gzip, zstd or plain itself, which are all the
/// specification has.
fn plain<'source>(
    name: &str,
    mut source: impl Read + 'source,
) -> Result<Box<dyn Read + 'source>, OciError> {
    let refuse = |reason: String| OciError::Compression {
        layer: name.to_owned(),
        reason,
    };
    let mut first = Vec::with_capacity(6);
    (&mut source)
        .take(6)
        .read_to_end(&mut first)
        .map_err(|error| refuse(error.to_string()))?;
    let whole = |first| BufReader::with_capacity(128 << 10, Cursor::new(first).chain(source));
    Ok(match first.as_slice() {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(whole(first))),
        // A frame, or one that is to be skipped, which some writers put first.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(whole(first))
                .map_err(|error| refuse(error.to_string()))?;
            decoder
                .window_log_max(LARGEST_WINDOW)
                .map_err(|error| refuse(error.to_string()))?;
            Box::new(decoder)
        }
        [b'B', b'Z', b'h', ..] => {
            return Err(refuse("compressed with bzip2, which no layer is".into()));
        }
        [0xfd, b'7', b'z', b'X', b'Z', 0] => {
            return Err(refuse("compressed with xz, which no layer is".into()));
        }
        _ => Box::new(whole(first)),
    })
}

/// Takes the digest of all that is read, and ends a stream without end.
struct Hashed<R> {
    inner: R,
    hash: Sha256,
    left: u64,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hash.update(&buffer[..count]);
        match self.left.checked_sub(count as u64) {
            Some(left) => self.left = left,
            None => {
                return Err(io::Error::other(
                    "it decompresses to more than an image may have (MATRIX_IMAGE_MIB allows more)",
                ));
            }
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
