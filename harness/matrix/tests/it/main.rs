//! The program as its users meet it: the real binary, real kernels, real
//! userlands. Kernels and packages come from the Debian mirror into the user's
//! own cache, once.

mod arguments;
mod cells;
mod columns;
mod death;
mod files;
mod project;
