//! Which checks: names or globs, over the rows of the images selected. A check
//! that runs under several profiles is selected as a whole by the name its file
//! gives it; `NAME+` is the one without a profile alone, as it is with kernels.

use super::pattern::Pattern;
use crate::error::{Kind, PlanError, Unmatched};
use crate::{Check, Image, ImageEntry};
use verdict::Seccomp;

/// A selector.
struct Wanted<'a> {
    pattern: Pattern<'a>,
    /// Without a profile.
    plain: bool,
}

impl Wanted<'_> {
    fn matches(&self, check: &Check) -> bool {
        if self.plain {
            return check.seccomp == Seccomp::None && self.pattern.matches(&check.name);
        }
        self.pattern.matches(&check.name) || self.pattern.matches(check.given_name())
    }
}

/// The images with the selected checks only, each in the image's own order; an
/// image that has none of them is left out. Without selectors: those that an image
/// runs by default.
///
/// # Errors
///
/// [`PlanError::Unmatched`] with every selector that matches a check of none of the
/// images; [`PlanError::NothingByDefault`] where no image has one by default.
pub(super) fn select_checks(
    images: Vec<ImageEntry>,
    selectors: &[String],
) -> Result<Vec<Image>, PlanError> {
    let available = names(&images);
    // Check names have no slash and no comma in them: nothing to look up in a folder.
    let selectors: Vec<&str> = selectors
        .iter()
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .collect();
    let mut patterns = Vec::new();
    let mut unmatched = Vec::new();
    for selector in selectors {
        let (text, plain) = match selector.strip_suffix('+') {
            Some(name) => (name, true),
            None => (selector, false),
        };
        let (pattern, reason) = match Pattern::new(text) {
            Ok(pattern) => (Some(pattern), None),
            Err(reason) => (None, Some(reason)),
        };
        let pattern = pattern.map(|pattern| Wanted { pattern, plain });
        let mut all = images.iter().flat_map(|entry| &entry.image.checks);
        match pattern.filter(|pattern| all.any(|check| pattern.matches(check))) {
            Some(pattern) => patterns.push(pattern),
            None => unmatched.push(Unmatched {
                kind: Kind::Check,
                selector: selector.to_owned(),
                reason,
                available: available.clone(),
            }),
        }
    }
    if !unmatched.is_empty() {
        return Err(PlanError::Unmatched(unmatched));
    }
    let mut selected: Vec<Image> = Vec::new();
    for ImageEntry {
        mut image,
        on_demand,
        ..
    } in images
    {
        image.checks.retain(|check| {
            if patterns.is_empty() {
                !on_demand.contains(&check.name)
            } else {
                patterns.iter().any(|pattern| pattern.matches(check))
            }
        });
        if !image.checks.is_empty() {
            selected.push(image);
        }
    }
    if selected.is_empty() {
        return Err(PlanError::NothingByDefault {
            kind: Kind::Check,
            available,
        });
    }
    Ok(selected)
}

/// The checks of all the images, each once, in their order.
fn names(images: &[ImageEntry]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for check in images.iter().flat_map(|entry| &entry.image.checks) {
        if !names.contains(&check.name) {
            names.push(check.name.clone());
        }
    }
    names
}
