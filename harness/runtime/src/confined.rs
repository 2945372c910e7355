//! Paths of a container seen from outside it. A symlink in an image may point
//! to `/etc` or `../../..`; what is opened here never lies outside the root,
//! as if the process had been in a chroot.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{
    FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, openat, openat2, readlinkat,
};
use rustix::io::Errno;

use crate::fallback::{Fallback, Fallbacks};

/// Symbolic links followed in one path before ELOOP, the kernel's MAXSYMLINKS.
const MAX_LINKS: usize = 40;

/// openat2 says EAGAIN when anything on the machine was mounted or renamed
/// while it went up a `..`; this often it is asked again.
const MAX_RETRIES: usize = 32;

const FOLDER_MODE: Mode = Mode::from_raw_mode(0o755);

const HANDLE: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// What to make where a path ends in nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// A folder, mode 0755.
    Folder,
    /// An empty file, mode 0644, to bind another on.
    File,
}

/// A container's root, from outside.
#[derive(Debug)]
pub(crate) struct Root<'a> {
    handle: OwnedFd,
    fallbacks: &'a Fallbacks,
}

impl<'a> Root<'a> {
    /// The root at `path`, symbolic links in `path` itself followed.
    pub(crate) fn new(path: &Path, fallbacks: &'a Fallbacks) -> Result<Self, Errno> {
        let handle = rustix::fs::open(path, HANDLE | OFlags::DIRECTORY, Mode::empty())?;
        Ok(Self { handle, fallbacks })
    }

    /// The root itself.
    pub(crate) fn handle(&self) -> &OwnedFd {
        &self.handle
    }

    /// An O_PATH descriptor of `path`, all its links resolved inside the root.
    pub(crate) fn open(&self, path: &Path) -> Result<OwnedFd, Errno> {
        match self.open_in_kernel(path) {
            Err(Errno::NOSYS) => {
                self.fallbacks.record(Fallback::Openat2);
                walk(&self.handle, path, None)
            }
            Err(Errno::AGAIN) => walk(&self.handle, path, None),
            answer => answer,
        }
    }

    /// Like [`Root::open`], but makes what is missing of `path`.
    pub(crate) fn create(&self, path: &Path, missing: Missing) -> Result<OwnedFd, Errno> {
        match self.open(path) {
            Err(Errno::NOENT) => match missing {
                Missing::Folder => self.make_last(path),
                Missing::File => None,
            }
            .map_or_else(|| walk(&self.handle, path, Some(missing)), Ok),
            answer => answer,
        }
    }

    /// Where only the last folder of `path` is missing.
    fn make_last(&self, path: &Path) -> Option<OwnedFd> {
        let folder = self.open_in_kernel(path.parent()?).ok()?;
        let name = path.file_name()?;
        mkdirat(&folder, name, FOLDER_MODE).ok()?;
        // Nothing else is followed: a link by now would be in a folder's place.
        let new = HANDLE | OFlags::NOFOLLOW | OFlags::DIRECTORY;
        openat(&folder, name, new, Mode::empty()).ok()
    }

    /// openat2 came with Linux 5.6.
    fn open_in_kernel(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        for _ in 0..MAX_RETRIES {
            match openat2(&self.handle, path, HANDLE, Mode::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                answer => return answer,
            }
        }
        Err(Errno::AGAIN)
    }
}

/// The name under which mount(2) reaches exactly what `handle` is, whatever has
/// become of its path.
pub(crate) fn by_handle(handle: &impl AsRawFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", handle.as_raw_fd()))
}

/// A component at a time, no link ever followed by the kernel: `..` goes back
/// to the folder one came from, and stays at the root.
fn walk(root: &OwnedFd, path: &Path, missing: Option<Missing>) -> Result<OwnedFd, Errno> {
    let mut ahead = components(path.as_os_str());
    let mut behind: Vec<OwnedFd> = Vec::new();
    let mut links = 0;
    while let Some(name) = ahead.pop_front() {
        if name == ".." {
            behind.pop();
            continue;
        }
        let here = behind.last().unwrap_or(root);
        let next = match open_name(here, &name) {
            Err(Errno::NOENT) => match missing {
                None => return Err(Errno::NOENT),
                Some(Missing::File) if ahead.is_empty() => make_file(here, &name)?,
                Some(_) => make_folder(here, &name)?,
            },
            answer => answer?,
        };
        if FileType::from_raw_mode(fstat(&next)?.st_mode) != FileType::Symlink {
            behind.push(next);
            continue;
        }
        links += 1;
        if links > MAX_LINKS {
            return Err(Errno::LOOP);
        }
        let target = OsString::from_vec(readlinkat(&next, c"", Vec::new())?.into_bytes());
        if target.as_bytes().starts_with(b"/") {
            behind.clear();
        }
        for name in components(&target).into_iter().rev() {
            ahead.push_front(name);
        }
    }
    match behind.pop() {
        Some(end) => Ok(end),
        None => openat(root, c".", HANDLE, Mode::empty()),
    }
}

fn components(path: &OsStr) -> VecDeque<OsString> {
    path.as_bytes()
        .split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty() && *name != b".")
        .map(|name| OsStr::from_bytes(name).to_owned())
        .collect()
}

fn open_name(here: impl AsFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    openat(here, name, HANDLE | OFlags::NOFOLLOW, Mode::empty())
}

fn make_folder(here: impl AsFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    mkdirat(&here, name, FOLDER_MODE)?;
    open_name(here, name)
}

fn make_file(here: impl AsFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    let new = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    drop(openat(&here, name, new, Mode::from_raw_mode(0o644))?);
    open_name(here, name)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    /// `outside/secret`, and a root beside it full of ways to get there.
    fn hostile() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let outside = folder.path().join("outside");
        let root = folder.path().join("root");
        fs::create_dir_all(outside.join("folder")).unwrap();
        fs::write(outside.join("secret"), "secret").unwrap();
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::write(root.join("etc/passwd"), "the container's own").unwrap();
        symlink("/etc", root.join("absolute")).unwrap();
        symlink("../../../../../../../../../../etc", root.join("upwards")).unwrap();
        symlink(&outside, root.join("host")).unwrap();
        symlink("../outside", root.join("sibling")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        symlink("/new/place", root.join("dangling")).unwrap();
        folder
    }

    fn inode(handle: &OwnedFd) -> u64 {
        fstat(handle).unwrap().st_ino
    }

    /// Both ways must give the same answer, so each case runs through both.
    fn both(folder: &Path, path: &str) -> Result<u64, Errno> {
        let fallbacks = Fallbacks::default();
        let root = Root::new(&folder.join("root"), &fallbacks).unwrap();
        let walked = walk(&root.handle, Path::new(path), None).map(|handle| inode(&handle));
        match root.open_in_kernel(Path::new(path)) {
            Err(Errno::NOSYS) => {}
            answer => assert_eq!(answer.map(|handle| inode(&handle)), walked, "{path}"),
        }
        walked
    }

    #[test]
    fn links_stay_inside() {
        let folder = hostile();
        let own = fs::metadata(folder.path().join("root/etc/passwd"))
            .unwrap()
            .ino();
        for path in [
            "/etc/passwd",
            "absolute/passwd",
            "/upwards/passwd",
            "/../../etc/passwd",
            "/etc/../../../etc/./passwd",
            "//etc//passwd",
        ] {
            assert_eq!(both(folder.path(), path), Ok(own), "{path}");
        }
        let top = fs::metadata(folder.path().join("root")).unwrap().ino();
        for path in ["/", "..", "/etc/../.."] {
            assert_eq!(both(folder.path(), path), Ok(top), "{path}");
        }
    }

    #[test]
    fn ways_out_end_in_nothing() {
        let folder = hostile();
        for path in [
            "/host/secret",
            "/sibling/secret",
            "/dangling",
            "/../outside/secret",
        ] {
            assert_eq!(both(folder.path(), path), Err(Errno::NOENT), "{path}");
        }
        assert_eq!(both(folder.path(), "/loop"), Err(Errno::LOOP));
        assert_eq!(both(folder.path(), "/etc/passwd/x"), Err(Errno::NOTDIR));
    }

    #[test]
    fn what_is_made_is_made_inside() {
        let folder = hostile();
        let fallbacks = Fallbacks::default();
        let root = Root::new(&folder.path().join("root"), &fallbacks).unwrap();
        for (path, missing, place) in [
            ("/a/b", Missing::Folder, "root/a/b"),
            ("/dangling", Missing::Folder, "root/new/place"),
            ("/upwards/hosts", Missing::File, "root/etc/hosts"),
        ] {
            let handle = root.create(Path::new(path), missing).unwrap();
            let made = fs::metadata(folder.path().join(place)).unwrap();
            assert_eq!(made.ino(), inode(&handle), "{path}");
            assert_eq!(made.is_dir(), missing == Missing::Folder, "{path}");
        }
        // The link to the host's folder is a path of the container here.
        root.create(Path::new("/host/folder/new"), Missing::Folder)
            .unwrap();
        assert_eq!(
            fs::read_dir(folder.path().join("outside/folder"))
                .unwrap()
                .count(),
            0
        );
        let inside = folder.path().join("root").join(
            folder
                .path()
                .join("outside/folder/new")
                .strip_prefix("/")
                .unwrap(),
        );
        assert!(inside.is_dir());
    }
}
