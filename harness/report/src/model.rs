//! results.json: the shape others build on.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use verdict::judge::Children;

use crate::{FactsRecord, ProbeRecord, Shard};

/// Everything one `matrix run` recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// The shape's version, [`SCHEMA`].
    pub schema: u32,
    /// The run itself.
    pub run: RunHead,
    /// Columns, in the plan's order.
    pub kernels: Vec<KernelColumn>,
    /// Groups of rows, in the plan's order.
    pub images: Vec<ImageRow>,
    /// Every planned cell, in the plan's order: kernel by kernel, image by
    /// image, check by check.
    pub cells: Vec<Cell>,
    /// Every planned probe, kernel by kernel; none where none were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<ProbeRecord>,
}

/// The present value of [`Run::schema`].
pub const SCHEMA: u32 = 1;

/// Why a planned cell has no result before its turn has come.
pub const NOT_REACHED: &str = "its turn has not come";

/// What is said of a run as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunHead {
    /// The name of its folder: `2026-11-24T12-42-09Z-3f2a`.
    pub id: String,
    /// RFC 3339, UTC.
    pub started: String,
    /// RFC 3339, UTC; none while it runs, and for good when it was killed.
    pub finished: Option<String>,
    /// Why it was cut short.
    pub interrupted: Option<String>,
    /// This program's version.
    pub matrix: String,
    /// QEMU's version, once known.
    pub qemu: Option<String>,
    /// `kvm` or `tcg`, once known.
    pub acceleration: Option<String>,
    /// Why that one.
    pub acceleration_reason: Option<String>,
    /// The machine it ran on: `cpu`, `cores`, `kernel`.
    pub host: BTreeMap<String, String>,
    /// How containers were run: `capabilities`, `seccomp`, `timeout`, …
    pub settings: BTreeMap<String, String>,
    /// Where wall time went, milliseconds.
    pub timings: BTreeMap<String, u64>,
    /// The part of the plan it is; none of a whole run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
}

impl Run {
    /// A run before its first machine has started: every kernel × image × check
    /// a cell that was not run.
    pub fn planned(
        run: RunHead,
        kernels: Vec<KernelColumn>,
        images: Vec<ImageRow>,
        runtime: &str,
    ) -> Self {
        let mut cells = Vec::new();
        for kernel in &kernels {
            for image in &images {
                for check in &image.checks {
                    cells.push(Cell::planned(&kernel.id, &image.id, check, runtime));
                }
            }
        }
        Self {
            schema: SCHEMA,
            run,
            kernels,
            images,
            cells,
            probes: Vec::new(),
        }
    }

    /// The kernel of this id.
    pub fn kernel(&self, id: &str) -> Option<&KernelColumn> {
        self.kernels.iter().find(|kernel| kernel.id == id)
    }

    /// The image of this name.
    pub fn image(&self, id: &str) -> Option<&ImageRow> {
        self.images.iter().find(|image| image.id == id)
    }

    /// The quarantine that a cell's check is in, where it held when the run began.
    pub fn quarantine(&self, cell: &Cell) -> Option<&Quarantine> {
        let image = self.image(&cell.image)?;
        let check = image.checks.iter().find(|check| check.name == cell.check)?;
        check
            .quarantine
            .as_ref()
            .filter(|quarantine| quarantine.holds(&self.run.started))
    }

    /// The program neither came to the run's end nor was told to stop: it was
    /// killed, or is still at work.
    pub fn is_unfinished(&self) -> bool {
        self.run.finished.is_none()
    }
}

/// The JSON schema of results.json, for the present [`SCHEMA`].
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Run).to_value()
}

impl Cell {
    /// A cell whose turn has not come.
    pub(crate) fn planned(kernel: &str, image: &str, check: &CheckRow, runtime: &str) -> Self {
        Self {
            kernel: kernel.to_owned(),
            image: image.to_owned(),
            check: check.name.clone(),
            runtime: runtime.to_owned(),
            seccomp: check.seccomp,
            capabilities: check.capabilities.clone(),
            outcome: verdict::Outcome::not_run(NOT_REACHED),
            expected: None,
            because: None,
            verdict: verdict::Verdict::NotRun,
            attempts: Vec::new(),
            cause: None,
            duration_ms: None,
        }
    }

    /// Which one it is.
    pub fn id(&self) -> CellId {
        CellId {
            kernel: self.kernel.clone(),
            image: self.image.clone(),
            check: self.check.clone(),
        }
    }
}

impl std::fmt::Display for CellId {
    /// `6.1 × debian:12 × bash`.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{} × {} × {}",
            self.kernel, self.image, self.check
        )
    }
}

/// Where a column stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ColumnStatus {
    /// Nothing is known yet.
    Pending,
    /// Its guest came up at least once.
    Ran,
    /// It could not be had, or never came up.
    Unavailable,
}

/// A kernel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KernelColumn {
    /// `6.1`, `6.1+vsyscall=emulate`.
    pub id: String,
    /// Where it stands.
    pub status: ColumnStatus,
    /// Why it is unavailable; of one that ran, why it did not come up again.
    pub reason: Option<String>,
    /// A run without it still counts as complete.
    pub optional: bool,
    /// uname's release.
    pub release: Option<String>,
    /// Where it came from: `name`, `version`, `url`, `sha256`, or `path`, or `oci`; of
    /// an RPM repository's, `signature` says who signed it, or `none`.
    pub package: BTreeMap<String, String>,
    /// The whole command line it was started with.
    pub command_line: Option<String>,
    /// Host's choices: `cpu`, `memory`, `cgroup`, `sysctl.*`.
    pub settings: BTreeMap<String, String>,
    /// What it is and can do.
    pub facts: Option<FactsRecord>,
    /// Milliseconds from QEMU's start to the waiting guest, one per boot.
    pub boots_ms: Vec<u64>,
    /// How many times slower than the host the guest computes, in thousandths:
    /// 1000 is the host's speed.
    pub slowdown_permille: Option<u64>,
    /// The entry's own words about it.
    pub notes: Option<String>,
}

impl KernelColumn {
    /// A column of which nothing is known yet.
    pub fn planned(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            status: ColumnStatus::Pending,
            reason: None,
            optional: false,
            release: None,
            package: BTreeMap::new(),
            command_line: None,
            settings: BTreeMap::new(),
            facts: None,
            boots_ms: Vec::new(),
            slowdown_permille: None,
            notes: None,
        }
    }
}

/// A userland.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageRow {
    /// `debian:12`.
    pub id: String,
    /// `sha256:…` of what its files were made from, once known.
    pub digest: Option<String>,
    /// Where it came from, flat: `apt`, `suite`, `directory`, …
    pub source: BTreeMap<String, String>,
    /// Why it is unavailable.
    pub reason: Option<String>,
    /// A run without it still counts as complete.
    #[serde(default)]
    pub optional: bool,
    /// Its checks in order, with their commands.
    pub checks: Vec<CheckRow>,
}

/// A check of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckRow {
    /// The row's name.
    pub name: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// The regular expression that stdout must match for a pass; left out for none, and
    /// by runs of old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<String>,
    /// What it means that another process of it died, its first ending with status 0;
    /// left out where that is noticed and no more.
    #[serde(default, skip_serializing_if = "Children::is_noticed")]
    pub children: Children,
    /// The profile its system calls go through; left out for none.
    #[serde(default, skip_serializing_if = "SeccompProfile::is_none")]
    pub seccomp: SeccompProfile,
    /// What its container may besides docker's 14 capabilities: `SYS_ADMIN`, or `ALL`
    /// alone; left out for none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// Its own time limit, milliseconds before it is stretched by the slowdown; left
    /// out where the run's counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// The image's own entry point goes before the command; left out where it does not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub entrypoint: bool,
    /// What it is held against, in the order it is asked: `SIGSEGV when vsyscall is
    /// none`; where none applies it has to pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect: Vec<String>,
    /// It is known to be flaky.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<Quarantine>,
}

/// A flaky check that is put up with for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Quarantine {
    /// Who sees to it.
    pub owner: String,
    /// The last day it is put up with: `2027-01-31`.
    pub until: String,
    /// Why it is.
    pub because: Option<String>,
}

impl Quarantine {
    /// Whether it still holds for a run that began at this time, RFC 3339 in UTC.
    pub fn holds(&self, started: &str) -> bool {
        // Days written alike compare as text.
        started
            .get(..10)
            .is_some_and(|day| day <= self.until.as_str())
    }
}

/// Which cell.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct CellId {
    /// Kernel id.
    pub kernel: String,
    /// Image name.
    pub image: String,
    /// Check name.
    pub check: String,
}

/// One kernel × image × check, with every attempt at it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// Kernel id.
    pub kernel: String,
    /// Image name.
    pub image: String,
    /// Check name.
    pub check: String,
    /// Which runtime made the container: `bundled`.
    pub runtime: String,
    /// The profile its system calls went through; left out for none.
    #[serde(default, skip_serializing_if = "SeccompProfile::is_none")]
    pub seccomp: SeccompProfile,
    /// What its container could do besides docker's 14 capabilities; left out for none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// What happened: that of the last attempt with a result, or not run with the
    /// reason. An attempt that came to nothing does not hide an earlier result.
    pub outcome: verdict::Outcome,
    /// The outcome that was expected, in an expectation's words; none while the
    /// facts it depends on are not known.
    pub expected: Option<String>,
    /// What the expectation says why.
    pub because: Option<String>,
    /// What the outcome means against the expectation.
    pub verdict: verdict::Verdict,
    /// Every attempt, in order.
    pub attempts: Vec<Attempt>,
    /// That attempt's cause.
    pub cause: Option<verdict::Cause>,
    /// Milliseconds, that attempt's.
    pub duration_ms: Option<u64>,
}

/// What a container's system calls go through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SeccompProfile {
    /// No filter.
    #[default]
    None,
    /// The project's profile; calls newer than Linux 5.2 say EPERM.
    Eperm,
    /// The project's profile; calls newer than Linux 5.2 say ENOSYS.
    Enosys,
}

/// Added capabilities as records have them.
pub fn added_names(added: &verdict::AddedCapabilities) -> Vec<String> {
    added.names().into_iter().map(str::to_owned).collect()
}

impl SeccompProfile {
    /// There is none.
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }
}

impl From<verdict::Seccomp> for SeccompProfile {
    fn from(profile: verdict::Seccomp) -> Self {
        match profile {
            verdict::Seccomp::None => Self::None,
            verdict::Seccomp::Eperm => Self::Eperm,
            verdict::Seccomp::Enosys => Self::Enosys,
        }
    }
}

/// How a virtual machine came to where its guest waits for work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StartKind {
    /// Its kernel booted.
    #[default]
    Cold,
    /// It went on where an earlier boot of the same kernel had been kept.
    Warm,
}

impl std::fmt::Display for StartKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            StartKind::Cold => "cold",
            StartKind::Warm => "warm",
        })
    }
}

/// One try at a cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// What happened.
    pub outcome: verdict::Outcome,
    /// In an expectation's words.
    pub expected: String,
    /// What the expectation says why.
    pub because: Option<String>,
    /// What the outcome means against the expectation.
    pub verdict: verdict::Verdict,
    /// Why it happened.
    pub cause: Option<verdict::Cause>,
    /// Milliseconds from the container's start to its end, set-up included.
    pub duration_ms: u64,
    /// The time limit it ran under, milliseconds, after scaling.
    pub limit_ms: u64,
    /// How its machine was started.
    pub start: StartKind,
    /// Which boot of the kernel in this run, from 1.
    pub boot: u32,
    /// It had the host to itself.
    pub alone: bool,
    /// What it wrote, invalid UTF-8 replaced; cut at the output limit.
    pub stdout: String,
    /// What it wrote to file descriptor 2.
    pub stderr: String,
    /// Bytes of both that were dropped past the limit.
    pub output_dropped: u64,
    /// What the kernel logged meanwhile; of a machine that went down, the end
    /// of its console.
    pub kernel_log: Vec<String>,
    /// Processes that outlived the container.
    pub survivors: Vec<String>,
    /// What the kernel told of besides the outcome and its cause: a child that died
    /// though the shell went on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub noticed: Vec<verdict::Noticed>,
    /// What was looked at, where no cause was found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examined: Vec<String>,
    /// The cell again under ptrace, where that was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceRecord>,
}

/// A cell that was run once more to see what its processes were refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TraceRecord {
    /// What the traced run came to; another outcome than the attempt's says that
    /// the cell does not always end alike, or not when it is watched.
    pub outcome: verdict::Outcome,
    /// The last steps, one a line: failed calls, programs, signals, ends.
    pub steps: Vec<String>,
    /// Earlier steps are not kept.
    pub cut: bool,
}

impl Attempt {
    /// What it saw decides nothing yet: it can be the doing of a busy host, and it
    /// did not have the host to itself; or it was not as expected after a warm start,
    /// and no cold boot has seen it.
    pub fn awaits_confirmation(&self) -> bool {
        self.is_doubtful() || (self.start == StartKind::Warm && self.verdict.is_unexpected())
    }

    /// A time limit or a silence beside other machines.
    pub fn is_doubtful(&self) -> bool {
        let late = matches!(
            self.outcome,
            verdict::Outcome::Timeout { .. } | verdict::Outcome::Lockup { .. }
        );
        late && !self.alone
    }

    /// Another outcome after a cold boot than `before` had after a warm start: one of
    /// the two machines lies, and it is not for us to say which.
    pub(crate) fn contradicts(&self, before: &Attempt) -> bool {
        before.start == StartKind::Warm
            && self.start == StartKind::Cold
            && [before, self]
                .iter()
                .all(|attempt| attempt.outcome.is_result() && !attempt.is_doubtful())
            && !before.outcome.agrees_with(&self.outcome)
    }
}
