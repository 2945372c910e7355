//! Where a kernel's files are in a root file system, in `make tar-pkg`'s tar, in an
//! image that carries one:
//!
//! ```text
//! PREFIX/boot/vmlinuz-VERSION            PREFIX/boot/config-VERSION
//! PREFIX/[usr/]lib/modules/VERSION/…     [vmlinuz and config in it]
//! ```
//!
//! The prefix is empty, or what somebody put it all under
//! (`data/kernels/6.6` in little-vm-helper's images).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::local::{self, Facts};
use super::unpacked::{CONFIG, IMAGE, MODULES};
use super::{KernelError, KernelFiles};

/// Names of files below a release's modules that are for building other modules, or
/// for debugging: large, and never loaded.
const NEEDLESS: [&str; 4] = ["build", "source", "System.map", "vdso"];

/// Where a file belongs among a kernel's, without the prefix; none: it is no part of
/// one. With it the prefix.
pub(super) fn keep(path: &str) -> Option<(String, String)> {
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    let modules = (0..parts.len()).find(|at| parts[*at..].starts_with(&["lib", "modules"]));
    if let Some(at) = modules {
        let (prefix, rest) = parts.split_at(at);
        let prefix = prefix.strip_suffix(&["usr"]).unwrap_or(prefix);
        // usr/lib/debug/lib/modules has the same names.
        if rest.len() < 4 || NEEDLESS.contains(&rest[3]) || prefix.contains(&"debug") {
            return None;
        }
        return Some((rest.join("/"), prefix.join("/")));
    }
    let (name, folders) = parts.split_last()?;
    let (folder, prefix) = match folders.split_last() {
        Some((&"boot", prefix)) => ("boot/", prefix),
        _ => ("", folders),
    };
    if prefix.contains(&"debug") {
        return None;
    }
    let config = folder == "boot/" && name.starts_with("config-");
    (is_image(name) || config).then(|| (format!("{folder}{name}"), prefix.join("/")))
}

/// Whether a file may be a kernel's image, by its name.
fn is_image(name: &str) -> bool {
    if [".gz", ".xz", ".zst", ".debug", ".hmac", ".sig", ".old"]
        .iter()
        .any(|end| name.ends_with(end))
    {
        return false;
    }
    ["vmlinuz", "bzImage", "vmlinux"].iter().any(|stem| {
        name.strip_prefix(stem)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.']))
    })
}

/// Collects what [`keep`] keeps, and refuses what is of several prefixes: those would
/// be laid over one another.
#[derive(Debug, Default)]
pub(super) struct Collector {
    places: BTreeMap<String, String>,
    clash: Option<(String, String)>,
}

impl Collector {
    /// Where a file goes.
    pub(super) fn place(&mut self, path: &str) -> Option<String> {
        let (place, prefix) = keep(path)?;
        match self.places.get(&place) {
            Some(known) if *known != prefix => {
                self.clash
                    .get_or_insert_with(|| (known.clone(), prefix.clone()));
                return None;
            }
            Some(_) => {}
            None => {
                self.places.insert(place.clone(), prefix);
            }
        }
        Some(place)
    }

    /// What was collected is one kernel's, as far as prefixes tell.
    pub(super) fn finish(self, what: &str) -> Result<(), KernelError> {
        match self.clash {
            None => Ok(()),
            Some((one, other)) => Err(KernelError::Several {
                what: what.to_owned(),
                which: format!("below {one}/ and below {other}/"),
            }),
        }
    }
}

/// A kernel's files in a folder of this layout, where they are.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) image: PathBuf,
    pub(super) facts: Facts,
    pub(super) modules: Option<PathBuf>,
    pub(super) configuration: Option<PathBuf>,
}

/// The one kernel in a folder: `what` is what it is called in messages.
pub(super) fn find(root: &Path, what: &str) -> Result<Found, KernelError> {
    let mut folders = vec![root.join("boot"), root.to_path_buf()];
    let mut releases: BTreeMap<String, PathBuf> = BTreeMap::new();
    for modules in [root.join("lib/modules"), root.join("usr/lib/modules")] {
        for folder in entries(&modules)? {
            if folder.is_dir()
                && let Some(name) = folder.file_name().and_then(|name| name.to_str())
            {
                releases.entry(name.to_owned()).or_insert(folder.clone());
            }
        }
    }
    folders.extend(releases.values().cloned());
    let mut images = Vec::new();
    let mut refused = None;
    for folder in folders {
        for path in entries(&folder)? {
            let name = path.file_name().and_then(|name| name.to_str());
            let regular = fs::symlink_metadata(&path)?.is_file();
            if !regular || !name.is_some_and(is_image) {
                continue;
            }
            match local::inspect(&path) {
                Ok(facts) => images.push((path, facts)),
                Err(error @ KernelError::NotAKernel { .. }) => {
                    refused.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
    }
    // An uncompressed vmlinux beside the bzImage is for debuggers.
    if images.iter().any(|(_, facts)| facts.is_bz_image()) {
        images.retain(|(_, facts)| facts.is_bz_image());
    }
    let distinct: BTreeSet<Option<&str>> = images
        .iter()
        .map(|(_, facts)| facts.release.as_deref())
        .collect();
    if distinct.len() > 1 {
        let names: Vec<&str> = distinct
            .into_iter()
            .map(|release| release.unwrap_or("one that does not say which"))
            .collect();
        return Err(KernelError::Several {
            what: what.to_owned(),
            which: names.join(", "),
        });
    }
    let Some((image, facts)) = images.into_iter().next() else {
        return Err(refused.unwrap_or_else(|| KernelError::NoImage {
            packages: what.to_owned(),
        }));
    };
    let modules = match &facts.release {
        Some(release) => releases.get(release).cloned(),
        // Of one that does not say, the only ones there are.
        None if releases.len() == 1 => releases.into_values().next(),
        None => None,
    };
    let configuration = local::configuration(
        &image,
        modules.as_deref(),
        facts.release.as_deref().unwrap_or_default(),
    );
    Ok(Found {
        image,
        facts,
        modules,
        configuration,
    })
}

/// Moves what was collected in `from` to where an unpacked kernel has it.
pub(super) fn settle(from: &Path, root: &Path, what: &str) -> Result<(), KernelError> {
    let found = find(from, what)?;
    // First what may lie within the modules.
    if let Some(configuration) = &found.configuration {
        fs::rename(configuration, root.join(CONFIG))?;
    }
    fs::rename(&found.image, root.join(IMAGE))?;
    if let Some(modules) = &found.modules {
        fs::rename(modules, root.join(MODULES))?;
    }
    Ok(())
}

/// An installed kernel, or what `make tar-pkg` leaves: a folder with boot/ and
/// lib/modules/.
pub(super) fn installed(folder: &Path) -> Result<KernelFiles, KernelError> {
    let found = find(&fs::canonicalize(folder)?, &folder.display().to_string())?;
    local::files(found.image, found.facts, found.modules, found.configuration)
}

/// What is in a folder, in the order of names; nothing of one that is not there.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, KernelError> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut all = Vec::new();
    for entry in fs::read_dir(folder)? {
        all.push(entry?.path());
    }
    all.sort();
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_kernel_are_known_wherever_they_are() {
        for (path, expected) in [
            ("boot/vmlinuz-6.6.30", Some(("boot/vmlinuz-6.6.30", ""))),
            (
                "data/kernels/6.6/boot/vmlinuz-6.6.30",
                Some(("boot/vmlinuz-6.6.30", "data/kernels/6.6")),
            ),
            (
                "./usr/lib/modules/6.6/kernel/a.ko",
                Some(("lib/modules/6.6/kernel/a.ko", "")),
            ),
            (
                "x/lib/modules/6.6/vmlinuz",
                Some(("lib/modules/6.6/vmlinuz", "x")),
            ),
            ("bzImage", Some(("bzImage", ""))),
            ("arch/x86/boot/bzImage", Some(("boot/bzImage", "arch/x86"))),
            ("boot/config-6.6", Some(("boot/config-6.6", ""))),
            ("boot/vmlinux", Some(("boot/vmlinux", ""))),
            ("boot/vmlinuz-6.6.old", None),
            ("boot/initrd.img-6.6", None),
            ("boot/System.map-6.6", None),
            ("lib/modules/6.6/build", None),
            ("usr/lib/debug/lib/modules/6.6/vmlinux", None),
            ("lib/modules/6.6", None),
            ("etc/passwd", None),
            ("usr/share/vmlinuzer", None),
        ] {
            let found = keep(path);
            let found = found.as_ref().map(|(place, prefix)| (&**place, &**prefix));
            assert_eq!(found, expected, "{path}");
        }
    }

    #[test]
    fn two_prefixes_of_one_file_are_two_kernels() {
        let mut collector = Collector::default();
        assert!(collector.place("a/boot/vmlinuz").is_some());
        assert!(collector.place("a/boot/vmlinuz").is_some());
        assert!(collector.place("b/boot/vmlinuz").is_none());
        let error = collector.finish("x.tar").unwrap_err();
        assert!(
            error.to_string().contains("below a/ and below b/"),
            "{error}"
        );
    }
}
