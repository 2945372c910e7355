//! /dev: the devices every container has, those its configuration adds, and the
//! links docker puts there.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxDevice, LinuxDeviceType};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, Uid, chmodat, chownat, makedev, mknodat, statat, symlinkat,
};
use rustix::io::Errno;

use crate::confined::{Missing, Root};
use crate::failure::{Failure, Step};

/// A device node to make.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    path: PathBuf,
    kind: FileType,
    number: u64,
    mode: Mode,
    owner: (u32, u32),
}

/// What the specification calls default devices; /dev/console is there only
/// with a terminal, /dev/ptmx is a link.
const DEFAULTS: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

const LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
];

impl Device {
    /// Resolves `linux.devices[index]`.
    pub(crate) fn new(index: usize, device: &LinuxDevice) -> Result<Self, Failure> {
        let field = |name: &str| format!("linux.devices[{index}].{name}");
        let path = device.path().clone();
        if !path.is_absolute() || path.file_name().is_none() {
            return Err(Failure::invalid(
                field("path"),
                format!("{path:?} is not an absolute path below /"),
            ));
        }
        let kind = match device.typ() {
            LinuxDeviceType::B => FileType::BlockDevice,
            LinuxDeviceType::C | LinuxDeviceType::U => FileType::CharacterDevice,
            LinuxDeviceType::P => FileType::Fifo,
            LinuxDeviceType::A => {
                return Err(Failure::invalid(
                    field("type"),
                    "\"a\" is no device to make",
                ));
            }
        };
        let number = |name: &str, value: i64| {
            u32::try_from(value).map_err(|_range| {
                Failure::invalid(field(name), format!("{value} is no number of a device"))
            })
        };
        Ok(Self {
            path,
            kind,
            number: match kind {
                FileType::Fifo => 0,
                _ => makedev(
                    number("major", device.major())?,
                    number("minor", device.minor())?,
                ),
            },
            mode: Mode::from_raw_mode(device.file_mode().unwrap_or(0o666) & 0o7777),
            owner: (device.uid().unwrap_or(0), device.gid().unwrap_or(0)),
        })
    }

    fn make(&self, root: &Root<'_>) -> Result<(), Failure> {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        let name = self.path.file_name().unwrap_or(OsStr::new("."));
        let folder = root
            .create(folder, Missing::Folder)
            .on("open the folder of", &self.path)?;
        match mknodat(&folder, name, self.kind, self.mode, self.number) {
            Ok(()) => {}
            // An image's own node will do, if it is the same device.
            Err(Errno::EXIST) => {
                let found =
                    statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW).on("stat", &self.path)?;
                let same = FileType::from_raw_mode(found.st_mode) == self.kind
                    && found.st_rdev == self.number;
                if !same {
                    return Err(Errno::EXIST).on("make the device", &self.path);
                }
            }
            Err(errno) => return Err(errno).on("make the device", &self.path),
        }
        // Not a link: just made, or just seen to be a device.
        let (uid, gid) = (Uid::from_raw(self.owner.0), Gid::from_raw(self.owner.1));
        chownat(
            &folder,
            name,
            Some(uid),
            Some(gid),
            AtFlags::SYMLINK_NOFOLLOW,
        )
        .on("chown", &self.path)?;
        chmodat(&folder, name, self.mode, AtFlags::empty()).on("chmod", &self.path)
    }
}

/// Fills /dev inside `root`.
pub(crate) fn populate(root: &Root<'_>, devices: &[Device]) -> Result<(), Failure> {
    for (path, major, minor) in DEFAULTS {
        let device = Device {
            path: PathBuf::from(path),
            kind: FileType::CharacterDevice,
            number: makedev(major, minor),
            mode: Mode::from_raw_mode(0o666),
            owner: (0, 0),
        };
        device.make(root)?;
    }
    for device in devices {
        device.make(root)?;
    }
    let folder = root.open(Path::new("/dev")).on("open", Path::new("/dev"))?;
    for (name, target) in LINKS {
        match symlinkat(target, &folder, name) {
            // What an image without a mount on /dev has there stays.
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno).step(|| format!("make the link /dev/{name}")),
        }
    }
    Ok(())
}
