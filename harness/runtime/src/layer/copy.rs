//! A tree copied with all that belongs to it: owners, modes, hard links,
//! devices, extended attributes, times, holes.

use std::collections::HashMap;
use std::ffi::CStr;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, Stat, Timespec, Timestamps, Uid, XattrFlags, chmod, chownat,
    lgetxattr, llistxattr, lsetxattr, lstat, mkdir, mknodat, readlink, symlink, utimensat,
};
use rustix::io::Errno;

use super::{LayerError, step};
use crate::descriptor::errno_of;

/// Copies what is in `from` into `to`, an empty folder, which takes on `from`'s
/// attributes. Neither is followed where a path in it is a link. Gives the
/// extended attributes the other file system would not take.
pub(super) fn tree(from: &Path, to: &Path) -> Result<Vec<String>, LayerError> {
    let mut copy = Copy {
        links: HashMap::new(),
        lost: Vec::new(),
    };
    let status = lstat(from).map_err(step("stat", from))?;
    copy.children(from, to)?;
    copy.attributes(from, to, &status)?;
    Ok(copy.lost)
}

struct Copy {
    /// The first copy of a file that has several names, by device and inode.
    links: HashMap<(u64, u64), PathBuf>,
    lost: Vec<String>,
}

impl Copy {
    fn children(&mut self, from: &Path, to: &Path) -> Result<(), LayerError> {
        let read = |error| step("read the folder", from)(errno_of(error));
        for entry in fs::read_dir(from).map_err(read)? {
            let name = entry.map_err(read)?.file_name();
            self.entry(&from.join(&name), &to.join(&name))?;
        }
        Ok(())
    }

    fn entry(&mut self, from: &Path, to: &Path) -> Result<(), LayerError> {
        let status = lstat(from).map_err(step("stat", from))?;
        let kind = FileType::from_raw_mode(status.st_mode);
        if kind != FileType::Directory && status.st_nlink > 1 {
            if let Some(first) = self.links.get(&(status.st_dev, status.st_ino)) {
                return rustix::fs::link(first, to).map_err(step("link to", to));
            }
            self.links
                .insert((status.st_dev, status.st_ino), to.to_owned());
        }
        match kind {
            FileType::Directory => {
                mkdir(to, Mode::RWXU).map_err(step("make the folder", to))?;
                self.children(from, to)?;
            }
            FileType::RegularFile => content(from, to)?,
            FileType::Symlink => {
                let target = readlink(from, Vec::new()).map_err(step("read the link", from))?;
                symlink(target, to).map_err(step("make the link", to))?;
            }
            FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Fifo
            | FileType::Socket
            | FileType::Unknown => {
                mknodat(CWD, to, kind, Mode::empty(), status.st_rdev)
                    .map_err(step("make the node", to))?;
            }
        }
        self.attributes(from, to, &status)
    }

    /// In this order: chown clears set-id bits and file capabilities, all of
    /// them set the times.
    fn attributes(&mut self, from: &Path, to: &Path, status: &Stat) -> Result<(), LayerError> {
        let made = lstat(to).map_err(step("stat", to))?;
        if (made.st_uid, made.st_gid) != (status.st_uid, status.st_gid) {
            let (uid, gid) = (Uid::from_raw(status.st_uid), Gid::from_raw(status.st_gid));
            chownat(CWD, to, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
                .map_err(step("chown", to))?;
        }
        // A link has no mode of its own.
        if FileType::from_raw_mode(status.st_mode) != FileType::Symlink {
            chmod(to, Mode::from_raw_mode(status.st_mode)).map_err(step("chmod", to))?;
        }
        self.extended(from, to)?;
        let times = Timestamps {
            last_access: Timespec {
                tv_sec: status.st_atime,
                tv_nsec: status.st_atime_nsec.cast_signed(),
            },
            last_modification: Timespec {
                tv_sec: status.st_mtime,
                tv_nsec: status.st_mtime_nsec.cast_signed(),
            },
        };
        utimensat(CWD, to, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(step("set the times of", to))
    }

    fn extended(&mut self, from: &Path, to: &Path) -> Result<(), LayerError> {
        let mut names = vec![0; XATTR_MAX];
        let length = match llistxattr(from, names.as_mut_slice()) {
            // A file system without them.
            Err(Errno::OPNOTSUPP) => 0,
            answer => answer.map_err(step("list the attributes of", from))?,
        };
        names.truncate(length);
        for name in names.split_inclusive(|byte| *byte == 0) {
            let Ok(name) = CStr::from_bytes_with_nul(name) else {
                return Err(step("list the attributes of", from)(Errno::INVAL));
            };
            let mut value = vec![0; XATTR_MAX];
            let length = lgetxattr(from, name, value.as_mut_slice())
                .map_err(step("read an attribute of", from))?;
            value.truncate(length);
            match lsetxattr(to, name, &value, XattrFlags::empty()) {
                Ok(()) => {}
                Err(Errno::OPNOTSUPP) => {
                    let lost = format!("{}: {}", from.display(), name.to_string_lossy());
                    self.lost.push(lost);
                }
                Err(errno) => return Err(step("set an attribute of", to)(errno)),
            }
        }
        Ok(())
    }
}

/// XATTR_LIST_MAX and XATTR_SIZE_MAX of linux/limits.h.
const XATTR_MAX: usize = 65536;

/// Blocks of zeros are left out: a sparse lastlog must not fill the memory.
fn content(from: &Path, to: &Path) -> Result<(), LayerError> {
    let read = |error| step("read", from)(errno_of(error));
    let write = |error| step("write", to)(errno_of(error));
    let mut source = File::open(from).map_err(read)?;
    let mut copy = File::create_new(to).map_err(write)?;
    let mut buffer = vec![0; 64 * 1024];
    let mut length = 0;
    loop {
        let count = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(read(error)),
        };
        for block in buffer[..count].chunks(4096) {
            if block.iter().all(|byte| *byte == 0) {
                let _position = copy
                    .seek(SeekFrom::Current(block.len() as i64))
                    .map_err(write)?;
            } else {
                copy.write_all(block).map_err(write)?;
            }
            length += block.len() as u64;
        }
    }
    copy.set_len(length).map_err(write)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::time::{Duration, SystemTime};

    use super::*;

    /// What must not differ between an entry and its copy.
    fn looks(path: &Path) -> (u32, u32, u32, u64, u64, i64, i64) {
        let status = fs::symlink_metadata(path).unwrap();
        (
            status.mode(),
            status.uid(),
            status.gid(),
            status.rdev(),
            status.nlink(),
            status.mtime(),
            status.mtime_nsec(),
        )
    }

    #[test]
    fn everything_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(from.join("usr/bin")).unwrap();
        fs::create_dir(&to).unwrap();
        let program = from.join("usr/bin/su");
        fs::write(&program, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o4711)).unwrap();
        fs::hard_link(&program, from.join("usr/bin/sudo")).unwrap();
        symlink("/nowhere/at/all", from.join("dangling")).unwrap();
        symlink("..", from.join("upwards")).unwrap();
        mknodat(CWD, from.join("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        let past = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_007, 123_456_789);
        File::open(&program).unwrap().set_modified(past).unwrap();
        fs::set_permissions(from.join("usr"), fs::Permissions::from_mode(0o1777)).unwrap();
        File::open(from.join("usr"))
            .unwrap()
            .set_modified(past)
            .unwrap();
        let attribute = lsetxattr(&program, c"user.note", b"kept", XattrFlags::empty());

        let lost = tree(&from, &to).unwrap();

        for path in [
            "",
            "usr",
            "usr/bin",
            "usr/bin/su",
            "usr/bin/sudo",
            "dangling",
            "upwards",
            "pipe",
        ] {
            assert_eq!(looks(&to.join(path)), looks(&from.join(path)), "{path}");
        }
        assert_eq!(
            fs::read_to_string(to.join("usr/bin/sudo")).unwrap(),
            "#!/bin/sh\n"
        );
        assert_eq!(
            fs::metadata(to.join("usr/bin/su")).unwrap().ino(),
            fs::metadata(to.join("usr/bin/sudo")).unwrap().ino()
        );
        assert_eq!(
            fs::read_link(to.join("dangling")).unwrap(),
            Path::new("/nowhere/at/all")
        );
        if attribute.is_ok() {
            let mut value = vec![0; 16];
            let length = lgetxattr(to.join("usr/bin/su"), c"user.note", value.as_mut_slice());
            assert_eq!(length, Ok(4));
            assert_eq!(lost, Vec::<String>::new());
        }
    }

    #[test]
    fn holes_stay_holes_and_ends_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let mut file = File::create(&from).unwrap();
        file.seek(SeekFrom::Start(50 << 20)).unwrap();
        file.write_all(b"end").unwrap();
        file.set_len((60 << 20) + 5).unwrap();
        content(&from, &to).unwrap();
        let status = fs::metadata(&to).unwrap();
        assert_eq!(status.len(), (60 << 20) + 5);
        assert!(
            status.blocks() * 512 < 1 << 20,
            "{} blocks",
            status.blocks()
        );
        let copy = fs::read(&to).unwrap();
        assert_eq!(&copy[50 << 20..(50 << 20) + 4], b"end\0");
        assert!(copy[..50 << 20].iter().all(|byte| *byte == 0));
    }
}
