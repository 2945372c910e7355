//! Kernels that are files of this machine.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use fs_err as fs;
use sha2::{Digest as _, Sha256};

use super::{KernelError, KernelFiles};
use crate::cache::hex;
use crate::tree::fingerprint;

/// A bzImage or vmlinux with its modules, if there are any.
///
/// # Errors
/// When the file cannot be read or is no kernel, or the named modules cannot be
/// read.
pub fn local(kernel: &Path, modules: Option<&Path>) -> Result<KernelFiles, KernelError> {
    let image = fs::canonicalize(kernel)?;
    let facts = inspect(&image)?;
    let modules = match modules {
        Some(named) => Some(fs::canonicalize(named)?),
        None => facts
            .release
            .as_deref()
            .and_then(|release| beside(&image, release)),
    };
    let configuration = facts
        .release
        .as_deref()
        .and_then(|release| configuration(&image, modules.as_deref(), release));
    files(image, facts, modules, configuration)
}

/// A kernel whose files stay where they are.
pub(super) fn files(
    image: PathBuf,
    facts: Facts,
    modules: Option<PathBuf>,
    configuration: Option<PathBuf>,
) -> Result<KernelFiles, KernelError> {
    let mut hash = Sha256::new();
    hash.update(facts.digest);
    if let Some(folder) = &modules {
        hash.update(fingerprint(folder)?);
    }
    let mut package = BTreeMap::from([("path".to_owned(), image.display().to_string())]);
    package.insert("sha256".to_owned(), hex(&facts.digest));
    if let Some(folder) = &modules {
        package.insert("modules".to_owned(), folder.display().to_string());
    }
    Ok(KernelFiles {
        configuration,
        image,
        modules,
        release: facts.release,
        package,
        digest: format!("sha256:{}", hex(&hash.finalize())),
    })
}

/// Where `make modules_install` or a distribution puts them.
fn beside(image: &Path, release: &str) -> Option<PathBuf> {
    let folder = image.parent()?;
    let mut candidates = Vec::new();
    if let Some(above) = folder.parent() {
        candidates.push(above.join("lib/modules").join(release));
        candidates.push(above.join("usr/lib/modules").join(release));
    }
    // /usr/lib/modules/RELEASE/vmlinuz.
    if folder.file_name().is_some_and(|name| name == release) {
        candidates.push(folder.to_path_buf());
    }
    candidates.into_iter().find(|folder| folder.is_dir())
}

pub(super) fn configuration(
    image: &Path,
    modules: Option<&Path>,
    release: &str,
) -> Option<PathBuf> {
    let folder = image.parent()?;
    let mut candidates = vec![folder.join(format!("config-{release}"))];
    // A build tree: arch/x86/boot/bzImage, or vmlinux at its top.
    if image.file_name().is_some_and(|name| name == "bzImage") {
        candidates.extend(folder.ancestors().nth(3).map(|tree| tree.join(".config")));
    }
    if image.file_name().is_some_and(|name| name == "vmlinux") {
        candidates.push(folder.join(".config"));
    }
    candidates.extend(modules.map(|folder| folder.join("config")));
    candidates.into_iter().find(|path| path.is_file())
}

/// What a kernel image tells of itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) release: Option<String>,
    pub(super) digest: [u8; 32],
    kind: Kind,
}

impl Facts {
    /// A bzImage, and not a vmlinux.
    pub(super) fn is_bz_image(&self) -> bool {
        self.kind == Kind::BzImage
    }
}

/// Reads the whole image once: its kind from its head, its digest, and for an ELF
/// file the release from the banner somewhere inside.
pub(super) fn inspect(path: &Path) -> Result<Facts, KernelError> {
    if fs::metadata(path)?.is_dir() {
        return Err(KernelError::NotAKernel {
            path: path.to_path_buf(),
            what: "a folder".to_owned(),
        });
    }
    let mut file = fs::File::open(path)?;
    // The real-mode part of a bzImage is at most 64 sectors and the first.
    let mut head = Vec::new();
    (&mut file).take(64 << 10).read_to_end(&mut head)?;
    let kind = kind(&head).map_err(|what| KernelError::NotAKernel {
        path: path.to_path_buf(),
        what,
    })?;
    let mut hash = Sha256::new();
    let mut banner = match kind {
        Kind::BzImage => None,
        Kind::Vmlinux => Some(Banner::default()),
    };
    let mut take = |piece: &[u8]| {
        hash.update(piece);
        if let Some(banner) = &mut banner {
            banner.feed(piece);
        }
    };
    take(&head);
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => take(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    let release = match banner {
        Some(banner) => banner.release,
        None => setup_header_release(&head),
    };
    Ok(Facts {
        release,
        digest: hash.finalize().into(),
        kind,
    })
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    BzImage,
    Vmlinux,
}

/// What the head shows, or what it is instead of a kernel.
fn kind(head: &[u8]) -> Result<Kind, String> {
    // Documentation/arch/x86/boot.rst: the header's magic at 0x202.
    if head.get(0x202..0x206) == Some(b"HdrS") {
        // Bit 0 of loadflags: the kernel proper is loaded high. A zImage, last built
        // before 3.0, is not.
        return if head.get(0x211).is_some_and(|flags| flags & 1 == 1) {
            Ok(Kind::BzImage)
        } else {
            Err("a zImage, which loads below 1 MiB".to_owned())
        };
    }
    if head.starts_with(b"\x7fELF") {
        let machine = head
            .get(18..20)
            .map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
        let elf_type = head
            .get(16..18)
            .map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
        return match (head.get(4), elf_type, machine) {
            // ET_EXEC, EM_X86_64.
            (Some(2), Some(2), Some(62)) => Ok(Kind::Vmlinux),
            (Some(2), Some(1), Some(62)) => Err("an ELF object file (a module?)".to_owned()),
            (Some(2), Some(_), Some(62)) => {
                Err("an ELF library or position-independent program".to_owned())
            }
            (_, _, Some(3)) => Err("an ELF file for 32-bit x86".to_owned()),
            (_, _, Some(183)) => Err("an ELF file for ARM64".to_owned()),
            _ => Err("an ELF file for another machine".to_owned()),
        };
    }
    Err(match head {
        [] => "an empty file",
        [0x1f, 0x8b, ..] => "a gzip file",
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => "an xz file",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "a zstd file",
        [b'!', b'<', b'a', b'r', b'c', b'h', b'>', ..] => "an ar archive (a .deb?)",
        [0xed, 0xab, 0xee, 0xdb, ..] => "an RPM package",
        [b'0', b'7', b'0', b'7', b'0', ..] => "a cpio archive (an initramfs?)",
        [b'#', b'!', ..] => "a script",
        _ if head.get(56..60) == Some(b"ARM\x64") => "a kernel for ARM64",
        [b'M', b'Z', ..] => "a program for Windows or EFI",
        _ if head.get(257..262) == Some(b"ustar") => "a tar archive",
        _ if head.is_ascii() => "a text file",
        _ => "something else",
    }
    .to_owned())
}

/// The string the setup header's `kernel_version` points at, up to its first space.
fn setup_header_release(head: &[u8]) -> Option<String> {
    let pointer = head.get(0x20e..0x210)?;
    let offset = usize::from(u16::from_le_bytes([pointer[0], pointer[1]]));
    if offset == 0 {
        return None;
    }
    release(head.get(offset + 0x200..)?)
}

/// `6.1.0-50-cloud-amd64 (debian-kernel@…) #1 SMP …`: what comes before the space.
fn release(text: &[u8]) -> Option<String> {
    let end = text
        .iter()
        .take(65)
        .position(|byte| *byte == b' ' || *byte == 0)?;
    let release = std::str::from_utf8(&text[..end]).ok()?;
    let printable = release.bytes().all(|byte| byte.is_ascii_graphic());
    (printable && release.starts_with(|first: char| first.is_ascii_digit()))
        .then(|| release.to_owned())
}

/// Looks for `Linux version 6.1.0 ` in a stream.
#[derive(Default)]
struct Banner {
    release: Option<String>,
    /// The end of what was seen: the banner can lie across two pieces.
    tail: Vec<u8>,
}

impl Banner {
    const TEXT: &[u8] = b"Linux version ";
    /// A release has at most 64 bytes.
    const LONGEST: usize = Self::TEXT.len() + 66;

    fn feed(&mut self, piece: &[u8]) {
        if self.release.is_some() {
            return;
        }
        self.tail.extend_from_slice(piece);
        let first = Self::TEXT[0];
        let mut at = 0;
        while let Some(next) = self.tail[at..].iter().position(|byte| *byte == first) {
            let text = &self.tail[at + next..];
            if let Some(found) = text.strip_prefix(Self::TEXT).and_then(release) {
                self.release = Some(found);
                self.tail = Vec::new();
                return;
            }
            at += next + 1;
        }
        let keep = self.tail.len().min(Self::LONGEST);
        self.tail.drain(..self.tail.len() - keep);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The head of a bzImage as boot.rst lays it out.
    fn bz_image(version: &str) -> Vec<u8> {
        let mut image = vec![0; 0x4000];
        image[..2].copy_from_slice(b"MZ");
        image[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x211] = 1;
        image[0x20e..0x210].copy_from_slice(&0x3000_u16.to_le_bytes());
        let text = format!("{version} (builder@host) #1 SMP\0");
        image[0x3200..0x3200 + text.len()].copy_from_slice(text.as_bytes());
        image
    }

    fn vmlinux(before: usize, release: &str) -> Vec<u8> {
        let mut image = vec![0; 64];
        image[..5].copy_from_slice(b"\x7fELF\x02");
        image[16..18].copy_from_slice(&2_u16.to_le_bytes());
        image[18..20].copy_from_slice(&62_u16.to_le_bytes());
        // Text that begins like the banner must not stop the search.
        image.extend(b"Linux version %s (%s)\n".iter().cycle().take(before));
        image.extend_from_slice(format!("\0Linux version {release} (builder@host)").as_bytes());
        image
    }

    #[test]
    fn a_bz_image_finds_its_modules_and_configuration() {
        let root = tempfile::tempdir().unwrap();
        let boot = root.path().join("boot");
        let modules = root.path().join("lib/modules/4.19.0-x");
        fs::create_dir_all(&boot).unwrap();
        fs::create_dir_all(&modules).unwrap();
        let kernel = boot.join("vmlinuz-4.19.0-x");
        fs::write(&kernel, bz_image("4.19.0-x")).unwrap();
        fs::write(boot.join("config-4.19.0-x"), "CONFIG_X=y\n").unwrap();
        let files = local(&kernel, None).unwrap();
        assert_eq!(files.release.as_deref(), Some("4.19.0-x"));
        assert_eq!(files.modules, Some(fs::canonicalize(&modules).unwrap()));
        assert_eq!(
            files.configuration,
            Some(fs::canonicalize(boot.join("config-4.19.0-x")).unwrap())
        );

        fs::write(modules.join("new.ko"), "x").unwrap();
        let changed = local(&kernel, None).unwrap();
        assert_ne!(
            changed.digest, files.digest,
            "another module is another kernel"
        );

        fs::remove_dir_all(&modules).unwrap();
        assert_eq!(local(&kernel, None).unwrap().modules, None);
        let error = local(&kernel, Some(&modules)).unwrap_err();
        assert!(
            error.to_string().contains("lib/modules/4.19.0-x"),
            "{error}"
        );
    }

    #[test]
    fn a_vmlinux_tells_its_release_wherever_it_stands() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vmlinux");
        for before in [
            0,
            100,
            (64 << 10) - 70,
            (64 << 10) - 64 - 10,
            (320 << 10) - 64 - 5,
            1 << 20,
        ] {
            fs::write(&path, vmlinux(before, "5.10.0")).unwrap();
            assert_eq!(
                inspect(&path).unwrap().release.as_deref(),
                Some("5.10.0"),
                "{before}"
            );
        }
        fs::write(&path, &vmlinux(10, "x")[..80]).unwrap();
        assert_eq!(inspect(&path).unwrap().release, None);
    }

    #[test]
    fn what_is_no_kernel_is_called_by_its_name() {
        let mut arm = vec![0; 100];
        arm[..2].copy_from_slice(b"MZ");
        arm[56..60].copy_from_slice(b"ARM\x64");
        let mut module = vmlinux(0, "x");
        module[16] = 1;
        let mut other = vmlinux(0, "x");
        other[18] = 183;
        let mut low = bz_image("2.4.0");
        low[0x211] = 0;
        for (bytes, what) in [
            (&b""[..], "empty"),
            (b"\x1f\x8b\x08\x00", "gzip"),
            (b"#!/bin/sh\n", "script"),
            (b"hello\n", "text"),
            (b"!<arch>\ndebian-binary", ".deb"),
            (&arm, "ARM64"),
            (&module, "module"),
            (&other, "ARM64"),
            (&low, "zImage"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("file");
            fs::write(&path, bytes).unwrap();
            let error = local(&path, None).unwrap_err();
            assert!(matches!(error, KernelError::NotAKernel { .. }), "{error}");
            assert!(error.to_string().contains(what), "{error}: {what}");
        }
    }
}
