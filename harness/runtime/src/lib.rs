//! The bundled container runtime.
//!
//! The binary `runtime` ([`command`]) runs an OCI bundle and says in one line how
//! it ended ([`status::Line`]). Beside it stand the writable layer a container
//! runs on ([`layer`]) and the configuration docker would write ([`config`]).
//!
//! What it does of a config.json is a list (`refusal`), and what is not on it is
//! refused by its place; `runtime refused` prints what that leaves of the
//! specification ([`specification`]).
//!
//! Of annotations one is read, `org.matrix.network` ([`network`]).
//!
//! It runs on Linux 3.10 and later: what a kernel may lack is tried and met with
//! a second way, which the line tells; `runtime fallbacks` prints them all
//! ([`fallback`]).

mod bundle;
pub mod cgroup;
pub mod command;
pub mod config;
mod confined;
mod container;
mod credentials;
mod descriptor;
mod device;
mod docker;
mod failure;
pub mod fallback;
mod handshake;
mod init;
pub mod layer;
mod mount;
pub mod namespace;
pub mod network;
mod node;
mod program;
mod refusal;
mod root;
pub mod run;
pub mod seccomp;
mod self_copy;
mod shared;
mod signal;
pub mod specification;
mod state;
pub mod status;
mod terminal;
pub mod trace;
pub mod user_namespace;
