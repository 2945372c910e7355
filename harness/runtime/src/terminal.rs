//! `process.terminal`: a pseudo-terminal of the container's own devpts.
//!
//! The first process opens it where it is about to be root of all, makes the
//! one end its standard streams, its controlling terminal and /dev/console, and
//! sends the other out: over the socket of `--console-socket`, as runc and crun
//! do (one message, one descriptor), or over a pair of sockets to the runtime,
//! which then serves it as `docker run --tty` does ([`relay`]).

mod relay;
mod socket;

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use oci_spec::runtime::Box as ConsoleSize;
use rustix::fs::{
    FileType, Gid, Mode, OFlags, Uid, fchown, fstat, major, makedev, minor, open, statfs,
};
use rustix::io::Errno;
use rustix::mount::mount_bind;
use rustix::process::ioctl_tiocsctty;
use rustix::termios::{Winsize, tcsetwinsize};

use crate::confined::{Missing, Root, by_handle};
use crate::descriptor::{errno_of, last_errno};
use crate::failure::{Failure, Step};

/// `process.terminal` and `.consoleSize`.
#[derive(Clone, Debug)]
pub(crate) struct Terminal {
    size: Option<Winsize>,
}

/// Where the first process sends the terminal's other end.
#[derive(Debug)]
pub(crate) struct Console(UnixStream);

/// Where the runtime, which serves it, gets it from.
#[derive(Debug)]
pub(crate) struct Link(UnixStream);

/// DEVPTS_SUPER_MAGIC, linux/magic.h.
const DEVPTS: i64 = 0x1cd1;
/// /dev/ptmx is this character device.
const MULTIPLEXER: (u32, u32) = (5, 2);
/// UNIX98_PTY_SLAVE_MAJOR and the seven after it.
const SLAVES: std::ops::Range<u32> = 136..144;

impl Link {
    /// Connects what `terminal` needs, before the first process is forked;
    /// `socket` is that of `--console-socket`.
    pub(crate) fn new(
        terminal: Option<&Terminal>,
        socket: Option<&Path>,
    ) -> Result<(Option<Self>, Option<Console>), Failure> {
        match (terminal, socket) {
            (None, None) => Ok((None, None)),
            (None, Some(_)) => Err(Failure::invalid(
                "--console-socket",
                "process.terminal is not true, so nothing would ever be sent there",
            )),
            (Some(_), Some(path)) => {
                let socket = UnixStream::connect(path)
                    .map_err(errno_of)
                    .on("connect to --console-socket", path)?;
                Ok((None, Some(Console(socket))))
            }
            (Some(_), None) => {
                let (ours, theirs) = UnixStream::pair()
                    .map_err(errno_of)
                    .step(|| "socketpair".to_owned())?;
                Ok((Some(Self(ours)), Some(Console(theirs))))
            }
        }
    }

    /// Serves the terminal, which has been sent by now, until the container has
    /// let go of it.
    pub(crate) fn relay(self) -> Result<(), Failure> {
        let master = socket::receive(&self.0).step(|| "receive the terminal".to_owned())?;
        relay::run(&File::from(master))
    }
}

impl Console {
    /// To be kept open until [`Terminal::make`].
    pub(crate) fn descriptor(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Terminal {
    /// A size of 0 in either direction is none.
    pub(crate) fn new(size: Option<ConsoleSize>) -> Result<Self, Failure> {
        const FIELD: &str = "process.consoleSize";
        let Some(size) = size else {
            return Ok(Self { size: None });
        };
        let number = |value: u64| {
            u16::try_from(value)
                .map_err(|_range| Failure::invalid(FIELD, format!("{value} is above 65535")))
        };
        let (rows, columns) = (number(size.height())?, number(size.width())?);
        let size = (rows > 0 && columns > 0).then_some(Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        });
        Ok(Self { size })
    }

    /// Opens one inside `root`, mounted but not gone to yet, and makes it the
    /// process's own: `user`'s, and bound on `place` if there is one. The process
    /// must lead its session.
    pub(crate) fn make(
        &self,
        root: &Root<'_>,
        user: Uid,
        console: Console,
        place: Option<&Path>,
    ) -> Result<(), Failure> {
        let (master, slave) = pair(root)?;
        if let Some(size) = self.size {
            tcsetwinsize(&master, size).step(|| "set the size of the terminal".to_owned())?;
        }
        // Its group is what devpts was mounted with.
        fchown(&slave, Some(user), None::<Gid>).step(|| "chown the terminal".to_owned())?;
        if let Some(place) = place {
            let target = root
                .create(place, Missing::File)
                .on("open the place of", place)?;
            mount_bind(by_handle(&slave), by_handle(&target)).on("bind the terminal on", place)?;
        }
        ioctl_tiocsctty(&slave).step(|| "make the terminal the controlling one".to_owned())?;
        socket::send(&console.0, &master).step(|| "send the terminal".to_owned())?;
        for standard in 0..=2 {
            // SAFETY: who owned the three descriptors is this process, whose
            // standard streams they are, and takes no leave of them.
            if unsafe { libc::dup2(slave.as_raw_fd(), standard) } < 0 {
                return Err(last_errno())
                    .step(|| "make the terminal the standard streams".to_owned());
            }
        }
        Ok(())
    }
}

/// Both ends. An image may have links where its /dev/pts should be, and a bundle
/// no devpts at all: what is opened is looked at first.
fn pair(root: &Root<'_>) -> Result<(OwnedFd, OwnedFd), Failure> {
    let end = |path: &Path, is: fn(u32, u32) -> bool| {
        let handle = root.open(path).on("open the terminal's", path)?;
        let status = fstat(&handle).on("stat the terminal's", path)?;
        // By name: a descriptor of O_PATH takes fstatfs from Linux 3.12 on only.
        let of_devpts = statfs(by_handle(&handle))
            .on("statfs the terminal's", path)?
            .f_type
            == DEVPTS;
        let device = status.st_rdev;
        if !of_devpts
            || FileType::from_raw_mode(status.st_mode) != FileType::CharacterDevice
            || !is(major(device), minor(device))
        {
            return Err(Errno::NODEV).step(|| {
                let path = path.display();
                format!("open a terminal: {path} is none of a devpts")
            });
        }
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let opened =
            open(by_handle(&handle), flags, Mode::empty()).on("open the terminal's", path)?;
        Ok((opened, device))
    };
    let (master, _) = end(Path::new("/dev/pts/ptmx"), |major, minor| {
        (major, minor) == MULTIPLEXER
    })?;
    let number = unlock(&master).step(|| "unlock the terminal".to_owned())?;
    let path = PathBuf::from(format!("/dev/pts/{number}"));
    let (slave, device) = end(&path, |major, _| SLAVES.contains(&major))?;
    // 256 to each of the majors.
    let expected = makedev(SLAVES.start + (number >> 8), number & 0xff);
    if device == expected {
        Ok((master, slave))
    } else {
        Err(Errno::STALE).on("find the other end of", &path)
    }
}

/// Lets the other end be opened; its number in /dev/pts.
fn unlock(master: &OwnedFd) -> Result<u32, Errno> {
    let (mut number, locked): (libc::c_uint, libc::c_int) = (0, 0);
    // SAFETY: the first request reads an int, the second writes an unsigned one;
    // both outlive the calls.
    let answers = unsafe {
        [
            libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const locked),
            libc::ioctl(master.as_raw_fd(), libc::TIOCGPTN, &raw mut number),
        ]
    };
    if answers == [0, 0] {
        Ok(number)
    } else {
        Err(last_errno())
    }
}
