//! Packages indices: read once, then kept in a form that opens in milliseconds.
//!
//! Debian's main index is 50 MB of text for 63,000 packages. What is kept of it is
//! one file, whose parts are
//!
//! ```text
//! text       of each package its fields, one a line, in the order of `Field`
//! rows       of each package: where its text starts, size, SHA-256, priority, flags
//! provides   of each virtual package: where its name is in the text, and the row
//! footer     how long each part is, and a checksum
//! ```
//!
//! Rows are sorted by name, then from the newest version to the oldest; provides by
//! name. Opening reads the file and checks it; nothing is parsed before it is asked
//! for.

mod build;

use std::ops::Range;

use flate2::Crc;

use super::package::{Package, Priority};
use super::version::Version;
use crate::cache::hex;

pub use build::MalformedIndex;
pub(super) use build::build;

/// Changes whenever the form does: part of the key under which it is kept.
pub(super) const FORMAT: &str = "apt-index-v2";

const MAGIC: &[u8; 8] = b"aptindx2";
/// text bytes (8), rows (4), provides (4), CRC-32 of all before the footer (4), MAGIC
const FOOTER: usize = 8 + 4 + 4 + 4 + 8;
/// text (4), size (8), SHA-256 (32), priority (1), flags (1)
const ROW: usize = 4 + 8 + 32 + 1 + 1;
/// name's place (4), its length (4), row (4)
const PROVIDE: usize = 4 + 4 + 4;
const ESSENTIAL: u8 = 1;

/// The fields kept as text, in their order.
#[derive(Clone, Copy)]
enum Field {
    Package,
    Version,
    Architecture,
    Source,
    Filename,
    MultiArch,
    PreDepends,
    Depends,
    Provides,
}

const FIELDS: usize = Field::Provides as usize + 1;

/// An index in its kept form.
pub(super) struct Index {
    text: String,
    rows: Vec<u8>,
    provides: Vec<u8>,
}

impl Index {
    /// From the bytes of the kept form: none if they are damaged or of another
    /// version. All that is looked up later is checked here.
    pub(super) fn load(mut bytes: Vec<u8>) -> Option<Index> {
        let footer = bytes.split_off(bytes.len().checked_sub(FOOTER)?);
        if &footer[20..] != MAGIC {
            return None;
        }
        let mut crc = Crc::new();
        crc.update(&bytes);
        if crc.sum() != read_u32(&footer, 16) {
            return None;
        }
        let text_len = usize::try_from(read_u64(&footer, 0)).ok()?;
        let rows_len = (read_u32(&footer, 8) as usize).checked_mul(ROW)?;
        let provides_len = (read_u32(&footer, 12) as usize).checked_mul(PROVIDE)?;
        if text_len.checked_add(rows_len)?.checked_add(provides_len)? != bytes.len() {
            return None;
        }
        let mut rows = bytes.split_off(text_len);
        let provides = rows.split_off(rows_len);
        let text = String::from_utf8(bytes).ok()?;
        let index = Index {
            text,
            rows,
            provides,
        };
        index.is_sound().then_some(index)
    }

    fn is_sound(&self) -> bool {
        let rows = (0..self.len()).all(|row| {
            let place = read_u32(&self.rows, row * ROW) as usize;
            self.text.is_char_boundary(place)
        });
        rows && (0..self.provides.len() / PROVIDE).all(|number| {
            let (name, row) = self.provide(number);
            row < self.len() && self.text.get(name).is_some()
        })
    }

    /// How many packages there are.
    pub(super) fn len(&self) -> usize {
        self.rows.len() / ROW
    }

    /// The package of a row.
    pub(super) fn package(&self, row: usize, url: &str, suite: &str) -> Package {
        let mut lines = self.lines(row);
        // A field that is not there was written as an empty line.
        let mut next = || lines.next().unwrap_or_default().to_owned();
        let mut fields: [String; FIELDS] = std::array::from_fn(|_| next());
        let mut take = |field: Field| std::mem::take(&mut fields[field as usize]);
        let bytes = &self.rows[row * ROW..][..ROW];
        let name = take(Field::Package);
        let version = take(Field::Version);
        let architecture = take(Field::Architecture);
        let mut source = take(Field::Source);
        if source.is_empty() {
            source.clone_from(&name);
        }
        let mut filename = take(Field::Filename);
        if let Some(pool) = filename.strip_prefix(USUAL) {
            filename = usual_filename(pool, &source, &name, &version, &architecture);
        }
        Package {
            source,
            name,
            version: Version::new(version),
            architecture,
            filename,
            size: read_u64(bytes, 4),
            sha256: hex(&bytes[12..44]),
            priority: Priority::from_byte(bytes[44]),
            essential: bytes[45] & ESSENTIAL != 0,
            multi_arch: take(Field::MultiArch),
            pre_depends: take(Field::PreDepends),
            depends: take(Field::Depends),
            provides: take(Field::Provides),
            url: url.to_owned(),
            suite: suite.to_owned(),
        }
    }

    fn lines(&self, row: usize) -> std::str::Lines<'_> {
        self.text[read_u32(&self.rows, row * ROW) as usize..].lines()
    }

    /// The name of the package of a row.
    pub(super) fn name(&self, row: usize) -> &str {
        self.lines(row).next().unwrap_or_default()
    }

    /// The rows of a name, newest version first.
    pub(super) fn rows_of(&self, name: &str) -> Range<usize> {
        let start = partition(self.len(), |row| self.name(row) < name);
        let end = partition(self.len(), |row| self.name(row) <= name);
        start..end
    }

    /// The rows whose package says it provides a name, in the order of the rows.
    pub(super) fn providers_of(&self, name: &str) -> impl Iterator<Item = usize> {
        let count = self.provides.len() / PROVIDE;
        let start = partition(count, |number| &self.text[self.provide(number).0] < name);
        let end = partition(count, |number| &self.text[self.provide(number).0] <= name);
        (start..end).map(|number| self.provide(number).1)
    }

    /// The rows of packages that say `Essential: yes`.
    pub(super) fn essential(&self) -> impl Iterator<Item = usize> {
        (0..self.len()).filter(|row| self.rows[row * ROW + 45] & ESSENTIAL != 0)
    }

    fn provide(&self, number: usize) -> (Range<usize>, usize) {
        let place = number * PROVIDE;
        let start = read_u32(&self.provides, place) as usize;
        let len = read_u32(&self.provides, place + 4) as usize;
        (
            start..start.saturating_add(len),
            read_u32(&self.provides, place + 8) as usize,
        )
    }
}

/// Before the folder of a pool, in place of a filename that is where Debian's archive
/// software puts it: a quarter of the text is saved, and of the time to read it.
const USUAL: char = '=';

/// `pool/main/b/bash/bash_5.2.15-2+b13_amd64.deb`, below the pool `pool/main`.
fn usual_filename(
    pool: &str,
    source: &str,
    name: &str,
    version: &str,
    architecture: &str,
) -> String {
    // Libraries are spread further: `libs/libselinux`.
    let letters = if source.starts_with("lib") { 4 } else { 1 };
    let folder: String = source.chars().take(letters).collect();
    let version = version
        .split_once(':')
        .map_or(version, |(_, version)| version);
    format!("{pool}/{folder}/{source}/{name}_{version}_{architecture}.deb")
}

/// The first of `0..len` for which `before` does not hold; it holds for none after.
fn partition(len: usize, before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = low + (high - low) / 2;
        if before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

fn read_u32(bytes: &[u8], place: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[place..place + 4]);
    u32::from_le_bytes(number)
}

fn read_u64(bytes: &[u8], place: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[place..place + 8]);
    u64::from_le_bytes(number)
}

#[cfg(test)]
mod tests;
