//! The bundled container runtime.
//!
//! The binary `runtime` ([`command`]) runs an OCI bundle and says in one line how
//! it ended ([`status::Line`]). Beside it stand the writable layer a container
//! runs on ([`layer`]) and the configuration docker would write ([`config`]).
//!
//! What it does of a config.json is a list (`refusal`), and what is not on it is
//! refused by its place. Refused are above all: `hooks`, `process.terminal`,
//! `process.apparmorProfile`, `.selinuxLabel`, `.scheduler`, `.ioPriority`,
//! `linux.sysctl`, `.intelRdt`, `.mountLabel`, `.personality`, of
//! `linux.resources` the parts `blockIO`, `hugepageLimits`, `network`, `rdma` and
//! some of `memory` and `cpu`, namespaces of type user and time and those given
//! by path, `mounts[].uidMappings`, SCMP_ACT_NOTIFY, and what is not Linux. Done
//! besides the root, mounts, ids and capabilities: `process.rlimits`,
//! `.oomScoreAdj`, `linux.seccomp`, `.cgroupsPath`, and of `.resources` memory,
//! pids, cpu, devices and `unified` ([`cgroup`]).
//! Of annotations one is read, `org.matrix.network` ([`network`]).
//!
//! It runs on Linux 3.10 and later: what a kernel may lack is tried and met with
//! a second way, which the line tells ([`fallback`]).

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
mod namespace;
pub mod network;
mod program;
mod refusal;
mod root;
pub mod run;
pub mod seccomp;
mod self_copy;
mod signal;
mod state;
pub mod status;
