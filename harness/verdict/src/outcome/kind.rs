//! The kinds of outcomes, and how each is shown.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An outcome without its particulars: `outcome.kind` in results.json.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// See [`crate::Outcome::Pass`].
    Pass,
    /// See [`crate::Outcome::Mismatch`].
    Mismatch,
    /// See [`crate::Outcome::Child`].
    Child,
    /// See [`crate::Outcome::Exit`].
    Exit,
    /// See [`crate::Outcome::Signal`].
    Signal,
    /// See [`crate::Outcome::Timeout`].
    Timeout,
    /// See [`crate::Outcome::Oom`].
    Oom,
    /// See [`crate::Outcome::Exec`].
    Exec,
    /// See [`crate::Outcome::Panic`].
    Panic,
    /// See [`crate::Outcome::Lockup`].
    Lockup,
    /// See [`crate::Outcome::Unsupported`].
    Unsupported,
    /// See [`crate::Outcome::NotRun`].
    NotRun,
}

/// How bad an outcome is by itself, whatever was expected; the worst is last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// It works.
    Success,
    /// The kernel cannot give what was needed.
    Neutral,
    /// Nothing is known.
    Unknown,
    /// The program said no.
    Failure,
    /// The program was ended, or never began.
    Crash,
    /// The kernel went down with it.
    Fatal,
}

/// A colour by name; who prints chooses its codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Colour {
    /// Works.
    Green,
    /// Needs a look.
    Yellow,
    /// Failed.
    Red,
    /// Took the kernel or its memory down.
    Magenta,
    /// Not on offer.
    Blue,
    /// Nothing known.
    Grey,
}

impl Kind {
    /// Every kind, in the order summaries count them.
    pub const ALL: [Self; 12] = [
        Self::Pass,
        Self::Mismatch,
        Self::Child,
        Self::Exit,
        Self::Signal,
        Self::Timeout,
        Self::Oom,
        Self::Exec,
        Self::Panic,
        Self::Lockup,
        Self::Unsupported,
        Self::NotRun,
    ];

    /// The word of results.json: `not-run`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Mismatch => "mismatch",
            Self::Child => "child",
            Self::Exit => "exit",
            Self::Signal => "signal",
            Self::Timeout => "timeout",
            Self::Oom => "oom",
            Self::Exec => "exec",
            Self::Panic => "panic",
            Self::Lockup => "lockup",
            Self::Unsupported => "unsupported",
            Self::NotRun => "not-run",
        }
    }

    /// One ASCII character, all different.
    pub fn symbol(self) -> char {
        match self {
            Self::Pass => '.',
            Self::Mismatch => 'M',
            Self::Child => 'C',
            Self::Exit => 'F',
            Self::Signal => 'S',
            Self::Timeout => 'T',
            Self::Oom => 'O',
            Self::Exec => 'X',
            Self::Panic => 'P',
            Self::Lockup => 'L',
            Self::Unsupported => 'U',
            Self::NotRun => '-',
        }
    }

    /// The colour it is shown in.
    pub fn colour(self) -> Colour {
        match self {
            Self::Pass => Colour::Green,
            Self::Mismatch | Self::Child | Self::Exit | Self::Signal | Self::Exec => Colour::Red,
            Self::Timeout => Colour::Yellow,
            Self::Oom | Self::Panic | Self::Lockup => Colour::Magenta,
            Self::Unsupported => Colour::Blue,
            Self::NotRun => Colour::Grey,
        }
    }

    /// How bad it is.
    pub fn severity(self) -> Severity {
        match self {
            Self::Pass => Severity::Success,
            Self::Unsupported => Severity::Neutral,
            Self::NotRun => Severity::Unknown,
            Self::Mismatch | Self::Exit | Self::Timeout => Severity::Failure,
            Self::Child | Self::Signal | Self::Oom | Self::Exec => Severity::Crash,
            Self::Panic | Self::Lockup => Severity::Fatal,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_name_is_what_serde_writes_and_no_symbol_stands_for_two() {
        let mut symbols = BTreeSet::new();
        for kind in Kind::ALL {
            assert_eq!(
                serde_json::to_value(kind).unwrap(),
                serde_json::Value::from(kind.name())
            );
            assert!(symbols.insert(kind.symbol()), "{kind}");
        }
    }
}
