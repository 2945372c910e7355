//! `matrix explain KERNEL IMAGE [CHECK]`.

use report::Run;

use crate::cli::{ExplainArguments, Global};
use crate::error::{Failure, Status};
use crate::progress::print;
use crate::show::find;

/// Prints the page.
pub(crate) fn command(global: &Global, arguments: &ExplainArguments) -> Result<Status, Failure> {
    let folder = find(
        global,
        arguments.run.as_deref(),
        arguments.output.as_deref(),
    )?;
    let run = Run::load(&folder)?;
    let check = arguments.check.as_deref();
    match report::explain::page(&run, &arguments.kernel, &arguments.image, check) {
        Some(page) => {
            print(&page)?;
            Ok(Status::Done)
        }
        None => Err(no_such_cell(&run, arguments)),
    }
}

/// Names what there is of the first part that is wrong.
fn no_such_cell(run: &Run, arguments: &ExplainArguments) -> Failure {
    let listed = |what: &str, names: Vec<&str>| format!("{what} are {}", names.join(", "));
    let hint = if run.kernel(&arguments.kernel).is_none() {
        let names = run.kernels.iter().map(|kernel| kernel.id.as_str());
        listed("its kernels", names.collect())
    } else if let Some(image) = run.image(&arguments.image) {
        let names = image.checks.iter().map(|check| check.name.as_str());
        listed("its checks of this image", names.collect())
    } else {
        let names = run.images.iter().map(|image| image.id.as_str());
        listed("its images", names.collect())
    };
    let mut wanted = format!("{} × {}", arguments.kernel, arguments.image);
    if let Some(check) = &arguments.check {
        wanted.push_str(&format!(" × {check}"));
    }
    Failure::NoSuchCell {
        run: run.run.id.clone(),
        wanted,
        hint,
    }
}
