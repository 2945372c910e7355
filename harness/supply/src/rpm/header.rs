//! The head of an .rpm: lead, signature header and header, held against their own
//! bounds before anything reads them.
//!
//! The `rpm` crate trusts counts and offsets; a header that lies about them would
//! end the program. So every entry is measured here first.

use std::io::{self, Read};
use std::ops::Range;

/// The lead's length.
const LEAD: usize = 96;

/// The length of a header's own head, and of an entry of its index.
const ENTRY: usize = 16;

/// The most entries a header may have: rpm's own limit.
const MOST_ENTRIES: usize = 0xffff;

/// The most bytes of data a header may have. Kernels with their thousands of files
/// come to two megabytes.
const MOST_DATA: usize = 64 << 20;

/// Why the head of an .rpm is not one.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// It cannot be read.
    #[error("{0}")]
    Read(io::Error),
    /// It begins otherwise.
    #[error("not an RPM package")]
    NotRpm,
    /// It ends too soon.
    #[error("cut short within its headers")]
    Cut,
    /// A header that says of itself what cannot be.
    #[error("its {header} is broken: {what}")]
    Broken {
        /// `signature header` or `header`.
        header: &'static str,
        /// What is wrong.
        what: &'static str,
    },
}

/// The head of a package, measured.
#[derive(Debug)]
pub(super) struct Head {
    /// All of it.
    pub(super) bytes: Vec<u8>,
    /// Where in it the header is, which signatures are over.
    pub(super) header: Range<usize>,
}

impl Head {
    /// The bytes that signatures are over.
    pub(super) fn signed(&self) -> &[u8] {
        &self.bytes[self.header.clone()]
    }

    /// Reads the head; the payload begins where the stream then stands.
    pub(super) fn read(source: &mut impl Read) -> Result<Head, HeadError> {
        let mut bytes = Vec::new();
        match take(source, &mut bytes, LEAD) {
            Ok(()) | Err(HeadError::Cut) if !bytes.starts_with(&[0xed, 0xab, 0xee, 0xdb]) => {
                return Err(HeadError::NotRpm);
            }
            other => other?,
        }
        let signature = header(source, &mut bytes, "signature header")?;
        let padding = signature.len().next_multiple_of(8) - signature.len();
        take(source, &mut bytes, padding)?;
        let header = header(source, &mut bytes, "header")?;
        Ok(Head { bytes, header })
    }
}

/// Appends exactly so many bytes.
fn take(source: &mut impl Read, bytes: &mut Vec<u8>, count: usize) -> Result<(), HeadError> {
    let got = source
        .take(count as u64)
        .read_to_end(bytes)
        .map_err(HeadError::Read)?;
    if got == count {
        Ok(())
    } else {
        Err(HeadError::Cut)
    }
}

/// Appends a header and measures it. Where in the bytes it is.
fn header(
    source: &mut impl Read,
    bytes: &mut Vec<u8>,
    name: &'static str,
) -> Result<Range<usize>, HeadError> {
    let broken = |what| HeadError::Broken { header: name, what };
    let start = bytes.len();
    take(source, bytes, ENTRY)?;
    let head = &bytes[start..];
    if head[..4] != [0x8e, 0xad, 0xe8, 1] {
        return Err(broken("it does not begin as one of version 1"));
    }
    let (entries, data) = (number(head, 8), number(head, 12));
    if entries > MOST_ENTRIES {
        return Err(broken("more entries than rpm takes"));
    }
    if data > MOST_DATA {
        return Err(broken("more data than any kernel's has"));
    }
    take(source, bytes, entries * ENTRY + data)?;
    let (index, store) = bytes[start + ENTRY..].split_at(entries * ENTRY);
    // Entries do not overlap, but for the one that marks the region.
    let mut left = 2 * store.len();
    for entry in index.chunks_exact(ENTRY) {
        let (kind, count) = (number(entry, 4), number(entry, 12));
        // As a signed number it would be negative: beyond the end too.
        let rest = store
            .get(number(entry, 8)..)
            .ok_or_else(|| broken("an entry's data lies outside"))?;
        let length = match kind {
            0 => Some(0),
            1 | 2 | 7 => Some(count),
            3 => count.checked_mul(2),
            4 => count.checked_mul(4),
            5 => count.checked_mul(8),
            6 => strings(rest, 1),
            8 | 9 => strings(rest, count),
            _ => return Err(broken("an entry of a kind that is not known")),
        };
        let length = length
            .filter(|length| *length <= rest.len())
            .ok_or_else(|| broken("an entry's data reaches beyond the end"))?;
        left = left
            .checked_sub(length)
            .ok_or_else(|| broken("its entries overlap"))?;
    }
    Ok(start..bytes.len())
}

fn number(bytes: &[u8], at: usize) -> usize {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize
}

/// How long so many strings are, each with its NUL.
fn strings(bytes: &[u8], count: usize) -> Option<usize> {
    let mut ends = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == 0)
        .map(|(at, _)| at + 1);
    match count {
        0 => Some(0),
        count => ends.nth(count - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of entries `(kind, offset, count)` over this data.
    fn header_of(entries: &[(u32, u32, u32)], data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0];
        bytes.extend((entries.len() as u32).to_be_bytes());
        bytes.extend((data.len() as u32).to_be_bytes());
        for (kind, offset, count) in entries {
            for word in [1000, *kind, *offset, *count] {
                bytes.extend(word.to_be_bytes());
            }
        }
        bytes.extend(data);
        bytes
    }

    fn package(header: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0xed, 0xab, 0xee, 0xdb];
        bytes.resize(LEAD, 0);
        bytes.extend(header_of(&[(7, 0, 3)], b"abc"));
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes.extend(header);
        bytes.extend(b"payload");
        bytes
    }

    fn read(header: &[u8]) -> Result<Head, HeadError> {
        Head::read(&mut package(header).as_slice())
    }

    #[test]
    fn a_sound_head_is_measured_to_its_payload() {
        let good = header_of(&[(6, 0, 1), (8, 0, 2), (4, 4, 1)], b"a\0b\0\0\0\0\x05");
        let bytes = package(&good);
        let mut stream = bytes.as_slice();
        let head = Head::read(&mut stream).unwrap();
        assert_eq!(stream, b"payload");
        assert_eq!(head.signed(), good);
    }

    #[test]
    fn a_header_that_lies_is_refused() {
        type Entries = [(u32, u32, u32)];
        let cases: [(&Entries, &[u8]); 9] = [
            (&[(6, 0, 1)], b"no end"),
            (&[(8, 0, 3)], b"a\0b\0"),
            (&[(4, 0, u32::MAX)], b"abcd"),
            (&[(5, 0, 1 << 30)], b"abcd"),
            (&[(7, 5, 0)], b"abcd"),
            (&[(7, -16_i32 as u32, 16)], b"abcd"),
            (&[(7, 2, 3)], b"abcd"),
            (&[(17, 0, 1)], b"abcd"),
            (&[(7, 0, 4), (7, 0, 4), (7, 0, 4)], b"abcd"),
        ];
        for (entries, data) in cases {
            let error = read(&header_of(entries, data)).unwrap_err();
            assert!(
                matches!(error, HeadError::Broken { .. }),
                "{entries:?}: {error}"
            );
        }
        for (at, value) in [(8, u32::MAX), (12, u32::MAX), (0, 0)] {
            let mut header = header_of(&[], b"");
            header[at..at + 4].copy_from_slice(&value.to_be_bytes());
            assert!(matches!(read(&header), Err(HeadError::Broken { .. })));
        }
    }

    #[test]
    fn what_is_cut_or_no_package_is_told() {
        let whole = package(&header_of(&[(7, 0, 4)], b"abcd"));
        let head = whole.len() - b"payload".len();
        for length in 0..head {
            let error = Head::read(&mut &whole[..length]).unwrap_err();
            match length {
                0..4 => assert!(matches!(error, HeadError::NotRpm), "{length}"),
                _ => assert!(matches!(error, HeadError::Cut), "{length}: {error}"),
            }
        }
        assert!(matches!(
            Head::read(&mut &b"!<arch>\ndebian-binary"[..]),
            Err(HeadError::NotRpm)
        ));
    }
}
