//! What the fuzz targets share: input that reaches deep, and what must hold of
//! whatever comes of it.
//!
//! A target is one file in `fuzz_targets/`. It turns libFuzzer's bytes into input for
//! a reader of what others wrote, and then asks more than that nothing panics: that
//! two ways to the same thing agree, that nothing lands outside, that memory is
//! bounded. README.md tells how to run them and what they have found.

pub mod chunks;
pub mod hold;
pub mod layer;
pub mod model;

pub use chunks::Chunks;
pub use hold::{Memory, same_tree, sound};
pub use layer::{Ending, Entry, EntryKind, LayerPlan, Lie, Spelling};
pub use model::Model;
