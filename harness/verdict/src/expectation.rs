//! What an outcome is held against.

mod condition;
mod expected;
mod version;

pub use condition::{Condition, ConditionError, Conditions, Fact};
pub use expected::{ExpectedOutcome, ExpectedOutcomeError};
pub use version::{Range, RangeError};

/// `[[expect]]` of an image: an outcome foreseen under conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// The check it speaks of; none: every check of the image.
    pub check: Option<String>,
    /// All must hold; none: always.
    pub when: Conditions,
    /// What is foreseen.
    pub outcome: ExpectedOutcome,
    /// Why, for people.
    pub because: Option<String>,
}

/// What is expected of a check on a kernel with these facts, and why: the first
/// expectation that applies, otherwise a pass.
pub fn expected<'a>(
    expectations: &'a [Expectation],
    check: &str,
    facts: &wire::Facts,
    runtime: &str,
) -> (ExpectedOutcome, Option<&'a str>) {
    expectations
        .iter()
        .find(|expectation| {
            expectation
                .check
                .as_deref()
                .is_none_or(|name| name == check)
                && expectation.when.hold(facts, runtime)
        })
        .map_or((ExpectedOutcome::Pass, None), |expectation| {
            (expectation.outcome, expectation.because.as_deref())
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts_for_tests;

    fn expectation(check: Option<&str>, when: &[(&str, &str)], outcome: &str) -> Expectation {
        let mut conditions = Conditions::default();
        for (fact, value) in when {
            conditions.push(Condition::parse(fact, &[value]).unwrap());
        }
        Expectation {
            check: check.map(str::to_owned),
            when: conditions,
            outcome: outcome.parse().unwrap(),
            because: Some(outcome.to_owned()),
        }
    }

    #[test]
    fn the_first_that_applies_wins_and_a_pass_is_the_default() {
        let facts = facts_for_tests();
        let list = [
            expectation(Some("bash"), &[("vsyscall", "emulate")], "exit 1"),
            expectation(
                Some("bash"),
                &[("vsyscall", "none"), ("kernel", ">=4.19")],
                "SIGSEGV",
            ),
            expectation(None, &[("vsyscall", "none")], "failure"),
        ];
        let of = |check| expected(&list, check, &facts, "bundled");
        assert_eq!(of("bash"), (ExpectedOutcome::Signal(11), Some("SIGSEGV")));
        assert_eq!(of("ls"), (ExpectedOutcome::Failure, Some("failure")));
        assert_eq!(
            expected(&list[..2], "ls", &facts, "bundled"),
            (ExpectedOutcome::Pass, None)
        );
    }
}
