//! The program as its users meet it: the real binary, real kernels, real
//! userlands. Kernels and packages come from the Debian mirror into the user's
//! own cache, once.

mod arguments;
mod attempts;
mod cache;
mod causes;
mod cells;
mod columns;
mod death;
mod files;
mod github;
mod inspect;
mod loopback;
mod mirror;
mod probes;
mod project;
mod reach;
mod shards;
mod torture;
