//! One recorded run, made by hand, in every format and through every cut.

mod comparison;
mod diff;
mod explain;
mod fold;
mod golden;
mod history;
mod merge;
mod probes;
mod recorded;
mod recorder;
mod schema;
mod syscall;
