//! The command: arguments, the order of work, progress, exit codes.
//!
//! Thin on purpose: what a kernel, an image or an outcome is, the other rooms
//! know. Here their pieces are put in order: a plan is made, kernels and images
//! are fetched side by side, each kernel boots as soon as what it needs is there,
//! its cells run one after the other, and every step is an event that feeds the
//! display and the record alike.

mod bisect;
mod cli;
mod diff;
mod doctor;
mod error;
mod explain;
mod github;
mod inspect;
mod list;
mod merge;
mod programs;
mod progress;
mod publish;
mod run;
mod shard;
mod show;
mod trial;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use error::{Failure, Status};

/// Parses the arguments, does what they say, and maps the end to an exit code.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // clap prints help and version to stdout, errors to stderr, and both
            // with the status its users know: 0 and 2.
            let status = if error.use_stderr() {
                Status::Usage
            } else {
                Status::Done
            };
            return match error.print() {
                Ok(()) => status.into(),
                Err(_) => Status::Usage.into(),
            };
        }
    };
    match dispatch(cli) {
        Ok(status) => status.into(),
        Err(failure) => {
            progress::print_failure(&failure);
            failure.status().into()
        }
    }
}

fn dispatch(cli: Cli) -> Result<Status, Failure> {
    let global = cli.global;
    match cli.command {
        Command::Run(arguments) => run::command(&global, arguments),
        Command::Try(arguments) => trial::command(&global, &arguments),
        Command::List(arguments) => list::command(&global, &arguments),
        Command::Show(arguments) => show::command(&global, &arguments),
        Command::Publish(arguments) => publish::command(&global, &arguments),
        Command::Plan(arguments) => shard::command(&global, &arguments),
        Command::Diff(arguments) => diff::command(&global, &arguments),
        Command::Explain(arguments) => explain::command(&global, &arguments),
        Command::Inspect(arguments) => inspect::command(&global, &arguments),
        Command::Merge(arguments) => merge::command(&global, &arguments),
        Command::Bisect(arguments) => bisect::command(&global, &arguments),
        Command::Doctor(arguments) => doctor::command(&global, &arguments),
    }
}
