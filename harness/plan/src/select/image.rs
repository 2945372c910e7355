//! Which images: a name, a glob (`centos:*`), a tag (`family=rhel`), a registry's
//! reference (`docker.io/library/alpine:3.20`), or the path of a folder or tar file
//! that holds a root file system or an image.
//!
//! A selector with a slash is never a name. It is a path where it begins with `/`,
//! `./` or `../`, or where a file or folder of that path is there; otherwise a
//! registry's reference, where its first part could only be a host (it has a dot or
//! a colon, or is `localhost`, which is docker's own rule). `docker://` before a
//! reference, skopeo's way of writing one, leaves no doubt and allows docker.io's
//! short names (`docker://alpine:3.20`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::list::split;
use crate::error::{Kind, PlanError, Unmatched};
use crate::images::DEFAULT_PATH;
use crate::pattern::Pattern;
use crate::{
    ArchiveSource, Given, Image, ImageEntry, ImageReference, ImageSource, OciSource, Project,
};

/// What a reference can be written with so that it is taken for nothing else.
const REFERENCE_PREFIX: &str = "docker://";

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
    if let Some(text) = selector.strip_prefix(REFERENCE_PREFIX) {
        return reference(project, selector, text).map(|entry| vec![entry]);
    }
    if selector.contains('/') {
        let entry = if ImageReference::has_host(selector) && !directory.join(selector).exists() {
            reference(project, selector, selector)
        } else {
            path(project, selector, directory)
        };
        return entry.map(|entry| vec![entry]);
    }
    if selector.contains('=') {
        return tagged(project, selector);
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

/// The images that have all the tags of `KEY=VALUE[+KEY=VALUE…]`; a value can be a
/// glob.
fn tagged(project: &Project, selector: &str) -> Result<Vec<ImageEntry>, Option<String>> {
    let mut wanted = Vec::new();
    for part in selector.split('+') {
        let Some((key, value)) = part.split_once('=') else {
            return Err(Some(format!("`{part}` is no tag: write KEY=VALUE")));
        };
        let known: BTreeSet<&str> = project
            .images
            .iter()
            .flat_map(|entry| entry.tags.keys().map(String::as_str))
            .collect();
        if !known.contains(key) {
            let known: Vec<&str> = known.into_iter().collect();
            return Err(Some(match known.as_slice() {
                [] => "no image has any tag".to_owned(),
                known => format!(
                    "no image has the tag `{key}`, some have {}",
                    known.join(", ")
                ),
            }));
        }
        wanted.push((key, Pattern::new(value).map_err(Some)?));
    }
    let found: Vec<ImageEntry> = project
        .images
        .iter()
        .filter(|entry| {
            wanted.iter().all(|(key, pattern)| {
                entry
                    .tags
                    .get(*key)
                    .is_some_and(|value| pattern.matches(value))
            })
        })
        .cloned()
        .collect();
    if found.is_empty() {
        return Err(Some("no image has such tags".to_owned()));
    }
    Ok(found)
}

/// An image of a registry that has no file in images/.
fn reference(project: &Project, selector: &str, text: &str) -> Result<ImageEntry, Option<String>> {
    let reference = ImageReference::parse(text).map_err(|error| Some(error.reason.to_owned()))?;
    Ok(unlisted(
        project,
        selector,
        ImageSource::Oci(OciSource {
            reference,
            architecture: "amd64".into(),
            insecure: false,
        }),
    ))
}

/// An image on this machine that has no file in images/.
fn path(project: &Project, selector: &str, directory: &Path) -> Result<ImageEntry, Option<String>> {
    let path = directory.join(selector);
    let source = if is_layout(&path) {
        ImageSource::Archive(ArchiveSource {
            path,
            image: None,
            architecture: "amd64".into(),
        })
    } else if path.is_dir() {
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
    Ok(unlisted(project, selector, source))
}

/// A folder that is an OCI layout, or that skopeo's `dir:` or an unpacked `docker
/// save` left; a root file system has none of these at its top.
fn is_layout(path: &Path) -> bool {
    path.join("oci-layout").is_file() || path.join("manifest.json").is_file()
}

/// An image that has no file in images/: it has the checks of checks.toml.
fn unlisted(project: &Project, selector: &str, source: ImageSource) -> ImageEntry {
    let on_demand = project.checks.iter().filter(|entry| !entry.default);
    ImageEntry {
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
            given: Given::default(),
            optional: false,
            quarantines: Vec::new(),
        },
        on_demand: on_demand.map(|entry| entry.check.name.clone()).collect(),
        tags: BTreeMap::new(),
        notes: None,
    }
}
