//! `matrix diff OLD NEW`, and `--baseline` of a run.

use std::path::Path;

use report::Run;
use report::diff::{Difference, markdown, text};

use crate::cli::{DiffArguments, DiffFormat, Global};
use crate::error::{Failure, Status};
use crate::progress::print;
use crate::show::find;

/// `matrix diff OLD NEW`.
pub(crate) fn command(global: &Global, arguments: &DiffArguments) -> Result<Status, Failure> {
    let output = arguments.output.as_deref();
    let old = Run::load(&find(global, Some(&arguments.old), output)?)?;
    let new = Run::load(&find(global, arguments.new.as_deref(), output)?)?;
    let difference = Difference::of(&old, &new);
    match arguments.format {
        DiffFormat::Text => print(&text(&difference))?,
        DiffFormat::Markdown => print(&markdown(&difference))?,
        DiffFormat::Json => {
            let mut json =
                serde_json::to_string_pretty(&difference).map_err(std::io::Error::from)?;
            json.push('\n');
            print(&json)?;
        }
    }
    Ok(status(&difference))
}

/// The earlier run that a new one is held against. Looked for before anything is
/// run: a wrong name costs nothing then.
pub(crate) fn baseline(
    global: &Global,
    run: Option<&Path>,
    output: Option<&Path>,
) -> Result<Option<Run>, Failure> {
    match run {
        None => Ok(None),
        Some(run) => Ok(Some(Run::load(&find(global, Some(run), output)?)?)),
    }
}

/// Prints what changed since the baseline; the run's own status, or a worse one.
/// `quiet` where stdout belongs to something else.
pub(crate) fn held_against(
    baseline: &Run,
    folder: &Path,
    own: Status,
    quiet: bool,
) -> Result<Status, Failure> {
    let difference = Difference::of(baseline, &Run::load(folder)?);
    if !quiet {
        print(&format!("\n{}", text(&difference)))?;
    }
    Ok(match (own, status(&difference)) {
        (_, Status::Unexpected) | (Status::Unexpected, _) => Status::Unexpected,
        (Status::Done, other) => other,
        (own, _) => own,
    })
}

fn status(difference: &Difference) -> Status {
    match difference.exit_code() {
        0 => Status::Done,
        1 => Status::Unexpected,
        _ => Status::Incomplete,
    }
}
