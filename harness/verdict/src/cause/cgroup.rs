//! Programs that know only the first version of cgroups, on a host that mounts the
//! second: systemd before 230, Java and Docker of their time.

use wire::Cgroup;

use super::{Cause, Observation, Rule};
use crate::Outcome;

/// `cgroup-v1-only`.
pub(super) const RULE: Rule = Rule {
    names: &["cgroup-v1-only"],
    looks_at: "words about a cgroup that cannot be mounted, and how this column mounts them",
    find,
};

fn find(observation: Observation<'_>) -> Option<Cause> {
    let facts = observation.facts?;
    // systemd 219 says so and freezes, so that the cell does not end.
    let froze = matches!(observation.outcome, Outcome::Timeout { .. });
    if facts.cgroup.layout != Cgroup::V2 || !(observation.spoke() || froze) {
        return None;
    }
    let line = observation.lines().find(|line| is_about_v1(line))?;
    Some(Cause {
        name: "cgroup-v1-only".to_owned(),
        explanation: "a program wants the hierarchies of cgroup v1, and this column mounts v2 \
                      alone"
            .to_owned(),
        evidence: vec![
            line.to_owned(),
            "cgroup layout of the column: v2".to_owned(),
        ],
        remedy: Some(
            "a variant of the kernel with cgroup = \"v1\" or \"hybrid\", or a userland that \
             knows v2"
                .to_owned(),
        ),
    })
}

fn is_about_v1(line: &str) -> bool {
    // systemd 219: `Failed to mount cgroup at /sys/fs/cgroup/systemd: Operation not
    // permitted`; docker before 20.10: `cgroups: cgroup mountpoint does not exist`.
    line.contains("Failed to mount cgroup at /sys/fs/cgroup")
        || line.contains("cgroup mountpoint does not exist")
        || mounts_v1(line)
}

/// mount(8)'s words for a v1 controller that is bound to v2, or that was left out.
fn mounts_v1(line: &str) -> bool {
    line.starts_with("mount: ")
        && (line.contains("cgroup already mounted or mount point busy")
            || line.ends_with("unknown filesystem type 'cgroup'.")
            || line.contains("wrong fs type, bad option, bad superblock on cgroup,"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cause::cause as find, facts_for_tests};

    fn named(layout: Cgroup, stderr: &str) -> Option<String> {
        let mut facts = facts_for_tests();
        facts.cgroup.layout = layout;
        let outcome = Outcome::Exit { code: 1 };
        let cause = find(Observation {
            stderr,
            facts: Some(&facts),
            ..Observation::new(&outcome)
        });
        cause.map(|cause| cause.name)
    }

    #[test]
    fn what_systemd_219_says_on_v2() {
        let said = "Failed to mount cgroup at /sys/fs/cgroup/systemd: Operation not permitted\n\
                    [!!!!!!] Failed to mount API filesystems, freezing.";
        assert_eq!(named(Cgroup::V2, said).as_deref(), Some("cgroup-v1-only"));
        // The same words where v1 is there have another reason.
        assert_eq!(named(Cgroup::V1, said), None);
        assert_eq!(named(Cgroup::V2, "mount: /mnt: permission denied."), None);
    }
}
