//! Layers as an archive's bytes, from a plan that can lie.

use std::io::Write as _;

use arbitrary::Arbitrary;

/// A layer to be written.
#[derive(Arbitrary, Clone, Debug)]
pub struct LayerPlan {
    /// Its members, in order.
    pub entries: Vec<Entry>,
    /// How the archive ends.
    pub ending: Ending,
    /// How it is compressed.
    pub packed: Packed,
}

/// How an archive ends.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As it should.
    Two,
    /// With one block of zeros.
    One,
    /// Without any.
    None,
    /// With other bytes after its end.
    Rest,
    /// In the middle.
    Cut(u16),
}

/// How an archive is compressed.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packed {
    /// Not.
    Plain,
    /// By gzip.
    Gzip,
    /// By gzip, in two streams one after the other.
    GzipTwice,
    /// By zstd.
    Zstd,
}

/// A member.
#[derive(Arbitrary, Clone, Debug)]
pub struct Entry {
    /// Its path: each byte is one of [`NAMES`].
    pub path: Vec<u8>,
    /// How the path is spelled.
    pub spelling: Spelling,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits.
    pub mode: u16,
    /// An extended attribute.
    pub attribute: Option<(u8, Vec<u8>)>,
    /// What about it is not true.
    pub lie: Option<Lie>,
}

/// What a member is.
#[derive(Arbitrary, Clone, Debug)]
pub enum EntryKind {
    /// A file with this content.
    File(Vec<u8>),
    /// A directory.
    Directory,
    /// A symbolic link; whether its target begins with a slash.
    Symlink(Vec<u8>, bool),
    /// A hard link.
    Link(Vec<u8>),
    /// A device: whether of blocks, and its number.
    Device(bool, u16, u16),
    /// A named pipe.
    Fifo,
}

/// Where and how a path is written.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Spelling {
    /// Where.
    pub place: Place,
    /// What goes before it.
    pub before: Before,
    /// Whether a slash goes after it.
    pub slash: bool,
}

/// Where a path is written.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the header.
    Field,
    /// In a PAX record.
    Pax,
    /// In GNU's long name.
    Gnu,
}

/// What goes before a path.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// Nothing.
    Nothing,
    /// `./`
    Dot,
    /// `/`
    Slash,
}

/// What about a member is not true.
#[derive(Arbitrary, Clone, Debug)]
pub enum Lie {
    /// Another size in the header.
    Size(u64),
    /// Another size in a PAX record.
    PaxSize(Vec<u8>),
    /// A byte of the header is another, and the checksum right for it.
    Byte(u16, u8),
    /// The checksum is wrong.
    Checksum,
    /// These bytes as records of a PAX header.
    Records(Vec<u8>, bool),
    /// A sparse file of GNU's PAX format with this real size and map.
    Sparse(u64, Vec<u8>),
    /// The path so many times over.
    Deep(u16),
    /// These bytes among others, as they are.
    Raw(Vec<u8>),
}

/// What paths are made of. Few, so that layers meet.
pub const NAMES: [&[u8]; 24] = [
    b"a",
    b"b",
    b"c",
    b"d",
    b"a-",
    b"a0",
    b".wh.a",
    b".wh.b",
    b".wh.c",
    b".wh..wh..opq",
    b"a",
    b"b",
    b".wh.",
    b".wh..",
    b".wh...",
    b".wh..wh.plnk",
    b".wh..wh.aufs",
    b"..",
    b".",
    b"",
    b"\xff\xfe",
    b"new\nline",
    &[b'n'; 255],
    &[b'n'; 256],
];

/// How many of [`NAMES`] are such as images have.
const USUAL: usize = 12;

/// A path of the plan's bytes, at most eight names. Most are such as images have: one
/// that is refused ends a layer.
pub fn path(numbers: &[u8]) -> Vec<u8> {
    let names: Vec<&[u8]> = numbers
        .iter()
        .take(8)
        .map(|number| match usize::from(*number) {
            usual @ ..200 => NAMES[usual % USUAL],
            any => NAMES[any % NAMES.len()],
        })
        .collect();
    names.join(&b'/')
}

impl Entry {
    /// Its path as the archive has it.
    pub fn spelled(&self) -> Vec<u8> {
        let mut spelled = match self.spelling.before {
            Before::Nothing => Vec::new(),
            Before::Dot => b"./".to_vec(),
            Before::Slash => b"/".to_vec(),
        };
        let times = match self.lie {
            Some(Lie::Deep(times)) => usize::from(times % 2200) + 1,
            _ => 1,
        };
        spelled.extend(vec![path(&self.path); times].join(&b'/'));
        if self.spelling.slash {
            spelled.push(b'/');
        }
        spelled
    }

    /// Whether the archive says of it what the plan does, and only that.
    pub fn is_honest(&self) -> bool {
        let spelled = self.spelled();
        // An empty name is none in a record or a long name, and in a header's field it
        // is the root; a file's slash makes it a directory.
        self.lie.is_none()
            && !spelled.is_empty()
            && !(spelled.ends_with(b"/") && matches!(self.kind, EntryKind::File(_)))
            && !(self.spelling.place == Place::Field && spelled.len() > 100)
            && match &self.kind {
                EntryKind::Symlink(target, _) | EntryKind::Link(target) => path(target).len() < 100,
                _ => true,
            }
    }

    /// Takes back what is not true of it.
    fn mend(&mut self) {
        self.lie = None;
        let spelled = self.spelled();
        if spelled.is_empty() || spelled.len() > 100 {
            self.spelling.place = Place::Pax;
        }
        if matches!(self.kind, EntryKind::File(_)) {
            self.spelling.slash = false;
        }
    }

    fn write(&self, archive: &mut Vec<u8>) {
        let mut header = tar::Header::new_ustar();
        let mut records = Vec::new();
        let spelled = self.spelled();
        header.set_mode(u32::from(self.mode) & 0o7777);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(0);
        let mut data: &[u8] = &[];
        let mut target = Vec::new();
        let kind = match &self.kind {
            EntryKind::File(content) => {
                data = content;
                header.set_size(content.len() as u64);
                tar::EntryType::Regular
            }
            EntryKind::Directory => tar::EntryType::Directory,
            EntryKind::Symlink(to, absolute) => {
                if *absolute {
                    target.push(b'/');
                }
                target.extend(path(to));
                tar::EntryType::Symlink
            }
            EntryKind::Link(to) => {
                target = path(to);
                tar::EntryType::Link
            }
            EntryKind::Device(block, major, minor) => {
                let _ = header.set_device_major((*major).into());
                let _ = header.set_device_minor((*minor).into());
                if *block {
                    tar::EntryType::Block
                } else {
                    tar::EntryType::Char
                }
            }
            EntryKind::Fifo => tar::EntryType::Fifo,
        };
        header.set_entry_type(kind);
        let fits = target.len().min(100);
        header.as_old_mut().linkname[..fits].copy_from_slice(&target[..fits]);
        if let Some((name, value)) = &self.attribute {
            let key = format!("SCHILY.xattr.user.{}", name % 4);
            record(&mut records, key.as_bytes(), value);
        }
        let mut sparse: Vec<u8>;
        let mut raw: &[u8] = &[];
        match &self.lie {
            Some(Lie::Size(size)) => header.set_size(*size),
            Some(Lie::PaxSize(text)) => record(&mut records, b"size", text),
            Some(Lie::Sparse(real, map)) => {
                record(&mut records, b"GNU.sparse.major", b"1");
                let real = real.to_string();
                record(&mut records, b"GNU.sparse.realsize", real.as_bytes());
                sparse = map.clone();
                sparse.resize(sparse.len().next_multiple_of(512), 0);
                sparse.extend_from_slice(data);
                header.set_size(sparse.len() as u64);
                data = &sparse;
            }
            Some(Lie::Raw(bytes)) => raw = bytes,
            _ => {}
        }
        match self.spelling.place {
            Place::Field => {
                let fits = spelled.len().min(100);
                header.as_old_mut().name[..fits].copy_from_slice(&spelled[..fits]);
            }
            Place::Pax => record(&mut records, b"path", &spelled),
            Place::Gnu => {
                let mut name = spelled.clone();
                name.push(0);
                extension(archive, b'L', &name);
            }
        }
        if !records.is_empty() {
            extension(archive, b'x', &records);
        }
        if let Some(Lie::Records(bytes, global)) = &self.lie {
            extension(archive, if *global { b'g' } else { b'x' }, bytes);
        }
        if let Some(Lie::Byte(at, byte)) = self.lie {
            header.as_mut_bytes()[usize::from(at) % 512] = byte;
        }
        header.set_cksum();
        if matches!(self.lie, Some(Lie::Checksum)) {
            header.as_old_mut().cksum[1] ^= 1;
        }
        archive.extend_from_slice(header.as_bytes());
        archive.extend_from_slice(data);
        archive.resize(archive.len().next_multiple_of(512), 0);
        archive.extend_from_slice(raw);
    }
}

impl LayerPlan {
    /// The archive, not compressed.
    pub fn archive(&self) -> Vec<u8> {
        let mut archive = Vec::new();
        for entry in &self.entries {
            entry.write(&mut archive);
        }
        match self.ending {
            Ending::Two => archive.extend([0; 1024]),
            Ending::One => archive.extend([0; 512]),
            Ending::None => {}
            Ending::Rest => {
                archive.extend([0; 1024]);
                archive.extend(b"what comes after the end is nothing");
            }
            Ending::Cut(at) => {
                let length = archive.len().max(1);
                archive.truncate(usize::from(at) % length);
            }
        }
        archive
    }

    /// An archive as a registry has it.
    pub fn pack(&self, archive: &[u8]) -> Vec<u8> {
        let gzip = |bytes: &[u8]| {
            let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packer.write_all(bytes).expect("a vector takes it");
            packer.finish().expect("a vector takes it")
        };
        match self.packed {
            Packed::Plain => archive.to_vec(),
            Packed::Gzip => gzip(archive),
            Packed::GzipTwice => {
                let (first, second) = archive.split_at(archive.len() / 2);
                [gzip(first), gzip(second)].concat()
            }
            Packed::Zstd => zstd::encode_all(archive, 1).expect("a vector takes it"),
        }
    }

    /// Makes of it one that the model goes along with, if it can be.
    pub fn mend(&mut self) {
        if matches!(self.ending, Ending::Cut(_)) {
            self.ending = Ending::Two;
        }
        self.entries.iter_mut().for_each(Entry::mend);
    }

    /// Whether the archive says what the plan does, and only that.
    pub fn is_honest(&self) -> bool {
        !matches!(self.ending, Ending::Cut(_)) && self.entries.iter().all(Entry::is_honest)
    }
}

/// Appends a record of a PAX header.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    records.extend(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

fn extension(archive: &mut Vec<u8>, kind: u8, body: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..9].copy_from_slice(b"extension");
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(body.len() as u64);
    header.set_cksum();
    archive.extend_from_slice(header.as_bytes());
    archive.extend_from_slice(body);
    archive.resize(archive.len().next_multiple_of(512), 0);
}
