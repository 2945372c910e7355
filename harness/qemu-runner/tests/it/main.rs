//! Virtual machines from the outside, with a stand-in for QEMU.

mod ends;
mod fake;
mod survivors;
