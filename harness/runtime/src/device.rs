//! /dev: the devices every container has, those its configuration adds, and the
//! links docker puts there.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxDevice, LinuxDeviceType};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Stat, Uid, chmodat, chownat, fstat, major, makedev,
    minor, mknodat, open, statat, symlinkat,
};
use rustix::io::Errno;
use rustix::mount::mount_bind;

use crate::confined::{Missing, Root, by_handle};
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

    /// `folder` is the one of the device before it, and then its own.
    fn make<'a>(
        &'a self,
        root: &Root<'_>,
        nodes: Nodes,
        folder: &mut Option<(&'a Path, OwnedFd)>,
    ) -> Result<(), Failure> {
        if nodes == Nodes::Bound && self.kind != FileType::Fifo {
            return self.bind(root);
        }
        let path = self.path.parent().unwrap_or(Path::new("/"));
        let (_, handle) = match folder.take() {
            Some(open) if open.0 == path => folder.insert(open),
            _ => {
                let handle = root
                    .create(path, Missing::Folder)
                    .on("open the folder of", &self.path)?;
                folder.insert((path, handle))
            }
        };
        self.make_node(handle)
    }

    /// The machine's node, in an empty file's place.
    fn bind(&self, root: &Root<'_>) -> Result<(), Failure> {
        let numbers = format!("{}:{}", major(self.number), minor(self.number));
        let by_number = match self.kind {
            FileType::BlockDevice => Path::new("/dev/block").join(numbers),
            _ => Path::new("/dev/char").join(numbers),
        };
        let mut found = None;
        for path in [&self.path, &by_number] {
            match open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
                Err(Errno::NOENT | Errno::NOTDIR) => continue,
                answer => {
                    let node = answer.on("open the machine's", path)?;
                    let status = fstat(&node).on("stat the machine's", path)?;
                    if self.is(&status) {
                        found = Some(node);
                        break;
                    }
                }
            }
        }
        let step = "in a user namespace, bind the machine's";
        let node = found.ok_or(Errno::NODEV).on(step, &self.path)?;
        let place = root
            .create(&self.path, Missing::File)
            .on("open the place of", &self.path)?;
        mount_bind(by_handle(&node), by_handle(&place)).on(step, &self.path)
    }

    fn is(&self, status: &Stat) -> bool {
        FileType::from_raw_mode(status.st_mode) == self.kind && status.st_rdev == self.number
    }

    /// Nothing is left to change.
    fn is_whole(&self, status: &Stat) -> bool {
        self.is(status)
            && (status.st_uid, status.st_gid) == self.owner
            && Mode::from_raw_mode(status.st_mode) == self.mode
    }

    fn make_node(&self, folder: &OwnedFd) -> Result<(), Failure> {
        let name = self.path.file_name().unwrap_or(OsStr::new("."));
        let made = mknodat(folder, name, self.kind, self.mode, self.number);
        let found = || statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).on("stat", &self.path);
        match made {
            // Unless the folder hands on a group or an access list.
            Ok(()) if self.is_whole(&found()?) => return Ok(()),
            Ok(()) => {}
            // An image's own node will do, if it is the same device.
            Err(Errno::EXIST) => {
                if !self.is(&found()?) {
                    return Err(Errno::EXIST).on("make the device", &self.path);
                }
            }
            Err(errno) => return Err(errno).on("make the device", &self.path),
        }
        // Not a link: just made, or just seen to be a device.
        let (uid, gid) = (Uid::from_raw(self.owner.0), Gid::from_raw(self.owner.1));
        chownat(
            folder,
            name,
            Some(uid),
            Some(gid),
            AtFlags::SYMLINK_NOFOLLOW,
        )
        .on("chown", &self.path)?;
        chmodat(folder, name, self.mode, AtFlags::empty()).on("chmod", &self.path)
    }
}

/// How a container comes by its device nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nodes {
    /// By mknod.
    Made,
    /// By bind mounts of the machine's: what mknod refuses in a user namespace,
    /// or makes (Linux 4.18 to 4.20) so that it cannot be opened.
    Bound,
}

/// Fills /dev inside `root`.
pub(crate) fn populate(root: &Root<'_>, devices: &[Device], nodes: Nodes) -> Result<(), Failure> {
    let defaults = DEFAULTS.map(|(path, major, minor)| Device {
        path: PathBuf::from(path),
        kind: FileType::CharacterDevice,
        number: makedev(major, minor),
        mode: Mode::from_raw_mode(0o666),
        owner: (0, 0),
    });
    let mut folder = None;
    for device in defaults.iter().chain(devices) {
        device.make(root, nodes, &mut folder)?;
    }
    let dev = Path::new("/dev");
    let folder = match folder {
        Some((path, handle)) if path == dev => handle,
        _ => root.open(dev).on("open", dev)?,
    };
    for (name, target) in LINKS {
        match symlinkat(target, &folder, name) {
            // What an image without a mount on /dev has there stays.
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno).step(|| format!("make the link /dev/{name}")),
        }
    }
    Ok(())
}
