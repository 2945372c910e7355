//! Against the real Debian mirror, with figures; run by hand:
//! `cargo test -p supply --release --test real -- --ignored --nocapture --test-threads 1`.
//! `MATRIX_REAL_CACHE` names a cache to keep between runs.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use plan::{AptSource, AptSuite, Archive, ImageSource, KernelSource};
use supply::{Options, Silent, Supply};

struct Place {
    root: PathBuf,
    _temporary: Option<tempfile::TempDir>,
}

fn place() -> Place {
    match std::env::var_os("MATRIX_REAL_CACHE") {
        Some(root) => Place {
            root: root.into(),
            _temporary: None,
        },
        None => {
            let temporary = tempfile::tempdir().unwrap();
            Place {
                root: temporary.path().to_path_buf(),
                _temporary: Some(temporary),
            }
        }
    }
}

fn supply(root: &Path) -> Supply {
    Supply::new(Options {
        cache_root: Some(root.to_path_buf()),
        offline: false,
        progress: Arc::new(Silent),
        qemu: None,
    })
    .unwrap()
}

fn source(suite: &str, architecture: &str, packages: &[&str]) -> AptSource {
    AptSource {
        suites: vec![AptSuite {
            archive: Archive::Debian,
            suite: suite.to_owned(),
            // The mirror's unstable can be a frozen one.
            allow_expired: true,
        }],
        packages: packages.iter().map(|&name| name.to_owned()).collect(),
        architecture: architecture.to_owned(),
        pinned: Vec::new(),
    }
}

fn say(line: &str) {
    let mut stderr = std::io::stderr();
    writeln!(stderr, "{line}").unwrap();
}

/// The most memory this process had, MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        / 1024
}

fn size(path: &Path) -> u64 {
    let metadata = std::fs::symlink_metadata(path).unwrap();
    if !metadata.is_dir() {
        return metadata.len();
    }
    std::fs::read_dir(path)
        .unwrap()
        .map(|entry| size(&entry.unwrap().path()))
        .sum()
}

fn measured<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    say(&format!(
        "{what}: {:.2} s, peak {} MiB",
        start.elapsed().as_secs_f64(),
        peak()
    ));
    result
}

#[test]
#[ignore = "fetches from the Debian mirror"]
fn tools_come_from_debian_and_start() {
    let place = place();
    let supply = supply(&place.root);
    for (name, tool) in [
        (
            "qemu",
            measured("qemu", || supply.tools().debian_qemu()).unwrap(),
        ),
        (
            "mksquashfs",
            measured("mksquashfs", || supply.tools().debian_mksquashfs()).unwrap(),
        ),
    ] {
        say(&format!("{name} {} from {}", tool.version, tool.origin));
        let folder = tool.program.parent().unwrap().parent().unwrap();
        say(&format!(
            "  {} MB unpacked in {}",
            size(folder) / 1_000_000,
            folder.display()
        ));
    }
    let again = measured("qemu again", || supply.tools().debian_qemu()).unwrap();
    let machines = again.command().args(["-machine", "help"]).output().unwrap();
    assert!(String::from_utf8_lossy(&machines.stdout).contains("microvm"));
}

#[test]
#[ignore = "fetches from the Debian mirror"]
fn kernels_whole_and_split() {
    let place = place();
    let supply = supply(&place.root);
    for (suite, package, begins) in [
        ("bullseye", "linux-image-cloud-amd64", "5.10."),
        ("bookworm", "linux-image-cloud-amd64", "6.1."),
        ("trixie", "linux-image-cloud-amd64", "6.12."),
        ("sid", "linux-image-cloud-amd64", "7."),
        ("bookworm", "linux-image-amd64", "6.1."),
    ] {
        let sources = [KernelSource::Apt(source(suite, "amd64", &[package]))];
        let kernel = measured(&format!("{suite} {package}"), || supply.kernel(&sources)).unwrap();
        let again = measured("  again", || supply.kernel(&sources)).unwrap();
        assert_eq!(kernel, again);
        let modules = kernel.modules.unwrap();
        say(&format!(
            "  {:?} image {} modules {} MB",
            kernel.release,
            kernel.image.display(),
            size(&modules) / 1_000_000
        ));
        assert!(kernel.release.unwrap().starts_with(begins));
        assert!(kernel.configuration.is_some(), "a configuration");
        assert!(modules.join("modules.builtin").exists());
        assert!(modules.join("kernel/fs").is_dir());
    }
}

#[test]
#[ignore = "fetches from the Debian mirror"]
fn roots_of_every_suite() {
    let place = place();
    let supply = supply(&place.root);
    for (suite, architecture) in [
        ("bullseye", "amd64"),
        ("bookworm", "amd64"),
        ("trixie", "amd64"),
        ("sid", "amd64"),
        ("bookworm", "i386"),
    ] {
        let packages = ["apt", "bash", "coreutils", "dpkg", "libc-bin", "perl-base"];
        let sources = [ImageSource::Apt(source(suite, architecture, &packages))];
        let programs = BTreeMap::new();
        let disk = measured(&format!("{suite} {architecture}"), || {
            supply.image(&sources, &programs)
        })
        .unwrap();
        let again = measured("  again", || supply.image(&sources, &programs)).unwrap();
        assert_eq!(disk, again);
        say(&format!(
            "  {} MB {}",
            size(&disk.path) / 1_000_000,
            disk.path.display()
        ));
    }
}

#[test]
#[ignore = "fetches from the Debian mirror; MATRIX_REAL_FOLDER names a folder to make an image of"]
fn a_folder_becomes_a_disk() {
    let Some(folder) = std::env::var_os("MATRIX_REAL_FOLDER") else {
        say("MATRIX_REAL_FOLDER is not set: nothing to do");
        return;
    };
    let place = place();
    let supply = supply(&place.root);
    let sources = [ImageSource::Directory(folder.into())];
    let disk = measured("folder", || supply.image(&sources, &BTreeMap::new())).unwrap();
    let again = measured("  again", || supply.image(&sources, &BTreeMap::new())).unwrap();
    assert_eq!(disk, again);
    say(&format!(
        "  {} MB {} {}",
        size(&disk.path) / 1_000_000,
        disk.digest,
        disk.path.display()
    ));
}
