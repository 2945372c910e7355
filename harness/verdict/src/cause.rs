//! Why it happened, with the evidence.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why an outcome came about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cause {
    /// The rule's name: `vsyscall-none`.
    pub name: String,
    /// One sentence for people.
    pub explanation: String,
    /// What it rests on, quoted.
    pub evidence: Vec<String>,
    /// What to try; none where nothing helps.
    pub remedy: Option<String>,
}
