//! A system call that this kernel does not have, and a program that has no second
//! way.

use std::str::FromStr;

use syscalls::x86_64::Sysno;
use wire::{Trace, Traced};

use super::{Cause, Observation, Rule};

/// `missing-syscall`.
pub(super) const RULE: Rule = Rule {
    names: &["missing-syscall"],
    looks_at: "\": Function not implemented\" as the last error told, a trace's last refusal, and the \
               calls that this kernel answers ENOSYS to",
    find,
};

/// Calls that a C library tries at a program's start, or before an older call, and does
/// without: refused, they say nothing of a program that went on.
const TRIED: [&str; 9] = [
    "clone3",
    "close_range",
    "faccessat2",
    "getrandom",
    "openat2",
    "prlimit64",
    "rseq",
    "set_robust_list",
    "statx",
];

fn find(observation: Observation<'_>) -> Option<Cause> {
    let said = observation
        .last_error("Function not implemented")
        .filter(|_| observation.spoke());
    let refused = observation
        .trace
        .filter(|_| observation.spoke() || observation.ended_by(crate::signal::ABRT))
        .and_then(|trace| last_refusal(trace, said.is_some()));
    let mut evidence: Vec<String> = said.map(str::to_owned).into_iter().collect();
    evidence.extend(refused.as_ref().map(|(words, _)| words.clone()));
    if evidence.is_empty() {
        return None;
    }
    let named = refused
        .map(|(_, call)| call)
        .or_else(|| said.and_then(|line| named(observation, line)));
    let release = observation.facts.map_or("this kernel".to_owned(), |facts| {
        format!("Linux {}", facts.release)
    });
    let explanation = match &named {
        Some(call) => {
            if is_missing(observation, call) == Some(false) {
                // The kernel has it: this call was refused for its arguments, or by
                // a filter that says ENOSYS.
                evidence.push(format!("{call} is there on this kernel"));
                format!(
                    "{call} answered ENOSYS, though {release} has it: a seccomp profile, or a form of the call that it does not have"
                )
            } else {
                format!("{release} does not have {call}, and the program has no second way")
            }
        }
        None => format!("{release} does not have a system call that the program wants"),
    };
    Some(Cause {
        name: "missing-syscall".to_owned(),
        explanation,
        evidence,
        remedy: Some(match &named {
            Some(call) => format!("a kernel that has {call}, or an older version of the program"),
            None => "a newer kernel, or an older version of the program; `--trace` names the call"
                .to_owned(),
        }),
    })
}

/// The last call that was refused with ENOSYS. Programs try and fall back, so that
/// without the program's own words only the last refusal of all says something.
fn last_refusal(trace: &Trace, said: bool) -> Option<(String, String)> {
    const ENOSYS: i32 = 38;
    let failed = trace
        .steps
        .iter()
        .rev()
        .filter_map(|step| match &step.what {
            Traced::Failed { call, errno, .. } => Some((step, call, *errno)),
            _ => None,
        })
        .filter(|(_, call, errno)| said || *errno != ENOSYS || !TRIED.contains(&call.as_str()));
    let mut considered = failed.take(if said { usize::MAX } else { 1 });
    let (step, call, _) = considered.find(|(_, _, errno)| *errno == ENOSYS)?;
    Some((super::step_words(step), call.clone()))
}

/// A call that the line names and this kernel lacks.
fn named(observation: Observation<'_>, line: &str) -> Option<String> {
    let words = line.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    words
        .filter(|word| Sysno::from_str(word).is_ok())
        .find(|word| is_missing(observation, word) == Some(true))
        .map(str::to_owned)
}

/// None where nobody knows.
fn is_missing(observation: Observation<'_>, call: &str) -> Option<bool> {
    let calls = &observation.facts?.syscalls;
    let number = u16::try_from(Sysno::from_str(call).ok()?.id()).ok()?;
    if calls.missing.contains(&number) {
        return Some(true);
    }
    (number < calls.tried && !calls.untried.contains(&number)).then_some(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Outcome, cause::cause as find, facts_for_tests};

    const FCHMODAT2: u16 = 452;

    fn of(stderr: &str, steps: &[(&str, i32)]) -> Option<Cause> {
        let mut facts = facts_for_tests();
        facts.syscalls.tried = 480;
        facts.syscalls.missing = vec![FCHMODAT2];
        let trace = Trace {
            steps: steps
                .iter()
                .map(|(call, errno)| wire::Step {
                    process: 7,
                    what: Traced::Failed {
                        call: (*call).to_owned(),
                        arguments: "0x0, 0x0, 0x0".into(),
                        errno: *errno,
                    },
                    times: 1,
                })
                .collect(),
            dropped: 0,
        };
        let outcome = Outcome::Exit { code: 1 };
        find(Observation {
            stderr,
            facts: Some(&facts),
            trace: (!steps.is_empty()).then_some(&trace),
            ..Observation::new(&outcome)
        })
    }

    #[test]
    fn the_call_is_named_by_the_words_or_by_the_trace() {
        let cause = of("x: fchmodat2: Function not implemented", &[]).unwrap();
        assert_eq!(cause.name, "missing-syscall");
        assert!(cause.explanation.contains("does not have fchmodat2"));
        let cause = of(
            "x: Function not implemented",
            &[("fchmodat2", 38), ("ioctl", 25)],
        )
        .unwrap();
        assert!(cause.explanation.contains("does not have fchmodat2"));
        assert_eq!(cause.evidence[1], "[7] fchmodat2(0x0, 0x0, 0x0) = ENOSYS");
        let cause = of("x: Function not implemented", &[]).unwrap();
        assert!(cause.remedy.unwrap().contains("--trace"));
        let there = of("x: Function not implemented", &[("clone3", 38)]).unwrap();
        assert!(
            there.explanation.contains("though"),
            "{}",
            there.explanation
        );
    }

    #[test]
    fn a_call_that_was_tried_and_given_up_is_not_it() {
        assert_eq!(of("x: broken", &[("fchmodat2", 38), ("openat", 2)]), None);
        assert_eq!(
            of("", &[("openat", 2), ("fchmodat2", 38)]).map(|cause| cause.name),
            Some("missing-syscall".into())
        );
        // What the C library tries on every kernel says nothing of a quiet end.
        assert_eq!(of("", &[("rseq", 38)]), None);
        assert_eq!(of("", &[("openat", 2), ("getrandom", 38)]), None);
        assert_eq!(
            of("plugin: Function not implemented in this release", &[]),
            None
        );
    }
}
