//! guest.
fn main() {}
