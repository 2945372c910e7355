//! Images arrive as disks: virtio-blk devices found by their serial, mounted
//! read-only when first used.
//!
//! A machine started from a template has other disks in its slots than the kernel
//! saw when it booted. The serial is asked for at each look. The size was read when
//! the driver took the device: a template's empty disk is larger than any image, and
//! what a file system says of its own size is what counts.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustix::fs::FileType;
use rustix::mount::{MountFlags, mount};

use crate::boot::device_node;
use crate::error::{Error, Result};

const BLOCK: &str = "/sys/block";

/// Images that are mounted, by serial.
#[derive(Debug, Default)]
pub(crate) struct Disks {
    mounted: BTreeMap<String, PathBuf>,
}

impl Disks {
    /// The folder an image's root file system is mounted on, read-only.
    ///
    /// # Errors
    /// When there is no such disk, or nothing on it that this kernel mounts.
    pub(crate) fn root(&mut self, serial: &str) -> Result<&Path> {
        if !self.mounted.contains_key(serial) {
            let target = attach(serial)?;
            self.mounted.insert(serial.to_owned(), target);
        }
        Ok(&self.mounted[serial])
    }
}

/// Finds and mounts a disk.
fn attach(serial: &str) -> Result<PathBuf> {
    if serial.is_empty() || serial.contains(['/', '\0']) || serial.starts_with('.') {
        return Err(Error::BadSerial(serial.to_owned()));
    }
    let entry = find(Path::new(BLOCK), serial)?;
    let device = device_node(&entry, FileType::BlockDevice)?;
    let target = Path::new("/images").join(serial);
    fs::create_dir_all(&target).map_err(Error::file("create", &target))?;
    // What images are made as; a disk's beginning is read only where it is not that.
    let quietly = MountFlags::RDONLY | MountFlags::SILENT;
    if mount(&device, &target, "squashfs", quietly, None).is_ok() {
        return Ok(target);
    }
    let filesystem = filesystem(&beginning(&device)?).ok_or_else(|| Error::UnknownFilesystem {
        serial: serial.to_owned(),
        device: device.clone(),
    })?;
    mount(&device, &target, filesystem, MountFlags::RDONLY, None)
        .map_err(Error::mount(filesystem, &target))?;
    Ok(target)
}

/// The sysfs folder of the disk with this serial.
fn find(block: &Path, serial: &str) -> Result<PathBuf> {
    let mut present = Vec::new();
    let entries = match fs::read_dir(block) {
        Ok(entries) => entries,
        // No block device, no folder.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::NoDisk {
                serial: serial.to_owned(),
                present,
            });
        }
        Err(error) => return Err(Error::file("list", block)(error)),
    };
    for entry in entries {
        let path = entry.map_err(Error::file("list", block))?.path();
        // Disks other than virtio's have no such file.
        let Ok(found) = fs::read_to_string(path.join("serial")) else {
            continue;
        };
        let found = found.trim_end_matches(['\n', '\0']);
        if found == serial {
            return Ok(path);
        }
        present.push(found.to_owned());
    }
    present.sort();
    Err(Error::NoDisk {
        serial: serial.to_owned(),
        present,
    })
}

/// As much as the magic numbers need.
fn beginning(device: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(device)
        .map_err(Error::file("open", device))?
        .take(4096)
        .read_to_end(&mut bytes)
        .map_err(Error::file("read", device))?;
    Ok(bytes)
}

/// The file system by its magic number.
fn filesystem(beginning: &[u8]) -> Option<&'static str> {
    let at =
        |offset: usize, magic: &[u8]| beginning.get(offset..offset + magic.len()) == Some(magic);
    if at(0, b"hsqs") {
        Some("squashfs")
    } else if at(1024 + 56, &0xEF53_u16.to_le_bytes()) {
        Some("ext4")
    } else if at(1024, &0xE0F5_E1E2_u32.to_le_bytes()) {
        Some("erofs")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_by_magic() {
        assert_eq!(filesystem(b"hsqs\x07\0\0\0"), Some("squashfs"));
        let mut ext4 = vec![0; 2048];
        ext4[1080..1082].copy_from_slice(&[0x53, 0xEF]);
        assert_eq!(filesystem(&ext4), Some("ext4"));
        let mut erofs = vec![0; 2048];
        erofs[1024..1028].copy_from_slice(&[0xE2, 0xE1, 0xF5, 0xE0]);
        assert_eq!(filesystem(&erofs), Some("erofs"));
        assert_eq!(filesystem(&[0; 2048]), None);
        assert_eq!(filesystem(b""), None);
    }

    #[test]
    fn a_disk_is_found_by_serial_and_a_missing_one_lists_the_others() {
        let block = std::env::temp_dir().join(format!("guest-block-{}", std::process::id()));
        for (name, serial) in [
            ("vda", Some("debian-12")),
            ("vdb", Some("el9\n")),
            ("sr0", None),
        ] {
            fs::create_dir_all(block.join(name)).unwrap();
            if let Some(serial) = serial {
                fs::write(block.join(name).join("serial"), serial).unwrap();
            }
        }
        assert_eq!(find(&block, "el9").unwrap(), block.join("vdb"));
        assert_eq!(
            find(&block, "el8").unwrap_err().to_string(),
            "no disk has the serial \"el8\"; there are debian-12, el9"
        );
        fs::remove_dir_all(&block).unwrap();
    }

    #[test]
    fn a_serial_that_would_leave_the_folder_is_refused() {
        for serial in ["", "..", "a/b"] {
            assert!(
                matches!(attach(serial), Err(Error::BadSerial(_))),
                "{serial:?}"
            );
        }
    }
}
