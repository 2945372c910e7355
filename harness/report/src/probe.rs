//! Probes in the record: what each check of the runtime came to on each kernel.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use verdict::Colour;

use crate::{ColumnStatus, NOT_REACHED, Run};

/// One kernel × probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProbeRecord {
    /// Kernel id.
    pub kernel: String,
    /// The probe's name: `tcp-port`.
    pub probe: String,
    /// Its title in a table.
    pub title: String,
    /// What came of it.
    pub outcome: ProbeOutcome,
    /// The evidence of both sides, a line each, in order.
    pub observed: Vec<String>,
    /// What the kernel logged meanwhile; of a machine that went down, the end of
    /// its console.
    pub kernel_log: Vec<String>,
    /// Milliseconds.
    pub duration_ms: Option<u64>,
    /// Which boot of the kernel in this run, from 1.
    pub boot: Option<u32>,
}

/// How a probe ended, or why it has not. There is no default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ProbeOutcome {
    /// It has no result.
    NotRun {
        /// Why.
        reason: String,
    },
    /// Both sides saw what they should.
    Passed,
    /// The runtime does not do on this kernel what it is asked.
    Failed {
        /// What was seen instead.
        how: String,
    },
    /// This kernel cannot.
    Unsupported {
        /// What is missing, with the switch or version that brings it.
        what: String,
    },
    /// It was tried and came to no answer.
    Trouble {
        /// Why.
        message: String,
    },
}

impl ProbeRecord {
    /// One whose turn has not come.
    pub fn planned(kernel: &str, probe: wire::Probe) -> Self {
        Self {
            kernel: kernel.to_owned(),
            probe: probe.name().to_owned(),
            title: probe.title().to_owned(),
            outcome: ProbeOutcome::NotRun {
                reason: NOT_REACHED.to_owned(),
            },
            observed: Vec::new(),
            kernel_log: Vec::new(),
            duration_ms: None,
            boot: None,
        }
    }

    /// `6.1 × tcp-port`.
    pub(crate) fn id(&self) -> String {
        format!("{} × {}", self.kernel, self.probe)
    }
}

impl ProbeOutcome {
    /// It says something of the runtime on the kernel.
    pub fn is_result(&self) -> bool {
        match self {
            Self::Passed | Self::Failed { .. } | Self::Unsupported { .. } => true,
            Self::NotRun { .. } | Self::Trouble { .. } => false,
        }
    }

    /// What stands in a table.
    pub fn label(&self) -> &'static str {
        match self {
            Self::NotRun { .. } => "not run",
            Self::Passed => "pass",
            Self::Failed { .. } => "failed",
            Self::Unsupported { .. } => "unsupported",
            Self::Trouble { .. } => "no answer",
        }
    }

    /// What stands before the label.
    pub fn mark(&self) -> Option<char> {
        match self {
            Self::Passed | Self::Unsupported { .. } => None,
            Self::Failed { .. } => Some('!'),
            Self::Trouble { .. } => Some('?'),
            Self::NotRun { .. } => Some('-'),
        }
    }

    /// Why, for all but a pass.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::Passed => None,
            Self::NotRun { reason: text }
            | Self::Failed { how: text }
            | Self::Unsupported { what: text }
            | Self::Trouble { message: text } => Some(text),
        }
    }

    /// Its colour in a table.
    pub fn colour(&self) -> Colour {
        match self {
            Self::Passed => Colour::Green,
            Self::Failed { .. } => Colour::Red,
            Self::Unsupported { .. } => Colour::Grey,
            Self::Trouble { .. } | Self::NotRun { .. } => Colour::Yellow,
        }
    }
}

/// How many of each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeCounts {
    /// All planned.
    pub probes: usize,
    /// Passed.
    pub passed: usize,
    /// Failed: findings.
    pub failed: usize,
    /// The kernel cannot: no findings.
    pub unsupported: usize,
    /// No answer, or not run.
    pub unanswered: usize,
    /// Of those: because their kernel, an optional one, is unavailable.
    pub unanswered_optional: usize,
}

impl ProbeCounts {
    /// Counts a run's.
    pub fn of(run: &Run) -> Self {
        let optional: BTreeMap<&str, bool> = run
            .kernels
            .iter()
            .map(|kernel| {
                let missing = kernel.status == ColumnStatus::Unavailable;
                (kernel.id.as_str(), kernel.optional && missing)
            })
            .collect();
        let mut counts = Self {
            probes: run.probes.len(),
            ..Self::default()
        };
        for record in &run.probes {
            match record.outcome {
                ProbeOutcome::Passed => counts.passed += 1,
                ProbeOutcome::Failed { .. } => counts.failed += 1,
                ProbeOutcome::Unsupported { .. } => counts.unsupported += 1,
                ProbeOutcome::Trouble { .. } | ProbeOutcome::NotRun { .. } => {
                    counts.unanswered += 1;
                    if optional.get(record.kernel.as_str()) == Some(&true) {
                        counts.unanswered_optional += 1;
                    }
                }
            }
        }
        counts
    }

    /// Every count in one line; none where there are no probes.
    pub fn summary(&self) -> Option<String> {
        (self.probes > 0).then(|| {
            format!(
                "{} probe{}: {} passed, {} failed, {} unsupported by the kernel, {} without an answer",
                self.probes,
                if self.probes == 1 { "" } else { "s" },
                self.passed,
                self.failed,
                self.unsupported,
                self.unanswered
            )
        })
    }
}
