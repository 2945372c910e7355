//! What an outcome means against its expectation.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Colour, ExpectedOutcome, Outcome};

/// What an outcome means against its expectation.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// What was expected happened.
    Expected,
    /// Something else happened, and it is no pass.
    UnexpectedFailure,
    /// A pass where none was expected.
    UnexpectedPass,
    /// As expected on a later attempt only.
    Flaky,
    /// There is no result.
    NotRun,
}

/// Holds an outcome against what was expected. `earlier` are the outcomes of the
/// attempts before it, in order; those that were no result say nothing.
pub fn verdict(outcome: &Outcome, expected: ExpectedOutcome, earlier: &[Outcome]) -> Verdict {
    if !outcome.is_result() {
        Verdict::NotRun
    } else if expected.matches(outcome) {
        let other = |before: &Outcome| before.is_result() && !expected.matches(before);
        if earlier.iter().any(other) {
            Verdict::Flaky
        } else {
            Verdict::Expected
        }
    } else if outcome.is_pass() {
        Verdict::UnexpectedPass
    } else {
        Verdict::UnexpectedFailure
    }
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Self; 5] = [
        Self::Expected,
        Self::UnexpectedFailure,
        Self::UnexpectedPass,
        Self::Flaky,
        Self::NotRun,
    ];

    /// The word of results.json: `unexpected-failure`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Expected => "expected",
            Self::UnexpectedFailure => "unexpected-failure",
            Self::UnexpectedPass => "unexpected-pass",
            Self::Flaky => "flaky",
            Self::NotRun => "not-run",
        }
    }

    /// In words for people: `unexpected failure`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Expected => "expected",
            Self::UnexpectedFailure => "unexpected failure",
            Self::UnexpectedPass => "unexpected pass",
            Self::Flaky => "flaky",
            Self::NotRun => "not run",
        }
    }

    /// The mark beside an outcome. What is as expected has `=` where it is no
    /// pass and nothing where it is; [`Verdict::mark`] knows both.
    pub fn symbol(self) -> char {
        match self {
            Self::Expected => '=',
            Self::UnexpectedFailure | Self::UnexpectedPass => '!',
            Self::Flaky => '~',
            Self::NotRun => '-',
        }
    }

    /// The mark a table puts before an outcome with this verdict: none before a
    /// pass that was expected.
    pub fn mark(self, outcome: &Outcome) -> Option<char> {
        (self != Self::Expected || !outcome.is_pass()).then(|| self.symbol())
    }

    /// The colour of an outcome with this verdict, always beside its word: an
    /// expected failure does not alarm.
    pub fn colour(self, outcome: &Outcome) -> Colour {
        match self {
            Self::Expected => Colour::Green,
            Self::UnexpectedPass | Self::Flaky => Colour::Yellow,
            Self::UnexpectedFailure | Self::NotRun => outcome.colour(),
        }
    }

    /// It asks for somebody's attention: not as expected. A flaky cell was as
    /// expected in the end, and one not run is counted for itself.
    pub fn is_unexpected(self) -> bool {
        matches!(self, Self::UnexpectedFailure | Self::UnexpectedPass)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.label())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASS: Outcome = Outcome::Pass;
    const EXIT: Outcome = Outcome::Exit { code: 1 };

    #[test]
    fn the_name_is_what_serde_writes() {
        for verdict in Verdict::ALL {
            assert_eq!(
                serde_json::to_value(verdict).unwrap(),
                serde_json::Value::from(verdict.name())
            );
        }
    }

    #[test]
    fn every_verdict() {
        let lost = Outcome::not_run("the machine went away");
        for (outcome, expected, earlier, meant) in [
            (&PASS, ExpectedOutcome::Pass, &[][..], Verdict::Expected),
            (
                &EXIT,
                ExpectedOutcome::Pass,
                &[],
                Verdict::UnexpectedFailure,
            ),
            (&EXIT, ExpectedOutcome::Exit(1), &[], Verdict::Expected),
            (
                &EXIT,
                ExpectedOutcome::Exit(2),
                &[],
                Verdict::UnexpectedFailure,
            ),
            (
                &PASS,
                ExpectedOutcome::Exit(1),
                &[],
                Verdict::UnexpectedPass,
            ),
            (
                &PASS,
                ExpectedOutcome::Failure,
                &[],
                Verdict::UnexpectedPass,
            ),
            (&PASS, ExpectedOutcome::Pass, &[EXIT], Verdict::Flaky),
            (
                &PASS,
                ExpectedOutcome::Pass,
                std::slice::from_ref(&lost),
                Verdict::Expected,
            ),
            (
                &EXIT,
                ExpectedOutcome::Pass,
                &[PASS],
                Verdict::UnexpectedFailure,
            ),
            (&lost, ExpectedOutcome::Pass, &[PASS], Verdict::NotRun),
            (&lost, ExpectedOutcome::Failure, &[], Verdict::NotRun),
        ] {
            assert_eq!(
                verdict(outcome, expected, earlier),
                meant,
                "{outcome:?} {expected} {earlier:?}"
            );
        }
    }

    #[test]
    fn a_pass_as_expected_is_the_only_one_without_a_mark() {
        assert_eq!(Verdict::Expected.mark(&PASS), None);
        assert_eq!(Verdict::Expected.mark(&EXIT), Some('='));
        assert_eq!(Verdict::UnexpectedPass.mark(&PASS), Some('!'));
        assert_eq!(Verdict::Flaky.mark(&PASS), Some('~'));
    }
}
