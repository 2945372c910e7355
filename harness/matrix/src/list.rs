//! `matrix list`.

mod kernels;

use report::Counts;

use crate::cli::{Global, ListArguments, Listed};
use crate::error::{Failure, Status};
use crate::progress::print;
use crate::run::{load_project, runs_folder};
use crate::show::runs;

/// `matrix list kernels|images|checks|runs`.
pub(crate) fn command(global: &Global, arguments: &ListArguments) -> Result<Status, Failure> {
    let project = load_project(global)?;
    let text = match arguments.what {
        Listed::Kernels => kernels::list(global, arguments, &project)?,
        Listed::Images => plan::describe_images(&project).to_string(),
        Listed::Checks => plan::describe_checks(&project).to_string(),
        Listed::Runs => {
            let mut text = String::new();
            for folder in runs(&runs_folder(&project.root, arguments.output.as_deref()))? {
                let line = match report::Run::load(&folder) {
                    Ok(run) => format!("{}  {}\n", run.run.id, Counts::of(&run).summary()),
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
