//! The container's root: made a mount of its own, pivoted to, and closed off.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, lstat, makedev, open};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive,
    mount_change, mount_remount, unmount,
};
use rustix::process::{chdir, chroot, fchdir, pivot_root};

use crate::confined::Root;
use crate::failure::{Failure, Step};
use crate::fallback::{Fallback, Fallbacks};
use crate::mount::flags_at;
use crate::mount::options::Propagation;

/// Cuts the mount namespace off from the host's and makes `path` a mount.
pub(crate) fn prepare<'a>(
    path: &Path,
    propagation: Propagation,
    fallbacks: &'a Fallbacks,
) -> Result<Root<'a>, Failure> {
    // pivot_root refuses while a mount it touches is shared.
    let host = if propagation.receives() {
        MountPropagationFlags::DOWNSTREAM
    } else {
        MountPropagationFlags::PRIVATE
    };
    mount_change("/", host | MountPropagationFlags::REC)
        .step(|| "set the propagation of /".to_owned())?;
    mount_bind_recursive(path, path).on("bind mount over itself", path)?;
    Root::new(path, fallbacks).on("open the root", path)
}

/// Makes `path`, [`prepare`]d, the root, and lets go of the old one.
pub(crate) fn pivot(
    path: &Path,
    propagation: Propagation,
    root: Root<'_>,
    fallbacks: &Fallbacks,
) -> Result<(), Failure> {
    let step = || format!("pivot_root to {}", path.display());
    match swap(root, propagation) {
        // The initial root file system has no parent, and pivot_root needs one
        // to hang the new root on. Bound over itself the same tree has one.
        Err(Errno::INVAL) => {
            fallbacks.record(Fallback::InitialRoot);
            mount_bind_recursive("/", "/").step(|| "bind mount / over itself".to_owned())?;
            // `..` of the root is the root, but with what is mounted on it.
            chdir("/..").step(|| "go to what is mounted on /".to_owned())?;
            chroot(".").step(|| "chroot to what is mounted on /".to_owned())?;
            let again = Root::new(path, fallbacks).on("open the root", path)?;
            swap(again, propagation).step(step)
        }
        answer => answer.step(step),
    }
}

/// pivot_root(".", ".") stacks the old root on the new one, from where it is
/// unmounted: no folder of the image is needed to put it.
fn swap(root: Root<'_>, propagation: Propagation) -> Result<(), Errno> {
    let old = open(
        "/",
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    fchdir(root.handle())?;
    pivot_root(".", ".")?;
    fchdir(&old)?;
    // Only this namespace's copies go: those that are private, as `prepare` has made
    // them, or receive.
    if propagation.receives() {
        mount_change(
            ".",
            MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC,
        )?;
    }
    unmount(".", UnmountFlags::DETACH)?;
    chdir("/")
}

/// How mounts and unmounts spread from the new root and to it.
pub(crate) fn propagate(propagation: Propagation) -> Result<(), Failure> {
    mount_change("/", propagation.0).step(|| "set the propagation of /".to_owned())
}

/// What is told of the new root once nothing needs to be made in it any more.
pub(crate) fn seal(
    masked: &[impl AsRef<CStr>],
    readonly_paths: &[impl AsRef<CStr>],
    readonly: bool,
) -> Result<(), Failure> {
    for path in readonly_paths {
        make_readonly(path.as_ref())?;
    }
    for path in masked {
        mask(path.as_ref())?;
    }
    if readonly {
        remount_readonly(Path::new("/"))?;
    }
    Ok(())
}

/// A file is hidden by /dev/null, a folder by an empty one. What is not there
/// needs no hiding.
fn mask(path: &CStr) -> Result<(), Failure> {
    let name = to_path(path);
    match rustix::fs::stat(path) {
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
        Err(errno) => Err(errno).on("stat", name),
        Ok(status) if FileType::from_raw_mode(status.st_mode) == FileType::Directory => mount(
            "tmpfs",
            path,
            "tmpfs",
            MountFlags::RDONLY,
            c"size=0,mode=755",
        )
        .on("mask", name),
        Ok(_) => {
            let null = lstat("/dev/null").on("mask with /dev/null", name)?;
            if FileType::from_raw_mode(null.st_mode) != FileType::CharacterDevice
                || null.st_rdev != makedev(1, 3)
            {
                return Err(Errno::NODEV).on("mask with /dev/null", name);
            }
            mount_bind("/dev/null", path).on("mask", name)
        }
    }
}

fn make_readonly(path: &CStr) -> Result<(), Failure> {
    match mount_bind_recursive(path, path) {
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
        Err(errno) => Err(errno).on("make read-only", to_path(path)),
        Ok(()) => remount_readonly(to_path(path)),
    }
}

/// Keeps the flags that are there.
fn remount_readonly(path: &Path) -> Result<(), Failure> {
    let flags = flags_at(path).on("statvfs", path)?;
    mount_remount(path, MountFlags::BIND | MountFlags::RDONLY | flags, c"")
        .on("make read-only", path)
}

/// The working directory, made where the image lacks it.
pub(crate) fn enter_directory(directory: &Path) -> Result<(), Failure> {
    let step = "go to the working directory";
    match chdir(directory) {
        Err(Errno::NOENT) => {}
        answer => {
            answer.on(step, directory)?;
            return is_inside(directory);
        }
    }
    // The umask is 0 while the container is made.
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(directory)
        .map_err(crate::descriptor::errno_of)
        .on("make the working directory", directory)?;
    chdir(directory).on(step, directory)?;
    is_inside(directory)
}

/// The kernel says where a working directory outside the root is with the
/// prefix `(unreachable)`: one got there through a descriptor, CVE-2024-21626.
fn is_inside(directory: &Path) -> Result<(), Failure> {
    let step = "find the working directory inside the container:";
    let path = rustix::process::getcwd(Vec::new()).on(step, directory)?;
    if path.to_bytes().starts_with(b"/") {
        Ok(())
    } else {
        Err(Errno::XDEV).on(step, directory)
    }
}

fn to_path(path: &CStr) -> &Path {
    Path::new(OsStr::from_bytes(path.to_bytes()))
}
