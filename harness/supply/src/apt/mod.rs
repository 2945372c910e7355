//! Debian-style archives: releases, indices, packages, dependencies.

mod client;
mod error;
mod package;
mod universe;
mod version;

pub use client::{Apt, AptOptions};
pub use error::AptError;
pub use package::{Package, Priority};
pub use universe::Universe;
pub use version::Version;
