//! 32-bit programs that keep time in 64 bits: on a kernel before 5.1, which has no
//! calls for that, or under a seccomp profile that refuses them with another errno
//! than ENOSYS, a C library that cannot fall back tells nonsense.

use std::sync::LazyLock;

use regex::Regex;

use super::{Cause, Observation, Rule, rule};
use crate::elf::{KernelVersion, Machine};

/// `time64`.
pub(super) const RULE: Rule = Rule {
    names: &["time64"],
    looks_at: "a year long ago in stdout, of a 32-bit program before Linux 5.1 or under seccomp",
    find,
};

/// clock_gettime64 and its like came with this kernel.
const SINCE: KernelVersion = KernelVersion([5, 1, 0]);

/// The year a clock at zero shows, in the first or the next time zone, and what
/// uninitialised or 32-bit halves show.
static LONG_AGO: LazyLock<Regex> = LazyLock::new(|| rule(r"\b(?:1899|190\d|1969|1970)\b"));

fn find(observation: Observation<'_>) -> Option<Cause> {
    let facts = observation.facts?;
    let (path, elf) = observation.executed()?;
    if !observation.spoke() || elf.machine != Machine::I386 {
        return None;
    }
    let old = KernelVersion::of_release(&facts.release).is_some_and(|release| release < SINCE);
    let refused = traced(observation);
    let why = match observation.seccomp {
        _ if old => format!("Linux {} has no system calls for that", facts.release),
        Some(profile) => format!("the seccomp profile {profile} refuses the system calls for that"),
        None if refused.is_some() => {
            "a seccomp filter that it installed itself refuses the system calls for that".to_owned()
        }
        None => return None,
    };
    let told = observation.lines().find(|line| LONG_AGO.is_match(line));
    let mut evidence: Vec<String> = told.map(str::to_owned).into_iter().chain(refused).collect();
    if evidence.is_empty() {
        return None;
    }
    evidence.push(format!("{path}: {}", elf.words()));
    Some(Cause {
        name: "time64".to_owned(),
        explanation: format!("a 32-bit program counts time in 64 bits, and {why}"),
        evidence,
        remedy: Some(
            "Linux 5.1 or later; under seccomp, a profile that knows clock_gettime64, or answers \
             ENOSYS to what it does not know (docker 20.10 and later)"
                .to_owned(),
        ),
    })
}

fn traced(observation: Observation<'_>) -> Option<String> {
    observation.trace?.steps.iter().rev().find_map(|step| {
        matches!(&step.what, wire::Traced::Failed { call, errno: 1, .. } if call.ends_with("64"))
            .then(|| super::step_words(step))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::tests::Made;
    use crate::userland::InMemory;
    use crate::{Outcome, cause::cause as find, facts_for_tests};

    #[test]
    fn only_32_bit_programs_without_the_calls() {
        let outcome = Outcome::Mismatch {
            detail: "stdout does not match".into(),
        };
        let image = InMemory::default()
            .with("/narrow", Made::i386().bytes())
            .with("/wide", Made::x86_64().bytes());
        let named = |program, release: &str, seccomp| {
            let facts = wire::Facts {
                release: release.into(),
                ..facts_for_tests()
            };
            let observation = Observation {
                stdout: "Sun Jan  0 00:100:4174038  1900\n",
                facts: Some(&facts),
                seccomp,
                program: Some(program),
                image: Some(&image),
                ..Observation::new(&outcome)
            };
            find(observation).map(|cause| cause.name)
        };
        let time64 = Some("time64");
        assert_eq!(named("/narrow", "4.9.0-19-amd64", None).as_deref(), time64);
        assert_eq!(
            named("/narrow", "5.10.0", Some("docker")).as_deref(),
            time64
        );
        assert_eq!(named("/narrow", "5.10.0", None), None);
        let own = wire::Trace {
            steps: vec![wire::Step {
                process: 7,
                what: wire::Traced::Failed {
                    call: "clock_gettime64".into(),
                    arguments: "0x0, 0xffffd6a0, 0x0".into(),
                    errno: 1,
                },
                times: 1,
            }],
            dropped: 0,
        };
        let facts = facts_for_tests();
        let cause = find(Observation {
            stdout: "1970",
            facts: Some(&facts),
            program: Some("/narrow"),
            image: Some(&image),
            trace: Some(&own),
            ..Observation::new(&outcome)
        })
        .unwrap();
        assert_eq!(cause.name, "time64");
        assert!(cause.explanation.contains("installed itself"));
        assert_eq!(cause.evidence.len(), 3, "{:?}", cause.evidence);
        assert_eq!(named("/wide", "4.9.0", None), None);
    }
}
