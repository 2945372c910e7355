//! One recorded run, made by hand, in every format and through every cut.

mod fold;
mod golden;
mod probes;
mod recorded;
mod recorder;
mod schema;
