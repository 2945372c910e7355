//! The bundled container runtime.
