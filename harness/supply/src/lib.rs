//! Where kernels, images and tools come from: verified and cached.

pub mod compression;
pub mod tree;
