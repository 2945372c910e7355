//! Verbs on files.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, chown};

/// The verbs on files.
pub(crate) struct Files;

impl Files {
    /// None where the verb is another's.
    pub(crate) fn carry_out(words: &[&str]) -> Option<io::Result<String>> {
        Some(match words {
            ["read", path] => read(path),
            ["empty", path] => empty(path),
            ["write", path, text] => {
                put(path, text, OpenOptions::new().create(true).truncate(true))
            }
            ["append", path, text] => put(path, text, OpenOptions::new().append(true)),
            ["fill", path, bytes] => fill(path, bytes),
            ["open", path] => File::open(path).map(|_| ok()),
            ["mkdir", path] => fs::create_dir(path).map(|()| ok()),
            ["remove", path] => remove(path),
            ["list", path] => list(path),
            ["stat", path] => stat(path),
            ["statfs", path] => statfs(path),
            ["chown", path, uid, gid] => change_owner(path, uid, gid),
            ["mknod", path, major, minor] => make_node(path, major, minor),
            _ => return None,
        })
    }
}

fn ok() -> String {
    "ok".to_owned()
}

/// The content, in one line.
fn read(path: &str) -> io::Result<String> {
    let bytes = fs::read(path)?;
    Ok(String::from_utf8_lossy(&bytes)
        .trim_end()
        .replace('\n', " "))
}

/// Whether a file has no byte, or a folder no entry.
fn empty(path: &str) -> io::Result<String> {
    if fs::metadata(path)?.is_dir() {
        let count = fs::read_dir(path)?.count();
        return Ok(match count {
            0 => "empty".to_owned(),
            count => format!("{count} entries"),
        });
    }
    let mut byte = [0];
    Ok(match File::open(path)?.read(&mut byte)? {
        0 => "empty".to_owned(),
        _ => "not empty".to_owned(),
    })
}

fn put(path: &str, text: &str, options: &mut OpenOptions) -> io::Result<String> {
    options.write(true).open(path)?.write_all(text.as_bytes())?;
    Ok(ok())
}

fn fill(path: &str, bytes: &str) -> io::Result<String> {
    let mut left: usize = super::number(bytes)?;
    let mut file = File::create(path)?;
    let block = [b'x'; 4096];
    while left > 0 {
        let length = left.min(block.len());
        file.write_all(&block[..length])?;
        left -= length;
    }
    Ok(ok())
}

fn remove(path: &str) -> io::Result<String> {
    if fs::symlink_metadata(path)?.is_dir() {
        fs::remove_dir(path)?;
    } else {
        fs::remove_file(path)?;
    }
    Ok(ok())
}

/// The names, sorted.
fn list(path: &str) -> io::Result<String> {
    let mut names = fs::read_dir(path)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names.join(" "))
}

/// `mode=100755 uid=0 gid=0 size=12`; the mode is octal and has the type.
fn stat(path: &str) -> io::Result<String> {
    let stat = fs::symlink_metadata(path)?;
    Ok(format!(
        "mode={:o} uid={} gid={} size={}",
        stat.mode(),
        stat.uid(),
        stat.gid(),
        stat.size()
    ))
}

/// `type=0x1021994 bytes=1048576`.
fn statfs(path: &str) -> io::Result<String> {
    let stat = rustix::fs::statfs(path)?;
    let bytes = stat.f_blocks.saturating_mul(stat.f_bsize.cast_unsigned());
    Ok(format!("type={:#x} bytes={bytes}", stat.f_type))
}

fn change_owner(path: &str, uid: &str, gid: &str) -> io::Result<String> {
    chown(path, Some(super::number(uid)?), Some(super::number(gid)?))?;
    Ok(ok())
}

/// A character device.
fn make_node(path: &str, major: &str, minor: &str) -> io::Result<String> {
    let path = CString::new(path)?;
    let device = libc::makedev(super::number(major)?, super::number(minor)?);
    // SAFETY: the path ends in a zero.
    match unsafe { libc::mknod(path.as_ptr(), libc::S_IFCHR | 0o666, device) } {
        0 => Ok(ok()),
        _ => Err(io::Error::last_os_error()),
    }
}
