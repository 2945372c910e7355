//! A terminal through /dev/ptmx, and the one the program was given.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

/// Opens one and sends a line through it: `name=/dev/pts/0 through=hello`. It is
/// there as long as the file is open.
pub(crate) fn open() -> io::Result<(File, String)> {
    let mut master = terminal("/dev/ptmx")?;
    let number = unlock(&master)?;
    let name = format!("/dev/pts/{number}");
    let slave = terminal(&name)?;
    master.write_all(b"hello\n")?;
    let mut line = String::new();
    BufReader::new(slave).read_line(&mut line)?;
    Ok((master, format!("name={name} through={}", line.trim_end())))
}

/// The terminal that standard input is: `name=/dev/pts/0 size=33x77
/// session=own console=same`.
pub(crate) fn own() -> io::Result<String> {
    let name = fs::read_link("/proc/self/fd/0")?;
    // SAFETY: all zeros is a valid winsize.
    let mut size: libc::winsize = unsafe { std::mem::zeroed() };
    // SAFETY: TIOCGWINSZ writes a winsize, which outlives the call.
    if unsafe { libc::ioctl(0, libc::TIOCGWINSZ, &raw mut size) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: neither takes a pointer.
    let session = unsafe { [libc::tcgetsid(0), libc::getsid(0)] };
    let console = fs::metadata("/dev/console")?.rdev() == fs::metadata("/proc/self/fd/0")?.rdev();
    let word = |holds: bool, yes: &'static str| if holds { yes } else { "another" };
    Ok(format!(
        "name={} size={}x{} session={} console={}",
        name.display(),
        size.ws_row,
        size.ws_col,
        word(session[0] == session[1] && session[0] > 0, "own"),
        word(console, "same")
    ))
}

fn terminal(path: &str) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOCTTY)
        .open(path)
}

/// Lets the other end be opened; its number in /dev/pts.
fn unlock(master: &File) -> io::Result<libc::c_int> {
    let mut number: libc::c_int = 0;
    // SAFETY: both requests are given an int, which the first reads and the
    // second writes.
    let answers = unsafe {
        [
            libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const number),
            libc::ioctl(master.as_raw_fd(), libc::TIOCGPTN, &raw mut number),
        ]
    };
    if answers == [0, 0] {
        Ok(number)
    } else {
        Err(io::Error::last_os_error())
    }
}
