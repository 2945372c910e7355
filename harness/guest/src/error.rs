//! What can go wrong in the guest, each with the path or name it is about.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// Trouble of the guest's own; never the outcome of a cell.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A file could not be used.
    #[error("failed to {action} {path}: {source}", path = path.display())]
    File {
        /// `open`, `read`, `write`, `create`, …
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// A file system could not be mounted.
    #[error("failed to mount {filesystem} on {target}: {source}{hint}", target = target.display())]
    Mount {
        filesystem: String,
        target: PathBuf,
        source: io::Error,
        /// `"; hint: …"`, or nothing.
        hint: String,
    },
    /// A system call without a path failed.
    #[error("{call} failed: {source}")]
    Call {
        call: &'static str,
        source: io::Error,
    },
    /// No port of the agreed name appeared.
    #[error("no virtio-serial port: {0}")]
    NoPort(String),
    /// The kernel lacks what every cell needs.
    #[error("{0}")]
    Lacking(String),
    /// The channel broke.
    #[error(transparent)]
    Channel(#[from] wire::FrameError),
    /// No disk has the serial.
    #[error("no disk has the serial {serial:?}; there are {}", list(.present))]
    NoDisk {
        serial: String,
        present: Vec<String>,
    },
    /// A serial that cannot name a folder.
    #[error("{0:?} cannot be a disk's serial")]
    BadSerial(String),
    /// The disk's first blocks are of no known file system.
    #[error("disk {serial} ({device}) holds neither squashfs, ext4 nor erofs", device = device.display())]
    UnknownFilesystem { serial: String, device: PathBuf },
    /// The image's passwd has no such name.
    #[error("the image has no user {0:?} (looked in its /etc/passwd)")]
    NoUser(String),
    /// The image's group file has no such name.
    #[error("the image has no group {0:?} (looked in its /etc/group)")]
    NoGroup(String),
    /// The writable layer could not be made or removed.
    #[error("failed to make or remove the writable layer: {0}")]
    Layer(#[from] runtime::layer::LayerError),
    /// The harness broke the order of a session.
    #[error("the harness broke the order of the session: {0}")]
    Protocol(&'static str),
    /// A path of the image leads in circles.
    #[error("too many symbolic links in the image's {}", .0.display())]
    SymlinkLoop(PathBuf),
}

/// `a, b` or `none`.
fn list(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

impl Error {
    /// For `map_err` on an action upon a path.
    pub(crate) fn file<E: Into<io::Error>>(
        action: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(E) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::File {
            action,
            path,
            source: source.into(),
        }
    }

    /// For `map_err` on a call without a path.
    pub(crate) fn call(call: &'static str) -> impl FnOnce(Errno) -> Self {
        move |errno| Self::Call {
            call,
            source: errno.into(),
        }
    }

    /// For `map_err` on a mount.
    pub(crate) fn mount(filesystem: &str, target: impl AsRef<Path>) -> impl FnOnce(Errno) -> Self {
        let (filesystem, target) = (filesystem.to_owned(), target.as_ref().to_owned());
        move |errno| Self::Mount {
            hint: mount_hint(&filesystem, errno),
            filesystem,
            target,
            source: errno.into(),
        }
    }
}

/// The mend for a refused mount, where one is known.
fn mount_hint(filesystem: &str, errno: Errno) -> String {
    match errno {
        Errno::NODEV => format!(
            "; hint: this kernel has no {filesystem}, neither built in nor as a loaded module"
        ),
        Errno::INVAL if filesystem == "squashfs" => {
            "; hint: the kernel may lack the image's compression (zstd needs Linux 4.14)".to_owned()
        }
        _ => String::new(),
    }
}

/// Shorthand.
pub(crate) type Result<T> = std::result::Result<T, Error>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_mount_says_what_the_kernel_lacks() {
        let error = Error::mount("erofs", "/images/a")(Errno::NODEV);
        assert_eq!(
            error.to_string(),
            "failed to mount erofs on /images/a: No such device (os error 19); \
             hint: this kernel has no erofs, neither built in nor as a loaded module"
        );
    }

    #[test]
    fn a_missing_disk_names_those_there_are() {
        let error = Error::NoDisk {
            serial: "a".into(),
            present: vec!["b".into(), "c".into()],
        };
        assert_eq!(
            error.to_string(),
            "no disk has the serial \"a\"; there are b, c"
        );
    }
}
