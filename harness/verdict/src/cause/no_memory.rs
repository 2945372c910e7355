//! A program that was refused memory and said so: a limit of its own, or an address
//! space that is full. Nobody killed it.

use super::{Cause, Observation, Rule};

/// `no-memory`.
pub(super) const RULE: Rule = Rule {
    names: &["no-memory"],
    looks_at: "\": Cannot allocate memory\" at a line's end, and what interpreters say instead",
    find,
};

fn find(observation: Observation<'_>) -> Option<Cause> {
    if !observation.spoke() {
        return None;
    }
    let line = observation.lines().find(|line| {
        line.ends_with(": Cannot allocate memory")
            || line.ends_with(": memory exhausted")
            // perl.
            || *line == "Out of memory!"
            || line.starts_with("Out of memory in perl:")
            || line.ends_with("std::bad_alloc")
    })?;
    Some(Cause {
        name: "no-memory".to_owned(),
        explanation: "the program was refused memory: by a limit it set or was given, or because \
                      the kernel does not promise more than it has"
            .to_owned(),
        evidence: vec![line.to_owned()],
        remedy: Some(
            "more `memory` in the kernel's entry; vm.overcommit_memory and `ulimit -v` say how \
             much may be promised"
                .to_owned(),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Outcome, cause::cause as find};

    #[test]
    fn programs_say_it_each_in_their_way() {
        let outcome = Outcome::Exit { code: 1 };
        let named = |stderr| {
            let observation = Observation {
                stderr,
                ..Observation::new(&outcome)
            };
            find(observation).map(|cause| cause.name)
        };
        for said in [
            "bash: fork: Cannot allocate memory",
            "Out of memory!",
            "sort: memory exhausted",
            "  what():  std::bad_alloc",
        ] {
            assert_eq!(named(said).as_deref(), Some("no-memory"), "{said}");
        }
        assert_eq!(named("see: Cannot allocate memory: a guide"), None);
    }
}
