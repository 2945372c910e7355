//! Paths inside an image, resolved as if the image were the root.
//!
//! openat2's RESOLVE_IN_ROOT came with Linux 5.6. Nothing changes the read-only
//! image while it is looked at, so walking it step by step is as safe.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// As many as the kernel follows (MAXSYMLINKS).
const LINKS: u32 = 40;

/// Longest passwd or group file that is read, bytes.
const LONGEST: u64 = 16 << 20;

/// The file's bytes, replaced where they are no UTF-8; none if there is no such
/// file.
///
/// # Errors
/// When it is there and cannot be read, or its links lead in circles.
pub(super) fn read(root: &Path, path: &str) -> Result<Option<String>> {
    let path = resolve(root, Path::new(path))?;
    let file = match fs::symlink_metadata(&path) {
        // A device or a FIFO in its place would block or answer for ever.
        Ok(metadata) if metadata.is_file() => File::open(&path),
        Ok(_) => Err(io::ErrorKind::InvalidInput.into()),
        Err(error) => Err(error),
    };
    let file = match file {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::file("open", &path)(error)),
    };
    let mut bytes = Vec::new();
    file.take(LONGEST)
        .read_to_end(&mut bytes)
        .map_err(Error::file("read", &path))?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Where `path` is, seen from outside; what does not exist is kept as it is.
fn resolve(root: &Path, path: &Path) -> Result<PathBuf> {
    let mut links = 0;
    let mut resolved = root.to_owned();
    let mut depth = 0_usize;
    let mut rest: VecDeque<OsString> = components(path);
    while let Some(name) = rest.pop_front() {
        match name.as_bytes() {
            b"" | b"." => continue,
            b".." => {
                // The root is its own parent.
                if depth > 0 {
                    resolved.pop();
                    depth -= 1;
                }
                continue;
            }
            _ => {}
        }
        resolved.push(&name);
        depth += 1;
        let Ok(target) = fs::read_link(&resolved) else {
            continue;
        };
        links += 1;
        if links > LINKS {
            return Err(Error::SymlinkLoop(path.to_owned()));
        }
        if target.is_absolute() {
            resolved = root.to_owned();
            depth = 0;
        } else {
            resolved.pop();
            depth -= 1;
        }
        let mut next = components(&target);
        next.append(&mut rest);
        rest = next;
    }
    Ok(resolved)
}

/// The names between the slashes.
fn components(path: &Path) -> VecDeque<OsString> {
    path.as_os_str()
        .as_bytes()
        .split(|byte| *byte == b'/')
        .map(|name| OsStr::from_bytes(name).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// An image in a folder of its own.
    fn image(name: &str) -> PathBuf {
        let root = std::env::temp_dir().join(format!("guest-{name}-{}", std::process::id()));
        fs::create_dir_all(root.join("etc")).unwrap();
        root
    }

    #[test]
    fn links_stay_inside_the_image() {
        let root = image("links");
        fs::create_dir_all(root.join("nix/store")).unwrap();
        fs::write(root.join("nix/store/passwd"), "inside").unwrap();
        // Absolute, relative, and one that tries to climb out.
        symlink("/nix/store/passwd", root.join("etc/passwd")).unwrap();
        symlink("passwd", root.join("etc/again")).unwrap();
        symlink("../../../../../nix", root.join("etc/up")).unwrap();
        for path in [
            "/etc/passwd",
            "/etc/again",
            "/etc/up/store/passwd",
            "../etc/./passwd",
        ] {
            assert_eq!(
                read(&root, path).unwrap().as_deref(),
                Some("inside"),
                "{path}"
            );
        }
        // This machine has one; the image does not.
        assert_eq!(read(&root, "/etc/hostname").unwrap(), None);
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn circles_and_devices_are_refused() {
        let root = image("circles");
        symlink("b", root.join("a")).unwrap();
        symlink("a", root.join("b")).unwrap();
        assert!(matches!(read(&root, "/a"), Err(Error::SymlinkLoop(_))));
        assert!(matches!(read(&root, "/etc"), Err(Error::File { .. })));
        fs::remove_dir_all(&root).unwrap();
    }
}
