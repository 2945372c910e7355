//! A writable layer over a read-only root: an overlay whose upper part lies in
//! memory, or, on a kernel that cannot, a copy of the tree in memory.

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
        /// EPERM in a user namespace (up to Linux 5.10), EINVAL where the two
        /// file systems do not suit it.
        errno: i32,
        /// Attributes tmpfs would not take, as `PATH: NAME`: `user.*` ones up to
        /// Linux 6.5.
        lost: Vec<String>,
    },
}

/// Why there is no layer, or why it is still there.
#[derive(Debug, Error)]
pub enum LayerError {
    /// A path overlayfs's options cannot carry.
    #[error("{path}: a comma, colon or backslash cannot be in the path of an overlay")]
    Path {
        /// The path.
        path: PathBuf,
    },
    /// A step failed.
    #[error("{step} {path}: {errno}")]
    Step {
        /// What was done.
        step: &'static str,
        /// To what.
        path: PathBuf,
        /// The system's answer.
        errno: Errno,
    },
}

/// Makes a writable layer over `lower`. `scratch` is a folder (made if it is
/// missing) a tmpfs is mounted on; needs CAP_SYS_ADMIN.
///
/// # Errors
/// Every refusal of the system but those [`Kind::Copy`] is for.
pub fn make(lower: &Path, scratch: &Path) -> Result<Layer, LayerError> {
    for path in [lower, scratch] {
        if path.to_string_lossy().contains([',', ':', '\\']) {
            return Err(LayerError::Path {
                path: path.to_owned(),
            });
        }
    }
    make_folder(scratch)?;
    mount("tmpfs", scratch, "tmpfs", MountFlags::empty(), c"mode=755")
        .map_err(|errno| step("mount a tmpfs on", scratch, errno))?;
    let (upper, work, path) = (
        scratch.join("upper"),
        scratch.join("work"),
        scratch.join("root"),
    );
    for folder in [&upper, &work, &path] {
        make_folder(folder)?;
    }
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.display(),
        upper.display(),
        work.display()
    );
    mount(
        "overlay",
        &path,
        "overlay",
        MountFlags::empty(),
        Some(c_string(&options, lower)?.as_c_str()),
    )
    .map_err(|errno| step("mount an overlay on", &path, errno))?;
    Ok(Layer {
        path,
        kind: Kind::Overlay,
        scratch: scratch.to_owned(),
    })
}

impl Layer {
    /// Unmounts it and frees its memory; `scratch` itself stays.
    ///
    /// # Errors
    /// EBUSY while a process still uses it in this mount namespace.
    pub fn remove(self) -> Result<(), LayerError> {
        if self.kind == Kind::Overlay {
            unmount(&self.path, UnmountFlags::empty())
                .map_err(|errno| step("unmount", &self.path, errno))?;
        }
        unmount(&self.scratch, UnmountFlags::empty())
            .map_err(|errno| step("unmount", &self.scratch, errno))
    }
}

fn c_string(text: &str, path: &Path) -> Result<std::ffi::CString, LayerError> {
    std::ffi::CString::new(text).map_err(|_nul| LayerError::Path {
        path: path.to_owned(),
    })
}

fn make_folder(path: &Path) -> Result<(), LayerError> {
    match rustix::fs::mkdir(path, 0o755.into()) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(step("make the folder", path, errno)),
    }
}

fn step(step: &'static str, path: &Path, errno: Errno) -> LayerError {
    LayerError::Step {
        step,
        path: path.to_owned(),
        errno,
    }
}
