//! Which kernels: the columns.
//!
//! | selector | selects |
//! | --- | --- |
//! | `6.1`, `mine` | the entry of that name, with its variants marked `default = true` |
//! | `6.1*` | every entry whose name the glob matches |
//! | `6.x` | the newest entry of the 6 series; `6.12.x` of the 6.12 series |
//! | `6.*` | every entry of the series; 7.x is another |
//! | `>=5.10`, `>5.10`, `<=6.1`, `<7` | every entry of such a version |
//! | `5.10..6.1` | every entry between the two, both included |
//! | any of these and `+NAME` | that variant only; a glob: `*+vsyscall=*` |
//! | any of these and `+` | the entry without its variants |
//! | any of these and `@VERSION` | the same at that version of its package, without default variants: `6.1@6.1.170-1` |
//! | any of these and `@TIME` | the same from Debian's archive of snapshots: `6.1@20260101T000000Z` |
//! | `./bzImage`, `../linux` | a file or a build tree: anything with a slash, or a file's name that is no entry's |

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::path::Path;

use super::list::split;
use crate::error::{Kind, PlanError, Unmatched};
use crate::pattern::Pattern;
use crate::{Kernel, KernelEntry, KernelSource, Project, Version};
use crate::{at, settings};

/// The kernels that `selectors` select, in their order and, within one, in that of
/// kernels.toml; each once. Without selectors: the entries that do not say
/// `default = false`.
///
/// # Errors
///
/// [`PlanError::Unmatched`] with every selector that matches nothing.
pub fn select_kernels(
    project: &Project,
    selectors: &[String],
    directory: &Path,
) -> Result<Vec<Kernel>, PlanError> {
    let mut kernels = Vec::new();
    if selectors.is_empty() {
        let entries = project.kernels.iter().filter(|entry| entry.default);
        kernels.extend(entries.flat_map(with_default_variants));
        return Ok(kernels);
    }
    let mut unmatched = Vec::new();
    for selector in split(selectors, directory) {
        match resolve(project, &selector, directory) {
            Ok(found) => kernels.extend(found),
            Err(reason) => unmatched.push(Unmatched {
                kind: Kind::Kernel,
                selector,
                reason,
                available: ids(project),
            }),
        }
    }
    if !unmatched.is_empty() {
        return Err(PlanError::Unmatched(unmatched));
    }
    let mut seen = BTreeSet::new();
    kernels.retain(|kernel| seen.insert(kernel.id.clone()));
    Ok(kernels)
}

/// Everything in kernels.toml that can be named.
pub(super) fn ids(project: &Project) -> Vec<String> {
    let ids = project.kernels.iter().flat_map(|entry| {
        let variants = entry.variants.iter().map(|variant| &variant.kernel);
        std::iter::once(&entry.kernel).chain(variants)
    });
    ids.map(|kernel| kernel.id.clone()).collect()
}

fn with_default_variants(entry: &KernelEntry) -> Vec<Kernel> {
    let variants = entry.variants.iter().filter(|variant| variant.default);
    std::iter::once(&entry.kernel)
        .chain(variants.map(|variant| &variant.kernel))
        .cloned()
        .collect()
}

/// Never an empty list; the error is why, where that is not plain.
fn resolve(
    project: &Project,
    selector: &str,
    directory: &Path,
) -> Result<Vec<Kernel>, Option<String>> {
    // Kernels' file names have plus signs in them, so a path is taken whole.
    if selector.contains('/') {
        return file(selector, directory).map(|kernel| vec![kernel]);
    }
    if let Some((base, moment)) = selector.split_once('@') {
        return then(project, base, moment, directory);
    }
    let (base, variant) = match selector.split_once('+') {
        Some((base, variant)) => (base, Some(variant)),
        None => (selector, None),
    };
    let which = Which::parse(base, project)?;
    let kernels = match variant {
        None => kernels_of(which.entries(project, |_| true), with_default_variants),
        Some("") => kernels_of(which.entries(project, |_| true), |entry| {
            vec![entry.kernel.clone()]
        }),
        Some(variant) => {
            let pattern = Pattern::new(variant).map_err(Some)?;
            let chosen = |entry: &KernelEntry| -> Vec<Kernel> {
                let variants = entry.variants.iter();
                variants
                    .filter(|variant| pattern.matches(&variant.name))
                    .map(|variant| variant.kernel.clone())
                    .collect()
            };
            // So that `6.x+NAME` is the newest that has such a variant.
            let entries = which.entries(project, |entry| !chosen(entry).is_empty());
            kernels_of(entries, chosen)
        }
    };
    if !kernels.is_empty() {
        return Ok(kernels);
    }
    if !selector.is_empty() && directory.join(selector).is_file() {
        return file(selector, directory).map(|kernel| vec![kernel]);
    }
    Err(None)
}

/// Kernels at another moment than now. Default variants stay away: what asks for
/// one version of a package asks for no more.
fn then(
    project: &Project,
    base: &str,
    moment: &str,
    directory: &Path,
) -> Result<Vec<Kernel>, Option<String>> {
    let bare = if base.contains('+') {
        base.to_owned()
    } else {
        format!("{base}+")
    };
    let kernels = resolve(project, &bare, directory)?;
    kernels
        .into_iter()
        .map(|kernel| at::kernel(kernel, moment).map_err(Some))
        .collect()
}

fn kernels_of(
    entries: Vec<&KernelEntry>,
    expand: impl Fn(&KernelEntry) -> Vec<Kernel>,
) -> Vec<Kernel> {
    entries.into_iter().flat_map(expand).collect()
}

/// A kernel that has no entry: a file, or a folder such as a build tree.
fn file(selector: &str, directory: &Path) -> Result<Kernel, Option<String>> {
    let path = directory.join(selector);
    if !path.exists() {
        return Err(Some(format!("{} is not there", path.display())));
    }
    Ok(Kernel {
        id: selector.to_owned(),
        version: None,
        sources: vec![KernelSource::Path {
            kernel: path,
            modules: None,
        }],
        settings: settings::defaults(None),
        optional: false,
        notes: None,
    })
}

/// What a comparison asks of the order of two versions.
type Holds = fn(Ordering) -> bool;

/// Which entries a selector speaks of, before any variant.
enum Which<'a> {
    Names(Pattern<'a>),
    Newest(Vec<u32>),
    Series(Vec<u32>),
    Compared(Holds, Version),
    Between(Version, Version),
}

impl<'a> Which<'a> {
    fn parse(text: &'a str, project: &Project) -> Result<Which<'a>, Option<String>> {
        let by_name = || Pattern::new(text).map(Which::Names).map_err(Some);
        if project.kernels.iter().any(|entry| entry.kernel.id == text) {
            return by_name();
        }
        let bound = |text: &str| {
            let version = Version::bound(text.trim());
            version.map_err(|error| Some(error.to_string()))
        };
        let comparisons: [(&str, Holds); 4] = [
            (">=", Ordering::is_ge),
            ("<=", Ordering::is_le),
            (">", Ordering::is_gt),
            ("<", Ordering::is_lt),
        ];
        for (sign, holds) in comparisons {
            if let Some(version) = text.strip_prefix(sign) {
                return Ok(Which::Compared(holds, bound(version)?));
            }
        }
        if let Some((from, to)) = text.split_once("..") {
            return Ok(Which::Between(bound(from)?, bound(to)?));
        }
        if let Some(prefix) = text.strip_suffix(".x").and_then(series) {
            return Ok(Which::Newest(prefix));
        }
        if let Some(prefix) = text.strip_suffix(".*").and_then(series) {
            return Ok(Which::Series(prefix));
        }
        by_name()
    }

    /// In the order of the file; of the newest, only those that `wanted` says.
    fn entries<'p>(
        &self,
        project: &'p Project,
        wanted: impl Fn(&KernelEntry) -> bool,
    ) -> Vec<&'p KernelEntry> {
        let all = project.kernels.iter().filter(|entry| wanted(entry));
        match self {
            Which::Names(pattern) => all
                .filter(|entry| pattern.matches(&entry.kernel.id))
                .collect(),
            Which::Series(prefix) => all
                .filter(|entry| entry.version.is_of_series(prefix))
                .collect(),
            Which::Newest(prefix) => all
                .filter(|entry| entry.version.is_of_series(prefix))
                // Of several with one version the first in the file.
                .reduce(|best, entry| match entry.version.cmp(&best.version) {
                    Ordering::Greater => entry,
                    Ordering::Less | Ordering::Equal => best,
                })
                .into_iter()
                .collect(),
            Which::Compared(holds, bound) => all
                .filter(|entry| holds(entry.version.compare_as_written(bound)))
                .collect(),
            Which::Between(from, to) => all
                .filter(|entry| entry.version.compare_as_written(from).is_ge())
                .filter(|entry| entry.version.compare_as_written(to).is_le())
                .collect(),
        }
    }
}

/// `6`, `6.12`: the numbers a series begins with.
fn series(text: &str) -> Option<Vec<u32>> {
    text.split('.').map(|part| part.parse().ok()).collect()
}
