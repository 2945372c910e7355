//! Kernels from Debian's packages.
//!
//! Up to 6.18 one package has all: boot/vmlinuz-V, boot/config-V, lib/modules/V.
//! From 6.19 on it is split: usr/lib/modules/V/vmlinuz, the modules and the
//! configuration come from three packages. Boot/System.map-V is left out: since
//! 5.10 it is a line that says where the real one is.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::{KernelError, KernelFiles, local};
use crate::apt::Package;
use crate::cache::{Cache, Key, hex};
use crate::deb;

/// Changes whenever the same packages would give another folder.
const VERSION: &str = "kernel-v1";

const RECORD: &str = "kernel.json";

/// What a package's part in a kernel is known by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packaged {
    /// The package's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where its .deb is.
    pub url: String,
    /// The .deb's SHA-256, hexadecimal.
    pub sha256: String,
}

impl From<&Package> for Packaged {
    fn from(package: &Package) -> Self {
        Self {
            name: package.name.clone(),
            version: package.version.as_str().to_owned(),
            url: format!("{}/{}", package.url, package.filename),
            sha256: package.sha256.clone(),
        }
    }
}

impl From<&plan::LockedPackage> for Packaged {
    fn from(package: &plan::LockedPackage) -> Self {
        Self {
            name: package.name.clone(),
            version: package.version.clone(),
            url: package.url.clone(),
            sha256: package.sha256.clone(),
        }
    }
}

/// Whether the kernel of these packages is unpacked already.
pub(crate) fn is_unpacked(packages: &[Packaged], cache: &Cache) -> bool {
    cache.get("kernel", &key(packages)).is_some()
}

fn key(packages: &[Packaged]) -> Key {
    packages.iter().fold(Key::new(VERSION), |key, package| {
        key.with("deb", &package.sha256)
    })
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    /// The package that has the image.
    image_package: usize,
    release: Option<String>,
}

/// The kernel these packages make: from the cache, or unpacked from the .debs that
/// `fetch` gives, in the same order.
///
/// # Errors
/// When they cannot be fetched or read, or hold no kernel.
pub fn packaged(
    packages: &[Packaged],
    cache: &Cache,
    fetch: impl FnOnce() -> Result<Vec<PathBuf>, KernelError>,
) -> Result<KernelFiles, KernelError> {
    let root = cache.build("kernel", &key(packages), |staging| {
        make(packages, staging, fetch)
    })?;
    let path = root.join(RECORD);
    let record: Record = fs::read(&path)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .ok_or_else(|| KernelError::Record { path: path.clone() })?;
    let image = packages
        .get(record.image_package)
        .ok_or(KernelError::Record { path })?;
    let there = |name: &str| Some(root.join(name)).filter(|path| path.exists());
    Ok(KernelFiles {
        image: root.join("vmlinuz"),
        modules: there("modules"),
        configuration: there("config"),
        release: record.release,
        package: BTreeMap::from([
            ("name".to_owned(), image.name.clone()),
            ("version".to_owned(), image.version.clone()),
            ("url".to_owned(), image.url.clone()),
            ("sha256".to_owned(), image.sha256.clone()),
        ]),
        digest: digest(packages),
    })
}

fn digest(packages: &[Packaged]) -> String {
    use sha2::{Digest as _, Sha256};
    let mut hash = Sha256::new();
    for package in packages {
        hash.update(package.sha256.as_bytes());
        hash.update(b"\n");
    }
    format!("sha256:{}", hex(&hash.finalize()))
}

fn make(
    packages: &[Packaged],
    root: &Path,
    fetch: impl FnOnce() -> Result<Vec<PathBuf>, KernelError>,
) -> Result<(), KernelError> {
    let debs = fetch()?;
    fs::create_dir_all(root)?;
    let image = root.join("vmlinuz");
    let mut image_package = None;
    for (at, path) in debs.iter().enumerate() {
        // Its links lead to headers and out of the folder: none is needed.
        deb::extract(path, root, &place)?;
        if image_package.is_none() && image.exists() {
            image_package = Some(at);
        }
    }
    let Some(image_package) = image_package else {
        let names: Vec<&str> = packages
            .iter()
            .map(|package| package.name.as_str())
            .collect();
        return Err(KernelError::NoImage {
            packages: names.join(", "),
        });
    };
    let record = Record {
        image_package,
        release: local::inspect(&image)?.release,
    };
    let path = root.join(RECORD);
    let text = serde_json::to_vec_pretty(&record)
        .map_err(|_| KernelError::Record { path: path.clone() })?;
    fs::write(path, text)?;
    Ok(())
}

/// Where a file of a kernel package goes: of Debian's and of RPM's, which are laid out
/// alike.
pub(super) fn place(path: &str) -> Option<String> {
    if path.starts_with("boot/vmlinuz-") {
        return Some("vmlinuz".to_owned());
    }
    if path.starts_with("boot/config-") {
        return Some("config".to_owned());
    }
    let path = path.strip_prefix("usr/").unwrap_or(path);
    let (_release, file) = path.strip_prefix("lib/modules/")?.split_once('/')?;
    match file {
        "vmlinuz" | "config" => Some(file.to_owned()),
        "" | "System.map" | "build" | "source" => None,
        // What el's and openSUSE's have beside the modules and nobody loads.
        ".vmlinuz.hmac" | "bls.conf" | "vmlinux.gz" | "vmlinux.xz" | "vmlinux.zst" => None,
        _ if file.starts_with("symvers") || file.starts_with("vdso/") => None,
        _ => Some(format!("modules/{file}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_and_split_packages_land_in_the_same_places() {
        for (path, expected) in [
            ("boot/vmlinuz-6.1.0-50-amd64", Some("vmlinuz")),
            ("boot/config-6.1.0-50-amd64", Some("config")),
            ("boot/System.map-6.1.0-50-amd64", None),
            (
                "lib/modules/6.1.0-50-amd64/kernel/fs/ext4/ext4.ko",
                Some("modules/kernel/fs/ext4/ext4.ko"),
            ),
            (
                "lib/modules/6.1.0-50-amd64/modules.builtin",
                Some("modules/modules.builtin"),
            ),
            ("usr/lib/modules/7.0.1-amd64/vmlinuz", Some("vmlinuz")),
            (
                "usr/lib/modules/7.0.1-amd64/kernel/fs/ext4/ext4.ko.xz",
                Some("modules/kernel/fs/ext4/ext4.ko.xz"),
            ),
            ("usr/lib/modules/7.0.1-amd64/build", None),
            ("boot/vmlinuz-3.10.0-1160.el7.x86_64", Some("vmlinuz")),
            (
                "lib/modules/4.18.0-553.el8_10.x86_64/vmlinuz",
                Some("vmlinuz"),
            ),
            (
                "lib/modules/4.18.0-553.el8_10.x86_64/config",
                Some("config"),
            ),
            (
                "lib/modules/4.18.0-553.el8_10.x86_64/kernel/fs/ext4/ext4.ko.xz",
                Some("modules/kernel/fs/ext4/ext4.ko.xz"),
            ),
            ("lib/modules/5.14.0-503.el9.x86_64/.vmlinuz.hmac", None),
            ("lib/modules/5.14.0-503.el9.x86_64/symvers.gz", None),
            ("usr/lib/modules/6.4.0-150600.23-default/vmlinux.xz", None),
            ("usr/lib/modules/7.0.1-amd64", None),
            ("usr/share/doc/linux-image-6.1.0-50-amd64/copyright", None),
        ] {
            assert_eq!(place(path).as_deref(), expected, "{path}");
        }
    }
}
