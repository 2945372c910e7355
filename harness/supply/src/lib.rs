//! Where kernels, images and tools come from: verified and cached.

pub mod apt;
pub mod cache;
pub mod compression;
pub mod http;
pub mod mirror;
pub mod openpgp;
pub mod progress;
pub mod tree;

pub use apt::{Apt, AptError, Package, Universe};
pub use cache::{Cache, CacheError, Key};
pub use http::{Http, HttpError};
pub use progress::Progress;
