//! `runtime pause` and `resume`: a container's processes stopped, and let go on,
//! without their noticing.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::Version;
use super::file;
use crate::failure::{Failure, Step};

/// How long freezing may take; a process in the middle of a system call that
/// cannot be interrupted is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// A group that can be frozen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Freezer {
    pub(crate) version: Version,
    /// The group's folder.
    pub(crate) folder: PathBuf,
}

impl Freezer {
    /// Returns when all its processes stand still. Where that cannot be had they
    /// are let go on.
    pub(crate) fn freeze(&self) -> Result<(), Failure> {
        let begun = Instant::now();
        loop {
            // Version 1 can miss a process that was being made: asked again, it
            // takes that one too.
            self.ask(true)?;
            if self.is_frozen()? {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                self.thaw()?;
                return Err(Errno::TIMEDOUT).on("freeze", &self.folder);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Lets them go on.
    pub(crate) fn thaw(&self) -> Result<(), Failure> {
        self.ask(false)
    }

    fn ask(&self, freeze: bool) -> Result<(), Failure> {
        let (name, value) = match (self.version, freeze) {
            (Version::V1, true) => ("freezer.state", "FROZEN"),
            (Version::V1, false) => ("freezer.state", "THAWED"),
            (Version::V2, true) => ("cgroup.freeze", "1"),
            (Version::V2, false) => ("cgroup.freeze", "0"),
        };
        let path = self.folder.join(name);
        match file::write(&path, value) {
            Err(Errno::NOENT) if self.folder.is_dir() => Err(Failure::Unsupported {
                what: "freezer: cgroup.freeze came with Linux 5.2, before it is version 1's \
                       controller freezer (CONFIG_CGROUP_FREEZER)"
                    .to_owned(),
            }),
            answer => answer.step(|| format!("write {value} to {}", path.display())),
        }
    }

    fn is_frozen(&self) -> Result<bool, Failure> {
        match self.version {
            // FREEZING until all are.
            Version::V1 => Ok(file::read(&self.folder.join("freezer.state"))? == "FROZEN"),
            Version::V2 => {
                let events = file::read(&self.folder.join("cgroup.events"))?;
                Ok(file::counter(&events, "frozen") == Some(1))
            }
        }
    }
}
