//! `matrix show`: a recorded run, printed.

use std::path::{Path, PathBuf};

use report::Run;
use report::comparison::{self, Markup, Subject};
use report::history::History;
use report::publish::HISTORY;

use crate::cli::{Format, Global, ShowArguments, Table};
use crate::error::{Failure, Status};
use crate::progress::{print, terminal_options, terminal_text};
use crate::run::{load_project, runs_folder};

/// `matrix show [RUN]`.
pub(crate) fn command(global: &Global, arguments: &ShowArguments) -> Result<Status, Failure> {
    let mut run = Run::load(&find(
        global,
        arguments.run.as_deref(),
        arguments.output.as_deref(),
    )?)?;
    let subject = match arguments.table {
        None | Some(Table::Cells | Table::Probes) => None,
        Some(Table::Facts) => Some(Subject::Facts),
        Some(Table::Syscalls) => Some(Subject::Syscalls),
    };
    if let Some(subject) = subject {
        let markup = match arguments.format {
            Format::Text => Markup::Text,
            Format::Markdown => Markup::Markdown,
            _ => return Err(Failure::TableFormat),
        };
        print(&comparison::render(&run, subject, markup, arguments.all))?;
        return Ok(Status::Done);
    }
    if arguments.table == Some(Table::Cells) {
        run.probes.clear();
    }
    match arguments.format {
        Format::Text if arguments.table == Some(Table::Probes) => {
            print(&report::probe_table::text(&run, terminal_options()))?;
        }
        Format::Markdown if arguments.table == Some(Table::Probes) => {
            print(&report::probe_table::markdown(&run))?;
        }
        Format::Text => print(&terminal_text(&run))?,
        Format::Markdown => print(&report::markdown::render(&run))?,
        Format::Compact => print(&report::markdown::render_compact(&run))?,
        Format::Html => {
            let history = published(global, arguments.output.as_deref())?;
            print(&report::html::render(&run, history.before(&run.run.id))?)?;
        }
        Format::Junit => print(&report::junit::render(&run)?)?,
        Format::Ktap => print(&report::ktap::render(&run))?,
        Format::Csv => print(&report::csv::render(&run))?,
        Format::Badge => print(&report::svg::badge(&run))?,
        Format::Svg => print(&report::svg::heat_map(&run))?,
        Format::Github => print(&report::github::annotations(&run))?,
        Format::Json => print(&run.to_json()?)?,
    }
    Ok(Status::Done)
}

/// The history beside the runs; an empty one where nothing was published.
fn published(global: &Global, output: Option<&Path>) -> Result<History, Failure> {
    let results = match output {
        Some(output) => output.to_owned(),
        None => match load_project(global) {
            Ok(project) => project.root.join("results"),
            // A run's folder can be shown without any project.
            Err(_) => return Ok(History::default()),
        },
    };
    Ok(History::load(&results.join(HISTORY))?)
}

/// The folder of a run. A folder is taken as it is; a name is looked for among the
/// project's runs; nothing means the newest of them.
pub(crate) fn find(
    global: &Global,
    run: Option<&Path>,
    output: Option<&Path>,
) -> Result<PathBuf, Failure> {
    if let Some(run) = run
        && is_run(run)
    {
        return Ok(run.to_owned());
    }
    let folder = match output {
        Some(output) => runs_folder(Path::new("."), Some(output)),
        None => runs_folder(&load_project(global)?.root, None),
    };
    match run {
        Some(name) if is_run(&folder.join(name)) => Ok(folder.join(name)),
        Some(name) => Err(Failure::NoSuchRun {
            name: name.display().to_string(),
            runs: folder,
        }),
        None => runs(&folder)?.pop().ok_or(Failure::NoRuns(folder)),
    }
}

/// Both files are written as a run starts, the events first.
fn is_run(folder: &Path) -> bool {
    folder.join("results.json").is_file() || folder.join("events.jsonl").is_file()
}

/// The folders of recorded runs, oldest first: their names begin with the time.
pub(crate) fn runs(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut runs = Vec::new();
    if !folder.is_dir() {
        return Ok(runs);
    }
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        if is_run(&path) {
            runs.push(path);
        }
    }
    runs.sort();
    Ok(runs)
}
