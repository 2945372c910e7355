//! The bundled container runtime: what the guest needs to know of it.
//!
//! The binary `runtime` runs an OCI bundle and says in one line how it ended
//! ([`status::Line`]). This library is that line, the writable layer a
//! container runs on ([`layer`]) and the configuration docker would write for
//! it ([`config`]).

pub mod config;
pub mod fallback;
pub mod layer;
pub mod status;
