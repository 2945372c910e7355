//! From what a user asks for to what is run.

mod check;
mod image;
mod kernel;
mod list;

use std::path::PathBuf;

pub use image::select_images;
pub use kernel::select_kernels;

use crate::error::{Kind, PlanError};
use crate::{Plan, Project};

/// What a user asks for. Each is a list of selectors, which may be lists with
/// commas themselves; an empty one stands for what is run by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// `--kernels`.
    pub kernels: Vec<String>,
    /// `--images`.
    pub images: Vec<String>,
    /// `--checks`.
    pub checks: Vec<String>,
    /// The folder that paths among them are relative to.
    pub directory: PathBuf,
}

/// The cells of a run.
///
/// # Errors
///
/// [`PlanError::Unmatched`] with every selector that matches nothing;
/// [`PlanError::NothingByDefault`] where nothing was asked for and no entry is run
/// by default.
pub fn plan(project: &Project, selection: &Selection) -> Result<Plan, PlanError> {
    let kernels = select_kernels(project, &selection.kernels, &selection.directory);
    let images = select_images(project, &selection.images, &selection.directory);
    let (kernels, images) = match (kernels, images) {
        (Ok(kernels), Ok(images)) => (kernels, images),
        // Both lists are told of together.
        (Err(PlanError::Unmatched(mut all)), Err(PlanError::Unmatched(more))) => {
            all.extend(more);
            return Err(PlanError::Unmatched(all));
        }
        (Err(error), _) | (_, Err(error)) => return Err(error),
    };
    if kernels.is_empty() {
        return Err(PlanError::NothingByDefault {
            kind: Kind::Kernel,
            available: kernel::ids(project),
        });
    }
    if images.is_empty() {
        return Err(PlanError::NothingByDefault {
            kind: Kind::Image,
            available: image::names(project),
        });
    }
    let images = check::select_checks(images, &selection.checks)?;
    Ok(Plan { kernels, images })
}
