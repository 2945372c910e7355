//! What a run tells GitHub Actions, where it runs in it.

use std::io::Write;

use report::Run;

use crate::progress::{print, write_stderr};

/// Appends the table to the step's summary and prints annotations, where the
/// environment says that somebody reads them. Trouble with either is told, and
/// changes nothing of the run.
pub(crate) fn tell(run: &Run, json: bool) {
    if let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY") {
        let page = report::markdown::render_compact(run);
        let written = fs_err::OpenOptions::new()
            .append(true)
            .create(true)
            .open(std::path::Path::new(&path))
            .and_then(|mut file| file.write_all(page.as_bytes()));
        if let Err(error) = written {
            write_stderr(&format!(
                "the step's summary could not be written: {error}\n"
            ));
        }
    }
    // stdout belongs to the events then.
    let asked = std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true");
    if asked
        && !json
        && let Err(error) = print(&report::github::annotations(run))
    {
        write_stderr(&format!("the annotations could not be printed: {error}\n"));
    }
}
