//! Images in files and folders: what `docker save` and `podman save` write, OCI
//! layouts, and skopeo's `dir:`; as a tar, compressed or not, or as a folder. Which
//! kind it is, its content tells.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plan::ImageReference;
use serde::Deserialize;
use tar::EntryType;

use super::config::{self, Config};
use super::manifest::{self, Document, Manifest};
use super::{Descriptor, Digest, Limits, OciError, unpack};
use crate::compression;
use crate::tree::{Indexed, Spool, TarError, Tree, index_tar};

/// A file of an archive, opened, and its length in bytes.
type Opened = (Box<dyn Read>, u64);

/// The most files in an archive.
const MOST_FILES: usize = 100_000;

/// How many links one file of a tar may be behind: old docker linked equal layers.
const MOST_LINKS: usize = 8;

/// How deep indexes may lie in one another.
const DEPTH: usize = 3;

/// An archive, opened.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    files: Files,
}

#[derive(Debug)]
enum Files {
    Folder,
    Tar {
        file: Arc<File>,
        members: HashMap<Vec<u8>, Indexed>,
    },
}

/// One image of an archive.
#[derive(Debug)]
pub struct Chosen {
    /// Of its configuration, which is all that went into it.
    pub digest: Digest,
    /// Read.
    pub config: Config,
    /// Names in the archive, from the lowest layer up.
    layers: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl Archive {
    /// Opens a tar or a folder. A compressed tar is decompressed to an unnamed file in
    /// `staging` first, at most `limits` large.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(path: &Path, staging: &Path, limits: Limits) -> Result<Self, OciError> {
        let broken = |source| OciError::Archive {
            archive: path.to_owned(),
            source,
        };
        if fs_err::metadata(path)?.is_dir() {
            return Ok(Self {
                path: path.to_owned(),
                files: Files::Folder,
            });
        }
        let mut file: File = fs_err::File::open(path)?.into();
        if is_compressed(&file)? {
            let mut plain = compression::decompress(&file).map_err(|error| broken(error.into()))?;
            let mut unpacked = tempfile::tempfile_in(staging)?;
            let mut buffer = vec![0; 128 << 10];
            let mut left = limits.bytes;
            loop {
                let count = plain
                    .read(&mut buffer)
                    .map_err(|error| broken(TarError::Read(error)))?;
                if count == 0 {
                    break;
                }
                left = left.checked_sub(count as u64).ok_or_else(|| {
                    broken(TarError::Read(io::Error::other(
                        "it decompresses to more than an image may have (MATRIX_IMAGE_MIB allows more)",
                    )))
                })?;
                unpacked.write_all(&buffer[..count])?;
            }
            drop(plain);
            file = unpacked;
        }
        file.rewind()?;
        let members =
            index_tar(io::BufReader::with_capacity(1 << 20, &file), MOST_FILES).map_err(broken)?;
        Ok(Self {
            path: path.to_owned(),
            files: Files::Tar {
                file: Arc::new(file),
                // Of two of one name the later counts, as in any tar.
                members: members
                    .into_iter()
                    .map(|member| (member.path.clone(), member))
                    .collect(),
            },
        })
    }

    /// The image that is meant: the only one, or the one called `image`.
    ///
    /// # Errors
    /// When there is no such image, or it is broken or for another platform.
    pub fn choose(&self, image: Option<&str>, architecture: &str) -> Result<Chosen, OciError> {
        if let Some(bytes) = self.optional("manifest.json", manifest::LARGEST)? {
            let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
            if first != Some(&b'[') {
                // skopeo's `dir:` has the manifest itself there.
                return self.manifest(&bytes, architecture, DEPTH);
            }
            return self.saved(&bytes, image, architecture);
        }
        let Some(bytes) = self.optional("index.json", manifest::LARGEST)? else {
            return Err(OciError::NotAnArchive {
                archive: self.path.clone(),
            });
        };
        let Document::Index(manifests) = manifest::parse(&bytes, &self.words("index.json"))? else {
            return Err(OciError::NotAnArchive {
                archive: self.path.clone(),
            });
        };
        let chosen = self.pick_of_layout(&manifests, image, architecture)?;
        let bytes = self.blob(&chosen.digest, manifest::LARGEST)?;
        self.manifest(&bytes, architecture, DEPTH)
    }

    /// All layers of an image, checked and laid over one another.
    ///
    /// # Errors
    /// When one is missing, broken, or not what the configuration says.
    pub fn tree(
        &self,
        chosen: &Chosen,
        spool: &Arc<Spool>,
        limits: Limits,
    ) -> Result<Tree, OciError> {
        let names: Vec<String> = chosen.layers.iter().map(|name| self.words(name)).collect();
        unpack::layers(&names, limits, |number, budget| {
            let (source, _) = self
                .file(&chosen.layers[number])?
                .ok_or_else(|| self.member(&chosen.layers[number], "is not in it".to_owned()))?;
            let diff_id = &chosen.config.diff_ids[number];
            unpack::layer(&names[number], source, diff_id, spool, budget, limits)
        })
    }

    fn saved(
        &self,
        bytes: &[u8],
        image: Option<&str>,
        architecture: &str,
    ) -> Result<Chosen, OciError> {
        let all: Vec<Saved> =
            serde_json::from_slice(bytes).map_err(|error| OciError::Document {
                what: self.words("manifest.json"),
                reason: error.to_string(),
            })?;
        let names = |saved: &Saved| saved.repo_tags.clone().unwrap_or_default();
        let saved = match (image, all.as_slice()) {
            (None, [only]) => only,
            (Some(image), all) => all
                .iter()
                .find(|saved| names(saved).iter().any(|name| same_name(name, image)))
                .ok_or_else(|| {
                    self.choice(
                        format!("no image called `{image}`"),
                        all.iter().flat_map(names).collect(),
                    )
                })?,
            (None, all) => {
                return Err(self.choice(
                    format!("{} images", all.len()),
                    all.iter().flat_map(names).collect(),
                ));
            }
        };
        let bytes = self.required(&saved.config, config::LARGEST)?;
        let digest = Digest::of(&bytes);
        // It is called by its own digest.
        let stem = saved.config.rsplit('/').next().unwrap_or_default();
        let stem = stem.strip_suffix(".json").unwrap_or(stem);
        if let Some(named) = Digest::parse(&format!("sha256:{stem}"))
            && named != digest
        {
            return Err(OciError::Digest {
                what: self.words(&saved.config),
                expected: named.to_string(),
                actual: digest.to_string(),
            });
        }
        let what = self.words(&saved.config);
        Ok(Chosen {
            config: config::parse(&bytes, &what, architecture, saved.layers.len())?,
            digest,
            layers: saved.layers.clone(),
        })
    }

    fn pick_of_layout<'index>(
        &self,
        manifests: &'index [Descriptor],
        image: Option<&str>,
        architecture: &str,
    ) -> Result<&'index Descriptor, OciError> {
        let names = || {
            manifests
                .iter()
                .flat_map(|manifest| manifest.names.clone())
                .collect()
        };
        match (image, manifests) {
            (None, [only]) => Ok(only),
            (Some(image), _) => manifests
                .iter()
                .find(|manifest| manifest.names.iter().any(|name| same_name(name, image)))
                .ok_or_else(|| self.choice(format!("no image called `{image}`"), names())),
            // One image for several platforms.
            (None, several)
                if !several.is_empty()
                    && several
                        .iter()
                        .all(|manifest| manifest.names == several[0].names) =>
            {
                manifest::choose(several, architecture, &self.path.display().to_string())
            }
            (None, several) => Err(self.choice(format!("{} images", several.len()), names())),
        }
    }

    fn manifest(&self, bytes: &[u8], architecture: &str, depth: usize) -> Result<Chosen, OciError> {
        let what = self.path.display().to_string();
        match manifest::parse(bytes, &what)? {
            Document::Index(manifests) if depth > 0 => {
                let chosen = manifest::choose(&manifests, architecture, &what)?;
                let bytes = self.blob(&chosen.digest, manifest::LARGEST)?;
                self.manifest(&bytes, architecture, depth - 1)
            }
            Document::Index(_) => Err(OciError::Document {
                what,
                reason: format!("indexes of indexes, more than {DEPTH} deep"),
            }),
            Document::Manifest(Manifest { config, layers }) => {
                let bytes = self.blob(&config.digest, config::LARGEST)?;
                let layers: Result<Vec<String>, OciError> = layers
                    .iter()
                    .map(|layer| self.blob_name(&layer.digest))
                    .collect();
                let layers = layers?;
                Ok(Chosen {
                    config: config::parse(&bytes, &what, architecture, layers.len())?,
                    digest: config.digest,
                    layers,
                })
            }
        }
    }

    /// Where a blob is: a layout's place or that of skopeo's `dir:`.
    fn blob_name(&self, digest: &Digest) -> Result<String, OciError> {
        let usual = format!("blobs/sha256/{}", digest.hex());
        for name in [usual.clone(), digest.hex().to_owned()] {
            if self.file(&name)?.is_some() {
                return Ok(name);
            }
        }
        Err(self.member(&usual, "is not in it".to_owned()))
    }

    fn blob(&self, digest: &Digest, most: u64) -> Result<Vec<u8>, OciError> {
        let name = self.blob_name(digest)?;
        let bytes = self.required(&name, most)?;
        let actual = Digest::of(&bytes);
        if actual == *digest {
            return Ok(bytes);
        }
        Err(OciError::Digest {
            what: self.words(&name),
            expected: digest.to_string(),
            actual: actual.to_string(),
        })
    }

    fn required(&self, name: &str, most: u64) -> Result<Vec<u8>, OciError> {
        self.optional(name, most)?
            .ok_or_else(|| self.member(name, "is not in it".to_owned()))
    }

    fn optional(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>, OciError> {
        let Some((source, size)) = self.file(name)? else {
            return Ok(None);
        };
        if size > most {
            return Err(self.member(name, format!("has {size} bytes where {most} are taken")));
        }
        let mut bytes = Vec::new();
        source.take(most).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// A file of the archive with its size; none where there is none.
    fn file(&self, name: &str) -> Result<Option<Opened>, OciError> {
        let good = |part: &str| !matches!(part, "" | "." | "..");
        let name = name.strip_prefix("./").unwrap_or(name);
        if name.contains('\0') || !name.split('/').all(good) {
            return Err(self.member(name, "leads out of it".to_owned()));
        }
        match &self.files {
            Files::Folder => {
                let path = self.path.join(name);
                let metadata = match fs_err::metadata(&path) {
                    Ok(metadata) => metadata,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                    Err(error) => return Err(error.into()),
                };
                let inside =
                    fs_err::canonicalize(&path)?.starts_with(fs_err::canonicalize(&self.path)?);
                if !inside {
                    return Err(self.member(name, "is a link out of it".to_owned()));
                }
                // Before it is opened: to open a pipe is to wait for its writer.
                if !metadata.is_file() {
                    return Err(self.member(name, "is no file".to_owned()));
                }
                let file = fs_err::File::open(&path)?;
                Ok(Some((Box::new(file), metadata.len())))
            }
            Files::Tar { file, members } => {
                let mut path = name.as_bytes().to_vec();
                for _ in 0..MOST_LINKS {
                    let Some(member) = members.get(&path) else {
                        return Ok(None);
                    };
                    match member.kind {
                        EntryType::Regular | EntryType::Continuous => {
                            let slice = Slice {
                                file: Arc::clone(file),
                                position: member.offset,
                                left: member.size,
                            };
                            return Ok(Some((Box::new(slice), member.size)));
                        }
                        EntryType::Symlink => path = beside(&path, &member.link),
                        EntryType::Link => path = beside(b"", &member.link),
                        _ => return Err(self.member(name, "is no file".to_owned())),
                    }
                }
                Err(self.member(name, "is behind too many links".to_owned()))
            }
        }
    }

    fn words(&self, name: &str) -> String {
        format!("{} {name}", self.path.display())
    }

    fn member(&self, name: &str, reason: String) -> OciError {
        OciError::Member {
            archive: self.path.clone(),
            name: name.to_owned(),
            reason,
        }
    }

    fn choice(&self, problem: String, names: Vec<String>) -> OciError {
        OciError::Choice {
            archive: self.path.clone(),
            problem,
            names: if names.is_empty() {
                "none with a name".to_owned()
            } else {
                names.join(", ")
            },
        }
    }
}

/// Whether a plain tar begins as an archive of images does. A root file system has
/// neither of these names first.
///
/// # Errors
/// When the file cannot be read.
pub fn begins_like_one(path: &Path) -> io::Result<bool> {
    let mut first = [0; 100];
    let mut file = fs_err::File::open(path)?;
    let mut filled = 0;
    while filled < first.len() {
        match file.read(&mut first[filled..])? {
            0 => return Ok(false),
            count => filled += count,
        }
    }
    let end = first
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(first.len());
    let name = first[..end].strip_prefix(b"./").unwrap_or(&first[..end]);
    let top = name.split(|byte| *byte == b'/').next().unwrap_or(name);
    let stem = top.strip_suffix(b".json").unwrap_or(top);
    let stem = stem.strip_suffix(b".tar").unwrap_or(stem);
    let names: [&[u8]; 5] = [
        b"blobs",
        b"oci-layout",
        b"index",
        b"manifest",
        b"repositories",
    ];
    let is_digest = stem.len() == 64 && stem.iter().all(u8::is_ascii_hexdigit);
    Ok(is_digest || names.contains(&stem))
}

fn is_compressed(file: &File) -> io::Result<bool> {
    let mut first = [0; 6];
    let count = file.read_at(&mut first, 0)?;
    Ok(matches!(
        &first[..count],
        [0x1f, 0x8b, ..]
            | [0xfd, b'7', b'z', b'X', b'Z', 0]
            | [0x28, 0xb5, 0x2f, 0xfd, ..]
            | [b'B', b'Z', b'h', ..]
    ))
}

/// A link's target as a name in the archive.
fn beside(path: &[u8], target: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    parts.pop();
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join(&b'/')
}

/// `alpine:3.20` is what `docker.io/library/alpine:3.20` is; a layout's reference
/// name may be the tag alone.
fn same_name(name: &str, wanted: &str) -> bool {
    let whole = |text: &str| ImageReference::parse(text).map(|reference| reference.to_string());
    name == wanted || matches!((whole(name), whole(wanted)), (Ok(left), Ok(right)) if left == right)
}

/// A part of a file.
struct Slice {
    file: Arc<File>,
    position: u64,
    left: u64,
}

impl Read for Slice {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let count = self.file.read_at(&mut buffer[..want], self.position)?;
        if count == 0 && want > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.position += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}
