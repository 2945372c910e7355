//! Which modules a kernel needs to come up with the devices it is given, in the
//! order to load them.
//!
//! Debian's kernel packages ship no modules.dep (depmod makes it on
//! installation), so the modules are asked themselves. Only those needed are
//! opened: there are thousands.

mod tree;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::compression::DecompressError;
use tree::{ModuleTree, modinfo, normal, read_module};

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
/// and everything it has is built in. A folder without a modules.builtin does not
/// tell what is: a name that is no file there is taken to be built in, and the
/// guest says when it is not.
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
        if selection.tree.is_built_in(&name) {
            selection.plan.built_in.push(name);
        } else {
            selection.visit(&name)?;
        }
    }
    Ok(selection.plan)
}

/// Of each name `y` for what is built in, `m` for what is a module, `n` for what is
/// neither; none where the folder has no list of what is built in.
pub(crate) fn presence(
    directory: &Path,
    names: &[&str],
) -> Result<Vec<Option<&'static str>>, ModulesError> {
    let tree = ModuleTree::open(directory)?;
    let of = |name: &&str| {
        let name = normal(name);
        if tree.files.contains_key(&name) {
            Some("m")
        } else if tree.is_listed(&name) {
            Some("y")
        } else {
            tree.has_list().then_some("n")
        }
    };
    Ok(names.iter().map(of).collect())
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
        if self.tree.is_built_in(name) || !self.visited.insert(name.to_owned()) {
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
        if self.tree.is_listed(&module) || self.tree.files.contains_key(&module) {
            return self.visit(&module);
        }
        match self.tree.by_alias(name)? {
            Some(module) => self.visit(&module),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
