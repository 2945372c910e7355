//! `matrix publish`: a run becomes the state that a repository shows.

use std::path::{Path, PathBuf};

use fs_err as fs;
use report::Run;
use report::history::History;
use report::publish::{HISTORY, files};

use crate::cli::{Global, PublishArguments};
use crate::error::{Failure, Status};
use crate::progress::print;
use crate::run::load_project;
use crate::show::find;

/// `matrix publish [RUN]`.
pub(crate) fn command(global: &Global, arguments: &PublishArguments) -> Result<Status, Failure> {
    let record = find(
        global,
        arguments.run.as_deref(),
        arguments.output.as_deref(),
    )?;
    let run = Run::load(&record)?;
    if let Some(why) = run
        .run
        .interrupted
        .as_deref()
        .filter(|_| !arguments.incomplete)
    {
        return Err(Failure::Incomplete {
            run: run.run.id.clone(),
            why: why.to_owned(),
        });
    }
    let folder = match &arguments.to {
        Some(folder) => folder.clone(),
        None => results_folder(global, arguments.output.as_deref())?,
    };
    let mut history = History::load(&folder.join(HISTORY))?;
    let mut told = String::new();
    for file in files(&run, &mut history)? {
        let path = folder.join(&file.path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        // What is as it was stays untouched: a commit holds what changed.
        if fs::read(&path).is_ok_and(|there| there == file.content.as_bytes()) {
            continue;
        }
        report::write_whole(&path, file.content.as_bytes())?;
        told.push_str(&format!("{}\n", path.display()));
    }
    print(&told)?;
    Ok(Status::Done)
}

/// The folder that `runs/` is in.
fn results_folder(global: &Global, output: Option<&Path>) -> Result<PathBuf, Failure> {
    Ok(match output {
        Some(output) => output.to_owned(),
        None => load_project(global)?.root.join("results"),
    })
}
