//! The model of a run and everything made from it.
//!
//! A run is the fold of its events: one stream of [`Event`]s feeds progress
//! bars, plain lines, `--json` and the record on disk ([`Recorder`]) alike. The
//! record is an append-only `events.jsonl` and a `results.json` written anew now
//! and then; whatever ends the program, [`Run::load`] reads back all that had
//! happened. Exporters read the model only, one file each.

pub mod comparison;
mod counts;
pub mod csv;
pub mod diff;
mod event;
pub mod explain;
mod facts;
mod findings;
mod fold;
pub mod github;
mod grid;
pub mod history;
pub mod html;
mod json;
pub mod junit;
pub mod ktap;
mod load;
pub mod markdown;
mod merge;
mod model;
mod plain;
mod probe;
pub mod probe_table;
pub mod publish;
mod record;
mod shard;
pub mod shown;
pub mod svg;
mod syscalls;
pub mod text;

pub use counts::Counts;
pub use event::Event;
pub use facts::{CgroupLayout, FactsRecord, VsyscallMode};
pub use fold::FoldError;
pub use history::HistoryError;
pub use load::LoadError;
pub use merge::{MergeError, merge};
pub use model::*;
pub use plain::plain_line;
pub use probe::{ProbeCounts, ProbeOutcome, ProbeRecord};
pub use record::{RecordError, Recorder, timestamp, write_whole};
pub use shard::{Shard, costs, durations, split};
