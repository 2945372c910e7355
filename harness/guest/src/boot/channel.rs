//! The virtio-serial port that leads to the harness.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::FileType;
use rustix::time::Timespec;
use wire::{FrameError, FromGuest, ToGuest};

use super::modules::Failure;
use super::root::device_node;
use crate::error::{Error, Result};

/// Ports, each with a `name` and a `dev`.
const PORTS: &str = "/sys/class/virtio-ports";

/// The driver's folder in sysfs: there once virtio_console is built in or
/// loaded.
const DRIVER: &str = "/sys/bus/virtio/drivers/virtio_console";

/// A port's name arrives by a message from QEMU after the driver is bound; it
/// has been seen to take milliseconds, and an emulated machine may crawl.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a guest that waits for work bears a host side that is not
/// connected: a clone of a waiting guest may see its connection go and come.
const GRACE: Duration = Duration::from_secs(10);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(1);

/// The open port.
#[derive(Debug)]
pub(crate) struct Channel {
    port: File,
    /// Work has begun: from now on an end of the stream is the harness's end.
    working: bool,
}

/// Waits for the port named [`wire::PORT`] and opens it.
pub(super) fn open(failures: &[Failure]) -> Result<Channel> {
    let begun = Instant::now();
    let entry = loop {
        if let Some(entry) = find(Path::new(PORTS), wire::PORT)? {
            break entry;
        }
        if !Path::new(DRIVER).exists() {
            return Err(Error::NoPort(with_failures(
                "virtio_console is neither built in nor loaded (CONFIG_VIRTIO_CONSOLE)",
                failures,
            )));
        }
        if begun.elapsed() > PATIENCE {
            return Err(Error::NoPort(with_failures(
                &format!(
                    "virtio_console is there, but none of its ports is named {} \
                     (no virtio transport: CONFIG_VIRTIO_PCI; or no such port on QEMU's command line)",
                    wire::PORT
                ),
                failures,
            )));
        }
        std::thread::sleep(PAUSE);
    };
    let node = device_node(&entry, FileType::CharacterDevice)?;
    // std opens with O_CLOEXEC, so no program started from here inherits it.
    // The driver allows one opener: a container that made a node of its own
    // would get EBUSY.
    let port = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&node)
        .map_err(Error::file("open", &node))?;
    Ok(Channel {
        port,
        working: false,
    })
}

/// The folder of the port with this name.
fn find(ports: &Path, wanted: &str) -> Result<Option<PathBuf>> {
    let entries = match fs::read_dir(ports) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::file("list", ports)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(Error::file("list", ports))?.path();
        // A port without a name yet has an empty one, or none.
        if fs::read_to_string(entry.join("name")).is_ok_and(|name| name.trim_end() == wanted) {
            return Ok(Some(entry));
        }
    }
    Ok(None)
}

/// The reason, and the modules that might be it.
fn with_failures(reason: &str, failures: &[Failure]) -> String {
    failures.iter().fold(reason.to_owned(), |reason, failure| {
        format!("{reason}; {failure}")
    })
}

impl Channel {
    /// Sends one message; waits while the host side is not connected.
    pub(crate) fn send(&mut self, message: &FromGuest) -> Result<()> {
        Ok(wire::write(&mut self.port, message)?)
    }

    /// The next message. None when the harness is gone.
    pub(crate) fn receive(&mut self) -> Result<Option<ToGuest>> {
        loop {
            match wire::read(&mut self.port) {
                Ok(message) => {
                    self.working = true;
                    return Ok(Some(message));
                }
                Err(FrameError::Closed) if !self.working && self.reconnected()? => {}
                Err(FrameError::Closed) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits out [`GRACE`] for a host side.
    fn reconnected(&self) -> Result<bool> {
        let begun = Instant::now();
        while begun.elapsed() < GRACE {
            if !self.hung_up()? {
                return Ok(true);
            }
            std::thread::sleep(PAUSE);
        }
        Ok(false)
    }

    /// The host side is not connected.
    pub(crate) fn hung_up(&self) -> Result<bool> {
        let mut fds = [PollFd::new(&self.port, PollFlags::empty())];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        poll(&mut fds, Some(&now)).map_err(Error::call("poll of the channel"))?;
        Ok(fds[0].revents().contains(PollFlags::HUP))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.port.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_found_by_its_name_among_others_and_nameless_ones() {
        let ports = std::env::temp_dir().join(format!("guest-ports-{}", std::process::id()));
        for (port, name) in [
            ("vport0p1", Some("org.qemu.guest_agent.0\n")),
            ("vport0p2", None),
            ("vport1p1", Some("matrix.0\n")),
        ] {
            fs::create_dir_all(ports.join(port)).unwrap();
            if let Some(name) = name {
                fs::write(ports.join(port).join("name"), name).unwrap();
            }
        }
        assert_eq!(
            find(&ports, wire::PORT).unwrap(),
            Some(ports.join("vport1p1"))
        );
        assert_eq!(find(&ports, "matrix").unwrap(), None);
        fs::remove_dir_all(&ports).unwrap();
        assert_eq!(find(&ports, wire::PORT).unwrap(), None);
    }
}
