//! Where kernels, images and tools come from: verified and cached.
