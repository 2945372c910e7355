//! Kernel modules from the initramfs, in the order the harness worked out.

use std::fmt;
use std::fs::{self, File};
use std::path::Path;

use rustix::io::Errno;
use rustix::system::{finit_module, init_module};

use crate::kernel_log;

/// What came of loading.
#[derive(Debug, Default)]
pub(super) struct Load {
    /// Names, in order.
    pub(super) loaded: Vec<String>,
    /// Those that failed; whether it matters shows when what they provide is
    /// looked for.
    pub(super) failures: Vec<Failure>,
}

/// A module that could not be loaded.
#[derive(Debug)]
pub(super) struct Failure {
    name: String,
    reason: String,
    /// The kernel's own words about it, which name the symbol or the version.
    kernel: Option<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "module {} not loaded: {}",
            self.name, self.reason
        )?;
        match &self.kernel {
            Some(line) => write!(formatter, " ({line})"),
            None => Ok(()),
        }
    }
}

/// Loads what `folder/list` names. Each file is removed once it is loaded: the
/// initramfs is memory.
pub(super) fn load(folder: &str) -> Load {
    let folder = Path::new(folder);
    let mut load = Load::default();
    // No list: everything is built in.
    let Ok(list) = fs::read_to_string(folder.join("list")) else {
        return load;
    };
    for file in entries(&list) {
        let name = module_name(file);
        let path = folder.join(file);
        match insert(&path) {
            Ok(()) => load.loaded.push(name.to_owned()),
            // Built in, or pulled in by another already.
            Err(error) if error.raw_os_error() == Some(Errno::EXIST.raw_os_error()) => {}
            Err(error) => load.failures.push(Failure {
                name: name.to_owned(),
                reason: error.to_string(),
                kernel: None,
            }),
        }
        // Memory that is not given back is all that a failure here costs.
        let _ = fs::remove_file(&path);
    }
    if !load.failures.is_empty() {
        explain(&mut load.failures);
    }
    load
}

/// File names, one a line.
fn entries(list: &str) -> impl Iterator<Item = &str> {
    list.lines().map(str::trim).filter(|line| !line.is_empty())
}

/// `virtio-rng.ko` → `virtio-rng`.
fn module_name(file: &str) -> &str {
    file.strip_suffix(".ko").unwrap_or(file)
}

/// finit_module (Linux 3.8), else init_module.
fn insert(path: &Path) -> std::io::Result<()> {
    let file = File::open(path)?;
    match finit_module(&file, c"", 0) {
        Err(Errno::NOSYS) => Ok(init_module(&fs::read(path)?, c"")?),
        other => Ok(other?),
    }
}

/// Adds the kernel's last word about each module. The log is read from a /proc
/// and /dev that are not mounted yet, so by the system call that needs neither.
fn explain(failures: &mut [Failure]) {
    let Ok(lines) = kernel_log::ring() else {
        return;
    };
    for failure in failures {
        // The kernel writes module names with underscores.
        let name = failure.name.replace('-', "_");
        failure.kernel = lines
            .iter()
            .rev()
            .find(|line| line.text.replace('-', "_").starts_with(&format!("{name}:")))
            .map(|line| line.text.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_file_names_one_a_line() {
        let list = "virtio.ko\n\n  virtio_ring.ko \nvirtio-rng.ko\n";
        let names: Vec<_> = entries(list).map(module_name).collect();
        assert_eq!(names, ["virtio", "virtio_ring", "virtio-rng"]);
    }

    #[test]
    fn no_list_means_nothing_to_load_and_a_missing_file_is_a_failure() {
        let folder = std::env::temp_dir().join(format!("guest-modules-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let load_here = || load(folder.to_str().unwrap());
        let load = load_here();
        assert!(load.loaded.is_empty() && load.failures.is_empty());

        fs::write(folder.join("list"), "gone.ko\n").unwrap();
        let load = load_here();
        assert!(load.loaded.is_empty());
        assert_eq!(
            load.failures[0].to_string(),
            "module gone not loaded: No such file or directory (os error 2)"
        );
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_failure_quotes_the_kernel() {
        let failure = Failure {
            name: "squashfs".into(),
            reason: "Exec format error (os error 8)".into(),
            kernel: Some("squashfs: version magic '6.1' should be '5.10'".into()),
        };
        assert_eq!(
            failure.to_string(),
            "module squashfs not loaded: Exec format error (os error 8) \
             (squashfs: version magic '6.1' should be '5.10')"
        );
    }
}
