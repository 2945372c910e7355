//! What a mount must not do to a container.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{PROC_SUPER_MAGIC, Stat, fstat, statfs};
use rustix::io::Errno;

use crate::confined::by_handle;
use crate::failure::{Failure, Step};

/// Files of /proc that lxcfs and its like put their own over; nothing that is
/// written when a container is made lies there. runc's list.
const HARMLESS: [&str; 10] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/net/dev",
    "/proc/sys/kernel/ns_last_pid",
];

/// Refuses to cover /proc or something in it: what is masked there would be the
/// volume's files instead (CVE-2019-16884). `target` tells, not its name: a
/// link in the image may lead to it.
pub(super) fn over_proc(
    target: &OwnedFd,
    source: &Path,
    opened: &OwnedFd,
    destination: &Path,
) -> Result<(), Failure> {
    if HARMLESS.iter().any(|path| Path::new(path) == destination) {
        return Ok(());
    }
    let covers = statfs(by_handle(target)).on("statfs", destination)?.f_type == PROC_SUPER_MAGIC
        || destination == Path::new("/proc");
    if covers && statfs(by_handle(opened)).on("statfs", source)?.f_type != PROC_SUPER_MAGIC {
        let problem = format!("{} would cover /proc", source.display());
        return Err(Failure::invalid(
            format!("mounts: {}", destination.display()),
            problem,
        ));
    }
    Ok(())
}

/// A name that was a folder when it was mounted on can be a link by the time it
/// is looked up again (CVE-2021-30465): then what it leads to is not touched.
pub(super) fn same_file(
    mounted: &OwnedFd,
    source: &Stat,
    destination: &Path,
) -> Result<(), Failure> {
    let found = fstat(mounted).on("stat the mount on", destination)?;
    if (found.st_dev, found.st_ino) == (source.st_dev, source.st_ino) {
        Ok(())
    } else {
        Err(Errno::STALE).on("find what was just mounted on", destination)
    }
}
