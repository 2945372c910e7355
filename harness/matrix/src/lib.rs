//! The command: arguments, the order of work, progress, exit codes.
//!
//! Thin on purpose: what a kernel, an image or an outcome is, the other rooms
//! know. Here their pieces are put in order: a plan is made, kernels and images
//! are fetched side by side, each kernel boots as soon as what it needs is there,
//! its cells run one after the other, and every step is an event that feeds the
//! display and the record alike.

mod bisect;
mod cache;
mod cli;
mod diff;
mod doctor;
mod error;
mod explain;
mod fetch;
mod github;
mod inspect;
mod list;
mod memory;
mod merge;
mod programs;
mod progress;
mod publish;
mod run;
mod shard;
mod show;
mod trial;
mod update;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use error::{Failure, Status};
pub use run::Simulated;

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

/// Carries out a run of a whole project without machines, each cell as one of the
/// recorded run's was, and makes every report: what the harness itself takes. The
/// plain lines of progress and the table go where they would in a run.
///
/// # Errors
/// In words, when a file cannot be read or written, or the project is wrong.
pub fn simulate(project: &Path, recorded: &Path, folder: &Path) -> Result<Simulated, String> {
    let text = fs_err::read_to_string(recorded).map_err(|error| error.to_string())?;
    let recorded =
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", recorded.display()))?;
    let cli = Cli::try_parse_from(["matrix", "run", "--kernels", "*", "--all-images"])
        .map_err(|error| error.to_string())?;
    let Command::Run(arguments) = cli.command else {
        return Err("`run` is another command now".to_owned());
    };
    run::simulate(project, &recorded, &arguments, folder).map_err(|failure| failure.to_string())
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
        Command::Cache(arguments) => cache::command(&global, &arguments),
        Command::Update(arguments) => update::command(&global, &arguments),
        Command::Fetch(arguments) => fetch::command(&global, &arguments),
        Command::Doctor(arguments) => doctor::command(&global, &arguments),
    }
}
