//! The program as its users meet it: the real binary, real kernels, real
//! userlands. Kernels and packages come from the Debian mirror into the user's
//! own cache, once.

mod arguments;
mod attempts;
mod authority;
mod cache;
mod causes;
mod cells;
mod columns;
mod death;
mod files;
mod github;
mod inspect;
mod kernel_sources;
mod lock;
mod loopback;
mod made;
mod mirror;
mod probes;
mod project;
mod reach;
mod shards;
#[path = "../../../supply/tests/it/signer.rs"]
#[expect(
    dead_code,
    reason = "shared with the tests of supply, which use all of it"
)]
mod signer;
mod syscalls;
mod torture;
mod two_kernels;
mod warm;
