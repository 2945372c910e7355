//! A writable layer over a read-only root: an overlay whose upper part lies in
//! memory, or, on a kernel that cannot, a copy of the tree in memory.

mod copy;

use std::ffi::CString;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use thiserror::Error;

/// A root a container may write to, and what undoes it.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a layer keeps its memory until it is removed"]
pub struct Layer {
    /// The root.
    pub path: PathBuf,
    /// How it was made.
    pub kind: Kind,
    scratch: PathBuf,
}

/// How a layer was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// overlayfs (Linux 3.18, RHEL 7's 3.10).
    Overlay,
    /// A copy of the whole tree.
    Copy {
        /// Why the overlay was refused: ENODEV on a kernel without overlayfs,
        /// EPERM in a user namespace (up to Linux 5.10), EINVAL where one of the
        /// file systems does not suit it.
        errno: i32,
        /// Attributes tmpfs would not take, as `PATH: NAME`: `user.*` ones up to
        /// Linux 6.5.
        lost: Vec<String>,
    },
}

/// Why there is no layer, or why it is still there.
#[derive(Debug, Error)]
pub enum LayerError {
    /// A path the options of an overlay cannot carry.
    #[error("{path}: a comma, colon, backslash or null byte cannot be in the path of an overlay")]
    Path {
        /// The path.
        path: PathBuf,
    },
    /// A step failed.
    #[error("{step} {path}: {errno}{}", hint(*.errno))]
    Step {
        /// What was done.
        step: &'static str,
        /// To what.
        path: PathBuf,
        /// The system's answer.
        errno: Errno,
    },
}

fn hint(errno: Errno) -> &'static str {
    match errno {
        Errno::NOSPC => "\nhint: give the machine more memory: a layer may fill half of it",
        _ => "",
    }
}

/// Makes a writable layer over `lower`. On `scratch`, a folder (made if it is
/// missing), a tmpfs is mounted; needs CAP_SYS_ADMIN.
///
/// # Errors
/// Every refusal of the system but those [`Kind::Copy`] is for. Nothing is left
/// mounted then.
pub fn make(lower: &Path, scratch: &Path) -> Result<Layer, LayerError> {
    make_folder(scratch)?;
    mount("tmpfs", scratch, "tmpfs", MountFlags::empty(), c"mode=755")
        .map_err(step("mount a tmpfs on", scratch))?;
    let path = scratch.join("root");
    let kind = make_folder(&path).and_then(|()| fill(lower, scratch, &path));
    match kind {
        Ok(kind) => Ok(Layer {
            path,
            kind,
            scratch: scratch.to_owned(),
        }),
        Err(error) => {
            unmount(scratch, UnmountFlags::empty()).map_err(step("unmount", scratch))?;
            Err(error)
        }
    }
}

fn fill(lower: &Path, scratch: &Path, path: &Path) -> Result<Kind, LayerError> {
    match overlay(lower, scratch, path) {
        Ok(()) => Ok(Kind::Overlay),
        Err(LayerError::Step {
            errno: errno @ (Errno::NODEV | Errno::PERM | Errno::INVAL),
            path: on,
            ..
        }) if on == path => Ok(Kind::Copy {
            errno: errno.raw_os_error(),
            lost: copy::tree(lower, path)?,
        }),
        Err(error) => Err(error),
    }
}

fn overlay(lower: &Path, scratch: &Path, path: &Path) -> Result<(), LayerError> {
    let (upper, work) = (scratch.join("upper"), scratch.join("work"));
    for folder in [&upper, &work] {
        make_folder(folder)?;
    }
    let mut options = Vec::new();
    for (name, folder) in [
        ("lowerdir=", lower),
        (",upperdir=", &upper),
        (",workdir=", &work),
    ] {
        let bytes = folder.as_os_str().as_encoded_bytes();
        if bytes.iter().any(|byte| b",:\\".contains(byte)) {
            return Err(refused(folder));
        }
        options.extend_from_slice(name.as_bytes());
        options.extend_from_slice(bytes);
    }
    let options = CString::new(options).map_err(|_nul| refused(lower))?;
    // A refusal has a second way, and is nothing to log.
    mount(
        "overlay",
        path,
        "overlay",
        MountFlags::SILENT,
        Some(options.as_c_str()),
    )
    .map_err(step("mount an overlay on", path))
}

impl Layer {
    /// Unmounts it and frees its memory; `scratch` itself stays.
    ///
    /// # Errors
    /// EBUSY while a process still uses it in this mount namespace.
    pub fn remove(self) -> Result<(), LayerError> {
        if self.kind == Kind::Overlay {
            unmount(&self.path, UnmountFlags::empty()).map_err(step("unmount", &self.path))?;
        }
        unmount(&self.scratch, UnmountFlags::empty()).map_err(step("unmount", &self.scratch))
    }
}

fn make_folder(path: &Path) -> Result<(), LayerError> {
    match rustix::fs::mkdir(path, 0o755.into()) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(step("make the folder", path)(errno)),
    }
}

fn refused(path: &Path) -> LayerError {
    LayerError::Path {
        path: path.to_owned(),
    }
}

fn step(step: &'static str, path: &Path) -> impl FnOnce(Errno) -> LayerError {
    move |errno| LayerError::Step {
        step,
        path: path.to_owned(),
        errno,
    }
}
