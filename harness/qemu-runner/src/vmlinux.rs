//! The uncompressed kernel: taken out of a bzImage, and looked at for the entry
//! QEMU can boot it by.
//!
//! Booting vmlinux through its PVH entry saves the guest its own decompression,
//! which is slow under emulation.

use object::elf::{EM_X86_64, FileHeader64, NoteType, PT_NOTE};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, LittleEndian};

use crate::bzimage::{self, BzImageError};
use crate::compression::{Compression, DecompressError};

/// Why no vmlinux was had.
#[derive(Debug, thiserror::Error)]
pub enum VmlinuxError {
    /// The kernel is no bzImage.
    #[error(transparent)]
    BzImage(#[from] BzImageError),
    /// Its payload could not be read.
    #[error("read the kernel inside the bzImage: {0}")]
    Payload(#[from] DecompressError),
    /// A file that should be a vmlinux is no ELF file.
    #[error("not a vmlinux: {reason}")]
    NotElf {
        /// What the ELF reader said.
        reason: String,
    },
    /// It is for other machines.
    #[error("not a kernel for x86-64")]
    OtherMachine,
    /// QEMU could not boot it.
    #[error(
        "a vmlinux that QEMU cannot boot: {missing}\nhint: give the bzImage (arch/x86/boot/bzImage) of the same build, or build with CONFIG_PVH=y"
    )]
    NoPvh {
        /// What is not there.
        missing: &'static str,
    },
}

/// XEN_ELFNOTE_PHYS32_ENTRY of Xen's include/public/elfnote.h: the note that
/// tells the 32-bit PVH entry.
const PHYS32_ENTRY: NoteType = NoteType(18);

/// The uncompressed kernel in a bzImage, where QEMU can boot that: an x86-64 ELF
/// file with a PVH entry. Without (CONFIG_PVH off, before Linux 5.0, compressed
/// with lzo or bzip2) there is none, and the bzImage is what to boot.
///
/// # Errors
/// When the bytes are no bzImage, or one that is broken.
pub fn vmlinux(bzimage: &[u8]) -> Result<Option<Vec<u8>>, VmlinuxError> {
    let Some(payload) = bzimage::payload(bzimage)? else {
        return Ok(None);
    };
    if !bzimage::release(bzimage).is_some_and(|release| boots_by_pvh(&release)) {
        return Ok(None);
    }
    let payload = &bzimage[payload];
    let Some(compression) = Compression::detect(payload).filter(|it| it.is_supported()) else {
        return Ok(None);
    };
    let kernel = compression.decompress(payload)?;
    Ok(has_pvh_note(&kernel)?.then_some(kernel))
}

/// The uncompressed kernel, whatever it boots by: none where it is compressed in a way
/// that is not read here. A vmlinux is one already.
///
/// # Errors
/// When the bytes are no kernel, or one that is broken.
pub fn uncompressed(kernel: Vec<u8>) -> Result<Option<Vec<u8>>, VmlinuxError> {
    if kernel.starts_with(b"\x7fELF") {
        return Ok(Some(kernel));
    }
    let Some(payload) = bzimage::payload(&kernel)? else {
        return Ok(None);
    };
    let payload = &kernel[payload];
    match Compression::detect(payload).filter(|it| it.is_supported()) {
        Some(compression) => Ok(Some(compression.decompress(payload)?)),
        None => Ok(None),
    }
}

/// Checks that a file given as vmlinux can be booted by QEMU.
///
/// # Errors
/// When it is none, is for another machine, or has no PVH entry.
pub fn require_pvh(vmlinux: &[u8]) -> Result<(), VmlinuxError> {
    if !has_pvh_note(vmlinux)? {
        return Err(VmlinuxError::NoPvh {
            missing: "it has no PVH entry",
        });
    }
    // `Linux version 6.1.0-50-cloud-amd64 (…`, the banner.
    const BANNER: &[u8] = b"Linux version ";
    let release = vmlinux
        .windows(BANNER.len())
        .enumerate()
        .filter(|(_, window)| *window == BANNER)
        .map(|(start, _)| &vmlinux[start + BANNER.len()..])
        .find(|text| text.first().is_some_and(u8::is_ascii_digit))
        .map(|text| String::from_utf8_lossy(&text[..text.len().min(64)]).into_owned());
    match release {
        Some(release) if !boots_by_pvh(&release) => Err(VmlinuxError::NoPvh {
            missing: "before Linux 5.0 the PVH entry is for Xen alone",
        }),
        _ => Ok(()),
    }
}

/// From 4.11 to 4.20 the note is there with CONFIG_XEN_PVH, but what it points to
/// stops anywhere but on Xen; direct boot came in 5.0.
fn boots_by_pvh(release: &str) -> bool {
    release
        .split_once('.')
        .and_then(|(major, _)| major.parse::<u32>().ok())
        .is_some_and(|major| major >= 5)
}

fn has_pvh_note(kernel: &[u8]) -> Result<bool, VmlinuxError> {
    let not_elf = |error: object::read::Error| VmlinuxError::NotElf {
        reason: error.to_string(),
    };
    let header = FileHeader64::<Endianness>::parse(kernel).map_err(not_elf)?;
    let endian = header.endian().map_err(not_elf)?;
    if endian != Endianness::Little || header.e_machine(endian) != EM_X86_64 {
        return Err(VmlinuxError::OtherMachine);
    }
    let header = FileHeader64::<LittleEndian>::parse(kernel).map_err(not_elf)?;
    for segment in header
        .program_headers(LittleEndian, kernel)
        .map_err(not_elf)?
    {
        if segment.p_type(LittleEndian) != PT_NOTE {
            continue;
        }
        let Some(mut notes) = segment.notes(LittleEndian, kernel).map_err(not_elf)? else {
            continue;
        };
        while let Some(note) = notes.next().map_err(not_elf)? {
            if note.name() == b"Xen" && note.n_type(LittleEndian) == PHYS32_ENTRY {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bzimage::tests::bzimage;
    use crate::compression::tests::gzip;

    /// An ELF file of one PT_NOTE segment with one note.
    fn elf(machine: u16, name: &[u8; 4], kind: NoteType) -> Vec<u8> {
        let mut file = Vec::new();
        file.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
        file.extend(2_u16.to_le_bytes());
        file.extend(machine.to_le_bytes());
        file.extend(1_u32.to_le_bytes());
        file.extend(0_u64.to_le_bytes()); // entry
        file.extend(64_u64.to_le_bytes()); // program headers
        file.extend(0_u64.to_le_bytes()); // section headers
        file.extend(0_u32.to_le_bytes());
        for half in [64_u16, 56, 1, 0, 0, 0] {
            file.extend(half.to_le_bytes());
        }
        file.extend(4_u32.to_le_bytes()); // PT_NOTE
        file.extend(4_u32.to_le_bytes());
        for word in [120_u64, 0, 0, 24, 24, 4] {
            file.extend(word.to_le_bytes());
        }
        for word in [4_u32, 8, kind.0] {
            file.extend(word.to_le_bytes());
        }
        file.extend(name);
        file.extend(0x100_0000_u64.to_le_bytes());
        file
    }

    const X86_64: u16 = 62;

    #[test]
    fn a_kernel_with_the_note_comes_out_whole() {
        let mut kernel = elf(X86_64, b"Xen\0", PHYS32_ENTRY);
        kernel.extend(b"relocations for KASLR");
        let image = bzimage("5.10.0-30-cloud-amd64", &gzip(&kernel));
        assert_eq!(vmlinux(&image).unwrap(), Some(kernel));
    }

    #[test]
    fn without_an_entry_qemu_can_use_the_bzimage_stays() {
        let other_note = elf(X86_64, b"Xen\0", NoteType(1));
        let other_name = elf(X86_64, b"GNU\0", PHYS32_ENTRY);
        for kernel in [other_note, other_name] {
            assert_eq!(vmlinux(&bzimage("6.1", &gzip(&kernel))).unwrap(), None);
        }
        let xen_only = elf(X86_64, b"Xen\0", PHYS32_ENTRY);
        assert_eq!(
            vmlinux(&bzimage("4.19.0-26-amd64", &gzip(&xen_only))).unwrap(),
            None
        );
        assert_eq!(
            vmlinux(&bzimage("6.1", b"\x89LZO\0\r\n\x1a\n")).unwrap(),
            None
        );
    }

    #[test]
    fn broken_kernels_are_errors_not_slow_boots() {
        let mut payload = gzip(&elf(X86_64, b"Xen\0", PHYS32_ENTRY));
        let middle = payload.len() / 2;
        payload[middle] ^= 0xff;
        assert!(matches!(
            vmlinux(&bzimage("6.1", &payload)),
            Err(VmlinuxError::Payload(_) | VmlinuxError::NotElf { .. })
        ));
        assert!(matches!(
            vmlinux(&bzimage("6.1", &gzip(&elf(183, b"Xen\0", PHYS32_ENTRY)))),
            Err(VmlinuxError::OtherMachine)
        ));
        assert!(matches!(
            vmlinux(b"#!/bin/sh"),
            Err(VmlinuxError::BzImage(BzImageError::NoHeader))
        ));
    }

    #[test]
    fn a_vmlinux_given_as_a_file_must_have_the_entry() {
        require_pvh(&elf(X86_64, b"Xen\0", PHYS32_ENTRY)).unwrap();
        assert!(matches!(
            require_pvh(&elf(X86_64, b"GNU\0", NoteType(3))),
            Err(VmlinuxError::NoPvh { .. })
        ));
        let mut old = elf(X86_64, b"Xen\0", PHYS32_ENTRY);
        old.extend(b"Linux version %s\0Linux version 4.19.0-26-amd64 (debian)");
        assert!(matches!(require_pvh(&old), Err(VmlinuxError::NoPvh { .. })));
        assert!(matches!(
            require_pvh(b"not elf"),
            Err(VmlinuxError::NotElf { .. })
        ));
    }
}
