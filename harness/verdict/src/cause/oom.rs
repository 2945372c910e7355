//! Killed by the kernel because memory ran out.

use super::{Cause, Observation, Rule};
use crate::{Outcome, judge, signal};

/// `oom`.
pub(super) const RULE: Rule = Rule {
    names: &["oom"],
    looks_at: "the kernel's line \"Out of memory: Killed process\"",
    find,
};

fn find(observation: Observation<'_>) -> Option<Cause> {
    match observation.outcome {
        Outcome::Oom => {}
        Outcome::Child {
            signal: signal::KILL,
            ..
        } => {}
        _ => return None,
    }
    let lines: Vec<&str> = observation
        .kernel_lines()
        .filter(|line| judge::is_oom_line(line))
        .collect();
    let first = lines.first()?;
    let group = first.starts_with("Memory cgroup");
    Some(Cause {
        name: "oom".to_owned(),
        explanation: if group {
            "a process was killed because its cgroup reached its memory limit".to_owned()
        } else {
            match observation.facts {
                Some(facts) => format!(
                    "a process was killed because the machine's memory ({} MiB) ran out",
                    facts.memory / 1024
                ),
                None => "a process was killed because the machine's memory ran out".to_owned(),
            }
        },
        evidence: lines.iter().map(|line| (*line).to_owned()).collect(),
        remedy: (!group).then(|| "more `memory` in the kernel's entry".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cause::cause as find, facts_for_tests};

    fn of(outcome: &Outcome, line: &str) -> Option<Cause> {
        let log = [
            "tail invoked oom-killer: order=0".to_owned(),
            line.to_owned(),
        ];
        let facts = facts_for_tests();
        find(Observation {
            kernel_log: &log,
            facts: Some(&facts),
            ..Observation::new(outcome)
        })
    }

    #[test]
    fn the_killers_line_is_the_evidence() {
        let line = "Out of memory: Killed process 2018 (tail) total-vm:1040612kB, \
                    anon-rss:424204kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:900kB";
        let cause = of(&Outcome::Oom, line).unwrap();
        assert_eq!(cause.name, "oom");
        assert_eq!(cause.evidence, [line]);
        assert!(
            cause.explanation.contains("488 MiB"),
            "{}",
            cause.explanation
        );
        let grouped = of(&Outcome::Oom, &format!("Memory cgroup o{}", &line[1..])).unwrap();
        assert!(grouped.explanation.contains("cgroup"));
        // Another process was killed; this one ended by itself.
        assert_eq!(of(&Outcome::Exit { code: 1 }, line), None);
    }
}
