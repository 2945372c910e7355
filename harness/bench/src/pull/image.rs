//! The image: what Debian's packages bring, in a few layers, as an OCI layout.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use supply::oci::Digest;
use supply::tree::{Kind, Member, Spool, Tree};
use supply::{Apt, Cache, Http, HttpOptions, Silent};

use super::prepared;
use crate::bed::BenchError;

pub(super) const SUITE: &str = "bookworm";

/// Compilers, interpreters, documentation: the sort of thing that images are large of.
const PACKAGES: [&str; 10] = [
    "build-essential",
    "clang",
    "cmake",
    "git",
    "golang-go",
    "openjdk-17-jre-headless",
    "perl-doc",
    "python3-pip",
    "vim",
    "emacs-nox",
];

const LAYERS: u64 = 4;

/// What was made.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Made {
    pub(super) packages: usize,
    pub(super) layers: usize,
    /// Bytes of all layers' archives.
    pub(super) plain: u64,
    /// The same in gzip.
    pub(super) compressed: u64,
}

/// Makes it: packages until there are so many bytes of files.
pub(super) fn make(layout: &Path, bytes: u64) -> Result<Made, BenchError> {
    let blobs = layout.join("blobs/sha256");
    fs_err::create_dir_all(&blobs)?;
    let spool = prepared(layout, Spool::new(layout))?;
    let (mut made, mut layers, mut diff_ids) = (
        Made {
            packages: 0,
            layers: 0,
            plain: 0,
            compressed: 0,
        },
        Vec::new(),
        Vec::new(),
    );
    let mut tree = Tree::new();
    let (mut in_tree, mut in_all) = (0, 0);
    let packages = fetched()?;
    let last = packages.len().saturating_sub(1);
    for (number, package) in packages.iter().enumerate() {
        let brought = add(&mut tree, package, &spool)?;
        made.packages += 1;
        in_tree += brought;
        in_all += brought;
        let enough = in_all >= bytes || number == last;
        if in_tree >= bytes / LAYERS || enough {
            let layer = layer(&std::mem::take(&mut tree), &blobs)?;
            made.layers += 1;
            made.plain += layer.plain;
            made.compressed += layer.compressed;
            layers.push(json!({
                "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                "digest": layer.digest, "size": layer.compressed,
            }));
            diff_ids.push(layer.diff_id);
            in_tree = 0;
        }
        if enough {
            break;
        }
    }
    let blob = |value: &serde_json::Value| -> Result<(String, usize), BenchError> {
        let bytes = value.to_string().into_bytes();
        let digest = Digest::of(&bytes);
        fs_err::write(blobs.join(digest.hex()), &bytes)?;
        Ok((digest.to_string(), bytes.len()))
    };
    let (config, config_size) = blob(&json!({
        "os": "linux", "architecture": "amd64", "config": {},
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    }))?;
    let (manifest, manifest_size) = blob(&json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": config, "size": config_size,
        },
        "layers": layers,
    }))?;
    let index = json!({ "schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": manifest, "size": manifest_size,
        "annotations": { "org.opencontainers.image.ref.name": "made" },
    }] });
    fs_err::write(layout.join("index.json"), index.to_string())?;
    fs_err::write(
        layout.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )?;
    Ok(made)
}

/// The packages' files, in the order of the archive's index.
fn fetched() -> Result<Vec<PathBuf>, BenchError> {
    let prepare = |error: &dyn std::fmt::Display| BenchError::prepare("Debian's packages", error);
    let root = Cache::default_root().map_err(|error| prepare(&error))?;
    let cache = Arc::new(Cache::open(&root).map_err(|error| prepare(&error))?);
    let http = Arc::new(Http::new(HttpOptions::default(), Arc::new(Silent)));
    let apt = Apt::new(cache, http, Arc::new(Silent));
    let source = plan::AptSource {
        suites: vec![plan::AptSuite {
            archive: plan::Archive::Debian,
            suite: SUITE.to_owned(),
            allow_expired: false,
        }],
        packages: PACKAGES.map(str::to_owned).to_vec(),
        architecture: "amd64".to_owned(),
        pinned: Vec::new(),
    };
    let universe = apt.open(&source).map_err(|error| prepare(&error))?;
    let closure = universe.closure(&source.packages, true);
    let closure = closure.map_err(|error| prepare(&error))?;
    apt.fetch_all(&closure).map_err(|error| prepare(&error))
}

/// Puts a package's files in; how many bytes it brought.
fn add(tree: &mut Tree, package: &Path, spool: &Arc<Spool>) -> Result<u64, BenchError> {
    let deb = prepared(package, supply::deb::read(package, spool))?;
    let mut bytes = 0;
    for member in &deb.members {
        let put = match member {
            Member::Inode { path, inode } => {
                if let Kind::File(content) = &inode.kind {
                    bytes += content.length();
                }
                tree.insert_keeping_links(path, inode.clone())
            }
            Member::Link { path, target } => tree.link(path, target),
        };
        prepared(package, put)?;
    }
    Ok(bytes)
}

struct Layer {
    digest: String,
    diff_id: String,
    plain: u64,
    compressed: u64,
}

/// Counts and sums up what goes through.
struct Summed<W> {
    inner: W,
    hash: Sha256,
    bytes: u64,
}

impl<W> Summed<W> {
    fn new(inner: W) -> Self {
        Self {
            inner,
            hash: Sha256::new(),
            bytes: 0,
        }
    }
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hash.update(&bytes[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn named(hash: Sha256) -> String {
    let digits: String = hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{digits}")
}

fn layer(tree: &Tree, blobs: &Path) -> Result<Layer, BenchError> {
    let place = blobs.join("layer");
    let file = BufWriter::with_capacity(1 << 20, fs_err::File::create(&place)?);
    // docker's own level is the library's default.
    let level = flate2::Compression::default();
    let encoder = flate2::write::GzEncoder::new(Summed::new(file), level);
    let mut plain = Summed::new(BufWriter::with_capacity(128 << 10, encoder));
    prepared(&place, supply::tree::write_tar(tree, &mut plain))?;
    let Summed { inner, hash, bytes } = plain;
    let encoder = inner.into_inner().map_err(io::IntoInnerError::into_error)?;
    let mut compressed = encoder.finish()?;
    compressed.flush()?;
    let layer = Layer {
        diff_id: named(hash),
        plain: bytes,
        compressed: compressed.bytes,
        digest: named(compressed.hash),
    };
    fs_err::rename(&place, blobs.join(&layer.digest["sha256:".len()..]))?;
    Ok(layer)
}
