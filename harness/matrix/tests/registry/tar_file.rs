//! Tar archives member by member, with everything a writer of layers can say, and
//! what none should.

use tar::{EntryType, Header};

/// A member's header, before it is one.
#[derive(Clone)]
pub(crate) struct Member<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) kind: EntryType,
    pub(crate) mode: u32,
    pub(crate) owner: (u64, u64),
    pub(crate) mtime: u64,
    pub(crate) link: &'a [u8],
    pub(crate) device: (u32, u32),
    /// Records of a PAX header before it.
    pub(crate) records: &'a [(&'a str, &'a [u8])],
    /// What the header says of the content's length, where that is another.
    pub(crate) size: Option<u64>,
}

/// 14 November 2023.
pub(crate) const MOMENT: u64 = 1_700_000_000;

impl<'a> Member<'a> {
    pub(crate) fn file(name: &'a str) -> Member<'a> {
        Member {
            name: name.as_bytes(),
            kind: EntryType::Regular,
            mode: 0o644,
            owner: (0, 0),
            mtime: MOMENT,
            link: b"",
            device: (0, 0),
            records: &[],
            size: None,
        }
    }

    pub(crate) fn folder(name: &'a str) -> Member<'a> {
        Member {
            kind: EntryType::Directory,
            mode: 0o755,
            ..Member::file(name)
        }
    }

    pub(crate) fn symlink(name: &'a str, target: &'a str) -> Member<'a> {
        Member {
            kind: EntryType::Symlink,
            mode: 0o777,
            link: target.as_bytes(),
            ..Member::file(name)
        }
    }

    pub(crate) fn link(name: &'a str, target: &'a str) -> Member<'a> {
        Member {
            kind: EntryType::Link,
            link: target.as_bytes(),
            ..Member::file(name)
        }
    }
}

/// An archive that grows.
#[derive(Clone, Default)]
pub(crate) struct TarFile {
    bytes: Vec<u8>,
}

impl TarFile {
    pub(crate) fn new() -> TarFile {
        TarFile::default()
    }

    pub(crate) fn add(&mut self, member: &Member<'_>, content: &[u8]) {
        if !member.records.is_empty() {
            let records: Vec<u8> = member
                .records
                .iter()
                .flat_map(|(key, value)| record(key, value))
                .collect();
            self.extension(EntryType::XHeader, &records);
        }
        let own_path = member.records.iter().any(|(key, _)| *key == "path");
        if member.name.len() > 100 && !own_path {
            self.extension(EntryType::GNULongName, &[member.name, b"\0"].concat());
        }
        let own_link = member.records.iter().any(|(key, _)| *key == "linkpath");
        if member.link.len() > 100 && !own_link {
            self.extension(EntryType::GNULongLink, &[member.link, b"\0"].concat());
        }
        let mut header = self.header(member);
        header.set_size(member.size.unwrap_or(content.len() as u64));
        header.set_cksum();
        self.bytes.extend(header.as_bytes());
        self.block(content);
    }

    fn header(&self, member: &Member<'_>) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(member.kind);
        header.set_mode(member.mode);
        header.set_uid(member.owner.0);
        header.set_gid(member.owner.1);
        header.set_mtime(member.mtime);
        let old = header.as_old_mut();
        // Set by hand: the builder refuses what a hostile image has.
        let length = member.name.len().min(100);
        old.name[..length].copy_from_slice(&member.name[..length]);
        let length = member.link.len().min(100);
        old.linkname[..length].copy_from_slice(&member.link[..length]);
        if matches!(member.kind, EntryType::Char | EntryType::Block) {
            header.set_device_major(member.device.0).unwrap();
            header.set_device_minor(member.device.1).unwrap();
        }
        header
    }

    /// A sparse file as GNU tar's own format has it: these parts at these places.
    pub(crate) fn add_sparse(&mut self, member: &Member<'_>, size: u64, parts: &[(u64, &[u8])]) {
        let mut header = self.header(member);
        header.set_entry_type(EntryType::GNUSparse);
        let content: Vec<u8> = parts.iter().flat_map(|(_, bytes)| bytes.to_vec()).collect();
        header.set_size(content.len() as u64);
        let gnu = header.as_gnu_mut().unwrap();
        octal(&mut gnu.realsize, size);
        for (place, (offset, bytes)) in gnu.sparse.iter_mut().zip(parts) {
            octal(&mut place.offset, *offset);
            octal(&mut place.numbytes, bytes.len() as u64);
        }
        header.set_cksum();
        self.bytes.extend(header.as_bytes());
        self.block(&content);
    }

    /// The same as PAX has it, in GNU's format 1.0.
    pub(crate) fn add_pax_sparse(&mut self, name: &str, size: u64, parts: &[(u64, &[u8])]) {
        let mut map = format!("{}\n", parts.len());
        for (offset, bytes) in parts {
            map += &format!("{offset}\n{}\n", bytes.len());
        }
        let mut content = map.into_bytes();
        content.resize(content.len().next_multiple_of(512), 0);
        for (_, bytes) in parts {
            content.extend(*bytes);
        }
        let size = size.to_string();
        let records: [(&str, &[u8]); 4] = [
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", name.as_bytes()),
            ("GNU.sparse.realsize", size.as_bytes()),
        ];
        let member = Member {
            records: &records,
            ..Member::file("GNUSparseFile.0/file")
        };
        self.add(&member, &content);
    }

    /// An extension header of this kind.
    pub(crate) fn extension(&mut self, kind: EntryType, body: &[u8]) {
        let member = Member {
            kind,
            ..Member::file("././@LongLink")
        };
        let mut header = self.header(&member);
        header.set_size(body.len() as u64);
        header.set_cksum();
        self.bytes.extend(header.as_bytes());
        self.block(body);
    }

    fn block(&mut self, content: &[u8]) {
        self.bytes.extend(content);
        let whole = self.bytes.len().next_multiple_of(512);
        self.bytes.resize(whole, 0);
    }

    /// Without its end: another part may follow.
    pub(crate) fn part(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn end(mut self) -> Vec<u8> {
        self.bytes.extend([0; 1024]);
        self.bytes
    }
}

/// A PAX record: the length counts its own digits.
pub(crate) fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    let mut record = format!("{length} {key}=").into_bytes();
    record.extend(value);
    record.push(b'\n');
    record
}

fn octal(field: &mut [u8; 12], number: u64) {
    field.copy_from_slice(format!("{number:011o}\0").as_bytes());
}
