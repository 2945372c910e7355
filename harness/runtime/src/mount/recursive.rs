//! A volume that is read-only with everything mounted below it.

use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open, readlink};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount_remount};

use crate::confined::by_handle;
use crate::descriptor::last_errno;
use crate::failure::{Failure, Step};
use crate::fallback::{Fallback, Fallbacks};
use crate::mount::{flags_of, read_proc};

/// struct mount_attr, linux/mount.h.
#[repr(C)]
struct Attributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

const MOUNT_ATTR_RDONLY: u64 = 1;

/// Whose folders the mounts lie in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Each can be gone to.
    OfRoot,
    /// What the container's root must not enter, nobody in it may: it is the
    /// machine's root's own.
    OfOthers,
}

/// Of the mount `mounted` is the root of.
pub(super) fn make_readonly(
    mounted: &OwnedFd,
    destination: &Path,
    reach: Reach,
    fallbacks: &Fallbacks,
) -> Result<(), Failure> {
    match in_kernel(mounted) {
        Err(Errno::NOSYS) => {
            fallbacks.record(Fallback::MountSetattr);
            one_by_one(mounted, destination, reach)
        }
        answer => answer.on("make read-only", destination),
    }
}

/// mount_setattr came with Linux 5.12.
fn in_kernel(mounted: &OwnedFd) -> Result<(), Errno> {
    let attributes = Attributes {
        set: MOUNT_ATTR_RDONLY,
        clear: 0,
        propagation: 0,
        user_namespace: 0,
    };
    // SAFETY: the kernel reads a string and a struct, both of which outlive the
    // call, and writes nothing.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mounted.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | libc::AT_RECURSIVE,
            &raw const attributes,
            size_of::<Attributes>(),
        )
    };
    if answer == 0 {
        Ok(())
    } else {
        Err(last_errno())
    }
}

/// The namespace is this process's own, so nothing is mounted meanwhile; and
/// the way to each is through mounts only, which no link can be put into.
fn one_by_one(mounted: &OwnedFd, destination: &Path, reach: Reach) -> Result<(), Failure> {
    let top = readlink(by_handle(mounted), Vec::new()).on("find the mount on", destination)?;
    let top = PathBuf::from(std::ffi::OsString::from_vec(top.into_bytes()));
    for path in mount_points(&read_proc("/proc/self/mountinfo")?) {
        if !path.starts_with(&top) {
            continue;
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = match open(&path, flags, Mode::empty()) {
            // Covered by another mount, so out of reach for the container too.
            Err(Errno::NOENT) => continue,
            Err(Errno::ACCESS) if reach == Reach::OfOthers => continue,
            answer => answer.on("open the mount on", &path)?,
        };
        let flags =
            MountFlags::BIND | MountFlags::RDONLY | flags_of(&handle).on("statvfs", &path)?;
        mount_remount(by_handle(&handle), flags, c"").on("make read-only", &path)?;
    }
    Ok(())
}

/// The fifth column, whose blanks are written in octal.
fn mount_points(mountinfo: &str) -> Vec<PathBuf> {
    mountinfo
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(|path| PathBuf::from(std::ffi::OsStr::from_bytes(&unescaped(path))))
        .collect()
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let octal = (*byte == b'\\')
            .then(|| after.get(..3))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match octal {
            Some(value) => {
                bytes.push(value);
                rest = &after[3..];
            }
            None => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_in_mount_points_are_read() {
        let text =
            "36 35 98:0 / /a\\040b/\\134c rw - ext4 /dev/root rw\n37 35 0:5 / /x rw - tmpfs t rw\n";
        let points = mount_points(text);
        assert_eq!(points, [PathBuf::from("/a b/\\c"), PathBuf::from("/x")]);
    }
}
