//! What every cell needs of the kernel, looked at once, so that a kernel without it
//! says so instead of failing cell by cell.
//!
//! The harness tells most of it before the start, from the configuration and the
//! modules; it does not know either of every kernel, and a module that is there
//! can fail to load.

use std::fs;
use std::path::Path;

use super::modules::Failure;
use crate::error::{Error, Result};

/// Fails with all that is missing, and the modules that were not loaded.
pub(super) fn check(failures: &[Failure]) -> Result<()> {
    let filesystems = fs::read_to_string("/proc/filesystems")
        .map_err(Error::file("read", "/proc/filesystems"))?;
    let driver = Path::new("/sys/bus/virtio/drivers/virtio_blk").exists();
    match lacking(&filesystems, driver) {
        missing if missing.is_empty() => Ok(()),
        mut missing => {
            missing.extend(failures.iter().map(Failure::to_string));
            Err(Error::Lacking(missing.join("; ")))
        }
    }
}

/// `filesystems` is /proc/filesystems; `driver`: virtio_blk is registered.
fn lacking(filesystems: &str, driver: bool) -> Vec<String> {
    let mut missing = Vec::new();
    if !driver {
        missing.push("no virtio_blk: neither built in nor loaded (CONFIG_VIRTIO_BLK)".to_owned());
    }
    if !filesystems.lines().any(|line| line.trim() == "squashfs") {
        missing.push("no squashfs: neither built in nor loaded (CONFIG_SQUASHFS)".to_owned());
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::lacking;

    #[test]
    fn what_is_missing_is_named_with_its_option() {
        let all = "nodev\tproc\n\text4\n\tsquashfs\n";
        assert!(lacking(all, true).is_empty());
        assert_eq!(
            lacking("nodev\tproc\n\text4\n", false),
            [
                "no virtio_blk: neither built in nor loaded (CONFIG_VIRTIO_BLK)",
                "no squashfs: neither built in nor loaded (CONFIG_SQUASHFS)"
            ]
        );
    }
}
