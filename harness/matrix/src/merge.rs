//! `matrix merge`: shards become one run.

use report::{Counts, Run};

use crate::cli::{Global, MergeArguments};
use crate::error::{Failure, Status};
use crate::progress::{print, terminal_text};
use crate::run::{load_project, runs_folder};
use crate::show::find;

/// `matrix merge RUN…`.
pub(crate) fn command(global: &Global, arguments: &MergeArguments) -> Result<Status, Failure> {
    let mut runs = Vec::new();
    for run in &arguments.runs {
        let folder = find(global, Some(run), arguments.output.as_deref())?;
        runs.push(Run::load(&folder)?);
    }
    let merged = report::merge(runs, arguments.partial)?;
    let root = match &arguments.output {
        Some(_) => std::path::PathBuf::new(),
        None => load_project(global)?.root,
    };
    let folder = runs_folder(&root, arguments.output.as_deref()).join(&merged.run.id);
    write(&merged, &folder)?;
    print(&terminal_text(&merged))?;
    crate::progress::print_recorded(&folder);
    Ok(Status::of_run(&Counts::of(&merged)))
}

/// The record of a run that was not made here: the model alone, without events.
fn write(run: &Run, folder: &std::path::Path) -> Result<(), Failure> {
    fs_err::create_dir_all(folder)?;
    report::write_whole(&folder.join("results.json"), run.to_json()?.as_bytes())?;
    report::write_whole(
        &folder.join("table.md"),
        report::markdown::render(run).as_bytes(),
    )?;
    Ok(())
}
