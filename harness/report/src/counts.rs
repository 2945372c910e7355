//! How many of each, and what the run's exit status is.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use verdict::{Kind, Verdict};

use crate::{ColumnStatus, ProbeCounts, Run};

/// Every count a summary prints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// All planned cells.
    pub cells: usize,
    /// As expected, the expected failures among them.
    pub expected: usize,
    /// Not as expected, and no pass.
    pub unexpected_failures: usize,
    /// A pass where none was expected.
    pub unexpected_passes: usize,
    /// As expected on a later attempt only.
    pub flaky: usize,
    /// Of the flaky ones: in a quarantine that still holds.
    #[serde(default)]
    pub flaky_quarantined: usize,
    /// Without a result.
    pub not_run: usize,
    /// Of those without a result: because their kernel, an optional one, is
    /// unavailable.
    pub not_run_optional: usize,
    /// By kind of outcome; kinds that did not occur are not there.
    pub kinds: BTreeMap<Kind, usize>,
    /// All kernels.
    pub kernels: usize,
    /// Unavailable, and the run is incomplete without them.
    pub kernels_unavailable: usize,
    /// Unavailable, and marked optional.
    pub kernels_unavailable_optional: usize,
    /// All images.
    pub images: usize,
    /// Unavailable, and the run is incomplete without them.
    pub images_unavailable: usize,
    /// Unavailable, and marked optional.
    pub images_unavailable_optional: usize,
    /// Of the probes.
    pub probes: ProbeCounts,
}

impl Counts {
    /// Counts a run.
    pub fn of(run: &Run) -> Self {
        let mut counts = Self {
            cells: run.cells.len(),
            kernels: run.kernels.len(),
            images: run.images.len(),
            probes: ProbeCounts::of(run),
            images_unavailable: run
                .images
                .iter()
                .filter(|image| image.reason.is_some() && !image.optional)
                .count(),
            images_unavailable_optional: run
                .images
                .iter()
                .filter(|image| image.reason.is_some() && image.optional)
                .count(),
            ..Self::default()
        };
        let mut optional = Vec::new();
        for kernel in &run.kernels {
            if kernel.status != ColumnStatus::Unavailable {
                continue;
            }
            if kernel.optional {
                counts.kernels_unavailable_optional += 1;
                optional.push(kernel.id.as_str());
            } else {
                counts.kernels_unavailable += 1;
            }
        }
        let optional_images: Vec<&str> = run
            .images
            .iter()
            .filter(|image| image.optional && image.reason.is_some())
            .map(|image| image.id.as_str())
            .collect();
        for cell in &run.cells {
            *counts.kinds.entry(cell.outcome.kind()).or_default() += 1;
            match cell.verdict {
                Verdict::Expected => counts.expected += 1,
                Verdict::UnexpectedFailure => counts.unexpected_failures += 1,
                Verdict::UnexpectedPass => counts.unexpected_passes += 1,
                Verdict::Flaky => {
                    counts.flaky += 1;
                    if run.quarantine(cell).is_some() {
                        counts.flaky_quarantined += 1;
                    }
                }
                Verdict::NotRun => {
                    counts.not_run += 1;
                    if optional.contains(&cell.kernel.as_str())
                        || optional_images.contains(&cell.image.as_str())
                    {
                        counts.not_run_optional += 1;
                    }
                }
            }
        }
        counts
    }

    /// The status `matrix run` exits with: 0 every cell as expected and no probe
    /// failed; 1 some probe failed, or some cell not as expected, a flaky one included
    /// that is in no quarantine: it was not on its first try; 3 all that ran was as
    /// expected, but something could not be run that is not optional.
    pub fn exit_code(&self) -> u8 {
        let incomplete = self.not_run > self.not_run_optional
            || self.kernels_unavailable > 0
            || self.probes.unanswered > self.probes.unanswered_optional
            || self.images_unavailable > 0;
        let found = self.unexpected_failures
            + self.unexpected_passes
            + (self.flaky - self.flaky_quarantined)
            + self.probes.failed;
        if found > 0 {
            1
        } else if incomplete {
            3
        } else {
            0
        }
    }

    /// Every count in one line.
    pub fn summary(&self) -> String {
        let mut parts = vec![format!("{} as expected", self.expected)];
        let mut add = |count: usize, one: &str, many: &str| {
            parts.push(format!("{count} {}", if count == 1 { one } else { many }));
        };
        add(
            self.unexpected_failures,
            "unexpected failure",
            "unexpected failures",
        );
        add(
            self.unexpected_passes,
            "unexpected pass",
            "unexpected passes",
        );
        let quarantined = format!("flaky ({} in quarantine)", self.flaky_quarantined);
        let flaky = match self.flaky_quarantined {
            0 => "flaky",
            _ => &quarantined,
        };
        add(self.flaky, flaky, flaky);
        add(self.not_run, "not run", "not run");
        let cells = plural(self.cells, "cell");
        let mut line = format!("{cells}: {}", parts.join(", "));
        let kinds: Vec<String> = self
            .kinds
            .iter()
            .filter(|(kind, _)| **kind != Kind::NotRun)
            .map(|(kind, count)| format!("{count} {kind}"))
            .collect();
        if !kinds.is_empty() {
            line.push_str(&format!(" ({})", kinds.join(", ")));
        }
        let unavailable = self.kernels_unavailable + self.kernels_unavailable_optional;
        line.push_str(&format!("; {}", plural(self.kernels, "kernel")));
        if unavailable > 0 {
            line.push_str(&format!(", {unavailable} unavailable"));
            if self.kernels_unavailable_optional > 0 {
                line.push_str(&format!(
                    " ({} optional)",
                    self.kernels_unavailable_optional
                ));
            }
        }
        line.push_str(&format!("; {}", plural(self.images, "image")));
        let unavailable = self.images_unavailable + self.images_unavailable_optional;
        if unavailable > 0 {
            line.push_str(&format!(", {unavailable} unavailable"));
            if self.images_unavailable_optional > 0 {
                line.push_str(&format!(" ({} optional)", self.images_unavailable_optional));
            }
        }
        if let Some(probes) = self.probes.summary() {
            line.push_str(&format!("; {probes}"));
        }
        line
    }
}

/// `1 cell`, `2 cells`.
fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
