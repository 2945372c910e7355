//! A file system without room.

use super::{Cause, Observation, Rule};

/// `disk-full`.
pub(super) const RULE: Rule = Rule {
    names: &["disk-full"],
    looks_at: "\": No space left on device\" as the last error told",
    find,
};

/// ENOSPC also says that a limit of another kind is reached; these are told by who
/// speaks.
const OTHER_LIMITS: [&str; 6] = ["inotify", "watch", "unshare", "namespace", "sem", "epoll"];

fn find(observation: Observation<'_>) -> Option<Cause> {
    if !observation.spoke() {
        return None;
    }
    let line = observation.last_error("No space left on device")?;
    let said = line.to_ascii_lowercase();
    if OTHER_LIMITS.iter().any(|other| said.contains(other)) {
        return None;
    }
    let memory = observation.facts.map_or(String::new(), |facts| {
        format!(" (the machine has {} MiB)", facts.memory / 1024)
    });
    Some(Cause {
        name: "disk-full".to_owned(),
        explanation: format!(
            "a file system was full: what a container writes is held in the machine's memory{memory}"
        ),
        evidence: vec![line.to_owned()],
        remedy: Some("more `memory` in the kernel's entry".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Outcome, cause::cause as find};

    fn named(stderr: &str) -> Option<String> {
        let outcome = Outcome::Exit { code: 1 };
        let cause = find(Observation {
            stderr,
            ..Observation::new(&outcome)
        });
        cause.map(|cause| cause.name)
    }

    #[test]
    fn a_full_disk_is_told_from_other_limits() {
        let full = "head: write error: No space left on device";
        assert_eq!(named(full).as_deref(), Some("disk-full"));
        for other in [
            "tail: inotify cannot be used: No space left on device",
            "unshare: unshare failed: No space left on device",
            "semget: No space left on device",
            "said: No space left on device, they say",
        ] {
            assert_ne!(named(other).as_deref(), Some("disk-full"), "{other}");
        }
    }
}
