//! A program that was refused memory and said so: a limit of its own, or an address
//! space that is full. Nobody killed it. Or one that came to no end, as the kernel
//! found no memory for what it did for it.

use std::sync::LazyLock;

use regex::Regex;

use super::{Cause, Observation, Rule, rule};
use crate::Outcome;

/// `no-memory`.
pub(super) const RULE: Rule = Rule {
    names: &["no-memory"],
    looks_at: "\": Cannot allocate memory\" at a line's end, and what interpreters say instead; of \
               what did not end, the kernel's line \"page allocation failure\" or \"stall\"",
    find,
};

/// `trouble: page allocation failure: order:0, mode:0xc00(GFP_NOIO), …`, and `…: page
/// allocation stall for 11 secs: order:0, …`: a single page could not be had. Of
/// higher orders the kernel says so too, and takes a second way.
static SINGLE_PAGE: LazyLock<Regex> = LazyLock::new(|| {
    rule(
        r"^.{1,15}: page allocation (?:failure|stall for \d+ secs|stalls for \d+ms): ?.*\border:0, ",
    )
});

fn find(observation: Observation<'_>) -> Option<Cause> {
    if matches!(observation.outcome, Outcome::Timeout { .. }) {
        return starved(observation);
    }
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

/// What a process waits for takes memory itself, such as reading its code again that
/// the kernel dropped: then nothing is killed, and nothing goes on.
fn starved(observation: Observation<'_>) -> Option<Cause> {
    let line = observation
        .kernel_lines()
        .find(|line| SINGLE_PAGE.is_match(line))?;
    let memory = observation.facts.map_or(String::new(), |facts| {
        format!(" ({} MiB)", facts.memory / 1024)
    });
    Some(Cause {
        name: "no-memory".to_owned(),
        explanation: format!(
            "the machine's memory{memory} was used up, and the kernel found none for what it did \
             itself, so that nothing went on"
        ),
        evidence: vec![line.to_owned()],
        remedy: Some("more `memory` in the kernel's entry".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::cause as find;

    #[test]
    fn a_cell_that_starved_is_told_from_one_that_waits() {
        let outcome = Outcome::Timeout { limit: 1 };
        let named = |line: &str| {
            let log = [line.to_owned()];
            let observation = Observation {
                kernel_log: &log,
                ..Observation::new(&outcome)
            };
            find(observation).map(|cause| cause.name)
        };
        for line in [
            "trouble: page allocation failure: order:0, mode:0xc00(GFP_NOIO), nodemask=(null)",
            "trouble: page allocation stall for 11 secs: order:0, mode:0xc00(GFP_NOIO) nodemask=(null)",
        ] {
            assert_eq!(named(line).as_deref(), Some("no-memory"), "{line}");
        }
        let large = "kworker/0:1: page allocation failure: order:4, mode:0x40cc0(GFP_KERNEL)";
        assert_eq!(named(large), None);
    }

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
