//! A C library asks for a newer kernel: its ABI note names the least version,
//! and ld.so, or a static program's start, refuses below it.

use super::{Cause, Observation};

/// `kernel-too-old`.
pub(super) fn cause(observation: Observation<'_>) -> Option<Cause> {
    let line = observation
        .lines()
        .find(|line| *line == "FATAL: kernel too old")?;
    let kernel = match observation.facts {
        Some(facts) => format!("this kernel ({})", facts.release),
        None => "this kernel".to_owned(),
    };
    Some(Cause {
        name: "kernel-too-old".to_owned(),
        explanation: format!("the image's C library was built for kernels newer than {kernel}"),
        evidence: vec![line.to_owned()],
        remedy: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Outcome, cause::cause as find, facts_for_tests};

    fn of(outcome: &Outcome, stderr: &str) -> Option<Cause> {
        let facts = facts_for_tests();
        find(Observation {
            stderr,
            facts: Some(&facts),
            ..Observation::new(outcome)
        })
    }

    #[test]
    fn ld_so_says_so() {
        for outcome in [
            Outcome::Exit { code: 127 },
            Outcome::Signal {
                signal: 6,
                core: true,
            },
        ] {
            let cause = of(&outcome, "FATAL: kernel too old\n").unwrap();
            assert_eq!(cause.name, "kernel-too-old");
            assert!(cause.explanation.contains("6.1.0-50-cloud-amd64"));
            assert_eq!(cause.evidence, ["FATAL: kernel too old"]);
        }
    }

    #[test]
    fn who_quotes_it_does_not_say_it() {
        let outcome = Outcome::Exit { code: 1 };
        assert_eq!(of(&outcome, "boot.log:3: FATAL: kernel too old"), None);
        assert_eq!(of(&outcome, "your kernel is too old for io_uring"), None);
    }
}
