//! Where kernels, images and tools come from: verified and cached.

pub mod apt;
pub mod cache;
pub mod http;
pub mod mirror;
pub mod openpgp;
pub mod progress;

pub use apt::{Apt, AptError, AptOptions, Package, Universe};
pub use cache::{Cache, CacheError, Key};
pub use http::{Http, HttpError, HttpOptions};
pub use mirror::Mirrors;
pub use openpgp::{Keyring, OpenPgpError};
pub use progress::{Progress, Silent};
