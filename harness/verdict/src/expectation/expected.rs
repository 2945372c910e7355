//! An expected outcome, in the words of `outcome = "…"`.

use std::{fmt, str::FromStr};

use crate::{Outcome, errno, near::near, signal};

/// What may be foreseen of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum ExpectedOutcome {
    /// `pass`.
    #[default]
    Pass,
    /// `mismatch`: status 0, but not the output demanded.
    Mismatch,
    /// `child SIGSEGV`: status 0, but a process of it died, in a check with
    /// `children = "fail"`.
    Child(u8),
    /// `exit 3`, 1 to 255.
    Exit(u8),
    /// `SIGSEGV`.
    Signal(u8),
    /// `timeout`.
    Timeout,
    /// `oom`.
    Oom,
    /// `exec ENOENT`.
    Exec(i32),
    /// `panic`.
    Panic,
    /// `lockup`.
    Lockup,
    /// `unsupported`.
    Unsupported,
    /// `failure`: any result that is no pass.
    Failure,
}

/// The words that stand alone.
const WORDS: [(&str, ExpectedOutcome); 8] = [
    ("pass", ExpectedOutcome::Pass),
    ("mismatch", ExpectedOutcome::Mismatch),
    ("timeout", ExpectedOutcome::Timeout),
    ("oom", ExpectedOutcome::Oom),
    ("panic", ExpectedOutcome::Panic),
    ("lockup", ExpectedOutcome::Lockup),
    ("unsupported", ExpectedOutcome::Unsupported),
    ("failure", ExpectedOutcome::Failure),
];

const KNOWN: &str = "`pass`, `failure`, `exit N`, a signal as `SIGSEGV`, `timeout`, `oom`, \
                     `exec ENOENT`, `child SIGSEGV`, `mismatch`, `panic`, `lockup`, `unsupported`";

/// Why words are no expected outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpectedOutcomeError {
    /// The word is not known.
    #[error("`{given}` is no outcome; known are {KNOWN}")]
    Unknown {
        /// What was given.
        given: String,
        /// Known words close to it.
        near: Vec<String>,
    },
    /// The status after `exit` is none.
    #[error("`exit {given}` is no outcome; a status from 1 to 255 follows `exit`")]
    Exit {
        /// What follows `exit`.
        given: String,
    },
    /// The word after `child` is no signal.
    #[error("`child {given}` is no outcome; a signal as `SIGSEGV` follows `child`")]
    Child {
        /// What follows `child`.
        given: String,
        /// Signals close to it.
        near: Vec<String>,
    },
    /// The word after `exec` is no errno.
    #[error("`exec {given}` is no outcome; an errno as `ENOENT` follows `exec`")]
    Exec {
        /// What follows `exec`.
        given: String,
        /// Errnos close to it.
        near: Vec<String>,
    },
}

impl ExpectedOutcomeError {
    /// What to write instead, where that can be guessed.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { near, .. } if !near.is_empty() => Some(did_you_mean("", near)),
            Self::Child { near, .. } if !near.is_empty() => Some(did_you_mean("child ", near)),
            Self::Exec { near, .. } if !near.is_empty() => Some(did_you_mean("exec ", near)),
            Self::Exit { given } if given == "0" => {
                Some("exit status 0 is `pass`, or `mismatch` where the output is wrong".to_owned())
            }
            _ => None,
        }
    }
}

/// `did you mean `exec ENOENT` or `exec ENOEXEC`?`
fn did_you_mean(prefix: &str, near: &[String]) -> String {
    let quoted: Vec<String> = near
        .iter()
        .map(|word| format!("`{prefix}{word}`"))
        .collect();
    format!("did you mean {}?", quoted.join(" or "))
}

impl ExpectedOutcome {
    /// This outcome is what was foreseen.
    pub fn matches(self, outcome: &Outcome) -> bool {
        match self {
            Self::Pass => outcome.is_pass(),
            Self::Mismatch => matches!(outcome, Outcome::Mismatch { .. }),
            Self::Child(number) => {
                matches!(outcome, Outcome::Child { signal, .. } if *signal == number)
            }
            Self::Exit(status) => matches!(outcome, Outcome::Exit { code } if *code == status),
            Self::Signal(number) => {
                matches!(outcome, Outcome::Signal { signal, .. } if *signal == number)
            }
            Self::Timeout => matches!(outcome, Outcome::Timeout { .. }),
            Self::Oom => matches!(outcome, Outcome::Oom),
            Self::Exec(number) => {
                matches!(outcome, Outcome::Exec { errno, .. } if *errno == number)
            }
            Self::Panic => matches!(outcome, Outcome::Panic { .. }),
            Self::Lockup => matches!(outcome, Outcome::Lockup { .. }),
            Self::Unsupported => matches!(outcome, Outcome::Unsupported { .. }),
            Self::Failure => outcome.is_result() && !outcome.is_pass(),
        }
    }
}

impl fmt::Display for ExpectedOutcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Child(number) => write!(formatter, "child {}", signal::name(*number)),
            Self::Exit(status) => write!(formatter, "exit {status}"),
            Self::Signal(number) => formatter.write_str(&signal::name(*number)),
            Self::Exec(number) => write!(formatter, "exec {}", errno::name(*number)),
            Self::Pass
            | Self::Mismatch
            | Self::Timeout
            | Self::Oom
            | Self::Panic
            | Self::Lockup
            | Self::Unsupported
            | Self::Failure => {
                let word = WORDS.iter().find(|(_, outcome)| outcome == self);
                formatter.write_str(word.map_or("", |(word, _)| word))
            }
        }
    }
}

impl FromStr for ExpectedOutcome {
    type Err = ExpectedOutcomeError;

    fn from_str(text: &str) -> Result<Self, ExpectedOutcomeError> {
        let mut words = text.split_whitespace();
        let (first, rest) = (words.next().unwrap_or(""), words.next());
        // More than two words are never an outcome.
        let argument = match words.next() {
            None => rest,
            Some(_) => return Err(unknown(text)),
        };
        match (first, argument) {
            ("exit", Some(status)) => match status.parse::<u8>() {
                Ok(code @ 1..) => Ok(Self::Exit(code)),
                _ => Err(ExpectedOutcomeError::Exit {
                    given: status.to_owned(),
                }),
            },
            ("child", Some(name)) => match signal::number(name) {
                Some(number) => Ok(Self::Child(number)),
                None => Err(ExpectedOutcomeError::Child {
                    given: name.to_owned(),
                    near: near(name, signal::names()),
                }),
            },
            ("exec", Some(name)) => match errno::number(name) {
                Some(number @ 1..) => Ok(Self::Exec(number)),
                _ => Err(ExpectedOutcomeError::Exec {
                    given: name.to_owned(),
                    near: near(name, errno::names()),
                }),
            },
            (word, None) => WORDS
                .iter()
                .find(|(known, _)| *known == word)
                .map(|(_, outcome)| *outcome)
                .or_else(|| signal::number(word).map(Self::Signal))
                .ok_or_else(|| unknown(text)),
            _ => Err(unknown(text)),
        }
    }
}

fn unknown(text: &str) -> ExpectedOutcomeError {
    let words = WORDS.iter().map(|(word, _)| *word);
    let with_argument = ["exit 1", "exec ENOENT"];
    ExpectedOutcomeError::Unknown {
        given: text.to_owned(),
        near: near(
            text.trim(),
            words.chain(with_argument).chain(signal::names()),
        ),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::outcome::tests::one_of_each;

    #[test]
    fn each_matches_its_own_kind_and_failure_all_results_but_a_pass() {
        let words = [
            "pass",
            "mismatch",
            "child SIGSYS",
            "exit 3",
            "SIGSEGV",
            "timeout",
            "oom",
            "exec ENOENT",
            "panic",
            "lockup",
            "unsupported",
        ];
        let failure: ExpectedOutcome = "failure".parse().unwrap();
        // The words stand in the order of the kinds; the last, not run, has none.
        for (index, outcome) in one_of_each().iter().enumerate() {
            for (other, word) in words.iter().enumerate() {
                let expected: ExpectedOutcome = word.parse().unwrap();
                assert_eq!(
                    expected.matches(outcome),
                    index == other,
                    "{word}, {outcome:?}"
                );
            }
            assert_eq!(failure.matches(outcome), (1..11).contains(&index));
        }
        let other_status = Outcome::Exit { code: 4 };
        assert!(!ExpectedOutcome::Exit(3).matches(&other_status));
        let other_signal = Outcome::Signal {
            signal: 6,
            core: true,
            syscall: None,
        };
        assert!(!ExpectedOutcome::Signal(11).matches(&other_signal));
    }

    #[test]
    fn errors_name_what_is_known_and_what_is_near() {
        for (given, hint) in [
            ("sigsegv", "did you mean `SIGSEGV`?"),
            ("SEGV", "did you mean `SIGSEGV`?"),
            ("passed", "did you mean `pass`?"),
            ("time-out", "did you mean `timeout`?"),
            (
                "exit 0",
                "exit status 0 is `pass`, or `mismatch` where the output is wrong",
            ),
            ("child SEGV", "did you mean `child SIGSEGV`?"),
            ("exec ENOEXC", "did you mean `exec ENOEXEC`?"),
        ] {
            let error = given.parse::<ExpectedOutcome>().unwrap_err();
            assert_eq!(error.hint().as_deref(), Some(hint), "{given}: {error}");
        }
        for given in [
            "",
            "exit",
            "exit 256",
            "exit x",
            "exit -1",
            "exec",
            "child",
            "child 11",
            "exec -2",
            "139",
            "pass pass",
            "exit 3 4",
            "SIGNONSENSE",
        ] {
            let error = given.parse::<ExpectedOutcome>().unwrap_err();
            assert!(error.to_string().contains("no outcome"), "{error}");
        }
        let message = "x".parse::<ExpectedOutcome>().unwrap_err().to_string();
        for (word, _) in WORDS {
            assert!(message.contains(word), "{word}");
        }
    }

    fn any_expected() -> impl Strategy<Value = ExpectedOutcome> {
        prop_oneof![
            proptest::sample::select(WORDS.map(|(_, outcome)| outcome).to_vec()),
            (1_u8..).prop_map(ExpectedOutcome::Exit),
            (1_u8..=127).prop_map(ExpectedOutcome::Signal),
            (1_u8..=127).prop_map(ExpectedOutcome::Child),
            (1_i32..200).prop_map(ExpectedOutcome::Exec),
        ]
    }

    proptest! {
        #[test]
        fn what_is_shown_parses_to_the_same(expected in any_expected()) {
            prop_assert_eq!(expected.to_string().parse(), Ok(expected));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            if let Ok(expected) = text.parse::<ExpectedOutcome>() {
                prop_assert_eq!(expected.to_string().parse(), Ok(expected));
            }
        }
    }
}
