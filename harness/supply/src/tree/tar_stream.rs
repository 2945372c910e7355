//! A tar stream, member by member: ustar, GNU (long names, sparse) and PAX.
//!
//! The tar crate decodes the header's fields. Its own iterator is not used: it
//! refuses extended attributes that hold a newline and knows no PAX sparse files.

use std::io::{self, Read};

use tar::{EntryType, GnuExtSparseHeader, GnuSparseHeader, Header};

use super::pax::{self, Records};
use super::tar_reader::TarError;

const BLOCK: u64 = 512;

/// The longest extension headers of one member taken, bytes, all together: paths are
/// at most 4 KiB, extended attributes of one file at most 64 KiB each.
const MAX_EXTENSION: u64 = 4 << 20;

/// The most parts of one sparse file.
const MAX_EXTENTS: usize = 1 << 20;

/// A part of a sparse file that has data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// In the file.
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// A member's header with all that overrides it applied.
pub(super) struct Head {
    pub(super) path: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) kind: EntryType,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: i64,
    pub(super) major: u32,
    pub(super) minor: u32,
    pub(super) xattrs: Records,
    /// Bytes of the file.
    pub(super) size: u64,
    /// Where the data in the archive belongs; none: it is the whole file.
    pub(super) extents: Option<Vec<Extent>>,
}

/// A tar archive being read. As [`Read`] it gives the data of the member at hand.
pub(super) struct Stream<R> {
    inner: R,
    /// Bytes read of the archive.
    position: u64,
    /// Bytes of the member's data still to come.
    left: u64,
    /// Bytes after them up to the next header.
    padding: u64,
    /// The records of a global extended header.
    globals: Records,
}

impl<R: Read> Stream<R> {
    pub(super) fn new(inner: R) -> Self {
        Self {
            inner,
            position: 0,
            left: 0,
            padding: 0,
            globals: Records::new(),
        }
    }

    /// Bytes read of the archive.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The next member; none at the archive's end, after reading the stream to
    /// its own, so that a compressor's checksum is checked.
    pub(super) fn next(&mut self) -> Result<Option<Head>, TarError> {
        let mut records = Records::new();
        let mut long_path = None;
        let mut long_link = None;
        // Whether an extension waits for its member, and the bytes of all there were.
        let mut pending = false;
        let mut extensions = 0;
        loop {
            self.skip()?;
            let at = self.position;
            let Some(header) = self.header()? else {
                if pending {
                    return Err(TarError::Extension {
                        at,
                        reason: "no member follows it",
                    });
                }
                io::copy(&mut self.inner, &mut io::sink()).map_err(TarError::Read)?;
                return Ok(None);
            };
            let kind = header.entry_type();
            match kind {
                EntryType::GNULongName => {
                    long_path = Some(without_nul(self.extension(&header, at, &mut extensions)?));
                    pending = true;
                }
                EntryType::GNULongLink => {
                    long_link = Some(without_nul(self.extension(&header, at, &mut extensions)?));
                    pending = true;
                }
                EntryType::XHeader => {
                    records.extend(self.records(&header, at, &mut extensions)?);
                    pending = true;
                }
                EntryType::XGlobalHeader => {
                    self.globals = self.records(&header, at, &mut extensions)?;
                }
                _ => {
                    // What is said of this member alone overrides the rest.
                    let mut all = self.globals.clone();
                    all.append(&mut records);
                    return self.head(&header, at, all, long_path, long_link).map(Some);
                }
            }
        }
    }

    fn head(
        &mut self,
        header: &Header,
        at: u64,
        records: Records,
        long_path: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
    ) -> Result<Head, TarError> {
        let field = |field: &'static str| move |source| TarError::Header { at, field, source };
        let number = |key: &'static str| -> Result<Option<u64>, TarError> {
            pax::given(&records, key.as_bytes())
                .map(|value| {
                    std::str::from_utf8(value)
                        .ok()
                        .and_then(|digits| digits.parse().ok())
                        .ok_or(TarError::Extension {
                            at,
                            reason: "a size, owner or group that is not a number",
                        })
                })
                .transpose()
        };
        let record = |key: &[u8]| pax::given(&records, key).map(<[u8]>::to_vec);
        let path = record(b"GNU.sparse.name")
            .or_else(|| record(b"path"))
            .or(long_path.filter(|path| !path.is_empty()))
            .unwrap_or_else(|| header.path_bytes().into_owned());
        let link = record(b"linkpath")
            .or(long_link.filter(|link| !link.is_empty()))
            .or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned))
            .unwrap_or_default();
        let owner = |value: u64| {
            u32::try_from(value).map_err(|_| TarError::Extension {
                at,
                reason: "an owner or group beyond 32 bits",
            })
        };
        let old = header.as_old();
        let uid = || or_blank(header.uid(), &old.uid).map_err(field("owner"));
        let uid = number("uid")?.map_or_else(uid, Ok)?;
        let gid = || or_blank(header.gid(), &old.gid).map_err(field("group"));
        let gid = number("gid")?.map_or_else(gid, Ok)?;
        let mtime = match pax::given(&records, b"mtime") {
            Some(value) => seconds(value).ok_or(TarError::Extension {
                at,
                reason: "a time that is not a number",
            })?,
            // A two's complement number where it is before 1970.
            None => or_blank(header.mtime(), &old.mtime)
                .map_err(field("time"))?
                .cast_signed(),
        };
        let mut kind = header.entry_type();
        if matches!(kind, EntryType::Regular) && path.ends_with(b"/") {
            // Before ustar a directory was a file whose name ends in a slash.
            kind = EntryType::Directory;
        }
        let device = matches!(kind, EntryType::Char | EntryType::Block);
        let (major, minor) = if device {
            (
                header.device_major().map_err(field("device"))?.unwrap_or(0),
                header.device_minor().map_err(field("device"))?.unwrap_or(0),
            )
        } else {
            (0, 0)
        };
        let stored = match kind {
            // No data follows these, whatever the size says: so do Go's and Python's
            // readers take it, and so what reads layers. (POSIX lets data follow a
            // hard link; GNU tar and what makes layers write none, but some a size.)
            EntryType::Directory
            | EntryType::Link
            | EntryType::Symlink
            | EntryType::Char
            | EntryType::Block
            | EntryType::Fifo => 0,
            _ => {
                let size = || or_blank(header.entry_size(), &old.size).map_err(field("size"));
                number("size")?.map_or_else(size, Ok)?
            }
        };
        self.expect(stored, at)?;
        let (size, extents) = self.sparse(header, at, &records, kind, stored)?;
        let xattrs = records
            .into_iter()
            .filter_map(|(key, value)| Some((key.strip_prefix(pax::XATTR)?.to_vec(), value)))
            // As of any record: none at all takes back what was said before.
            .filter(|(_, value)| !value.is_empty())
            .collect();
        Ok(Head {
            path,
            link,
            kind,
            mode: or_blank(header.mode(), &old.mode).map_err(field("mode"))? & 0o7777,
            uid: owner(uid)?,
            gid: owner(gid)?,
            mtime,
            major,
            minor,
            xattrs,
            size,
            extents,
        })
    }

    /// The file's size, and where its data belongs if it has holes.
    fn sparse(
        &mut self,
        header: &Header,
        at: u64,
        records: &Records,
        kind: EntryType,
        stored: u64,
    ) -> Result<(u64, Option<Vec<Extent>>), TarError> {
        let refuse = |reason| TarError::Sparse { at, reason };
        let (size, extents) = if kind == EntryType::GNUSparse {
            let gnu = header.as_gnu().ok_or(refuse("not in a GNU header"))?;
            let mut extents = Vec::new();
            add_extents(&mut extents, &gnu.sparse).map_err(refuse)?;
            let mut extended = gnu.is_extended();
            // These blocks stand between the header and the data and are in no size.
            let data = std::mem::take(&mut self.left);
            while extended {
                let mut more = GnuExtSparseHeader::new();
                self.exactly(more.as_mut_bytes())?;
                add_extents(&mut extents, more.sparse()).map_err(refuse)?;
                extended = more.is_extended();
                if extents.len() > MAX_EXTENTS {
                    return Err(refuse("more parts than are taken"));
                }
            }
            self.left = data;
            let size = gnu.real_size().map_err(|source| TarError::Header {
                at,
                field: "real size",
                source,
            })?;
            (size, extents)
        } else if let Some(major) = pax::given(records, b"GNU.sparse.major") {
            if major != b"1" {
                return Err(refuse("a format other than GNU's 1.0"));
            }
            let size = pax::given(records, b"GNU.sparse.realsize")
                .and_then(|value| std::str::from_utf8(value).ok()?.parse().ok())
                .ok_or(refuse("no real size"))?;
            (size, self.sparse_map(at)?)
        } else if records.keys().any(|key| key.starts_with(pax::SPARSE)) {
            return Err(refuse("a format other than GNU's 1.0"));
        } else {
            return Ok((stored, None));
        };
        let mut end = 0;
        let mut total = 0;
        for extent in &extents {
            if extent.offset < end {
                return Err(refuse("parts that overlap or are out of order"));
            }
            end = extent
                .offset
                .checked_add(extent.length)
                .ok_or(refuse("a part beyond 64 bits"))?;
            // Cannot overflow: below `end`.
            total += extent.length;
        }
        if end > size {
            return Err(refuse("a part beyond the file's size"));
        }
        if total != self.left {
            return Err(refuse("parts that are not as long as the data"));
        }
        Ok((size, Some(extents)))
    }

    /// GNU's PAX format 1.0: the map stands before the data, decimal numbers each
    /// on a line, filled up to a block.
    fn sparse_map(&mut self, at: u64) -> Result<Vec<Extent>, TarError> {
        let refuse = |reason| TarError::Sparse { at, reason };
        let mut read = 0;
        let mut number = || -> Result<u64, TarError> {
            let mut value: u64 = 0;
            let mut digits = 0;
            loop {
                let mut byte = [0];
                self.read_exact(&mut byte)
                    .map_err(|_| refuse("its map ends early"))?;
                read += 1;
                match byte[0] {
                    b'\n' if digits > 0 => return Ok(value),
                    digit @ b'0'..=b'9' => {
                        digits += 1;
                        value = value
                            .checked_mul(10)
                            .and_then(|value| value.checked_add(u64::from(digit - b'0')))
                            .ok_or(refuse("a number beyond 64 bits in its map"))?;
                    }
                    _ => return Err(refuse("its map is not made of numbers")),
                }
            }
        };
        let count = number()?;
        let mut extents = Vec::new();
        for _ in 0..count {
            let extent = Extent {
                offset: number()?,
                length: number()?,
            };
            if extent.length > 0 {
                extents.push(extent);
            }
            if extents.len() > MAX_EXTENTS {
                return Err(refuse("more parts than are taken"));
            }
        }
        let fill = (BLOCK - read % BLOCK) % BLOCK;
        let mut rest = vec![0; fill as usize];
        self.read_exact(&mut rest)
            .map_err(|_| refuse("its map ends early"))?;
        Ok(extents)
    }

    /// A header block, none for the end of the archive.
    fn header(&mut self) -> Result<Option<Header>, TarError> {
        let at = self.position;
        let mut header = Header::new_old();
        let mut filled = 0;
        while filled < header.as_bytes().len() {
            match self.inner.read(&mut header.as_mut_bytes()[filled..]) {
                Ok(0) if filled == 0 => return Err(TarError::NoEnd { at }),
                Ok(0) => {
                    return Err(TarError::Truncated {
                        at: at + filled as u64,
                    });
                }
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(TarError::Read(error)),
            }
        }
        self.position += BLOCK;
        let bytes = header.as_bytes();
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let sum = bytes[..148]
            .iter()
            .chain(&bytes[156..])
            .map(|byte| u32::from(*byte))
            .sum::<u32>()
            + 8 * u32::from(b' ');
        match header.cksum() {
            Ok(told) if told == sum => Ok(Some(header)),
            Ok(_) => Err(TarError::Checksum { at }),
            Err(_) if at == 0 => Err(TarError::NotTar),
            Err(_) => Err(TarError::Checksum { at }),
        }
    }

    fn expect(&mut self, size: u64, at: u64) -> Result<(), TarError> {
        if i64::try_from(size).is_err() {
            return Err(TarError::Extension {
                at,
                reason: "a size beyond 63 bits",
            });
        }
        self.left = size;
        self.padding = (BLOCK - size % BLOCK) % BLOCK;
        Ok(())
    }

    fn records(
        &mut self,
        header: &Header,
        at: u64,
        extensions: &mut u64,
    ) -> Result<Records, TarError> {
        let body = self.extension(header, at, extensions)?;
        pax::parse(&body).map_err(|reason| TarError::Extension { at, reason })
    }

    /// An extension header's body; `extensions` counts those of one member.
    fn extension(
        &mut self,
        header: &Header,
        at: u64,
        extensions: &mut u64,
    ) -> Result<Vec<u8>, TarError> {
        let size = header.entry_size().map_err(|source| TarError::Header {
            at,
            field: "size",
            source,
        })?;
        *extensions = extensions.saturating_add(size);
        if *extensions > MAX_EXTENSION {
            return Err(TarError::Extension {
                at,
                reason: "longer than any name or attribute can be",
            });
        }
        self.expect(size, at)?;
        let mut body = vec![0; size as usize];
        self.left = 0;
        self.exactly(&mut body)?;
        Ok(body)
    }

    fn skip(&mut self) -> Result<(), TarError> {
        let rest = self.left + self.padding;
        let skipped =
            io::copy(&mut (&mut self.inner).take(rest), &mut io::sink()).map_err(TarError::Read)?;
        self.position += skipped;
        if skipped < rest {
            return Err(TarError::Truncated { at: self.position });
        }
        self.left = 0;
        self.padding = 0;
        Ok(())
    }

    fn exactly(&mut self, buffer: &mut [u8]) -> Result<(), TarError> {
        self.inner
            .read_exact(buffer)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => TarError::Truncated { at: self.position },
                _ => TarError::Read(error),
            })?;
        self.position += buffer.len() as u64;
        Ok(())
    }
}

impl<R: Read> Read for Stream<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let count = self.inner.read(&mut buffer[..want])?;
        self.left -= count as u64;
        self.position += count as u64;
        Ok(count)
    }
}

fn add_extents(extents: &mut Vec<Extent>, headers: &[GnuSparseHeader]) -> Result<(), &'static str> {
    for header in headers {
        if header.is_empty() {
            continue;
        }
        let extent = Extent {
            offset: header
                .offset()
                .map_err(|_| "a part's place is not a number")?,
            length: header
                .length()
                .map_err(|_| "a part's length is not a number")?,
        };
        // GNU tar ends the list with an empty part at the file's end.
        if extent.length > 0 {
            extents.push(extent);
        }
    }
    Ok(())
}

/// A number of a header; a field that nobody filled in is a zero to other readers.
fn or_blank<T: Default>(told: io::Result<T>, field: &[u8]) -> io::Result<T> {
    let blank = field.iter().all(|byte| matches!(byte, 0 | b' '));
    if blank { Ok(T::default()) } else { told }
}

fn without_nul(mut name: Vec<u8>) -> Vec<u8> {
    if let Some(end) = name.iter().position(|byte| *byte == 0) {
        name.truncate(end);
    }
    name
}

/// Whole seconds of `1700000000.123456789`, rounded down.
fn seconds(value: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(value).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let below = whole.starts_with('-') && fraction.bytes().any(|digit| digit != b'0');
    if below {
        seconds.checked_sub(1)
    } else {
        Some(seconds)
    }
}
