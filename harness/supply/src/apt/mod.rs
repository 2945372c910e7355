//! Debian-style archives: a suite's signed Release, its indices, packages and what
//! they depend on.
//!
//! Trust goes one way: a key of the keyring signs the Release, the Release tells
//! the SHA-256 of each index, an index that of each .deb. Nothing is kept, and
//! nothing is read further than a parser must to refuse it, before its own check.

mod client;
mod closure;
mod deb822;
pub mod dependency;
mod error;
mod index;
mod index_fetch;
mod kernel_versions;
mod mirror_choice;
mod near;
mod package;
mod release;
mod suite;
mod universe;
mod version;

pub use client::{Apt, AptOptions};
pub use error::AptError;
pub use index::MalformedIndex;
pub use package::{Package, Priority};
pub use release::{MalformedRelease, Release};
pub use universe::Universe;
pub use version::Version;

pub(crate) use deb822::stanzas;
