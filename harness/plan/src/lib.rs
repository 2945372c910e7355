//! kernels.toml, images/*.toml and a selection become the cells to run.
//!
//! Three steps, each with its own types: the files are read value by value, each
//! with its place, so that everything wrong in them is told at once and where it
//! is; [`Project`] is what they mean, resolved and checked once; [`Plan`] is what
//! one run does: a plain value that nothing deeper second-guesses.

mod at;
mod checks;
mod describe;
mod diagnostic;
mod document;
mod error;
mod expectation;
mod image_source;
mod images;
mod kernel_source;
mod kernels;
mod load;
mod lock;
mod model;
mod name;
mod project;
mod quarantine;
mod reference;
mod select;
mod settings;
mod similar;
mod source;
mod version;

pub use at::{base_of, is_time};
pub use describe::{
    Listing, Row, describe_checks, describe_images, describe_kernels, describe_plan,
};
pub use diagnostic::{Diagnostic, Diagnostics, Place, SourceFile};
pub use error::{Kind, PlanError, Unmatched};
pub use load::{find_project, load, resolve};
pub use lock::{LOCK, Lock, LockError, LockedImage, LockedKernel, lock_name};
pub use model::*;
pub use project::{CheckEntry, ImageEntry, KernelEntry, Project, Variant};
pub use reference::{ImageReference, ReferenceError, host_of};
pub use select::{Selection, plan, select_images, select_kernels};
pub use version::{NotAVersion, Version};
