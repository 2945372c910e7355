//! The root file system.
//!
//! The initramfs is the kernel's rootfs, the one mount without a parent:
//! pivot_root answers EINVAL there, and every container runtime calls it. So a
//! tmpfs is moved over it and becomes the root, as switch_root does.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount, mount_bind, mount_move, mount_remount};
use rustix::process::{chdir, chroot};

use crate::error::{Error, Result};

/// Where the new root is put together, in the initramfs.
const STAGE: &str = "/new-root";

/// Nodes a /dev without devtmpfs (CONFIG_DEVTMPFS) needs: name, mode, major,
/// minor. From the kernel's Documentation/admin-guide/devices.txt.
const NODES: [(&str, u32, u32, u32); 9] = [
    ("console", 0o600, 5, 1),
    ("full", 0o666, 1, 7),
    ("kmsg", 0o644, 1, 11),
    ("null", 0o666, 1, 3),
    ("ptmx", 0o666, 5, 2),
    ("random", 0o666, 1, 8),
    ("tty", 0o666, 5, 0),
    ("urandom", 0o666, 1, 9),
    ("zero", 0o666, 1, 5),
];

/// Replaces the initramfs by a tmpfs with /proc, /sys and /dev.
pub(super) fn make() -> Result<()> {
    create(STAGE)?;
    mount("tmpfs", STAGE, "tmpfs", MountFlags::empty(), c"mode=0755")
        .map_err(Error::mount("tmpfs", STAGE))?;
    for name in ["proc", "sys", "dev", "run", "tmp", "images", "matrix"] {
        create(Path::new(STAGE).join(name))?;
    }
    let quiet = MountFlags::NOSUID | MountFlags::NOEXEC | MountFlags::NODEV;
    for (filesystem, folder) in [("proc", "proc"), ("sysfs", "sys")] {
        let target = Path::new(STAGE).join(folder);
        mount(filesystem, &target, filesystem, quiet, None)
            .map_err(Error::mount(filesystem, &target))?;
    }
    mount_dev(&Path::new(STAGE).join("dev"))?;
    mount_runtime()?;
    chdir(STAGE).map_err(Error::file("enter", STAGE))?;
    mount_move(".", "/").map_err(Error::mount("the new root", "/"))?;
    chroot(".").map_err(Error::call("chroot to the new root"))?;
    chdir("/").map_err(Error::file("enter", "/"))
}

/// The initramfs's folder with the runtime, read-only: nothing in the machine can
/// write to it, so the runtime need not copy itself into memory for each container
/// (CVE-2019-5736), which under emulation is half of a small container's time.
fn mount_runtime() -> Result<()> {
    let runtime = Path::new(wire::RUNTIME_PATH);
    let (Some(folder), true) = (runtime.parent(), runtime.exists()) else {
        // It comes over the channel.
        return Ok(());
    };
    let target = Path::new(STAGE).join(folder.strip_prefix("/").unwrap_or(folder));
    mount_bind(folder, &target).map_err(Error::mount("the runtime's folder", &target))?;
    let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
    mount_remount(&target, flags, c"").map_err(Error::mount("the runtime's folder", &target))
}

/// devtmpfs where the kernel has it, else a tmpfs with the nodes of [`NODES`];
/// others are made when needed, see [`device_node`].
fn mount_dev(target: &Path) -> Result<()> {
    match mount(
        "devtmpfs",
        target,
        "devtmpfs",
        MountFlags::NOSUID,
        c"mode=0755",
    ) {
        Ok(()) => return Ok(()),
        Err(Errno::NODEV) => {}
        Err(errno) => return Err(Error::mount("devtmpfs", target)(errno)),
    }
    mount("tmpfs", target, "tmpfs", MountFlags::NOSUID, c"mode=0755")
        .map_err(Error::mount("tmpfs", target))?;
    for (name, mode, major, minor) in NODES {
        let path = target.join(name);
        mknodat(
            CWD,
            &path,
            FileType::CharacterDevice,
            Mode::from_raw_mode(mode),
            makedev(major, minor),
        )
        .map_err(Error::file("create", &path))?;
    }
    Ok(())
}

/// The node of a device that sysfs names, made first where devtmpfs is missing.
///
/// `entry` is the device's folder in sysfs; its `dev` file says `MAJOR:MINOR`.
///
/// # Errors
/// When sysfs has no number for it or the node cannot be made.
pub(crate) fn device_node(entry: &Path, kind: FileType) -> Result<PathBuf> {
    let name = entry.file_name().unwrap_or_default();
    let node = Path::new("/dev").join(name);
    if node.exists() {
        return Ok(node);
    }
    let number = entry.join("dev");
    let text = fs::read_to_string(&number).map_err(Error::file("read", &number))?;
    let (major, minor) = parse_number(&text).ok_or_else(|| {
        Error::file("read", &number)(std::io::Error::new(
            ErrorKind::InvalidData,
            format!("{text:?} is no device number"),
        ))
    })?;
    match mknodat(
        CWD,
        &node,
        kind,
        Mode::from_raw_mode(0o600),
        makedev(major, minor),
    ) {
        Ok(()) | Err(Errno::EXIST) => Ok(node),
        Err(errno) => Err(Error::file("create", &node)(errno)),
    }
}

/// `254:0\n`.
fn parse_number(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.trim().split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// mkdir that does not mind what is there.
fn create(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    match fs::create_dir(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(Error::file("create", path)(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::parse_number;

    #[test]
    fn device_numbers_as_sysfs_writes_them() {
        assert_eq!(parse_number("254:16\n"), Some((254, 16)));
        assert_eq!(parse_number("\n"), None);
    }
}
