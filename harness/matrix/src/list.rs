//! `matrix list`.

use crate::cli::{Global, ListArguments, Listed};
use crate::error::{Failure, Status};
use crate::progress::print;
use crate::run::{load_project, runs_folder, selection};
use crate::show::runs;

/// `matrix list kernels|images|checks|runs`.
pub(crate) fn command(global: &Global, arguments: &ListArguments) -> Result<Status, Failure> {
    let project = load_project(global)?;
    let selection = selection(&arguments.selection);
    let text = match arguments.what {
        Listed::Kernels => plan::describe_kernels(&project, &selection)?,
        Listed::Images => plan::describe_images(&project, &selection)?,
        Listed::Checks => plan::describe_checks(&project, &selection)?,
        Listed::Runs => {
            let mut text = String::new();
            for folder in runs(&runs_folder(&project.root, arguments.output.as_deref()))? {
                let line = match report::Run::load(&folder) {
                    Ok(run) => format!("{}  {}\n", run.run.id, run.counts()),
                    Err(error) => format!("{}  unreadable: {error}\n", folder.display()),
                };
                text.push_str(&line);
            }
            text
        }
    };
    print(&text)?;
    Ok(Status::Done)
}
