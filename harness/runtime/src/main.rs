//! The bundled container runtime's command line.
fn main() {}
