//! RPM packages: what they say of themselves, held against their digests and
//! signatures, and the files in them.

use std::collections::HashMap;
use std::fs::Permissions;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use fs_err as fs;
use rpm::{
    CompressionType, DigestAlgorithm, DigestStatus, FileFlags, FileType, IndexTag, PackageMetadata,
    PackageReader,
};
use sha2::Digest as _;

use super::checksum::{Algorithm, digits_of};
use super::header::{Head, HeadError};
use super::version::Evr;
use crate::cache::hex;
use crate::openpgp::{self, Keyring, OpenPgpError, Policy};
use crate::tree::{MOST_EXTRACTED, PathError, check_path};

/// Why a package is not taken.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct PackageError {
    /// The package.
    pub path: PathBuf,
    /// What is wrong.
    #[source]
    pub reason: PackageReason,
}

/// What is wrong with a package.
#[derive(Debug, thiserror::Error)]
pub enum PackageReason {
    /// It cannot be opened or read.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// Its head is not a package's.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// Its headers or its payload make no sense.
    #[error("{0}")]
    Format(#[from] rpm::Error),
    /// Its header is not written as rpm writes one.
    #[error("its header has bytes that belong to nothing in it")]
    Padding,
    /// It does not come to what it says of itself.
    #[error("it is damaged: its {what} is {actual}, and it says {expected}")]
    Digest {
        /// `header's SHA-256`, `payload's SHA-256`, `boot/vmlinuz-…`.
        what: String,
        /// As its headers say.
        expected: String,
        /// As it is.
        actual: String,
    },
    /// A signature is not good.
    #[error("{0}")]
    Signature(#[from] OpenPgpError),
    /// What the signature is over does not cover the files.
    #[error(
        "its signature does not cover {file}: neither the payload nor the file has a digest that cannot be forged"
    )]
    NotCovered {
        /// A file.
        file: String,
    },
    /// The payload is compressed or packed in a way that is not read.
    #[error(
        "its payload is {how}, which is not read\nhint: unpack it (rpm2cpio) and name the files: source = {{ path = \"boot/vmlinuz-…\", modules = \"lib/modules/…\" }}"
    )]
    Payload {
        /// In what way.
        how: String,
    },
    /// A file has another length than its entry says.
    #[error("{file} has {actual} bytes where {expected} are told")]
    Length {
        /// The file.
        file: String,
        /// As told.
        expected: u64,
        /// As it is.
        actual: u64,
    },
    /// A path that leads out of where it is unpacked.
    #[error(transparent)]
    Path(#[from] PathError),
    /// It unpacks to more than any kernel does.
    #[error("it unpacks to more than {} MiB", MOST_EXTRACTED >> 20)]
    Bomb,
    /// A file could not be written where it is unpacked.
    #[error("unpacking: {0}")]
    Unpack(io::Error),
}

/// A package, opened.
#[derive(Debug)]
pub struct RpmFile {
    path: PathBuf,
    head: Head,
    metadata: PackageMetadata,
}

impl RpmFile {
    /// Opens a package and holds header and payload against the digests it has of
    /// them.
    ///
    /// # Errors
    /// When it is no package, or damaged.
    pub fn open(path: &Path) -> Result<Self, PackageError> {
        Self::read(path).map_err(|reason| PackageError {
            path: path.to_path_buf(),
            reason,
        })
    }

    fn read(path: &Path) -> Result<Self, PackageReason> {
        let file = fs::File::open(path)?;
        let head = Head::read(&mut BufReader::with_capacity(128 << 10, file))?;
        let metadata = PackageMetadata::parse(&mut head.bytes.as_slice())?;
        // The digests are taken, and the files listed, by what was understood of the
        // header: it has to be all of it.
        if metadata.header_bytes()? != head.signed() {
            return Err(PackageReason::Padding);
        }
        let package = RpmFile {
            path: path.to_path_buf(),
            head,
            metadata,
        };
        let report = package.metadata.check_digests()?;
        for (what, status) in [
            ("header's SHA-1", report.header_sha1),
            ("header's SHA-256", report.header_sha256),
            ("header's SHA3-256", report.header_sha3_256),
        ] {
            if let DigestStatus::Mismatch { expected, actual } = status {
                return Err(digest(what, expected, actual));
            }
        }
        for (what, algorithm, expected) in package.payload_digests() {
            let mut file = fs::File::open(path)?;
            file.seek(SeekFrom::Start(package.head.bytes.len() as u64))?;
            let actual = digits_of(file, algorithm)?;
            if !expected.eq_ignore_ascii_case(&actual) {
                return Err(digest(what, expected, actual));
            }
        }
        Ok(package)
    }

    /// Those the header has of the payload. Since rpm 4.14.
    fn payload_digests(&self) -> Vec<(&'static str, Algorithm, String)> {
        [
            (
                "payload's SHA-256",
                Algorithm::Sha256,
                IndexTag::RPMTAG_PAYLOADSHA256,
            ),
            (
                "payload's SHA-512",
                Algorithm::Sha512,
                IndexTag::RPMTAG_PAYLOAD_SHA512,
            ),
        ]
        .into_iter()
        .filter_map(|(what, algorithm, tag)| {
            let digest = self.metadata.header.get_entry_data_as_string(tag).ok()?;
            Some((what, algorithm, digest.to_owned()))
        })
        .collect()
    }

    /// `kernel-core`.
    ///
    /// # Errors
    /// When the header does not say.
    pub fn name(&self) -> Result<String, PackageError> {
        let name = self.metadata.get_name();
        name.map(str::to_owned)
            .map_err(|error| self.error(error.into()))
    }

    /// Epoch, version and release.
    ///
    /// # Errors
    /// When the header does not say.
    pub fn evr(&self) -> Result<Evr, PackageError> {
        let read = || -> Result<Evr, PackageReason> {
            Ok(Evr {
                epoch: self.metadata.get_epoch().unwrap_or(0),
                version: self.metadata.get_version()?.to_owned(),
                release: self.metadata.get_release()?.to_owned(),
            })
        };
        read().map_err(|reason| self.error(reason))
    }

    /// Whether a key of the keyring signed the header, and by it the files. The
    /// fingerprint of the key.
    ///
    /// # Errors
    /// When none did, or the key was not fit to.
    pub fn verify(&self, keyring: &Keyring, policy: Policy) -> Result<String, PackageError> {
        let verify = || -> Result<String, PackageReason> {
            let signatures = self.metadata.raw_signatures()?;
            let mut worst = OpenPgpError::Unsigned;
            for signature in &signatures {
                match openpgp::verify_bytes(self.head.signed(), signature, keyring, policy) {
                    Ok(fingerprint) => return Ok(fingerprint),
                    Err(error) => worst = worst.worse(error),
                }
            }
            Err(worst.into())
        };
        verify().map_err(|reason| self.error(reason))
    }

    fn error(&self, reason: PackageReason) -> PackageError {
        PackageError {
            path: self.path.clone(),
            reason,
        }
    }

    /// Writes some of the package's files below `destination`, which holds no
    /// symbolic links. `place` says where a file's path (`boot/vmlinuz-1`) goes, none:
    /// nowhere. Each is held against its digest. `signed` says that the files are only
    /// vouched for by the header's signature: then each must be covered by a digest
    /// in it. Symbolic links, devices and what the package only owns (`%ghost`) are
    /// left out.
    ///
    /// # Errors
    /// When the package is broken, or a file cannot be written.
    pub fn extract(
        &self,
        destination: &Path,
        place: &dyn Fn(&str) -> Option<String>,
        signed: bool,
    ) -> Result<(), PackageError> {
        self.extract_files(destination, place, signed)
            .map_err(|reason| self.error(reason))
    }

    fn extract_files(
        &self,
        destination: &Path,
        place: &dyn Fn(&str) -> Option<String>,
        signed: bool,
    ) -> Result<(), PackageReason> {
        self.readable_payload()?;
        let covered = !self.payload_digests().is_empty();
        let file = fs::File::open(&self.path)?;
        let mut reader = PackageReader::parse(BufReader::with_capacity(128 << 10, file))?;
        let identities = self.hard_links()?;
        // Of a file with several names the last has the content.
        let mut waiting: HashMap<(u32, u32), Vec<String>> = HashMap::new();
        let mut left = MOST_EXTRACTED;
        while let Some(mut file) = reader.next_file()? {
            let entry = file.metadata.clone();
            let path = entry.path().display().to_string();
            let path = path.trim_start_matches('/').to_owned();
            let ghost = entry.flags().contains(FileFlags::GHOST);
            if entry.file_type() != FileType::Regular || ghost {
                file.finish()?;
                continue;
            }
            let mut places: Vec<String> = place(&path).into_iter().collect();
            for to in &places {
                check_path(to.as_bytes())?;
            }
            let identity = identities.get(&path);
            if !file.has_payload() {
                if let (Some(identity), Some(to)) = (identity, places.pop()) {
                    waiting.entry(*identity).or_default().push(to);
                }
                file.finish()?;
                continue;
            }
            places.extend(
                identity
                    .and_then(|it| waiting.remove(it))
                    .unwrap_or_default(),
            );
            let Some((first, others)) = places.split_first() else {
                file.finish()?;
                continue;
            };
            left = left
                .checked_sub(entry.size() as u64)
                .ok_or(PackageReason::Bomb)?;
            let digest = entry
                .digest()
                .map(|digest| (digest.algorithm(), digest.as_hex()));
            let strong = digest.and_then(|(algorithm, hex)| Some((hasher(algorithm)?, hex)));
            if signed && !covered && strong.is_none() {
                return Err(PackageReason::NotCovered { file: path });
            }
            let target = destination.join(first);
            let length = write(&mut file, &target, entry.size() as u64, strong, &path)?;
            file.finish()?;
            if length != entry.size() as u64 {
                return Err(PackageReason::Length {
                    file: path,
                    expected: entry.size() as u64,
                    actual: length,
                });
            }
            let mode = u32::from(entry.permissions()) & 0o755 | 0o600;
            fs::set_permissions(&target, Permissions::from_mode(mode))
                .map_err(PackageReason::Unpack)?;
            for other in others {
                let link = destination.join(other);
                make_parent(&link)?;
                fs::hard_link(&target, link).map_err(PackageReason::Unpack)?;
            }
        }
        match waiting.into_values().flatten().next() {
            Some(file) => Err(PackageReason::Length {
                file,
                expected: 1,
                actual: 0,
            }),
            None => Ok(()),
        }
    }

    /// Files that share their content, by path.
    fn hard_links(&self) -> Result<HashMap<String, (u32, u32)>, PackageReason> {
        let header = &self.metadata.header;
        let numbers = |tag| header.get_entry_data_as_u32_array(tag).unwrap_or_default();
        let devices = numbers(IndexTag::RPMTAG_FILEDEVICES);
        let inodes = numbers(IndexTag::RPMTAG_FILEINODES);
        let paths = self.metadata.get_file_paths()?;
        Ok(paths
            .iter()
            .zip(devices.into_iter().zip(inodes))
            .map(|(path, identity)| {
                let path = path.display().to_string();
                (path.trim_start_matches('/').to_owned(), identity)
            })
            .collect())
    }

    fn readable_payload(&self) -> Result<(), PackageReason> {
        let refuse = |how: String| Err(PackageReason::Payload { how });
        let format = self
            .metadata
            .header
            .get_entry_data_as_string(IndexTag::RPMTAG_PAYLOADFORMAT)
            .unwrap_or("cpio");
        if format != "cpio" {
            return refuse(format!("packed as {format}"));
        }
        match self.metadata.get_payload_compressor() {
            Ok(CompressionType::Bzip2) => refuse("compressed with bzip2".to_owned()),
            Err(rpm::Error::UnknownCompressorType(name)) => {
                refuse(format!("compressed with {name}"))
            }
            Ok(_) => Ok(()),
            // Before 2001 there was gzip alone, and none said so.
            Err(rpm::Error::TagNotFound(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn digest(what: &str, expected: String, actual: String) -> PackageReason {
    PackageReason::Digest {
        what: what.to_owned(),
        expected,
        actual,
    }
}

fn hasher(algorithm: DigestAlgorithm) -> Option<Box<dyn sha2::digest::DynDigest>> {
    Some(match algorithm {
        DigestAlgorithm::Sha2_256 => Box::new(sha2::Sha256::new()),
        DigestAlgorithm::Sha2_384 => Box::new(sha2::Sha384::new()),
        DigestAlgorithm::Sha2_512 => Box::new(sha2::Sha512::new()),
        _ => return None,
    })
}

fn make_parent(path: &Path) -> Result<(), PackageReason> {
    match path.parent() {
        Some(parent) => fs::create_dir_all(parent).map_err(PackageReason::Unpack),
        None => Ok(()),
    }
}

/// Writes a file and holds it against its digest. How long it is.
fn write(
    source: &mut impl Read,
    target: &Path,
    most: u64,
    digest_of: Option<(Box<dyn sha2::digest::DynDigest>, &str)>,
    name: &str,
) -> Result<u64, PackageReason> {
    make_parent(target)?;
    let mut file = fs::File::create(target).map_err(PackageReason::Unpack)?;
    let (mut hasher, expected) = match digest_of {
        Some((hasher, expected)) => (Some(hasher), expected),
        None => (None, ""),
    };
    let mut buffer = vec![0; 128 << 10];
    let mut length = 0;
    let mut source = source.take(most.saturating_add(1));
    loop {
        let count = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        io::Write::write_all(&mut file, &buffer[..count]).map_err(PackageReason::Unpack)?;
        if let Some(hasher) = &mut hasher {
            hasher.update(&buffer[..count]);
        }
        length += count as u64;
    }
    if let Some(hasher) = hasher {
        let actual = hex(&hasher.finalize());
        if !actual.eq_ignore_ascii_case(expected) && length == most {
            return Err(digest(name, expected.to_owned(), actual));
        }
    }
    Ok(length)
}
