//! A /lib/modules/RELEASE: which modules there are, built in or as files, and who
//! answers to an alias.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::ModulesError;
use crate::compression::Compression;
use crate::modinfo::{ModInfo, builtin_aliases};

/// Files spell a module's name with `-` or `_`, the kernel with `_` alone.
pub(super) fn normal(name: &str) -> String {
    name.replace('-', "_")
}

/// The names in a /lib/modules/RELEASE.
pub(super) struct ModuleTree {
    directory: PathBuf,
    /// None: there is no list.
    built_in: Option<BTreeSet<String>>,
    pub(super) files: BTreeMap<String, PathBuf>,
}

impl ModuleTree {
    pub(super) fn open(directory: &Path) -> Result<Self, ModulesError> {
        let list = directory.join("modules.builtin");
        let built_in = match std::fs::read_to_string(&list) {
            Ok(text) => Some(
                text.lines()
                    .filter_map(|line| module_name(Path::new(line)))
                    .collect(),
            ),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(ModulesError::Read { path: list, source }),
        };
        let mut files = BTreeMap::new();
        walk(directory, &mut files)?;
        Ok(Self {
            directory: directory.to_owned(),
            built_in,
            files,
        })
    }

    /// There is a list of what is built in.
    pub(super) fn has_list(&self) -> bool {
        self.built_in.is_some()
    }

    /// Listed as built in.
    pub(super) fn is_listed(&self, name: &str) -> bool {
        self.built_in
            .as_ref()
            .is_some_and(|names| names.contains(name))
    }

    /// Built in, or, without a list, no file.
    pub(super) fn is_built_in(&self, name: &str) -> bool {
        match &self.built_in {
            Some(names) => names.contains(name),
            None => !self.files.contains_key(name),
        }
    }

    /// Who answers to an alias: a module's name, built in or not.
    pub(super) fn by_alias(&self, alias: &str) -> Result<Option<String>, ModulesError> {
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

pub(super) fn read_module(path: &Path) -> Result<Vec<u8>, ModulesError> {
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

pub(super) fn modinfo(path: &Path, content: &[u8]) -> Result<ModInfo, ModulesError> {
    ModInfo::of_module(content).map_err(|error| ModulesError::NotAModule {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}
