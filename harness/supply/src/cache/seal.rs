//! What a cached thing was when it was made, kept beside it.
//!
//! The checksum is a CRC-32: it is there to notice a damaged disk or a careless
//! hand, and fast enough to be looked at on use. Trust rests on the SHA-256 a thing
//! had when it was fetched, not on this.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use flate2::Crc;
use rustix::fs::SeekFrom;

use super::error::CacheError;

/// Files up to this size are read through whenever they are used; larger ones, and
/// folders, when they were written to since they were last found sound, and when
/// that is asked for.
const READ_ON_USE: u64 = 1 << 20;

/// Folders with more files than this, as a kernel's modules are, are not walked on each
/// use: what lies at their top is looked at, and all of it when something there was
/// written to, and when that is asked for. A walk over a thousand files takes longer
/// than a warm machine's start.
const WALKED_ON_USE: u64 = 64;

/// How a thing was found to be sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// By its metadata: nothing was written to it since the last time.
    Looks,
    /// By its content, in spite of its times, as after a copy of the whole cache.
    Content,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seal {
    folder: bool,
    /// Files (1 for a file).
    pub(super) files: u64,
    /// Bytes of all files.
    pub(super) bytes: u64,
    crc: u32,
}

/// Where the seal of the thing at `path` is.
pub(super) fn path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".seal");
    PathBuf::from(name)
}

/// What the metadata of a thing says, without its content being read.
struct Looks {
    folder: bool,
    files: u64,
    bytes: u64,
    /// When something in it was last written to.
    written: SystemTime,
}

impl Looks {
    /// When something at the top of a folder was last written to, or its list of names
    /// was.
    fn top_written(path: &Path) -> io::Result<SystemTime> {
        let mut written = std::fs::symlink_metadata(path)?.modified()?;
        for entry in std::fs::read_dir(path)? {
            written = written.max(entry?.metadata()?.modified()?);
        }
        Ok(written)
    }

    fn of(path: &Path) -> io::Result<Looks> {
        let metadata = std::fs::symlink_metadata(path)?;
        let mut looks = Looks {
            folder: metadata.is_dir(),
            files: 0,
            bytes: 0,
            written: SystemTime::UNIX_EPOCH,
        };
        looks.add(path, &metadata)?;
        Ok(looks)
    }

    fn add(&mut self, path: &Path, metadata: &Metadata) -> io::Result<()> {
        self.written = self.written.max(metadata.modified()?);
        if metadata.is_dir() {
            for entry in std::fs::read_dir(path)? {
                let entry = entry?;
                // Of a symlink its own.
                self.add(&entry.path(), &entry.metadata()?)?;
            }
        } else if metadata.is_file() {
            self.files += 1;
            self.bytes += metadata.len();
        }
        Ok(())
    }
}

impl Seal {
    /// Of the file or folder at `path`, which is read through.
    pub(super) fn of(path: &Path) -> Result<Seal, CacheError> {
        let metadata =
            std::fs::symlink_metadata(path).map_err(|source| CacheError::io(path, source))?;
        let mut seal = Seal {
            folder: metadata.is_dir(),
            files: 0,
            bytes: 0,
            crc: 0,
        };
        let mut crc = Crc::new();
        seal.add(path, &metadata, &mut crc)?;
        seal.crc = crc.sum();
        Ok(seal)
    }

    /// The seal of the thing at `path`: none if there is none.
    pub(super) fn read(thing: &Path) -> Option<Result<Seal, String>> {
        match std::fs::read_to_string(path(thing)) {
            Ok(text) => Some(Seal::parse(&text).ok_or_else(|| "its seal is unreadable".to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => Some(Err(format!("its seal: {error}"))),
        }
    }

    fn parse(text: &str) -> Option<Seal> {
        let mut words = text.split_ascii_whitespace();
        let folder = match words.next()? {
            "folder" => true,
            "file" => false,
            _ => return None,
        };
        let files = words.next()?.parse().ok()?;
        let bytes = words.next()?.parse().ok()?;
        let crc = u32::from_str_radix(words.next()?, 16).ok()?;
        Some(Seal {
            folder,
            files,
            bytes,
            crc,
        })
    }

    pub(super) fn to_text(&self) -> String {
        let kind = if self.folder { "folder" } else { "file" };
        format!("{kind} {} {} {:08x}\n", self.files, self.bytes, self.crc)
    }

    /// The check made on each use; the error says what does not fit.
    pub(super) fn check(&self, path: &Path) -> Result<Trust, String> {
        let sound = self::path(path).metadata().and_then(|it| it.modified());
        if self.folder && self.files > WALKED_ON_USE {
            let written = Looks::top_written(path).map_err(|error| error.to_string())?;
            if sound.as_ref().is_ok_and(|sound| written <= *sound) {
                return Ok(Trust::Looks);
            }
        }
        let looks = Looks::of(path).map_err(|error| error.to_string())?;
        if looks.folder != self.folder {
            return Err("it is another kind of file".to_owned());
        }
        let (bytes, files) = (looks.bytes, looks.files);
        if (bytes, files) != (self.bytes, self.files) {
            return Err(self.differs(bytes, files));
        }
        let small = !self.folder && self.bytes <= READ_ON_USE;
        if sound.is_ok_and(|sound| looks.written <= sound) {
            if small {
                self.check_all(path)?;
            }
            return Ok(Trust::Looks);
        }
        self.check_all(path)?;
        Ok(Trust::Content)
    }

    fn differs(&self, bytes: u64, files: u64) -> String {
        if self.folder {
            let (old_bytes, old_files) = (self.bytes, self.files);
            format!("{bytes} bytes in {files} files instead of {old_bytes} in {old_files}")
        } else {
            format!("{bytes} bytes instead of {}", self.bytes)
        }
    }

    /// Reads all of it.
    pub(super) fn check_all(&self, path: &Path) -> Result<(), String> {
        let now = Seal::of(path).map_err(|error| error.to_string())?;
        if now == *self {
            return Ok(());
        }
        let (bytes, files) = (now.bytes, now.files);
        if (bytes, files) != (self.bytes, self.files) {
            return Err(self.differs(bytes, files));
        }
        Err("its content changed".to_owned())
    }

    fn add(&mut self, path: &Path, metadata: &Metadata, crc: &mut Crc) -> Result<(), CacheError> {
        let failed = |source| CacheError::io(path, source);
        if metadata.is_dir() {
            let mut names = Vec::new();
            for entry in std::fs::read_dir(path).map_err(failed)? {
                names.push(entry.map_err(failed)?.file_name());
            }
            names.sort();
            for name in names {
                crc.update(name.as_bytes());
                crc.update(b"\0");
                let inner = path.join(&name);
                let metadata = std::fs::symlink_metadata(&inner)
                    .map_err(|source| CacheError::io(&inner, source))?;
                self.add(&inner, &metadata, crc)?;
            }
        } else if metadata.is_symlink() {
            let target = std::fs::read_link(path).map_err(failed)?;
            crc.update(target.as_os_str().as_bytes());
        } else if metadata.is_file() {
            self.files += 1;
            self.bytes += metadata.len();
            add_content(path, metadata.len(), crc).map_err(failed)?;
        }
        Ok(())
    }
}

/// Reads a file through. Holes are zeros, and are counted without being read: the
/// memory of a kept machine is mostly holes.
fn add_content(path: &Path, length: u64, crc: &mut Crc) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 16];
    let mut at = 0;
    while at < length {
        let data = match rustix::fs::seek(&file, SeekFrom::Data(at)) {
            Ok(data) => data,
            // No data from here on.
            Err(rustix::io::Errno::NXIO) => length,
            // A file system that cannot tell: all is data.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::OPNOTSUPP) => at,
            Err(errno) => return Err(errno.into()),
        };
        add_zeros(data - at, crc);
        let end = match rustix::fs::seek(&file, SeekFrom::Hole(data)) {
            Ok(end) => end,
            Err(
                rustix::io::Errno::NXIO | rustix::io::Errno::INVAL | rustix::io::Errno::OPNOTSUPP,
            ) => length,
            Err(errno) => return Err(errno.into()),
        };
        file.seek(io::SeekFrom::Start(data))?;
        let mut part = (&mut file).take(end - data);
        loop {
            let read = part.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            crc.update(&buffer[..read]);
        }
        at = end;
    }
    Ok(())
}

/// What `crc` is after so many zeros more.
fn add_zeros(count: u64, crc: &mut Crc) {
    // Of 1, 2, 4, … zeros.
    let mut power = Crc::new();
    power.update(&[0]);
    let mut left = count;
    while left > 0 {
        if left & 1 == 1 {
            crc.combine(&power);
        }
        left >>= 1;
        let mut doubled = Crc::new();
        doubled.combine(&power);
        doubled.combine(&power);
        power = doubled;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn holes_count_as_the_zeros_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let (sparse, full) = (folder.path().join("sparse"), folder.path().join("full"));
        let mut file = File::create(&sparse).unwrap();
        file.seek(io::SeekFrom::Start(3 << 20)).unwrap();
        file.write_all(b"memory").unwrap();
        file.set_len((5 << 20) + 3).unwrap();
        std::fs::write(&full, std::fs::read(&sparse).unwrap()).unwrap();
        let sparse = Seal::of(&sparse).unwrap();
        assert_eq!(sparse, Seal::of(&full).unwrap());
        let mut whole = Crc::new();
        whole.update(&std::fs::read(&full).unwrap());
        assert_eq!(sparse.crc, whole.sum());
    }
}
