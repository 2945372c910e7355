//! What an outcome is held against.

mod condition;
mod expected;
mod version;

pub use condition::{Condition, ConditionError, Conditions, Fact, Setting};
pub use expected::{ExpectedOutcome, ExpectedOutcomeError};
pub use version::{Range, RangeError};

/// `[[expect]]` of an image: an outcome foreseen under conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// The check it speaks of, under every profile it runs under; none: every check
    /// of the image.
    pub check: Option<String>,
    /// All must hold; none: always.
    pub when: Conditions,
    /// What is foreseen.
    pub outcome: ExpectedOutcome,
    /// Why, for people.
    pub because: Option<String>,
}

/// What is expected of a check, and why: the first expectation that applies,
/// otherwise a pass. `names` are what the check is called: `bash`, or
/// `bash+seccomp=eperm` and `bash`.
pub fn expected<'a>(
    expectations: &'a [Expectation],
    names: &[&str],
    setting: Setting<'_>,
) -> (ExpectedOutcome, Option<&'a str>) {
    expectations
        .iter()
        .find(|expectation| {
            expectation
                .check
                .as_deref()
                .is_none_or(|name| names.contains(&name))
                && expectation.when.hold(setting)
        })
        .map_or((ExpectedOutcome::Pass, None), |expectation| {
            (expectation.outcome, expectation.because.as_deref())
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{facts_for_tests, setting_for_tests};

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
        let setting = setting_for_tests(&facts);
        let of = |check| expected(&list, &[check], setting);
        assert_eq!(of("bash"), (ExpectedOutcome::Signal(11), Some("SIGSEGV")));
        assert_eq!(of("ls"), (ExpectedOutcome::Failure, Some("failure")));
        assert_eq!(
            expected(&list[..2], &["ls"], setting),
            (ExpectedOutcome::Pass, None)
        );
    }

    #[test]
    fn an_expectation_holds_under_the_profiles_it_names() {
        let facts = facts_for_tests();
        let list = [
            expectation(Some("test"), &[("seccomp", "eperm")], "exit 1"),
            expectation(Some("test+seccomp=enosys"), &[], "exit 2"),
        ];
        let of = |profile: wire::Seccomp| {
            let name = format!("test+seccomp={}", profile.name());
            let setting = Setting {
                seccomp: profile,
                ..setting_for_tests(&facts)
            };
            expected(&list, &[&name, "test"], setting).0
        };
        assert_eq!(of(wire::Seccomp::Eperm), ExpectedOutcome::Exit(1));
        assert_eq!(of(wire::Seccomp::Enosys), ExpectedOutcome::Exit(2));
        let plain = expected(&list, &["test"], setting_for_tests(&facts));
        assert_eq!(plain.0, ExpectedOutcome::Pass);
    }
}
