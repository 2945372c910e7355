//! What happens in a run, in the order it happens.

use serde::{Deserialize, Serialize};

use crate::{Attempt, CellId, ImageRow, KernelColumn, ProbeRecord, Run, StartKind};

/// Something that happened. Serialised with a `kind` field: this is what
/// `--json` prints and `events.jsonl` holds, one per line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Event {
    /// The first event: the run with every planned cell as not run.
    RunStarted {
        /// The empty record.
        run: Box<Run>,
    },
    /// The run goes on where an earlier program left it; what had no result has
    /// its turn again.
    RunResumed {
        /// RFC 3339, UTC: [`crate::timestamp`].
        resumed: String,
    },
    /// A line for people that belongs to no column: which QEMU, which
    /// acceleration and why, what is awaited.
    Note {
        /// One line.
        message: String,
    },
    /// Something that is awaited needs files that must be fetched.
    FetchPlanned {
        /// What is awaited: `image debian:12`.
        purpose: String,
        /// How many files.
        files: u64,
        /// What they are: `package`.
        noun: String,
        /// Bytes of all.
        bytes: u64,
    },
    /// Something is being fetched.
    FetchStarted {
        /// What, for people: `linux-image-6.1.0-50-cloud-amd64`.
        what: String,
        /// Bytes in all, where known.
        total: Option<u64>,
        /// What is awaited that needs it: `image debian:12`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        purpose: Option<String>,
    },
    /// More of it has come.
    FetchProgress {
        /// As in its start.
        what: String,
        /// Bytes so far.
        done: u64,
    },
    /// It is there, or failed; a failure is told again by what needed it.
    FetchFinished {
        /// As in its start.
        what: String,
        /// Bytes in all.
        bytes: u64,
        /// Why it failed.
        error: Option<String>,
    },
    /// Settings of the run that are known only once it is under way.
    RunFacts {
        /// `qemu --version`'s number.
        qemu: String,
        /// `kvm` or `tcg`.
        acceleration: String,
        /// Why that one.
        acceleration_reason: String,
    },
    /// An image is built and ready to be attached.
    ImageReady {
        /// Its row as now known.
        image: ImageRow,
    },
    /// An image cannot be had: its cells stay not run.
    ImageUnavailable {
        /// Its name.
        image: String,
        /// Why.
        reason: String,
    },
    /// A kernel's files are there: it starts once its images and a slot are.
    KernelReady {
        /// Kernel id.
        kernel: String,
    },
    /// A virtual machine is being started.
    VmStarting {
        /// Kernel id.
        kernel: String,
        /// 1 for the kernel's first machine of this run.
        boot: u32,
    },
    /// Its guest waits for work.
    VmReady {
        /// Kernel id.
        kernel: String,
        /// As in its start.
        boot: u32,
        /// Milliseconds from QEMU's start.
        boot_ms: u64,
        /// How it was started.
        start: StartKind,
        /// The column with its facts.
        column: Box<KernelColumn>,
    },
    /// A virtual machine ended before its work was done.
    VmGone {
        /// Kernel id.
        kernel: String,
        /// As in its start.
        boot: u32,
        /// What was seen, one line.
        reason: String,
    },
    /// A kernel cannot be had or never came up: its cells stay not run.
    KernelUnavailable {
        /// Kernel id.
        kernel: String,
        /// Why.
        reason: String,
    },
    /// A cell begins.
    CellStarted {
        /// Which.
        cell: CellId,
    },
    /// An attempt at a cell has ended. The last attempt of a cell with a result
    /// is its result.
    CellFinished {
        /// Which.
        cell: CellId,
        /// What came of it, verdict and cause included.
        attempt: Box<Attempt>,
    },
    /// A probe begins.
    ProbeStarted {
        /// Kernel id.
        kernel: String,
        /// Its name.
        probe: String,
    },
    /// A probe has ended.
    ProbeFinished {
        /// What came of it.
        record: Box<ProbeRecord>,
    },
    /// All of a kernel's cells and probes are done.
    KernelFinished {
        /// Kernel id.
        kernel: String,
    },
    /// The last event.
    RunFinished {
        /// RFC 3339, UTC: [`crate::timestamp`].
        finished: String,
        /// Where wall time went, milliseconds, by phase: `fetch`, `build`,
        /// `boot`, `cells`, `total`. Phases overlap where work was done side by
        /// side.
        timings: std::collections::BTreeMap<String, u64>,
        /// None when the run came to its end; why it was cut short otherwise.
        interrupted: Option<String>,
    },
}
