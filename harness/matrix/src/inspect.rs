//! `matrix inspect IMAGE`: what can be told of an image without running it, and what
//! is expected of it on each kernel; held against a run, a confusion table.

mod confusion;
mod kernels;
mod page;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use plan::{Image, Plan, Selection};
use report::Run;
use supply::{Silent, Supply};
use verdict::survey::{self, Survey};

use crate::cli::{Global, InspectArguments};
use crate::error::{Failure, Status};
use crate::programs;
use crate::progress::print;
use crate::run::userland::ImageFiles;
use crate::run::{column_selector, load_project, runs_folder};
use crate::show;
use kernels::Known;

/// What stands for the newest run in `--against`.
const NEWEST: &str = "newest";

/// An image that was read.
pub(super) struct Inspected<'a> {
    image: &'a Image,
    files: ImageFiles,
    survey: Survey,
    digest: String,
}

/// Prints the pages, or the table.
pub(crate) fn command(global: &Global, arguments: &InspectArguments) -> Result<Status, Failure> {
    let project = load_project(global)?;
    let run = match &arguments.against {
        None => None,
        Some(name) => {
            let name = Some(name.as_path()).filter(|name| *name != Path::new(NEWEST));
            let folder = show::find(global, name, arguments.output.as_deref())?;
            Some(Run::load(&folder)?)
        }
    };
    let plan = plan::plan(&project, &selection(arguments, run.as_ref(), &project)?)?;
    let known = Known::gather(&runs_folder(&project.root, arguments.output.as_deref()))?;
    let supply = Supply::new(supply::Options {
        cache_root: global.cache.clone(),
        offline: arguments.offline,
        qemu: None,
        progress: Arc::new(Silent),
    })?;
    let mut pages = Vec::new();
    let mut inspected = Vec::new();
    for image in &plan.images {
        match (inspect(&supply, image), run.is_some()) {
            (Ok(read), false) => pages.push(page::page(&read, &plan.kernels, &known)?),
            (Ok(read), true) => inspected.push(read),
            (Err(error), false) => return Err(error),
            // The others are compared all the same, and the table counts its images.
            (Err(error), true) => pages.push(format!("{}: not compared: {error}\n", image.name)),
        }
    }
    if let Some(run) = &run {
        pages.push(confusion::table(run, &plan, &inspected, &known)?);
    }
    print(&pages.join("\n"))?;
    Ok(Status::Done)
}

/// The images asked for and the kernels to look at: all entries with their
/// variants, or the run's columns.
fn selection(
    arguments: &InspectArguments,
    run: Option<&Run>,
    project: &plan::Project,
) -> Result<Selection, Failure> {
    let images = match run {
        Some(run) if arguments.images.is_empty() => {
            run.images.iter().map(|image| image.id.clone()).collect()
        }
        _ => arguments.images.clone(),
    };
    let kernels = match run {
        _ if !arguments.kernels.is_empty() => arguments.kernels.clone(),
        Some(run) => run
            .kernels
            .iter()
            .map(|kernel| column_selector(&kernel.id))
            .collect(),
        None => project
            .kernels
            .iter()
            .flat_map(|entry| {
                let plain = format!("{}+", entry.kernel.id);
                let variants = entry
                    .variants
                    .iter()
                    .map(|variant| variant.kernel.id.clone());
                std::iter::once(plain).chain(variants)
            })
            .collect(),
    };
    Ok(Selection {
        kernels,
        images,
        checks: Vec::new(),
        directory: std::env::current_dir()?,
    })
}

fn inspect<'a>(supply: &Supply, image: &'a Image) -> Result<Inspected<'a>, Failure> {
    let built_in = BTreeMap::from([("vsyscall".to_owned(), programs::VSYSCALL)]);
    let disk = supply.image(&image.sources, &built_in)?;
    let files = ImageFiles::open(&disk.path)?;
    let survey = survey::survey(&files)?;
    Ok(Inspected {
        image,
        files,
        survey,
        digest: disk.digest,
    })
}

/// Of a plan, the kernels by id.
fn kernel<'p>(plan: &'p Plan, id: &str) -> Option<&'p plan::Kernel> {
    plan.kernels.iter().find(|kernel| kernel.id == id)
}
