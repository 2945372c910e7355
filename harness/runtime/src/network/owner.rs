//! Who an interface belongs to: the runtime that made it, said in the
//! interface's alias, so that what one has left that was killed is told from
//! what one that lives needs.

use std::fmt;
use std::path::Path;

use crate::descriptor::errno_of;
use crate::failure::{Failure, Step};

/// A process, told from a later one of the same number by when it was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pid: u32,
    /// Clock ticks after boot.
    started: u64,
    /// Its number is of this PID namespace: `pid:[4026531836]`.
    namespace: String,
}

impl Owner {
    /// This process.
    pub(super) fn own() -> Result<Self, Failure> {
        let path = Path::new("/proc/self/stat");
        let line = std::fs::read_to_string(path)
            .map_err(errno_of)
            .on("read", path)?;
        let started = living(&line).ok_or_else(|| Failure::System {
            step: "read when the runtime was started in /proc/self/stat".to_owned(),
            errno: rustix::io::Errno::PROTO,
        })?;
        Ok(Self {
            pid: std::process::id(),
            started,
            namespace: own_namespace()?,
        })
    }

    /// Its number.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it is there still. Of another PID namespace's nothing is known
    /// here: it counts as alive.
    pub(super) fn is_alive(&self) -> Result<bool, Failure> {
        if self.namespace != own_namespace()? {
            return Ok(true);
        }
        let path = format!("/proc/{}/stat", self.pid);
        Ok(std::fs::read_to_string(path)
            .ok()
            .and_then(|line| living(&line))
            == Some(self.started))
    }

    /// The opposite of `to_string`.
    pub(super) fn parse(alias: &str) -> Option<Self> {
        let words: Vec<&str> = alias.split(' ').collect();
        let ["runtime", pid, "since", started, "in", namespace] = words[..] else {
            return None;
        };
        Some(Self {
            pid: pid.parse().ok()?,
            started: started.parse().ok()?,
            namespace: namespace.to_owned(),
        })
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pid,
            started,
            namespace,
        } = self;
        write!(formatter, "runtime {pid} since {started} in {namespace}")
    }
}

fn own_namespace() -> Result<String, Failure> {
    let path = Path::new("/proc/self/ns/pid");
    let link = std::fs::read_link(path)
        .map_err(errno_of)
        .on("read", path)?;
    Ok(link.display().to_string())
}

/// When the process of this /proc/PID/stat was started (field 22), unless it
/// has ended and only not been waited for.
fn living(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    match fields.next()? {
        "Z" | "X" => None,
        _ => fields.nth(18)?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_lives_as_long_as_its_process() {
        let own = Owner::own().unwrap();
        assert_eq!(Owner::parse(&own.to_string()), Some(own.clone()));
        assert!(own.is_alive().unwrap());
        let earlier = Owner {
            started: own.started - 1,
            ..own.clone()
        };
        assert!(!earlier.is_alive().unwrap());
        let elsewhere = Owner {
            namespace: "pid:[1]".to_owned(),
            ..earlier
        };
        assert!(elsewhere.is_alive().unwrap());
        assert_eq!(Owner::parse("eth0 of the office"), None);
    }

    #[test]
    fn what_has_ended_does_not_live() {
        let line = |state: &str| {
            format!("7 (a) b) {state} 1 7 7 0 -1 0 85 0 0 0 21 4 0 0 20 0 1 0 180 2 3")
        };
        assert_eq!(living(&line("S")), Some(180));
        assert_eq!(living(&line("Z")), None);
        assert_eq!(living("7 (a"), None);
    }
}
