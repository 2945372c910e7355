//! matrix.
fn main() {}
