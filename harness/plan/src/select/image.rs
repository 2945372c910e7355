//! Which images: a name, a glob (`centos:*`), or the path of a folder or tar file
//! that holds a root file system.

use std::collections::BTreeSet;
use std::path::Path;

use super::list::split;
use super::pattern::Pattern;
use crate::error::{Kind, PlanError, Unmatched};
use crate::images::DEFAULT_PATH;
use crate::{Image, ImageEntry, ImageSource, Project};

/// The images that `selectors` select, in their order and, within one, in that of
/// their files' names; each once, with all checks. Without selectors: those that do
/// not say `default = false`.
///
/// An image given by a path has the checks of checks.toml, as an image has that
/// does not list any.
///
/// # Errors
///
/// [`PlanError::Unmatched`] with every selector that matches nothing.
pub fn select_images(
    project: &Project,
    selectors: &[String],
    directory: &Path,
) -> Result<Vec<ImageEntry>, PlanError> {
    if selectors.is_empty() {
        let entries = project.images.iter().filter(|entry| entry.default);
        return Ok(entries.cloned().collect());
    }
    let mut images = Vec::new();
    let mut unmatched = Vec::new();
    for selector in split(selectors, directory) {
        match resolve(project, &selector, directory) {
            Ok(found) => images.extend(found),
            Err(reason) => unmatched.push(Unmatched {
                kind: Kind::Image,
                selector,
                reason,
                available: names(project),
            }),
        }
    }
    if !unmatched.is_empty() {
        return Err(PlanError::Unmatched(unmatched));
    }
    let mut seen = BTreeSet::new();
    images.retain(|entry| seen.insert(entry.image.name.clone()));
    Ok(images)
}

/// Everything in images/ that can be named.
pub(super) fn names(project: &Project) -> Vec<String> {
    let entries = project.images.iter();
    entries.map(|entry| entry.image.name.clone()).collect()
}

fn resolve(
    project: &Project,
    selector: &str,
    directory: &Path,
) -> Result<Vec<ImageEntry>, Option<String>> {
    if selector.contains('/') {
        return path(project, selector, directory).map(|entry| vec![entry]);
    }
    let pattern = Pattern::new(selector).map_err(Some)?;
    let entries = project.images.iter();
    let found: Vec<ImageEntry> = entries
        .filter(|entry| pattern.matches(&entry.image.name))
        .cloned()
        .collect();
    if !found.is_empty() {
        return Ok(found);
    }
    if !selector.is_empty() && directory.join(selector).exists() {
        return path(project, selector, directory).map(|entry| vec![entry]);
    }
    Err(None)
}

/// An image that has no file in images/.
fn path(project: &Project, selector: &str, directory: &Path) -> Result<ImageEntry, Option<String>> {
    let path = directory.join(selector);
    let source = if path.is_dir() {
        ImageSource::Directory(path)
    } else if path.is_file() {
        ImageSource::Tarball(path)
    } else {
        let what = if path.exists() {
            "is neither a folder nor a file"
        } else {
            "is not there"
        };
        return Err(Some(format!("{} {what}", path.display())));
    };
    let on_demand = project.checks.iter().filter(|entry| !entry.default);
    Ok(ImageEntry {
        default: true,
        image: Image {
            name: selector.to_owned(),
            sources: vec![source],
            environment: vec![("PATH".into(), DEFAULT_PATH.into())],
            user: "0:0".into(),
            directory: "/".into(),
            checks: project
                .checks
                .iter()
                .map(|entry| entry.check.clone())
                .collect(),
            expectations: Vec::new(),
            quarantines: Vec::new(),
        },
        on_demand: on_demand.map(|entry| entry.check.name.clone()).collect(),
        notes: None,
    })
}
