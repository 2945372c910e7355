//! What else could be used for the same: measured where it is installed, and only
//! when it did the work.
//!
//! - A shell script of QEMU and busybox (`peer.sh`, `peer-init.sh`), given the same
//!   kernels, the same squashfs images and the same QEMU as the program. It needs a
//!   static busybox on PATH.
//! - virtme-ng, when `vng` is on PATH: one command in its guest on one of the
//!   kernels, its exit status checked.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::bed::{Bed, BenchError, Kernel};

/// The script with what it needs, made once.
#[derive(Debug)]
pub(crate) struct Script {
    folder: PathBuf,
    /// Name, check and kernel of every cell, in the words of its result.
    cells: usize,
}

impl Script {
    /// None where there is no static busybox.
    pub(crate) fn prepare(bed: &Bed) -> Result<Option<Self>, BenchError> {
        let Some(busybox) = on_path("busybox") else {
            return Ok(None);
        };
        let folder = bed.folder.path().join("script");
        fs_err::create_dir_all(&folder)?;
        fs_err::write(folder.join("peer.sh"), include_str!("peer.sh"))?;
        let mut cells = String::new();
        for (index, image) in bed.images.iter().enumerate() {
            for check in &image.checks {
                let command: Vec<String> = check.command.iter().map(|word| quoted(word)).collect();
                // Writing to a String cannot fail.
                let _ = writeln!(
                    cells,
                    "{index}\t{}\t{}\t{}",
                    image.name,
                    check.name,
                    command.join(" ")
                );
            }
        }
        let mut list = String::new();
        for kernel in &bed.matrix_kernels {
            let initramfs = initramfs(&folder, kernel, &busybox, &cells)?;
            let _ = writeln!(
                list,
                "{}\t{}\t{}\t{}",
                kernel.id,
                kernel.image.display(),
                initramfs.display(),
                kernel.words.join(" ")
            );
        }
        fs_err::write(folder.join("kernels"), list)?;
        Ok(Some(Script {
            folder,
            cells: bed.cells(),
        }))
    }

    /// The whole matrix once. Fails unless there is a status for every cell; what it
    /// is, is not looked at, as the script knows no expectations.
    pub(crate) fn run(&self, bed: &Bed) -> Result<Duration, BenchError> {
        let what = || "script of QEMU and busybox".to_owned();
        let mut qemu = bed.qemu.program.display().to_string();
        for argument in &bed.qemu.prefix_arguments {
            let _ = write!(qemu, " {}", argument.display());
        }
        let disks: Vec<String> = bed
            .images
            .iter()
            .map(|image| image.disk.display().to_string())
            .collect();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut command = Command::new("sh");
        command
            .arg(self.folder.join("peer.sh"))
            .env("KERNELS", self.folder.join("kernels"))
            .env("DISKS", disks.join(" "))
            .env("QEMU", qemu)
            .env("JOBS", cores.to_string())
            .stdin(Stdio::null());
        let begun = Instant::now();
        let output = command
            .output()
            .map_err(|source| BenchError::start(what(), source))?;
        let took = begun.elapsed();
        let said = String::from_utf8_lossy(&output.stdout);
        let results = said
            .lines()
            .filter(|line| line.starts_with("CELL ") && line.split(' ').count() == 5)
            .count();
        if results != self.cells {
            return Err(BenchError::NotDone {
                what: what(),
                said: format!(
                    "{results} results of {} cells; {}\n{said}\n{}",
                    self.cells,
                    output.status,
                    String::from_utf8_lossy(&output.stderr)
                ),
            });
        }
        Ok(took)
    }
}

/// busybox, the modules in order, the cells.
fn initramfs(
    folder: &Path,
    kernel: &Kernel,
    busybox: &Path,
    cells: &str,
) -> Result<PathBuf, BenchError> {
    let what = || format!("the script's initramfs of {}", kernel.id);
    let root = folder.join(format!("root-{}", kernel.id));
    for directory in ["bin", "dev", "modules", "proc", "run", "sys"] {
        fs_err::create_dir_all(root.join(directory))?;
    }
    fs_err::copy(busybox, root.join("bin/busybox"))?;
    let init = root.join("init");
    fs_err::write(&init, include_str!("peer-init.sh"))?;
    fs_err::set_permissions(&init, std::fs::Permissions::from_mode(0o755))?;
    fs_err::write(root.join("cells"), cells)?;
    let wanted = [
        "virtio_pci",
        "virtio_blk",
        "virtio_rng",
        "squashfs",
        "overlay",
    ];
    let plan = qemu_runner::select_modules(kernel.modules.as_deref(), &wanted)
        .map_err(|error| BenchError::prepare(what(), error))?;
    let mut list = String::new();
    for module in &plan.modules {
        fs_err::write(
            root.join("modules").join(format!("{}.ko", module.name)),
            &module.content,
        )?;
        let _ = writeln!(list, "{}.ko", module.name);
    }
    fs_err::write(root.join("modules/list"), list)?;
    let archive = folder.join(format!("initramfs-{}", kernel.id));
    let packed = Command::new("sh")
        .arg("-c")
        .arg("cd \"$1\" && find . | \"$2\" cpio -o -H newc >\"$3\"")
        .args([
            OsStr::new("sh"),
            root.as_os_str(),
            busybox.as_os_str(),
            archive.as_os_str(),
        ])
        .stderr(Stdio::null())
        .status()
        .map_err(|source| BenchError::start(what(), source))?;
    if !packed.success() {
        return Err(BenchError::prepare(what(), packed));
    }
    Ok(archive)
}

/// For sh, and on one line: the commands of checks have no line breaks.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// One command in a guest of virtme-ng's, on this kernel.
#[derive(Debug)]
pub(crate) struct Virtme {
    program: PathBuf,
}

impl Virtme {
    /// None where it is not installed.
    pub(crate) fn find() -> Option<Self> {
        on_path("vng").map(|program| Virtme { program })
    }

    /// Runs `exit 3` in it; fails unless that is what it ends with.
    pub(crate) fn run(&self, bed: &Bed, kernel: &Kernel) -> Result<Duration, BenchError> {
        let what = || format!("virtme-ng on {}", kernel.id);
        let begun = Instant::now();
        let output = Command::new(&self.program)
            .args(["--disable-kvm", "--cpus", "1", "--force-9p", "--run"])
            .arg(&kernel.image)
            .args(["--", "sh", "-c", "exit 3"])
            .current_dir(bed.folder.path())
            .stdin(Stdio::null())
            .output()
            .map_err(|source: io::Error| BenchError::start(what(), source))?;
        let took = begun.elapsed();
        if output.status.code() != Some(3) {
            return Err(BenchError::NotDone {
                what: what(),
                said: format!(
                    "{}\n{}",
                    output.status,
                    String::from_utf8_lossy(&output.stderr)
                ),
            });
        }
        Ok(took)
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_the_shell_as_they_are() {
        for word in ["plain", "two words", "it's", "$((6 * 7))", "a\\b\"c"] {
            let output = Command::new("sh")
                .arg("-c")
                .arg(format!("printf %s {}", quoted(word)))
                .output()
                .unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }

    #[test]
    fn the_scripts_are_scripts() {
        for script in [include_str!("peer.sh"), include_str!("peer-init.sh")] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("script");
            fs_err::write(&path, script).unwrap();
            let status = Command::new("sh").arg("-n").arg(&path).status().unwrap();
            assert!(status.success());
        }
    }
}
