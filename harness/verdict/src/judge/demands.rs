//! What a check demands for a pass.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a check demands for a pass, beside exit status 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct Demands<'a> {
    /// A pattern for stdout, held against it without its trailing newlines, as
    /// `$(command)` gives it.
    pub stdout: Option<&'a str>,
    /// What the death of another process than the first means.
    pub children: Children,
}

/// What it means for a check that another process of it died, its first ending with
/// status 0: `children = "fail"`.
///
/// Told by the kernel's log: faults that no handler took, seccomp's kills, those of the
/// out-of-memory killer, and oopses, which end the program they come under. Of a child that calls abort(3) or is sent a signal the
/// kernel logs nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Children {
    /// It is noticed, and no part of the outcome.
    #[default]
    Noticed,
    /// The check is no pass.
    Fail,
}

impl Children {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Noticed, Self::Fail];

    /// The word of a check's file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Noticed => "noticed",
            Self::Fail => "fail",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// It is the default.
    pub fn is_noticed(&self) -> bool {
        *self == Self::Noticed
    }
}
