//! The x86 boot protocol's header of a bzImage: which release it is, and where
//! the compressed kernel lies (Documentation/arch/x86/boot.rst).

use std::ops::Range;

/// Why bytes are no bzImage, or a broken one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BzImageError {
    /// The boot sector's mark or the header's is missing.
    #[error(
        "not a bzImage: no x86 boot header\nhint: a kernel for QEMU is arch/x86/boot/bzImage, /boot/vmlinuz-*, or an uncompressed vmlinux with CONFIG_PVH=y"
    )]
    NoHeader,
    /// The header points behind the file's end.
    #[error("a truncated bzImage: its header speaks of byte {end}, the file has {length}")]
    Truncated {
        /// Where the kernel should end.
        end: u64,
        /// The file's length.
        length: u64,
    },
}

const BOOT_FLAG: usize = 0x1fe;
const MAGIC: usize = 0x202;
const VERSION: usize = 0x206;
const KERNEL_VERSION: usize = 0x20e;
const SETUP_SECTORS: usize = 0x1f1;
const PAYLOAD_OFFSET: usize = 0x248;
const PAYLOAD_LENGTH: usize = 0x24c;

/// Whether the bytes begin as a bzImage does.
pub(crate) fn is_bzimage(bytes: &[u8]) -> bool {
    bytes.get(BOOT_FLAG..BOOT_FLAG + 2) == Some(&[0x55, 0xaa])
        && bytes.get(MAGIC..MAGIC + 4) == Some(b"HdrS")
}

/// The kernel's release as `uname -r` will say it, where the image tells.
#[must_use]
pub fn release(bzimage: &[u8]) -> Option<String> {
    if !is_bzimage(bzimage) {
        return None;
    }
    let pointer = usize::from(u16_at(bzimage, KERNEL_VERSION)?);
    if pointer == 0 {
        return None;
    }
    let text = bzimage.get(0x200 + pointer..)?;
    let text = &text[..text.iter().take(256).position(|&byte| byte == 0)?];
    let release = std::str::from_utf8(text).ok()?.split_whitespace().next()?;
    Some(release.to_owned())
}

/// Where the compressed kernel lies; none before protocol 2.08 (Linux 2.6.26),
/// whose header does not tell.
pub(crate) fn payload(bzimage: &[u8]) -> Result<Option<Range<usize>>, BzImageError> {
    if !is_bzimage(bzimage) {
        return Err(BzImageError::NoHeader);
    }
    if u16_at(bzimage, VERSION).is_none_or(|version| version < 0x208) {
        return Ok(None);
    }
    let (Some(offset), Some(length)) = (
        u32_at(bzimage, PAYLOAD_OFFSET),
        u32_at(bzimage, PAYLOAD_LENGTH),
    ) else {
        return Err(BzImageError::NoHeader);
    };
    // 0 means 4, by the oldest rule of this header.
    let sectors = match bzimage[SETUP_SECTORS] {
        0 => 4,
        sectors => u64::from(sectors),
    };
    let start = (sectors + 1) * 512 + u64::from(offset);
    let end = start + u64::from(length);
    match (usize::try_from(start), usize::try_from(end)) {
        (Ok(start), Ok(end)) if end <= bzimage.len() => Ok(Some(start..end)),
        _ => Err(BzImageError::Truncated {
            end,
            length: bzimage.len() as u64,
        }),
    }
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    let bytes = bytes.get(offset..offset + 2)?;
    Some(u16::from_le_bytes(bytes.try_into().ok()?))
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let bytes = bytes.get(offset..offset + 4)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A bzImage of two setup sectors around a payload that lies 16 bytes into
    /// the protected-mode part.
    pub(crate) fn bzimage(release: &str, payload: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 3 * 512 + 16];
        image[SETUP_SECTORS] = 2;
        image[BOOT_FLAG..BOOT_FLAG + 2].copy_from_slice(&[0x55, 0xaa]);
        image[MAGIC..MAGIC + 4].copy_from_slice(b"HdrS");
        image[VERSION..VERSION + 2].copy_from_slice(&0x20f_u16.to_le_bytes());
        image[KERNEL_VERSION..KERNEL_VERSION + 2].copy_from_slice(&0x200_u16.to_le_bytes());
        let text = format!("{release} (debian-kernel@lists.debian.org) #1 SMP\0");
        image[0x400..0x400 + text.len()].copy_from_slice(text.as_bytes());
        image[PAYLOAD_OFFSET..PAYLOAD_OFFSET + 4].copy_from_slice(&16_u32.to_le_bytes());
        let length = u32::try_from(payload.len()).unwrap();
        image[PAYLOAD_LENGTH..PAYLOAD_LENGTH + 4].copy_from_slice(&length.to_le_bytes());
        image.extend_from_slice(payload);
        image.extend_from_slice(b"what follows the payload");
        image
    }

    #[test]
    fn the_header_tells_release_and_payload() {
        let image = bzimage("6.1.0-50-cloud-amd64", b"payload");
        assert_eq!(release(&image).as_deref(), Some("6.1.0-50-cloud-amd64"));
        assert_eq!(&image[payload(&image).unwrap().unwrap()], b"payload");
    }

    #[test]
    fn zero_setup_sectors_mean_four() {
        let mut image = bzimage("2.6.32", b"");
        image[SETUP_SECTORS] = 0;
        image.resize(6000, 0);
        assert_eq!(payload(&image).unwrap().unwrap().start, 5 * 512 + 16);
    }

    #[test]
    fn what_is_cut_or_no_kernel_is_refused() {
        let image = bzimage("6.1", b"payload");
        assert_eq!(payload(b"\x7fELF"), Err(BzImageError::NoHeader));
        assert_eq!(payload(&image[..0x230]), Err(BzImageError::NoHeader));
        let end = image.len() - b"what follows the payload".len();
        assert_eq!(
            payload(&image[..end - 1]),
            Err(BzImageError::Truncated {
                end: end as u64,
                length: end as u64 - 1
            })
        );
        assert_eq!(release(b""), None);
        assert_eq!(release(&image[..0x404]), None, "the name is cut");
    }

    #[test]
    fn a_header_older_than_the_payload_fields_has_no_payload() {
        let mut image = bzimage("2.6.18", b"payload");
        image[VERSION..VERSION + 2].copy_from_slice(&0x207_u16.to_le_bytes());
        assert_eq!(payload(&image), Ok(None));
    }
}
