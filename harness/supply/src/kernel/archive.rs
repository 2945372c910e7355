//! Kernels within one file, whichever it is: a bzImage or vmlinux itself, a .deb, an
//! .rpm, a tar; and within images. What a file is, its content tells.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use fs_err as fs;
use sha2::{Digest as _, Sha256};

use super::layout::{self, Collector};
use super::local::{inspect, local};
use super::unpacked::{IMAGE, unpacked};
use super::{KernelError, KernelFiles, build_tree};
use crate::cache::{Cache, Key, hex};
use crate::compression;
use crate::deb;
use crate::rpm::RpmFile;
use crate::tree::{self, Kind, Link, Tree};

/// Changes whenever the same file would give another folder.
const VERSION: &str = "kernel-file-v1";

/// As [`VERSION`], for images.
const IMAGE_VERSION: &str = "kernel-image-v1";

/// What a file is, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Deb,
    Rpm,
    Tar,
    /// A kernel, or nothing that is known: [`inspect`] tells.
    Other,
}

/// A kernel at a path of this machine: see [`plan::KernelSource::Path`].
///
/// # Errors
/// When it cannot be read, or there is no kernel there.
pub fn at_path(
    path: &Path,
    modules: Option<&Path>,
    cache: &Cache,
) -> Result<KernelFiles, KernelError> {
    if fs::metadata(path)?.is_dir() {
        if let Some(modules) = modules {
            return Err(KernelError::NeedlessModules {
                path: path.to_path_buf(),
                modules: modules.to_path_buf(),
            });
        }
        return if build_tree::is_one(path) {
            build_tree::build_tree(path, cache)
        } else {
            layout::installed(path)
        };
    }
    let content = content(path)?;
    if content == Content::Other {
        return local(path, modules);
    }
    if let Some(modules) = modules {
        return Err(KernelError::NeedlessModules {
            path: path.to_path_buf(),
            modules: modules.to_path_buf(),
        });
    }
    let sha256 = hex(&sha256_of(path)?);
    let mut files = in_file(path, &sha256, cache)?;
    let place = fs::canonicalize(path)?.display().to_string();
    files.package.insert("path".to_owned(), place);
    Ok(files)
}

/// A kernel in a file of this digest, which `fetch` is asked for where it is not
/// unpacked yet.
///
/// # Errors
/// When it cannot be had, or there is no kernel in it.
pub fn downloaded(
    url: &str,
    sha256: &str,
    cache: &Cache,
    fetch: impl FnOnce() -> Result<std::path::PathBuf, KernelError>,
) -> Result<KernelFiles, KernelError> {
    let mut files = kernel_of(sha256, cache, fetch)?;
    files.package.insert("url".to_owned(), url.to_owned());
    Ok(files)
}

fn in_file(path: &Path, sha256: &str, cache: &Cache) -> Result<KernelFiles, KernelError> {
    kernel_of(sha256, cache, || Ok(path.to_path_buf()))
}

/// Whether the kernel in a file of this digest is unpacked already.
pub(crate) fn file_unpacked(sha256: &str, cache: &Cache) -> bool {
    cache.get("kernel", &file_key(sha256)).is_some()
}

fn file_key(sha256: &str) -> Key {
    Key::new(VERSION).with("sha256", sha256)
}

fn kernel_of(
    sha256: &str,
    cache: &Cache,
    fetch: impl FnOnce() -> Result<std::path::PathBuf, KernelError>,
) -> Result<KernelFiles, KernelError> {
    let (mut files, package) = unpacked(cache, &file_key(sha256), |root| make(&fetch()?, root))?;
    files.package = package;
    files.package.insert("sha256".to_owned(), sha256.to_owned());
    files.digest = format!("sha256:{sha256}");
    Ok(files)
}

/// Unpacks a file. What is known of it: name and version of a package.
fn make(path: &Path, root: &Path) -> Result<BTreeMap<String, String>, KernelError> {
    let what = path.display().to_string();
    let staging = root.join("collected");
    fs::create_dir_all(&staging)?;
    let collector = RefCell::new(Collector::default());
    let place = |path: &str| collector.borrow_mut().place(path);
    let mut package = BTreeMap::new();
    let links = match content(path)? {
        Content::Deb => {
            let (name, version) = deb::identity(path)?;
            package.insert("name".to_owned(), name);
            package.insert("version".to_owned(), version);
            deb::extract(path, &staging, &place)?
        }
        Content::Rpm => {
            let file = RpmFile::open(path)?;
            package.insert("name".to_owned(), file.name()?);
            package.insert("version".to_owned(), file.evr()?.to_string());
            file.extract(&staging, &place, false)?;
            Vec::new()
        }
        Content::Tar => {
            let file = fs::File::open(path)?;
            tree::extract_tar(file, &staging, &place).map_err(|source| KernelError::Tar {
                path: path.to_path_buf(),
                source,
            })?
        }
        Content::Other => {
            // Its kind is held against what a kernel is when it is inspected.
            fs::copy(path, root.join(IMAGE))?;
            inspect(path)?;
            fs::remove_dir_all(&staging)?;
            return Ok(package);
        }
    };
    collector.into_inner().finish(&what)?;
    make_hard_links(&staging, &links)?;
    layout::settle(&staging, root, &what)?;
    fs::remove_dir_all(&staging)?;
    Ok(package)
}

/// Symbolic links lead to what is there by itself, or out of the kernel.
fn make_hard_links(root: &Path, links: &[Link]) -> Result<(), KernelError> {
    for link in links {
        if let Link::Hard { place, target } = link
            && place != target
        {
            let place = root.join(place);
            if let Some(parent) = place.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::hard_link(root.join(target), place)?;
        }
    }
    Ok(())
}

/// A kernel in an image whose configuration has this digest; its files are asked for
/// where it is not unpacked yet.
///
/// # Errors
/// When the image cannot be had, or there is no kernel in it.
pub fn in_image(
    config: &str,
    what: &str,
    cache: &Cache,
    files_of: impl FnOnce() -> Result<Tree, KernelError>,
) -> Result<KernelFiles, KernelError> {
    let key = Key::new(IMAGE_VERSION).with("config", config);
    let (mut files, ()) = unpacked(cache, &key, |root| {
        let staging = root.join("collected");
        fs::create_dir_all(&staging)?;
        write_kernel(&files_of()?, &staging, what)?;
        layout::settle(&staging, root, what)?;
        Ok(fs::remove_dir_all(&staging)?)
    })?;
    config.clone_into(&mut files.digest);
    Ok(files)
}

fn write_kernel(tree: &Tree, root: &Path, what: &str) -> Result<(), KernelError> {
    let mut collector = Collector::default();
    for entry in tree.entries() {
        let Kind::File(content) = &entry.inode.kind else {
            continue;
        };
        let Some(place) = std::str::from_utf8(entry.path)
            .ok()
            .and_then(|path| collector.place(path))
        else {
            continue;
        };
        let target = root.join(place);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file = fs::File::create(&target)?;
        content.read(|piece| {
            io::Write::write_all(&mut file, piece)?;
            Ok::<_, KernelError>(())
        })?;
    }
    collector.finish(what)
}

fn content(path: &Path) -> Result<Content, KernelError> {
    let mut file = fs::File::open(path)?;
    let head = head(&mut file)?;
    if head.starts_with(b"!<arch>\n") {
        return Ok(Content::Deb);
    }
    if head.starts_with(&[0xed, 0xab, 0xee, 0xdb]) {
        return Ok(Content::Rpm);
    }
    if is_tar(&head) {
        return Ok(Content::Tar);
    }
    let compressed = head.starts_with(&[0x1f, 0x8b])
        || head.starts_with(b"\xfd7zXZ\0")
        || head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]);
    if !compressed {
        return Ok(Content::Other);
    }
    let inner = compression::decompress(fs::File::open(path)?)
        .map_err(|error| io::Error::other(error.to_string()))
        .and_then(|mut plain| head_of(&mut plain));
    match inner {
        Ok(inner) if is_tar(&inner) => Ok(Content::Tar),
        // Named by who refuses it.
        _ => Ok(Content::Other),
    }
}

fn head(file: &mut impl Read) -> Result<Vec<u8>, KernelError> {
    Ok(head_of(file)?)
}

fn head_of(source: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    source.take(512).read_to_end(&mut head)?;
    Ok(head)
}

fn is_tar(head: &[u8]) -> bool {
    head.get(257..262) == Some(b"ustar")
}

fn sha256_of(path: &Path) -> Result<[u8; 32], KernelError> {
    let mut file = fs::File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.finalize().into()),
            count => hash.update(&buffer[..count]),
        }
    }
}
