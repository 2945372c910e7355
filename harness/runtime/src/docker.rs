//! docker's dialect: `runtime run --rootfs DIR [OPTIONS] -- COMMAND`, translated
//! to the configuration the other door, `run --bundle`, reads. What the runtime
//! does not do is refused there by its place in config.json, or here by the
//! option's name.
//!
//! Where it differs from docker: the container writes to DIR itself; without
//! `--network` or a published port it has no network; names of users are not
//! looked up; the folder a volume comes from must be there. Its system calls go
//! through the project's own profile unless `--security-opt seccomp=` says
//! otherwise. It has cgroups of its own and docker's list of devices; a machine
//! that cannot give it those runs it only with podman's `--cgroups disabled`.
//! `--name` is the ID for `runtime pause`. Standard input is always its own,
//! `--interactive` or not; with `--tty` it is typed.
//!
//! `--userns` maps the container's 0 to 65535 to 100000 to 165535, or, to a
//! caller without root's rights, its root to that caller and nobody else;
//! `--userns=FIRST[:COUNT]` maps those from FIRST on. DIR must belong to them: no
//! owner is changed.

mod options;
mod profile;
mod translate;
mod values;

use std::ffi::OsString;

use crate::failure::Failure;
use crate::run::{line, run_bundle};
use crate::status::Line;

/// Runs what `arguments` (those after `run`) say, to its end. The error is of
/// the command line.
pub(crate) fn run(arguments: impl IntoIterator<Item = OsString>) -> Result<Line, String> {
    let options = options::parse(arguments)?;
    let made: Result<_, Failure> = translate::bundle(&options);
    let id = options
        .name
        .unwrap_or_else(|| format!("run-{}", std::process::id()));
    Ok(line(made.and_then(|bundle| run_bundle(bundle, &id, None))))
}
