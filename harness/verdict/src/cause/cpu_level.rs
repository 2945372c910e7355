//! A userland built for a newer micro-architecture level of x86-64 than the CPU
//! has.

use super::{Cause, Observation};

/// `cpu-level`.
pub(super) fn cause(observation: Observation<'_>) -> Option<Cause> {
    let (line, wanted) = observation
        .lines()
        .find_map(|line| wanted(line).map(|wanted| (line, wanted)))?;
    let has = match observation.facts {
        Some(facts) => format!("which is x86-64-v{}", facts.cpu_level),
        None => "which has less".to_owned(),
    };
    let mut evidence = vec![line.to_owned()];
    evidence.extend(
        observation
            .facts
            .map(|facts| format!("CPU: {}, x86-64-v{}", facts.cpu_model, facts.cpu_level)),
    );
    Some(Cause {
        name: "cpu-level".to_owned(),
        explanation: format!("the image was built for {wanted}, not for this CPU, {has}"),
        evidence,
        remedy: Some("a `cpu` of that level in the kernel's entry".to_owned()),
    })
}

/// What a line of ld.so or of a static program's start asks for.
fn wanted(line: &str) -> Option<&str> {
    if let Some(level) = line.strip_prefix("Fatal glibc error: CPU does not support ") {
        return Some(level);
    }
    (line.contains("error while loading shared libraries: ")
        && line.ends_with(": CPU ISA level is lower than required"))
    .then_some("a higher x86-64 level")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Outcome, cause::cause as find, facts_for_tests};

    fn of(stderr: &str) -> Option<Cause> {
        let facts = wire::Facts {
            cpu_level: 2,
            ..facts_for_tests()
        };
        let outcome = Outcome::Exit { code: 127 };
        find(Observation {
            stderr,
            facts: Some(&facts),
            ..Observation::new(&outcome)
        })
    }

    #[test]
    fn glibc_says_what_it_needs() {
        let cause = of("Fatal glibc error: CPU does not support x86-64-v3\n").unwrap();
        assert_eq!(cause.name, "cpu-level");
        assert_eq!(
            cause.explanation,
            "the image was built for x86-64-v3, not for this CPU, which is x86-64-v2"
        );
        assert_eq!(
            cause.evidence,
            [
                "Fatal glibc error: CPU does not support x86-64-v3",
                "CPU: QEMU TCG CPU version 2.5+, x86-64-v2"
            ]
        );
        let loader = "ls: error while loading shared libraries: libc.so.6: CPU ISA level is lower \
                      than required";
        assert_eq!(of(loader).unwrap().name, "cpu-level");
    }

    #[test]
    fn other_fatal_errors_of_glibc_are_not_about_the_cpu() {
        for stderr in [
            "Fatal glibc error: malloc.c:2599 (sysmalloc): assertion failed: (old_top == \
             initial_top (av) && old_size == 0)",
            "Fatal glibc error: cannot get entropy for arc4random",
            "ls: error while loading shared libraries: libc.so.6: cannot open shared object file",
        ] {
            assert_eq!(of(stderr), None, "{stderr}");
        }
    }
}
