//! The programs that run inside the virtual machine, as bytes in this one.

/// PID 1.
pub(crate) const GUEST: &[u8] = include_bytes!(env!("MATRIX_GUEST"));

/// What [`GUEST`] is known by in keys of the cache.
pub(crate) const GUEST_IDENTITY: &str = env!("MATRIX_GUEST_IDENTITY");

/// The bundled container runtime.
pub(crate) const RUNTIME: &[u8] = include_bytes!(env!("MATRIX_RUNTIME"));

/// What [`RUNTIME`] is known by in keys of the cache and in a template's record.
pub(crate) const RUNTIME_IDENTITY: &str = env!("MATRIX_RUNTIME_IDENTITY");

/// The image `vsyscall`'s one program.
pub(crate) const VSYSCALL: &[u8] = include_bytes!(env!("MATRIX_VSYSCALL"));

/// What runs inside a probe's container.
pub(crate) const PROBE_INSIDE: &[u8] = include_bytes!(env!("MATRIX_PROBE_INSIDE"));

/// This program's version, with the commit it was built from where there is one.
pub(crate) const VERSION: &str = env!("MATRIX_VERSION");
