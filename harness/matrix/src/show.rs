//! `matrix show`: a recorded run, printed.

use std::path::{Path, PathBuf};

use report::Run;

use crate::cli::{Format, Global, ShowArguments};
use crate::error::{Failure, Status};
use crate::progress::{print, terminal_text};
use crate::run::{load_project, runs_folder};

/// `matrix show [RUN]`.
pub(crate) fn command(global: &Global, arguments: &ShowArguments) -> Result<Status, Failure> {
    let run = Run::load(&find(global, arguments)?)?;
    match arguments.format {
        Format::Text => print(&terminal_text(&run))?,
        Format::Markdown => print(&report::markdown::render(&run))?,
        Format::Json => {
            let mut json = serde_json::to_string_pretty(&run).map_err(std::io::Error::from)?;
            json.push('\n');
            print(&json)?;
        }
    }
    Ok(Status::Done)
}

/// A folder is taken as it is; a name is looked for among the project's runs;
/// nothing means the newest of them.
fn find(global: &Global, arguments: &ShowArguments) -> Result<PathBuf, Failure> {
    if let Some(run) = &arguments.run
        && run.join("results.json").is_file()
    {
        return Ok(run.clone());
    }
    let folder = match &arguments.output {
        Some(output) => runs_folder(Path::new("."), Some(output)),
        None => runs_folder(&load_project(global)?.root, None),
    };
    match &arguments.run {
        Some(name) => {
            let run = folder.join(name);
            let missing = || Failure::NoSuchRun {
                name: name.display().to_string(),
                runs: folder.clone(),
            };
            run.join("results.json")
                .is_file()
                .then_some(run)
                .ok_or_else(missing)
        }
        None => runs(&folder)?.pop().ok_or(Failure::NoRuns(folder)),
    }
}

/// The folders of recorded runs, oldest first: their names begin with the time.
pub(crate) fn runs(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut runs = Vec::new();
    if !folder.is_dir() {
        return Ok(runs);
    }
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        if path.join("results.json").is_file() {
            runs.push(path);
        }
    }
    runs.sort();
    Ok(runs)
}
