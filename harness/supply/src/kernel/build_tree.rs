//! A kernel's build tree, as `make bzImage modules` leaves it: nothing needs to be
//! installed.
//!
//! The modules stay where they were built; a folder in the cache points at each, laid
//! out as `make modules_install` would, by what modules.order lists.

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use fs_err as fs;
use sha2::{Digest as _, Sha256};

use super::{KernelError, KernelFiles, local};
use crate::cache::{Cache, CacheError, Key, hex};

const IMAGES: [&str; 2] = ["arch/x86/boot/bzImage", "arch/x86_64/boot/bzImage"];

/// Lists that `make modules_install` copies beside the modules.
const LISTS: [&str; 3] = [
    "modules.order",
    "modules.builtin",
    "modules.builtin.modinfo",
];

/// Whether a folder is one: the kernel's own sources, or what was built from them
/// elsewhere (`make O=`).
pub(super) fn is_one(folder: &Path) -> bool {
    let built = folder.join(".config").is_file() && folder.join("arch").is_dir();
    built || (folder.join("Kbuild").is_file() && folder.join("arch/x86").is_dir())
}

/// The kernel built there.
pub(super) fn build_tree(folder: &Path, cache: &Cache) -> Result<KernelFiles, KernelError> {
    let tree = fs::canonicalize(folder)?;
    let image = IMAGES
        .iter()
        .map(|image| tree.join(image))
        .find(|image| image.is_file());
    let Some(image) = image else {
        return Err(KernelError::NotBuilt {
            folder: folder.to_path_buf(),
        });
    };
    let facts = local::inspect(&image)?;
    let modules = modules(&tree)?;
    let mut hash = Sha256::new();
    hash.update(tree.as_os_str().as_bytes());
    for path in modules
        .iter()
        .map(|module| tree.join(module))
        .chain(lists(&tree))
    {
        fingerprint(&mut hash, &path)?;
    }
    let fingerprint = hash.finalize();
    let farm = cache.build(
        "kernel-modules",
        &Key::new("kernel-modules-v1").with("fingerprint", fingerprint),
        |root| link(&tree, &modules, root),
    )?;
    let configuration = Some(tree.join(".config")).filter(|path| path.is_file());
    let mut hash = Sha256::new();
    hash.update(facts.digest);
    hash.update(fingerprint);
    if let Some(path) = &configuration {
        hash.update(fs::read(path)?);
    }
    Ok(KernelFiles {
        package: [
            ("path".to_owned(), tree.display().to_string()),
            ("sha256".to_owned(), hex(&facts.digest)),
            ("modules".to_owned(), modules.len().to_string()),
        ]
        .into(),
        image,
        // Also where there is none: the lists of what is built in are there.
        modules: Some(farm),
        configuration,
        release: facts.release,
        digest: format!("sha256:{}", hex(&hash.finalize())),
    })
}

fn lists(tree: &Path) -> impl Iterator<Item = PathBuf> {
    LISTS
        .iter()
        .map(|list| tree.join(list))
        .filter(|path| path.is_file())
}

/// The modules that modules.order lists and that are built, below the tree. It says
/// `kernel/fs/ext4/ext4.ko` in old trees, `fs/ext4/ext4.ko` in later ones, and
/// `fs/ext4/ext4.o` since 6.3.
fn modules(tree: &Path) -> Result<Vec<PathBuf>, KernelError> {
    let order = tree.join("modules.order");
    if !order.is_file() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(order)?;
    let mut built = Vec::new();
    for line in text.lines() {
        let Some(stem) = line.strip_suffix(".ko").or(line.strip_suffix(".o")) else {
            continue;
        };
        // The sources have a folder kernel/ too, with modules of its own.
        let places = [stem, stem.strip_prefix("kernel/").unwrap_or(stem)];
        let module = places
            .iter()
            .map(|stem| PathBuf::from(format!("{stem}.ko")))
            .find(|module| tree.join(module).is_file());
        built.extend(module);
    }
    Ok(built)
}

/// What changes whenever a file is written: nothing is read of modules, which can come
/// to gigabytes.
fn fingerprint(hash: &mut Sha256, path: &Path) -> Result<(), KernelError> {
    let host = fs::metadata(path)?;
    hash.update(path.as_os_str().as_bytes());
    for number in [host.dev(), host.ino(), host.size()] {
        hash.update(number.to_le_bytes());
    }
    for number in [
        host.mtime(),
        host.mtime_nsec(),
        host.ctime(),
        host.ctime_nsec(),
    ] {
        hash.update(number.to_le_bytes());
    }
    Ok(())
}

fn link(tree: &Path, modules: &[PathBuf], root: &Path) -> Result<(), KernelError> {
    fs::create_dir_all(root)?;
    for module in modules {
        let place = root.join("kernel").join(module);
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent)?;
        }
        symlink(tree.join(module), &place).map_err(|source| CacheError::io(&place, source))?;
    }
    for list in lists(tree) {
        if let Some(name) = list.file_name() {
            fs::copy(&list, root.join(name))?;
        }
    }
    Ok(())
}
