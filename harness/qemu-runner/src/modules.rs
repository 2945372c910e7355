//! Which modules a kernel needs to come up with the devices it is given, in the
//! order to load them.
//!
//! Debian's kernel packages ship no modules.dep (depmod makes it on
//! installation), so the modules are asked themselves. Only those needed are
//! opened: there are thousands.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use crate::compression::{Compression, DecompressError};
use crate::modinfo::{ModInfo, builtin_aliases};

/// What a guest needs besides what PID 1 brings: the bus, the disks, the channel,
/// randomness, the images' file system, and a writable layer over it.
pub const BOOT_MODULES: &[&str] = &[
    "virtio_pci",
    "virtio_blk",
    "virtio_console",
    "virtio_rng",
    "squashfs",
    "overlay",
];

/// Modules to load, in order, and what became of the other names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModulePlan {
    /// Each after what it depends on.
    pub modules: Vec<Module>,
    /// Wanted, and part of the kernel itself; with no modules at all everything
    /// is taken to be.
    pub built_in: Vec<String>,
    /// Neither built in nor a module: wanted names, and dependencies of modules
    /// that cannot be loaded without them.
    pub missing: Vec<String>,
}

/// A module to load.
#[derive(Clone, PartialEq, Eq)]
pub struct Module {
    /// Its name, with underscores.
    pub name: String,
    /// Where it was found, compressed or not.
    pub source: PathBuf,
    /// The ELF file, decompressed: finit_module of old kernels takes no other.
    pub content: Vec<u8>,
}

impl std::fmt::Debug for Module {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Module")
            .field("name", &self.name)
            .field("source", &self.source)
            .field("bytes", &self.content.len())
            .finish()
    }
}

/// Why modules could not be selected.
#[derive(Debug, thiserror::Error)]
pub enum ModulesError {
    /// A file or folder could not be read.
    #[error("read {path}: {source}", path = path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What is built in is not known, so nothing can be told about any name.
    #[error("no modules.builtin in {path}\nhint: `make modules_install` writes it, packages ship it beside the modules or with the kernel's configuration", path = path.display())]
    NoBuiltinList {
        /// The folder.
        path: PathBuf,
    },
    /// A compressed module is broken.
    #[error("read {path}: {source}", path = path.display())]
    Decompress {
        /// The module.
        path: PathBuf,
        /// What the decoder said.
        source: DecompressError,
    },
    /// A module is no ELF file.
    #[error("read {path}: {reason}", path = path.display())]
    NotAModule {
        /// The module.
        path: PathBuf,
        /// What the ELF reader said.
        reason: String,
    },
}

/// Finds the wanted modules and all they depend on.
///
/// `directory` is /lib/modules/RELEASE; none says that the kernel has no modules
/// and everything it has is built in.
///
/// # Errors
/// When the folder or a module needed cannot be read.
pub fn select_modules(
    directory: Option<&Path>,
    wanted: &[&str],
) -> Result<ModulePlan, ModulesError> {
    let Some(directory) = directory else {
        return Ok(ModulePlan {
            built_in: wanted.iter().map(|name| normal(name)).collect(),
            ..ModulePlan::default()
        });
    };
    let mut selection = Selection {
        tree: ModuleTree::open(directory)?,
        visited: BTreeSet::new(),
        plan: ModulePlan::default(),
    };
    for name in wanted {
        let name = normal(name);
        if selection.tree.built_in.contains(&name) {
            selection.plan.built_in.push(name);
        } else {
            selection.visit(&name)?;
        }
    }
    Ok(selection.plan)
}

/// Files spell a module's name with `-` or `_`, the kernel with `_` alone.
fn normal(name: &str) -> String {
    name.replace('-', "_")
}

/// The names in a /lib/modules/RELEASE.
struct ModuleTree {
    directory: PathBuf,
    built_in: BTreeSet<String>,
    files: BTreeMap<String, PathBuf>,
}

impl ModuleTree {
    fn open(directory: &Path) -> Result<Self, ModulesError> {
        let list = directory.join("modules.builtin");
        let text = std::fs::read_to_string(&list).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => ModulesError::NoBuiltinList {
                path: directory.to_owned(),
            },
            _ => ModulesError::Read { path: list, source },
        })?;
        let built_in = text
            .lines()
            .filter_map(|line| module_name(Path::new(line)))
            .collect();
        let mut files = BTreeMap::new();
        walk(directory, &mut files)?;
        Ok(Self {
            directory: directory.to_owned(),
            built_in,
            files,
        })
    }

    /// Who answers to an alias: a module's name, built in or not.
    fn by_alias(&self, alias: &str) -> Result<Option<String>, ModulesError> {
        let alias = normal(alias);
        let path = self.directory.join("modules.builtin.modinfo");
        // Before 5.2 there is no such file; what is built in has no aliases then.
        match std::fs::read(&path) {
            Ok(content) => {
                if let Some((_, module)) =
                    builtin_aliases(&content).find(|(name, _)| normal(name) == alias)
                {
                    return Ok(Some(normal(&module)));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(ModulesError::Read { path, source }),
        }
        // Soft dependencies name algorithms (`crc32c`), which are found without
        // opening the thousands of drivers.
        let (likely, others): (Vec<_>, Vec<_>) = self
            .files
            .iter()
            .partition(|(_, path)| path.iter().any(|part| part == "crypto"));
        for group in [likely, others] {
            let mut found = Vec::new();
            for (name, path) in group {
                let info = modinfo(path, &read_module(path)?)?;
                if info.aliases.iter().any(|other| normal(other) == alias) {
                    found.push(name);
                }
            }
            // Of several implementations the portable one loads on every CPU.
            let generic = found.iter().find(|name| name.ends_with("_generic"));
            if let Some(name) = generic.or(found.first()) {
                return Ok(Some((*name).clone()));
            }
        }
        Ok(None)
    }
}

/// `kernel/drivers/virtio/virtio-pci.ko.xz` → `virtio_pci`.
fn module_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let (name, extension) = name.split_once(".ko")?;
    ["", ".xz", ".zst", ".gz"]
        .contains(&extension)
        .then(|| normal(name))
}

fn walk(directory: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<(), ModulesError> {
    let read_error = |source| ModulesError::Read {
        path: directory.to_owned(),
        source,
    };
    for entry in std::fs::read_dir(directory).map_err(read_error)? {
        let entry = entry.map_err(read_error)?;
        let kind = entry.file_type().map_err(read_error)?;
        let path = entry.path();
        if kind.is_dir() {
            walk(&path, files)?;
        } else if let Some(name) = module_name(&path) {
            // As depmod searches: updates/ before the rest.
            let is_update = |path: &Path| path.iter().any(|part| part == "updates");
            match files.get(&name) {
                Some(other) if is_update(other) || !is_update(&path) && *other < path => {}
                _ => {
                    files.insert(name, path);
                }
            }
        }
        // Symbolic links (build, source) lead out of the tree.
    }
    Ok(())
}

fn read_module(path: &Path) -> Result<Vec<u8>, ModulesError> {
    let bytes = std::fs::read(path).map_err(|source| ModulesError::Read {
        path: path.to_owned(),
        source,
    })?;
    match Compression::detect(&bytes) {
        Some(compression) => {
            compression
                .decompress(&bytes)
                .map_err(|source| ModulesError::Decompress {
                    path: path.to_owned(),
                    source,
                })
        }
        None => Ok(bytes),
    }
}

fn modinfo(path: &Path, content: &[u8]) -> Result<ModInfo, ModulesError> {
    ModInfo::of_module(content).map_err(|error| ModulesError::NotAModule {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

struct Selection {
    tree: ModuleTree,
    visited: BTreeSet<String>,
    plan: ModulePlan,
}

impl Selection {
    /// Puts a module and what it needs into the plan, what it needs first.
    fn visit(&mut self, name: &str) -> Result<(), ModulesError> {
        // Soft dependencies can go round in circles.
        if self.tree.built_in.contains(name) || !self.visited.insert(name.to_owned()) {
            return Ok(());
        }
        let Some(source) = self.tree.files.get(name).cloned() else {
            self.plan.missing.push(name.to_owned());
            return Ok(());
        };
        let content = read_module(&source)?;
        let info = modinfo(&source, &content)?;
        for soft in &info.before {
            self.visit_soft(soft)?;
        }
        for dependency in &info.depends {
            self.visit(&normal(dependency))?;
        }
        self.plan.modules.push(Module {
            name: name.to_owned(),
            source,
            content,
        });
        for soft in &info.after {
            self.visit_soft(soft)?;
        }
        Ok(())
    }

    /// A soft dependency is a name or an alias, and may be absent.
    fn visit_soft(&mut self, name: &str) -> Result<(), ModulesError> {
        let module = normal(name);
        if self.tree.built_in.contains(&module) || self.tree.files.contains_key(&module) {
            return self.visit(&module);
        }
        match self.tree.by_alias(name)? {
            Some(module) => self.visit(&module),
            None => Ok(()),
        }
    }
}
