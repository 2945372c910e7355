//! `source` of an image that is not made of packages: a registry's, an archive's, a
//! container engine's, a tar's.

use std::path::Path;

use crate::document::{Refusal, Table};
use crate::source::{architecture, one_word, path, url};
use crate::{
    ArchiveSource, Checksum, DaemonSource, DownloadSource, Engine, ImageReference, ImageSource,
    OciSource,
};

/// `oci = "REGISTRY/NAME:TAG"`.
pub(crate) fn oci(mut table: Table<'_>) -> Option<ImageSource> {
    table.describe("an oci source");
    let reference = table.value("oci").and_then(|value| {
        value.parsed(|text| {
            let text = text.strip_prefix("docker://").unwrap_or(text);
            ImageReference::parse(text).map_err(|error| {
                Refusal::new(error.to_string())
                    .hint("write it as docker.io/library/alpine:3.20 or with @sha256:…")
            })
        })
    });
    let architecture = platform(&table);
    let insecure = match table.value("insecure") {
        Some(value) => value.boolean(),
        None => Some(false),
    };
    table.finish();
    Some(ImageSource::Oci(OciSource {
        reference: reference?,
        architecture: architecture?,
        insecure: insecure?,
    }))
}

/// `archive = "FILE"`.
pub(crate) fn archive(mut table: Table<'_>, project: &Path) -> Option<ImageSource> {
    table.describe("an archive source");
    let path = path(&table, "archive", project);
    let image = table
        .value("image")
        .map(|value| value.parsed(one_word("image")));
    let architecture = platform(&table);
    table.finish();
    Some(ImageSource::Archive(ArchiveSource {
        path: path?,
        image: image.map_or(Some(None), |given| given.map(Some))?,
        architecture: architecture?,
    }))
}

/// `daemon = "docker"` with the image beside it.
pub(crate) fn daemon(mut table: Table<'_>) -> Option<ImageSource> {
    table.describe("a daemon source");
    let engine = table.value("daemon").and_then(|value| {
        value.parsed(|word| match word {
            "docker" => Ok(Engine::Docker),
            "podman" => Ok(Engine::Podman),
            _ => Err(Refusal::unknown("engine", word, &["docker", "podman"])),
        })
    });
    let image = table
        .required("image", "\"alpine:3.20\"")
        .and_then(|value| {
            value.parsed(|text| {
                let text = one_word("image")(text)?;
                if text.starts_with('-') {
                    // It would be taken for an option of the engine's.
                    return Err(Refusal::new(format!("`{text}` cannot be an image's name")));
                }
                Ok(text)
            })
        });
    table.finish();
    Some(ImageSource::Daemon(DaemonSource {
        engine: engine?,
        image: image?,
    }))
}

/// `tarball = PATH`, or a URL with what its bytes must come to.
pub(crate) fn tarball(mut table: Table<'_>, project: &Path) -> Option<ImageSource> {
    table.describe("a tarball source");
    let value = table.value("tarball")?;
    let remote = value
        .clone()
        .parsed(|text| Ok(text.starts_with("http://") || text.starts_with("https://")))?;
    if !remote {
        let tarball = path(&table, "tarball", project);
        for key in ["sha256", "checksums"] {
            if table.has(key) {
                table.report(
                    Refusal::new(format!("`{key}` beside a tarball of this machine"))
                        .hint("a digest is for what is fetched: a URL as `tarball`")
                        .at(&table.place()),
                );
                table.value(key);
            }
        }
        table.finish();
        return Some(ImageSource::Tarball(tarball?));
    }
    let address = value.parsed(url);
    let checksum = checksum(&table, "a tarball");
    table.finish();
    Some(ImageSource::Download(DownloadSource {
        url: address?,
        checksum: checksum?,
    }))
}

/// What a fetched file must come to: `sha256`, or `checksums`.
pub(crate) fn checksum(table: &Table<'_>, what: &str) -> Option<Checksum> {
    let sha256 = table.value("sha256").map(|value| value.parsed(sha256));
    let checksums = table.value("checksums").map(|value| value.parsed(url));
    match (sha256, checksums) {
        (Some(digest), None) => digest.map(Checksum::Sha256),
        (None, Some(file)) => file.map(Checksum::File),
        (given, _) => {
            let message = if given.is_some() {
                "`sha256` and `checksums` at once".to_owned()
            } else {
                format!("{what} that is fetched, without `sha256` or `checksums`")
            };
            table.report(
                Refusal::new(message)
                    .hint("give one: sha256 = \"64 hexadecimal digits\", or checksums = \"URL of a SHA256SUMS\"")
                    .at(&table.place()),
            );
            None
        }
    }
}

fn platform(table: &Table<'_>) -> Option<String> {
    match table.value("architecture") {
        Some(value) => value.parsed(|text| match text {
            // The registries' own word for it.
            "386" => Ok("i386".to_owned()),
            _ => architecture(text),
        }),
        None => Some("amd64".into()),
    }
}

fn sha256(text: &str) -> Result<String, Refusal> {
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(Refusal::new(format!("`{text}` is no SHA-256"))
        .hint("64 hexadecimal digits, as sha256sum prints"))
}
