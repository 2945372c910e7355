//! What an outcome is held against.

use std::collections::BTreeMap;

/// `[[expect]]` of an image: an outcome foreseen under conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// The check it speaks of; none: every check of the image.
    pub check: Option<String>,
    /// All must hold; over facts by name: `vsyscall` = `none`.
    pub when: BTreeMap<String, String>,
    /// `pass`, `exit 3`, `SIGSEGV`, `timeout`, `failure`, …
    pub outcome: String,
    /// Why, for people.
    pub because: Option<String>,
}

/// What an outcome means against its expectation.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
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
