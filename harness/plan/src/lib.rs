//! kernels.toml, images/*.toml and a selection become the cells to run.
//!
//! Three steps, each with its own types: `raw` is what the files say, with the
//! place of every value; [`Project`] is what they mean, resolved and checked
//! once; [`Plan`] is what one run does: a plain value that nothing deeper
//! second-guesses.

mod model;

pub use model::*;
