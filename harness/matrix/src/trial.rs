//! `matrix try KERNEL IMAGE -- COMMAND`: `docker run` on another kernel.
//!
//! It ends with the command's own status, 128 and the signal's number where one
//! ended it, and with 125 for trouble of its own, as docker does. What the command
//! wrote is printed when it has ended.

use clap::Parser;
use plan::Selection;
use verdict::{AddedCapabilities, Outcome};

use crate::cli::{AccelerationChoice, Addition, Cli, Command, Global, RunArguments, TryArguments};
use crate::error::{Failure, Status};
use crate::progress::{print, print_failure, write_stderr};
use crate::run::{load_project, one_cell};

/// docker's status for trouble of its own.
const TROUBLE: u8 = 125;

/// Runs the command. Trouble is told here, as its status is not that of other
/// commands.
pub(crate) fn command(global: &Global, arguments: &TryArguments) -> Result<Status, Failure> {
    match attempt(global, arguments) {
        Ok(code) => Ok(Status::Command(code)),
        Err(failure) => {
            print_failure(&failure);
            Ok(Status::Command(TROUBLE))
        }
    }
}

fn attempt(global: &Global, arguments: &TryArguments) -> Result<u8, Failure> {
    let project = load_project(global)?;
    let selection = Selection {
        kernels: vec![plain(&arguments.kernel)],
        images: vec![arguments.image.clone()],
        checks: Vec::new(),
        directory: std::env::current_dir()?,
    };
    let mut plan = plan::plan(&project, &selection)?;
    one(
        "kernel",
        &arguments.kernel,
        plan.kernels.iter().map(|it| &*it.id),
    )?;
    one(
        "image",
        &arguments.image,
        plan.images.iter().map(|it| &*it.name),
    )?;
    for image in &mut plan.images {
        image.expectations.clear();
        image.checks.truncate(1);
        for check in &mut image.checks {
            check.name = "try".to_owned();
            check.command.clone_from(&arguments.command);
            check.stdout = None;
            check.children = verdict::judge::Children::Noticed;
            check.timeout = None;
            check.seccomp = verdict::Seccomp::None;
            check.capabilities = added(&arguments.added);
        }
    }
    let folder = tempfile::tempdir()?;
    let run = one_cell(global, &run_arguments(arguments), plan, folder.path())?;
    let Some(cell) = run.cells.first() else {
        return Ok(TROUBLE);
    };
    if let Some(attempt) = cell.attempts.last() {
        print(&attempt.stdout)?;
        write_stderr(&attempt.stderr);
        if attempt.output_dropped > 0 {
            write_stderr(&format!(
                "matrix: {} bytes of output were dropped\n",
                attempt.output_dropped
            ));
        }
    }
    // What a shell would see; where no shell would have lived, it is told.
    let told = match &cell.outcome {
        Outcome::Pass | Outcome::Mismatch { .. } | Outcome::Exit { .. } => None,
        outcome => {
            let detail = outcome.detail().map(|detail| format!(": {detail}"));
            Some(format!("{}{}", outcome.label(), detail.unwrap_or_default()))
        }
    };
    if let Some(told) = told {
        write_stderr(&format!("matrix: {told}\n"));
    }
    if let Some(cause) = &cell.cause {
        write_stderr(&format!("matrix: {}\n", cause.explanation));
    }
    Ok(cell.outcome.code().unwrap_or(TROUBLE))
}

/// As `docker run` takes `--cap-add`: what docker's containers have already, or what is
/// named twice, is no mistake.
fn added(given: &[Addition]) -> AddedCapabilities {
    let mut named = Vec::new();
    for addition in given {
        match addition {
            Addition::All => return AddedCapabilities::All,
            Addition::One(one) if !one.is_dockers() => named.push(*one),
            Addition::One(_) => {}
        }
    }
    named.sort_unstable();
    named.dedup();
    AddedCapabilities::Named(named)
}

/// A bare name would bring its default variants along.
fn plain(kernel: &str) -> String {
    if kernel.contains(['/', '+', '@', '*', '<', '>', '=', ',']) || kernel.ends_with(".x") {
        kernel.to_owned()
    } else {
        format!("{kernel}+")
    }
}

fn one<'n>(
    kind: &'static str,
    given: &str,
    names: impl Iterator<Item = &'n str>,
) -> Result<(), Failure> {
    let names: Vec<&str> = names.collect();
    if names.len() == 1 {
        return Ok(());
    }
    Err(Failure::TryOne {
        given: given.to_owned(),
        count: names.len(),
        kind,
        names: names.join(", "),
    })
}

/// The arguments of `run` that come to the same; whatever `run` has besides is at
/// its default.
fn run_arguments(arguments: &TryArguments) -> RunArguments {
    let accel = match arguments.accel {
        AccelerationChoice::Auto => "auto",
        AccelerationChoice::Kvm => "kvm",
        AccelerationChoice::Tcg => "tcg",
    };
    let mut words = vec![
        "matrix".into(),
        "run".into(),
        "--accel".into(),
        accel.into(),
    ];
    words.extend(["--timeout".into(), (&arguments.timeout).into()]);
    if arguments.cold {
        words.push("--cold".into());
    }
    if arguments.offline {
        words.push("--offline".into());
    }
    if let Some(qemu) = &arguments.qemu {
        words.extend(["--qemu".into(), qemu.into()]);
    }
    let words: Vec<std::ffi::OsString> = words;
    match Cli::try_parse_from(words) {
        Ok(Cli {
            command: Command::Run(run),
            ..
        }) => run,
        // A time limit that is none: clap tells it as it would for `run`.
        Err(error) => error.exit(),
        Ok(_) => unreachable!("the words begin with `run`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::addition;

    #[test]
    fn capabilities_are_added_as_docker_adds_them() {
        let of = |names: &[&str]| {
            let given: Vec<Addition> = names.iter().map(|name| addition(name).unwrap()).collect();
            added(&given).names().join(" ")
        };
        assert_eq!(of(&[]), "");
        assert_eq!(
            of(&["cap_sys_nice", "SYS_ADMIN", "CHOWN", "SYS_NICE"]),
            "SYS_ADMIN SYS_NICE"
        );
        assert_eq!(of(&["SYS_ADMIN", "all"]), "ALL");
        assert!(addition("SYS_ROOT").is_err());
    }
}
