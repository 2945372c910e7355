//! How fast matrix is, measured as its users would: the program itself, beside the
//! floor it stands on and beside what else they could use.
//!
//! Everything is measured in rounds: each round runs every subject once, one after
//! the other, so that a noisy minute of the machine falls on all alike. What counts
//! are medians and ratios within one call of this program. Nothing is downloaded
//! while it measures: a round that is not counted fills the caches.
//!
//! The floor is the same kernel with a first process of twelve instructions
//! ([`floor`]); the program is run through its command line and timed by its own
//! events as they arrive ([`program`]); peers are run only where they are installed,
//! and only count when they did the work ([`peer`]). Scale is measured without
//! machines, on a run of 36,000 cells ([`scale`]). `bench pull` measures images out of
//! a registry instead ([`pull`]); `bench profile` tells what the time goes into
//! ([`profile`]).

mod arguments;
mod bed;
mod floor;
mod goals;
mod memory;
mod peer;
mod profile;
mod program;
mod pull;
mod rounds;
mod scale;
mod series;
mod table;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};

#[expect(
    clippy::print_stderr,
    reason = "a program for the terminal; its errors go there"
)]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.command {
        Some(Command::Pull(pull)) => pull::measure(&arguments, pull),
        Some(Command::Profile) => profile::measure(&arguments),
        Some(Command::ScaleOnly { folder }) => scale::measure_here(folder),
        None => rounds::measure(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
