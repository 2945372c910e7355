//! `matrix fetch`: everything a run would fetch and build, and no boot. What is there
//! afterwards runs with `--offline`.

use std::fmt::Write as _;

use clap::Parser;
use report::ColumnStatus;
use supply::Supply;

use crate::cli::{Cli, Command, FetchArguments, Global, RunArguments};
use crate::error::{Failure, Status};
use crate::progress::print;
use crate::run::{fetch_all, load_project};

/// `matrix fetch`: exit status 3 where something could not be had.
pub(crate) fn command(global: &Global, arguments: &FetchArguments) -> Result<Status, Failure> {
    let project = load_project(global)?;
    let folder = tempfile::tempdir()?;
    let run = fetch_all(global, &run_arguments(arguments), &project, folder.path())?;
    let (mut page, mut complete) = (String::new(), true);
    let mut count = |kind: &str, rows: Vec<(&str, Option<&str>, bool)>| {
        let there = rows
            .iter()
            .filter(|(_, reason, _)| reason.is_none())
            .count();
        // Writing to a String cannot fail.
        for (name, reason, optional) in &rows {
            if let Some(reason) = reason {
                complete &= optional;
                let _ = writeln!(page, "{kind} {name}: {reason}");
            }
        }
        let _ = writeln!(page, "{there} of {} {kind}s are in the cache", rows.len());
    };
    count(
        "kernel",
        run.kernels
            .iter()
            .map(|kernel| {
                let gone = kernel.status == ColumnStatus::Unavailable;
                let reason = kernel.reason.as_deref().filter(|_| gone);
                (&*kernel.id, reason, kernel.optional)
            })
            .collect(),
    );
    count(
        "image",
        run.images
            .iter()
            .map(|image| (&*image.id, image.reason.as_deref(), image.optional))
            .collect(),
    );
    let supply = Supply::new(supply::Options {
        cache_root: global.cache.clone(),
        offline: arguments.offline,
        qemu: None,
        progress: std::sync::Arc::new(supply::Silent),
    })?;
    // Writing to a String cannot fail.
    let _ = match supply.qemu() {
        Ok(qemu) => writeln!(page, "QEMU {} ({})", qemu.version, qemu.origin),
        Err(error) => {
            complete = false;
            writeln!(page, "QEMU: {error}")
        }
    };
    if let Some(interrupted) = &run.run.interrupted {
        complete = false;
        let _ = writeln!(page, "cut short: {interrupted}");
    }
    print(&page)?;
    Ok(if complete {
        Status::Done
    } else {
        Status::Incomplete
    })
}

/// The arguments of `run` that fetch the same; whatever `run` has besides is at its
/// default.
fn run_arguments(arguments: &FetchArguments) -> RunArguments {
    let words = ["matrix", "run", "--accel", "tcg"];
    match Cli::try_parse_from(words) {
        Ok(Cli {
            command: Command::Run(run),
            ..
        }) => RunArguments {
            selection: arguments.selection.clone(),
            offline: arguments.offline,
            locked: arguments.locked,
            ..run
        },
        Err(error) => error.exit(),
        Ok(_) => unreachable!("the words begin with `run`"),
    }
}
