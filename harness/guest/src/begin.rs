//! What differs between two uses of one booted guest: the clock, randomness,
//! host settings, cgroups.

use std::fs::{self, OpenOptions};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};
use rustix::time::{ClockId, Timespec, clock_settime};

use crate::error::{Error, Result};
use crate::{cgroup, kernel_log};

/// Settings every guest has, before the harness's own: a line in the kernel's
/// log for each program a signal ends, and none left out for being too many.
const SYSCTL: [(&str, &str); 2] = [
    ("debug.exception-trace", "1"),
    ("kernel.printk_ratelimit", "0"),
];

/// Prepares the host side of the containers.
///
/// A setting this kernel does not have is noted in the kernel's log, which is
/// sent with the facts; it does not keep the cells from running.
///
/// # Errors
/// When the clock, the random pool or a mount that cells need fails.
pub(crate) fn begin(begin: &wire::Begin) -> Result<wire::CgroupFacts> {
    at(&begin.moment)?;
    mount_rest()?;
    let ours = SYSCTL.map(|(name, value)| (name.to_owned(), value.to_owned()));
    for (name, value) in ours.iter().chain(&begin.sysctl) {
        if let Err(error) = set(name, value) {
            kernel_log::note(&format!("sysctl {name}={value}: {error}"));
        }
    }
    cgroup::mount(begin.cgroup)
}

/// Sets the clock and makes what is drawn from the random pool from now on this
/// machine's own.
///
/// # Errors
/// When the clock or the pool cannot be written to.
pub(crate) fn at(moment: &wire::Moment) -> Result<()> {
    set_clock(moment.clock)?;
    add_entropy(&moment.entropy)
}

/// `clock`: nanoseconds since 1970.
fn set_clock(clock: u64) -> Result<()> {
    const SECOND: u64 = 1_000_000_000;
    let time = Timespec {
        tv_sec: i64::try_from(clock / SECOND).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(clock % SECOND).unwrap_or(0),
    };
    clock_settime(ClockId::Realtime, time).map_err(Error::call("clock_settime"))
}

/// The kernel's `struct rand_pool_info` with room for as much as is ever sent.
#[repr(C)]
struct RandPoolInfo {
    /// Bits credited.
    entropy_count: libc::c_int,
    /// Bytes used of `buf`.
    buf_size: libc::c_int,
    buf: [u8; 512],
}

/// Mixes and credits: some kernels block in getrandom until there is credit.
fn add_entropy(entropy: &[u8]) -> Result<()> {
    /// `_IOW('R', 0x03, int[2])`.
    const RNDADDENTROPY: libc::c_ulong = 0x4008_5203;
    let path = "/dev/urandom";
    let pool = OpenOptions::new()
        .write(true)
        .open(path)
        .map_err(Error::file("open", path))?;
    for part in entropy.chunks(512) {
        let length = libc::c_int::try_from(part.len()).unwrap_or(0);
        let mut info = RandPoolInfo {
            entropy_count: length * 8,
            buf_size: length,
            buf: [0; 512],
        };
        info.buf[..part.len()].copy_from_slice(part);
        // SAFETY: the kernel reads a rand_pool_info of buf_size bytes, and
        // `info` is one.
        let result = unsafe { libc::ioctl(pool.as_raw_fd(), RNDADDENTROPY as _, &raw const info) };
        if result != 0 {
            return Err(Error::call("ioctl RNDADDENTROPY")(kernel_log::last_errno()));
        }
    }
    reseed(&pool)
}

/// Makes the generator draw from the pool now. By itself it does so only every few
/// minutes, and the clones of one template would give the same numbers until then.
fn reseed(pool: &fs::File) -> Result<()> {
    /// `_IO('R', 0x07)`.
    const RNDRESEEDCRNG: libc::c_ulong = 0x5207;
    // SAFETY: the call takes no argument.
    match unsafe { libc::ioctl(pool.as_raw_fd(), RNDRESEEDCRNG as _) } {
        0 => Ok(()),
        _ => match kernel_log::last_errno() {
            // Linux 4.17 has it, and the stable series from 4.9 on. Before 4.8 each
            // read of /dev/urandom took from the pool what it was credited with.
            // EAGAIN: 4.17 to 5.17 before the pool was ready for the first time.
            Errno::INVAL | Errno::NOTTY | Errno::AGAIN | Errno::NODATA => Ok(()),
            errno => Err(Error::call("ioctl RNDRESEEDCRNG")(errno)),
        },
    }
}

/// File systems a host has and boot did not need. All but the terminals' and
/// the shared memory's are only looked at, so a kernel without one is fine.
fn mount_rest() -> Result<()> {
    for path in ["/dev/pts", "/dev/shm"] {
        fs::create_dir_all(path).map_err(Error::file("create", path))?;
    }
    let quiet = MountFlags::NOSUID | MountFlags::NOEXEC | MountFlags::NODEV;
    let nosuid = MountFlags::NOSUID | MountFlags::NODEV;
    mount("tmpfs", "/dev/shm", "tmpfs", nosuid, c"mode=1777")
        .map_err(Error::mount("tmpfs", "/dev/shm"))?;
    mount("tmpfs", "/run", "tmpfs", nosuid, c"mode=0755").map_err(Error::mount("tmpfs", "/run"))?;
    for (filesystem, target, options) in [
        ("devpts", "/dev/pts", Some(c"mode=0620,gid=5,ptmxmode=0666")),
        ("mqueue", "/dev/mqueue", None),
        ("securityfs", "/sys/kernel/security", None),
    ] {
        if target.starts_with("/dev") {
            fs::create_dir_all(target).map_err(Error::file("create", target))?;
        }
        let noexec = MountFlags::NOSUID | MountFlags::NOEXEC;
        let flags = if filesystem == "devpts" {
            noexec
        } else {
            quiet
        };
        let mounted = match mount(filesystem, target, filesystem, flags, options) {
            // Without CONFIG_DEVPTS_MULTIPLE_INSTANCES (an option until Linux 4.7)
            // `ptmxmode` is unknown; the one instance has its ptmx in /dev.
            Err(Errno::INVAL) if filesystem == "devpts" => {
                mount(filesystem, target, filesystem, flags, c"mode=0620,gid=5")
            }
            other => other,
        };
        if let Err(errno) = mounted {
            kernel_log::note(&format!("no {filesystem} on {target}: {errno}"));
        }
    }
    Ok(())
}

/// Writes one sysctl.
fn set(name: &str, value: &str) -> Result<()> {
    let path = sysctl_path(name);
    fs::write(&path, value).map_err(Error::file("write", &path))
}

/// `kernel.panic` → `/proc/sys/kernel/panic`. As sysctl(8) does it: a name with
/// a slash before its first dot is a path already, and keeps its dots.
fn sysctl_path(name: &str) -> PathBuf {
    let slash = name.find('/').unwrap_or(name.len());
    let dot = name.find('.').unwrap_or(name.len());
    let path = if slash < dot {
        name.to_owned()
    } else {
        name.chars()
            .map(|character| match character {
                '.' => '/',
                '/' => '.',
                other => other,
            })
            .collect()
    };
    Path::new("/proc/sys").join(path.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sysctl_names_are_paths_with_dots() {
        for (name, path) in [
            ("kernel.panic", "/proc/sys/kernel/panic"),
            ("debug.exception-trace", "/proc/sys/debug/exception-trace"),
            (
                "net/ipv4/conf/eth0.1/forwarding",
                "/proc/sys/net/ipv4/conf/eth0.1/forwarding",
            ),
            (
                "net.ipv4.conf.eth0/1.forwarding",
                "/proc/sys/net/ipv4/conf/eth0.1/forwarding",
            ),
            ("/kernel/panic", "/proc/sys/kernel/panic"),
        ] {
            assert_eq!(sysctl_path(name), Path::new(path), "{name}");
        }
    }

    #[test]
    fn the_pool_information_is_laid_out_as_the_kernel_reads_it() {
        assert_eq!(std::mem::offset_of!(RandPoolInfo, buf_size), 4);
        assert_eq!(std::mem::offset_of!(RandPoolInfo, buf), 8);
    }
}
