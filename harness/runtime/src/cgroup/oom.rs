//! Whether a process was killed for memory. SIGKILL looks the same whoever sent
//! it: the group's own count tells, before and after, and where it has risen
//! the kernel's log tells for whom.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
use rustix::process::Pid;

use super::Version;
use super::file::{self, counter};
use crate::descriptor::errno_of;
use crate::failure::{Failure, Step};

/// How long the kernel's line is waited for: it is written after the signal is
/// sent.
const PATIENCE: Duration = Duration::from_millis(200);

/// A container's group, from before its first process was in it.
#[derive(Debug)]
pub(super) struct Watch {
    count: Count,
    /// The kernel's log from here on, where it can be read and speaks of the
    /// PIDs the runtime knows.
    log: Option<File>,
    /// The PIDs it has said were killed.
    victims: Vec<i32>,
}

#[derive(Debug)]
enum Count {
    /// A counter of kills in a file.
    Kills {
        path: PathBuf,
        word: &'static str,
        before: u64,
    },
    /// Version 1 before Linux 4.13 has no such counter, but tells whoever asks
    /// of each time the group ran out of memory.
    Notices(File),
}

impl Watch {
    /// `None` where the group has no memory controller.
    pub(super) fn begin(version: Version, folder: &Path) -> Result<Option<Self>, Failure> {
        let (name, words): (_, &[&'static str]) = match version {
            Version::V1 => ("memory.oom_control", &["oom_kill"]),
            // oom_kill came with Linux 4.13; oom counted then what it does now.
            Version::V2 => ("memory.events", &["oom_kill", "oom"]),
        };
        let path = folder.join(name);
        if !path.exists() {
            return Ok(None);
        }
        let text = file::read(&path)?;
        let counted = words
            .iter()
            .find_map(|word| Some((*word, counter(&text, word)?)));
        let count = match counted {
            Some((word, before)) => Count::Kills { path, word, before },
            None => return Self::by_notices(folder).map(Some),
        };
        Ok(Some(Self::new(count)))
    }

    /// Of a version 1 group that counts no kills.
    pub(super) fn by_notices(folder: &Path) -> Result<Self, Failure> {
        let notices = notices(folder, &folder.join("memory.oom_control"))?;
        Ok(Self::new(Count::Notices(notices)))
    }

    fn new(count: Count) -> Self {
        Self {
            count,
            log: log(),
            victims: Vec::new(),
        }
    }

    /// Whether the kernel's log can be read here.
    #[cfg(test)]
    pub(super) fn reads_the_log(&self) -> bool {
        self.log.is_some()
    }

    /// Kills so far, or with [`Count::Notices`] how often memory ran out.
    pub(super) fn kills(&mut self) -> Result<u64, Failure> {
        match &mut self.count {
            Count::Kills { path, word, before } => {
                let now = counter(&file::read(path)?, word).unwrap_or(*before);
                Ok(now.saturating_sub(*before))
            }
            Count::Notices(events) => {
                let mut count = [0; 8];
                match events.read_exact(&mut count) {
                    Ok(()) => Ok(u64::from_ne_bytes(count)),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
                    Err(error) => Err(errno_of(error))
                        .step(|| "read the notices of memory.oom_control".into()),
                }
            }
        }
    }

    /// Whether it was one of `kills` that ended `pid`, which SIGKILL did.
    pub(super) fn killed(&mut self, pid: Pid, kills: u64) -> bool {
        if kills == 0 {
            return false;
        }
        let Some(log) = &mut self.log else {
            return true;
        };
        // Each kill has its line; notices can be more than kills. That there are
        // enough lines does not end the wait: some may be of other groups.
        let wanted = match self.count {
            Count::Kills { .. } => kills,
            Count::Notices(_) => 1,
        };
        let begun = Instant::now();
        loop {
            match read_victims(log) {
                Some(more) => self.victims.extend(more),
                // It was overwritten meanwhile: what it said is not known.
                None => return true,
            }
            if self.victims.contains(&pid.as_raw_nonzero().get()) {
                return true;
            }
            if begun.elapsed() > PATIENCE {
                return (self.victims.len() as u64) < wanted;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

fn notices(folder: &Path, control: &Path) -> Result<File, Failure> {
    let step = || format!("watch {}", control.display());
    let events: OwnedFd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).step(step)?;
    let file = File::open(control).map_err(errno_of).step(step)?;
    let request = format!("{} {}", events.as_raw_fd(), file.as_raw_fd());
    file::write(&folder.join("cgroup.event_control"), &request).step(step)?;
    Ok(events.into())
}

/// At its end. In a PID namespace that is not the machine's own the log speaks
/// of other numbers.
fn log() -> Option<File> {
    /// PROC_PID_INIT_INO, since Linux 3.8.
    const INITIAL: &str = "pid:[4026531836]";
    let own = std::fs::read_link("/proc/self/ns/pid").ok()?;
    if own != Path::new(INITIAL) {
        return None;
    }
    let mut log = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/kmsg")
        .ok()?;
    log.seek(SeekFrom::End(0)).ok()?;
    Some(log)
}

/// The PIDs killed by what the log has to say; `None` when lines were lost.
fn read_victims(log: &mut File) -> Option<Vec<i32>> {
    // A record at a time; none is longer.
    let mut record = [0; 8192];
    let mut victims = Vec::new();
    loop {
        match log.read(&mut record) {
            Ok(0) => return Some(victims),
            Ok(length) => {
                let text = String::from_utf8_lossy(&record[..length]);
                victims.extend(victim(&text));
            }
            Err(error) => match errno_of(error) {
                Errno::AGAIN => return Some(victims),
                Errno::INTR => {}
                _ => return None,
            },
        }
    }
}

/// `Memory cgroup out of memory: Killed process 88 (name) total-vm:…`; before
/// Linux 5.1 the line begins with `Killed`, and the one before it, with `Kill
/// process`, may name the victim's parent.
fn victim(record: &str) -> Option<i32> {
    let (_, rest) = record.split_once("Killed process ")?;
    rest.split_once([' ', ','])?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Version 2's file, as it is, and as it was before Linux 4.13.
    #[test]
    fn kills_are_those_since_the_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let events = folder.path().join("memory.events");
        let begin = || Watch::begin(Version::V2, folder.path()).unwrap();
        assert!(begin().is_none(), "no controller, no file");
        for (before, after) in [
            ("low 0\noom 7\noom_kill 2\n", "low 0\noom 9\noom_kill 3\n"),
            ("low 0\noom 7\n", "low 0\noom 8\n"),
        ] {
            std::fs::write(&events, before).unwrap();
            let mut watch = begin().unwrap();
            assert_eq!(watch.kills().unwrap(), 0);
            std::fs::write(&events, after).unwrap();
            assert_eq!(watch.kills().unwrap(), 1, "{after:?}");
        }
    }

    #[test]
    fn victims_are_read_from_lines_of_real_kernels() {
        for (line, pid) in [
            (
                "3,1022,5512,-;Memory cgroup out of memory: Killed process 88 (probe-inside) \
                 total-vm:66000kB, anon-rss:31000kB, file-rss:0kB, shmem-rss:0kB, UID:0 \
                 pgtables:100kB oom_score_adj:0",
                Some(88),
            ),
            (
                "3,411,100,-;Killed process 1234 (a b) total-vm:1kB, anon-rss:1kB, file-rss:0kB",
                Some(1234),
            ),
            (
                "3,410,99,-;Memory cgroup out of memory: Kill process 1200 (a) score 993 or \
                 sacrifice child",
                None,
            ),
            ("6,1,1,-;oom_reaper: reaped process 88 (probe-inside)", None),
        ] {
            assert_eq!(victim(line), pid, "{line}");
        }
    }
}
