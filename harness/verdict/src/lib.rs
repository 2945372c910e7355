//! From what was observed to what it means: an outcome, whether it was
//! expected, and its cause.
//!
//! Pure: nothing here reads a file or starts a process.

mod cause;
mod expectation;
mod outcome;

pub use cause::Cause;
pub use expectation::{Expectation, Verdict};
pub use outcome::Outcome;
