//! `source` of a kernel that is not a package of an apt archive: an RPM
//! repository's, a file that is fetched, a file or folder of this machine, an image.

use std::path::Path;

use crate::document::{Refusal, Table};
use crate::image_source::checksum;
use crate::source::{one_word, package, path, url};
use crate::{ArchiveSource, DownloadSource, ImageReference, KernelSource, OciSource, RpmSource};

/// A guest is one, and kernels have no other here.
const ARCHITECTURE: &str = "amd64";

/// `rpm = "BASEURL"`, with what to take from it.
pub(crate) fn rpm(mut table: Table<'_>, project: &Path) -> Option<KernelSource> {
    table.describe("an rpm source");
    let base = table.value("rpm").and_then(|value| value.parsed(remote));
    let package = package(&table, "\"kernel\"");
    let version = table
        .value("version")
        .map(|value| value.parsed(one_word("version")));
    let key = table.has("key").then(|| path(&table, "key", project));
    // Known even where it is not given, for the list of keys.
    table.value("key");
    let allow_expired = match table.value("allow-expired") {
        Some(value) => value.boolean(),
        None => Some(false),
    };
    table.finish();
    Some(KernelSource::Rpm(RpmSource {
        base: base?,
        package: package?,
        version: version.map_or(Some(None), |given| given.map(Some))?,
        key: key.map_or(Some(None), |given| given.map(Some))?,
        allow_expired: allow_expired?,
    }))
}

/// `url = "…"`, with what its bytes must come to.
pub(crate) fn download(mut table: Table<'_>) -> Option<KernelSource> {
    table.describe("a url source");
    let address = table.value("url").and_then(|value| value.parsed(remote));
    let checksum = checksum(&table, "a kernel");
    table.finish();
    Some(KernelSource::Download(DownloadSource {
        url: address?,
        checksum: checksum?,
    }))
}

/// `path = "…"`: a kernel, a package or tar with one, a build tree.
pub(crate) fn local(mut table: Table<'_>, project: &Path) -> Option<KernelSource> {
    table.describe("a path source");
    let kernel = path(&table, "path", project);
    let modules = path(&table, "modules", project);
    table.finish();
    Some(KernelSource::Path {
        kernel: kernel?,
        modules,
    })
}

/// `oci = "…"`: an image that holds a kernel, in a layout or archive of this machine
/// or in a registry. It is a path where it begins with `/`, `./` or `../` or such a
/// file is there, as on the command line.
pub(crate) fn oci(mut table: Table<'_>, project: &Path) -> Option<KernelSource> {
    table.describe("an oci source");
    let value = table.value("oci")?;
    let text = value.string()?.value;
    let registry = text.strip_prefix("docker://");
    let is_path = registry.is_none()
        && (["/", "./", "../"]
            .iter()
            .any(|start| text.starts_with(start))
            || text.is_empty()
            || project.join(&text).exists());
    if is_path {
        let file = path(&table, "oci", project);
        let image = table
            .value("image")
            .map(|value| value.parsed(one_word("image")));
        table.finish();
        return Some(KernelSource::Archive(ArchiveSource {
            path: file?,
            image: image.map_or(Some(None), |given| given.map(Some))?,
            architecture: ARCHITECTURE.into(),
        }));
    }
    let reference = value.parsed(|text| {
        ImageReference::parse(text.strip_prefix("docker://").unwrap_or(text)).map_err(|error| {
            Refusal::new(error.to_string()).hint(
                "a layout or archive of this machine (./layout), or an image of a registry \
                 (quay.io/lvh-images/kernel-images:6.6-main)",
            )
        })
    });
    let insecure = match table.value("insecure") {
        Some(value) => value.boolean(),
        None => Some(false),
    };
    table.finish();
    Some(KernelSource::Oci(OciSource {
        reference: reference?,
        architecture: ARCHITECTURE.into(),
        insecure: insecure?,
    }))
}

/// As [`url`], and files of this machine too.
fn remote(text: &str) -> Result<String, Refusal> {
    match text.strip_prefix("file://") {
        Some(path) if path.starts_with('/') => Ok(text.trim_end_matches('/').to_owned()),
        Some(_) => Err(Refusal::new(format!("`{text}` is not a URL"))
            .hint("after file:// comes an absolute path: file:///srv/repository")),
        None => url(text)
            .map_err(|refusal| refusal.hint("a URL begins with https://, http:// or file:///")),
    }
}
