//! Tools from Debian's packages.
//!
//! Of a tool's dependencies most are only needed by parts that are not kept
//! (displays, sound). Which libraries are needed the program says itself, so
//! packages are fetched in rounds: the program's, then those of the libraries it
//! needs, then those these need. A library's package is found by its name, which
//! Debian's policy (8.1) derives from the library's; where that fails (libssl3 has
//! libcrypto.so.3) it is one that the package of the library in need depends on.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::{Recipe, Tool, ToolError, elf, machine};
use crate::apt::{Apt, Package};
use crate::cache::{Cache, Key};
use crate::deb::{self, Link};
use crate::progress::Progress;

/// Changes whenever the same packages would give another folder.
const VERSION: &str = "tool-v1";

const RECORD: &str = "tool.json";

/// What was unpacked.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    /// As the tool says.
    version: String,
    /// Debian's version of it.
    package_version: String,
    /// Every package that was needed, with its version.
    packages: BTreeMap<String, String>,
}

/// The tool from the cache, or fetched and unpacked. Once there it stays: a tool is
/// not what is measured, and a run need not ask whether there is a newer one.
pub(super) fn debian(
    recipe: &Recipe,
    cache: &Cache,
    apt: &Apt,
    progress: &dyn Progress,
) -> Result<Tool, ToolError> {
    let key = Key::new(VERSION)
        .with("tool", recipe.name)
        .with("suite", recipe.suite);
    let root = cache.build("tool", &key, |staging| make(recipe, apt, progress, staging))?;
    let path = root.join(RECORD);
    let record: Record = fs::read(&path)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .ok_or(ToolError::Record { path })?;
    Ok(tool(recipe, &root, &record))
}

fn tool(recipe: &Recipe, root: &Path, record: &Record) -> Tool {
    let mut prefix_arguments: Vec<OsString> = vec![
        "--library-path".into(),
        root.join("lib").into(),
        root.join("bin").join(recipe.program).into(),
    ];
    for folder in recipe.data {
        prefix_arguments.push("-L".into());
        prefix_arguments.push(root.join(folder).into());
    }
    Tool {
        program: root.join("lib").join(elf::LOADER),
        prefix_arguments,
        version: record.version.clone(),
        origin: format!("Debian {} {}", recipe.suite, record.package_version),
    }
}

fn make(recipe: &Recipe, apt: &Apt, progress: &dyn Progress, root: &Path) -> Result<(), ToolError> {
    let archive = |source| ToolError::Archive {
        tool: recipe.name,
        package: recipe.package,
        source: Box::new(source),
    };
    progress.note(&format!(
        "{} is not on this machine: taking it from Debian {}",
        recipe.program, recipe.suite
    ));
    let source = plan::AptSource {
        suites: vec![plan::AptSuite {
            archive: plan::Archive::Debian,
            suite: recipe.suite.to_owned(),
            allow_expired: false,
        }],
        packages: vec![recipe.package.to_owned()],
        architecture: "amd64".to_owned(),
        pinned: Vec::new(),
    };
    let universe = apt.open(&source).map_err(archive)?;
    let closure = universe.closure(&source.packages, false).map_err(archive)?;
    let mut rounds = Rounds::new(&closure);
    let mut round = rounds.take(|package| recipe.packages.contains(&package.name.as_str()));
    let mut record = Record {
        version: String::new(),
        package_version: String::new(),
        packages: BTreeMap::new(),
    };
    fs::create_dir_all(root.join("lib")).map_err(|source| ToolError::Unpack {
        tool: recipe.name,
        source,
    })?;
    let owners = RefCell::new(BTreeMap::new());
    loop {
        let debs = apt.fetch_all(&round).map_err(archive)?;
        let mut links = Vec::new();
        for (package, path) in round.iter().zip(&debs) {
            if package.name == recipe.package {
                record.package_version = package.version.as_str().to_owned();
            }
            record
                .packages
                .insert(package.name.clone(), package.version.as_str().to_owned());
            links.extend(deb::extract(path, root, &|path| {
                let place = place(recipe, path)?;
                owners.borrow_mut().insert(place.clone(), *package);
                Some(place)
            })?);
        }
        make_links(root, &links).map_err(|source| ToolError::Unpack {
            tool: recipe.name,
            source,
        })?;
        let missing = reachable(recipe, root)?.missing;
        let Some(library) = missing.keys().next() else {
            break;
        };
        round = rounds.providing(&missing, &owners.borrow());
        if round.is_empty() {
            return Err(ToolError::Library {
                tool: recipe.name,
                library: library.clone(),
            });
        }
    }
    prune(recipe, root)?;
    // It must start before anyone relies on it.
    record.version = machine::version(recipe, &tool(recipe, root, &record))?;
    let path = root.join(RECORD);
    let text =
        serde_json::to_vec_pretty(&record).map_err(|_| ToolError::Record { path: path.clone() })?;
    fs::write(&path, text).map_err(|source| ToolError::Unpack {
        tool: recipe.name,
        source,
    })
}

/// Libraries of any package go into one folder, the rest where the recipe says.
fn place(recipe: &Recipe, path: &str) -> Option<String> {
    if let Some(place) = (recipe.place)(path) {
        return Some(place);
    }
    let path = path.strip_prefix("usr/").unwrap_or(path);
    let name = path.strip_prefix("lib/x86_64-linux-gnu/")?;
    (!name.contains('/') && name.contains(".so")).then(|| format!("lib/{name}"))
}

/// Links of libraries name files beside them; others are made as they stand.
fn make_links(root: &Path, links: &[Link]) -> std::io::Result<()> {
    for link in links {
        match link {
            Link::Symbolic { place, target } => {
                let target = target.rsplit('/').next().unwrap_or(target);
                let path = root.join(place);
                if fs::symlink_metadata(&path).is_err() {
                    if let Some(parent) = path.parent() {
                        fs::create_dir_all(parent)?;
                    }
                    fs_err::os::unix::fs::symlink(target, path)?;
                }
            }
            Link::Hard { place, target } => {
                let path = root.join(place);
                if fs::symlink_metadata(&path).is_err() {
                    fs::hard_link(root.join(target), path)?;
                }
            }
        }
    }
    Ok(())
}

/// What the program leads to.
struct Reachable {
    /// Libraries that are there.
    present: BTreeSet<String>,
    /// Libraries that are not, and a file that needs each, as placed.
    missing: BTreeMap<String, String>,
}

fn reachable(recipe: &Recipe, root: &Path) -> Result<Reachable, ToolError> {
    let program = format!("bin/{}", recipe.program);
    let mut ahead = vec![program.clone()];
    let mut present = BTreeSet::from([elf::LOADER.to_owned()]);
    let mut missing = BTreeMap::new();
    while let Some(file) = ahead.pop() {
        for library in elf::needed(&root.join(&file), recipe.name)? {
            let place = format!("lib/{library}");
            if !root.join(&place).exists() {
                missing.insert(library, file.clone());
            } else if present.insert(library) {
                ahead.push(place);
            }
        }
    }
    if !root.join("lib").join(elf::LOADER).exists() {
        // The libc's package has it.
        missing.insert("libc.so.6".to_owned(), program);
    }
    Ok(Reachable { present, missing })
}

/// Takes out the libraries that nothing kept leads to.
fn prune(recipe: &Recipe, root: &Path) -> Result<(), ToolError> {
    let unpack = |source| ToolError::Unpack {
        tool: recipe.name,
        source,
    };
    let lib = root.join("lib");
    let mut kept: BTreeSet<PathBuf> = BTreeSet::new();
    for library in reachable(recipe, root)?.present {
        let path = lib.join(library);
        kept.insert(fs::canonicalize(&path).map_err(unpack)?);
        kept.insert(path);
    }
    let canonical = fs::canonicalize(&lib).map_err(unpack)?;
    for entry in fs::read_dir(&lib).map_err(unpack)? {
        let entry = entry.map_err(unpack)?;
        let is_folder = entry.file_type().map_err(unpack)?.is_dir();
        let path = entry.path();
        if !is_folder && !kept.contains(&path) && !kept.contains(&canonical.join(entry.file_name()))
        {
            fs::remove_file(path).map_err(unpack)?;
        }
    }
    Ok(())
}

/// The packages of a closure, taken out of it round by round.
struct Rounds<'universe> {
    left: Vec<&'universe Package>,
}

impl<'universe> Rounds<'universe> {
    fn new(closure: &[&'universe Package]) -> Self {
        Self {
            left: closure.to_vec(),
        }
    }

    fn take(&mut self, wanted: impl Fn(&Package) -> bool) -> Vec<&'universe Package> {
        let (taken, left) = self.left.iter().partition(|package| wanted(package));
        self.left = left;
        taken
    }

    /// The packages that have these libraries, each given with a file that needs it,
    /// as far as names tell; else those that the needing files' packages depend on;
    /// else all that are left.
    fn providing(
        &mut self,
        libraries: &BTreeMap<String, String>,
        owners: &BTreeMap<String, &'universe Package>,
    ) -> Vec<&'universe Package> {
        let names: BTreeSet<String> = libraries.keys().map(|name| squeezed(name)).collect();
        let exact = self.take(|package| package_names(package).any(|name| names.contains(&name)));
        if !exact.is_empty() {
            return exact;
        }
        let close = self.take(|package| {
            let own = squeezed(&package.name);
            names.iter().any(|name| own.starts_with(name.as_str()))
        });
        if !close.is_empty() {
            return close;
        }
        // A closure was made of them, so they can be read.
        let depended: BTreeSet<String> = libraries
            .values()
            .filter_map(|file| owners.get(file))
            .flat_map(|package| package.dependencies().into_iter().flatten())
            .flat_map(|group| group.0)
            .map(|relation| relation.name)
            .collect();
        let near = self.take(|package| depended.contains(&package.name));
        if near.is_empty() {
            self.take(|_| true)
        } else {
            near
        }
    }
}

/// Its own name and what it provides (`zlib1g` provides `libz1`).
fn package_names(package: &Package) -> impl Iterator<Item = String> {
    let provided = package
        .provides
        .split(',')
        .filter_map(|name| name.split_whitespace().next())
        .map(squeezed);
    std::iter::once(squeezed(&package.name)).chain(provided)
}

/// `libglib-2.0.so.0` and `libglib2.0-0` both become `libglib200`.
fn squeezed(name: &str) -> String {
    let name = name.replace(".so.", "");
    let name = name.strip_suffix("t64").unwrap_or(&name);
    name.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|letter| letter.to_ascii_lowercase())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_libraries_lead_to_names_of_packages() {
        for (library, package) in [
            ("libglib-2.0.so.0", "libglib2.0-0"),
            ("libglib-2.0.so.0", "libglib2.0-0t64"),
            ("libpixman-1.so.0", "libpixman-1-0"),
            ("libpng16.so.16", "libpng16-16"),
            ("libgcc_s.so.1", "libgcc-s1"),
            ("libc.so.6", "libc6"),
            ("libseccomp.so.2", "libseccomp2"),
            ("libz.so.1", "libz1"),
            ("liblzo2.so.2", "liblzo2-2"),
        ] {
            assert_eq!(squeezed(library), squeezed(package));
        }
        assert_ne!(squeezed("libnettle.so.8"), squeezed("libnettle7"));
    }

    #[test]
    fn only_what_is_needed_has_a_place() {
        let qemu = |path| place(&super::super::QEMU, path);
        assert_eq!(
            qemu("usr/bin/qemu-system-x86_64").as_deref(),
            Some("bin/qemu-system-x86_64")
        );
        assert_eq!(
            qemu("lib/x86_64-linux-gnu/libc.so.6").as_deref(),
            Some("lib/libc.so.6")
        );
        for path in [
            "usr/bin/qemu-system-x86_64-microvm",
            "usr/lib/x86_64-linux-gnu/qemu/ui-curses.so",
            "usr/lib/x86_64-linux-gnu/gconv/UTF-16.so",
            "usr/share/qemu/skiboot.lid",
            "usr/share/doc/libc6/copyright",
            "lib64/ld-linux-x86-64.so.2",
        ] {
            assert_eq!(qemu(path), None, "{path}");
        }
    }
}
