//! Kernels from packages of RPM repositories, whole or split.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::unpacked::{IMAGE, unpacked};
use super::{KernelError, KernelFiles, packaged};
use crate::cache::{Cache, Key, hex};
use crate::rpm::{Fetched, KernelSet, RpmError, Trust};

/// Changes whenever the same packages would give another folder.
const VERSION: &str = "kernel-rpm-v1";

/// Whether the kernel of these packages is unpacked already.
pub(crate) fn rpms_unpacked(set: &KernelSet, cache: &Cache) -> bool {
    cache.get("kernel", &key(set)).is_some()
}

fn key(set: &KernelSet) -> Key {
    let trust = Key::new(VERSION).with("trust", set.trust.key());
    set.packages.iter().fold(trust, |key, package| {
        key.with("rpm", package.checksum.to_string())
    })
}

/// What is known once the packages are fetched.
#[derive(Debug, Serialize, Deserialize)]
struct Said {
    /// The package that has the image.
    image_package: usize,
    /// SHA-256 of each .rpm.
    sha256: Vec<String>,
    /// Fingerprint of the key that signed the one with the image, where packages had
    /// to be signed.
    fingerprint: Option<String>,
}

/// The kernel these packages make: from the cache, or unpacked from what `fetch`
/// gives. What was verified in one way is not taken as verified in another.
///
/// # Errors
/// When they cannot be fetched, verified or read, or hold no kernel.
pub fn rpms(
    set: &KernelSet,
    cache: &Cache,
    fetch: impl FnOnce() -> Result<Vec<Fetched>, RpmError>,
) -> Result<KernelFiles, KernelError> {
    let (mut files, said) = unpacked(cache, &key(set), |root| make(set, root, fetch))?;
    let image = set
        .packages
        .get(said.image_package)
        .ok_or_else(|| KernelError::Record {
            path: files.image.clone(),
        })?;
    let signature = match (&set.trust, &said.fingerprint) {
        (Trust::Nobody, _) => "none".to_owned(),
        (Trust::Repository { fingerprint, .. }, _) => format!("repomd.xml by {fingerprint}"),
        (Trust::Packages { .. }, Some(fingerprint)) => format!("packages by {fingerprint}"),
        (Trust::Packages { .. }, None) => "packages".to_owned(),
    };
    files.package = BTreeMap::from([
        ("name".to_owned(), image.name.clone()),
        ("version".to_owned(), image.evr.to_string()),
        ("url".to_owned(), set.url(image)),
        ("signature".to_owned(), signature),
    ]);
    let mut hash = Sha256::new();
    for (at, sha256) in said.sha256.iter().enumerate() {
        hash.update(sha256.as_bytes());
        hash.update(b"\n");
        if at == said.image_package {
            files.package.insert("sha256".to_owned(), sha256.clone());
        } else if let Some(part) = set.packages.get(at) {
            // Which packages a split kernel came from, each with what it came to.
            files
                .package
                .insert(format!("{}.sha256", part.name), sha256.clone());
        }
    }
    if !image.checksum.algorithm.is_strong() {
        files
            .package
            .insert("checksum".to_owned(), image.checksum.to_string());
    }
    files.digest = format!("sha256:{}", hex(&hash.finalize()));
    Ok(files)
}

fn make(
    set: &KernelSet,
    root: &Path,
    fetch: impl FnOnce() -> Result<Vec<Fetched>, RpmError>,
) -> Result<Said, KernelError> {
    let fetched = fetch()?;
    let image = root.join(IMAGE);
    let mut image_package = None;
    let signed = matches!(set.trust, Trust::Packages { .. });
    for (at, package) in fetched.iter().enumerate() {
        package.file.extract(root, &packaged::place, signed)?;
        if image_package.is_none() && image.exists() {
            image_package = Some(at);
        }
    }
    let Some(image_package) = image_package else {
        let names: Vec<&str> = set
            .packages
            .iter()
            .map(|package| package.name.as_str())
            .collect();
        return Err(KernelError::NoImage {
            packages: names.join(", "),
        });
    };
    Ok(Said {
        image_package,
        sha256: fetched
            .iter()
            .map(|package| package.sha256.clone())
            .collect(),
        fingerprint: fetched
            .get(image_package)
            .and_then(|package| package.fingerprint.clone()),
    })
}
