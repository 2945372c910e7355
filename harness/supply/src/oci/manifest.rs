//! Manifests and indexes: docker's schema 2 and OCI's.

use serde::Deserialize;

use super::{Digest, OciError};

/// The Accept header: everything that is read.
pub const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// The most bytes a manifest or index may have: registries take 4 MiB.
pub const LARGEST: u64 = 4 << 20;

/// The most layers an image may have; docker makes no more than 127.
const MOST_LAYERS: usize = 1024;

const SCHEMA_1: &str = "a manifest of docker's schema 1, which names no configuration and which \
    registries stopped serving\nhint: pull it with an old docker and push it again, or take another tag";

/// What a name or digest of an image stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// One image for one platform.
    Manifest(Manifest),
    /// The same image for several.
    Index(Vec<Descriptor>),
}

/// An image: its configuration and its layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The configuration.
    pub config: Descriptor,
    /// From the lowest up.
    pub layers: Vec<Descriptor>,
}

/// A blob or a manifest, by digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// What it is, in the registries' words.
    pub media_type: String,
    /// Of its bytes.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    /// Of a manifest in an index.
    pub platform: Option<Platform>,
    /// `org.opencontainers.image.ref.name` and its like.
    pub names: Vec<String>,
}

/// What an image runs on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// Go's word: `amd64`, `386`.
    pub architecture: String,
    /// `v2` of amd64: the level it needs.
    pub variant: Option<String>,
}

impl std::fmt::Display for Platform {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(formatter, "/{variant}"),
            None => Ok(()),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDocument {
    schema_version: Option<u64>,
    #[serde(default)]
    media_type: String,
    config: Option<RawDescriptor>,
    layers: Option<Vec<RawDescriptor>>,
    manifests: Option<Vec<RawDescriptor>>,
    artifact_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDescriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: u64,
    platform: Option<RawPlatform>,
    annotations: Option<std::collections::BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct RawPlatform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    variant: Option<String>,
}

/// Reads a manifest or an index; which of them it is is told by what it holds, and
/// one that could be either is refused, as two readers might take it for different
/// images. `what` is whose it is, for messages.
///
/// # Errors
/// When it is neither, or not of an image that can be read.
pub fn parse(bytes: &[u8], what: &str) -> Result<Document, OciError> {
    let refuse = |reason: String| OciError::Document {
        what: what.to_owned(),
        reason,
    };
    let raw: RawDocument = serde_json::from_slice(bytes)
        .map_err(|error| refuse(format!("not a manifest: {error}")))?;
    if raw.schema_version == Some(1) {
        return Err(refuse(SCHEMA_1.to_owned()));
    }
    if raw.schema_version != Some(2) {
        return Err(refuse("a manifest of no known schema".to_owned()));
    }
    let is_index = raw.media_type.contains("index") || raw.media_type.contains("manifest.list");
    match (raw.manifests, raw.config, raw.layers) {
        (Some(manifests), None, None) if is_index || raw.media_type.is_empty() => {
            let manifests: Result<Vec<Descriptor>, OciError> = manifests
                .into_iter()
                // Another algorithm's entries are not ours to choose.
                .filter(|raw| Digest::parse(&raw.digest).is_some())
                .map(|raw| descriptor(raw, what))
                .collect();
            Ok(Document::Index(manifests?))
        }
        (None, Some(config), Some(layers)) if !is_index => {
            let kind = raw.artifact_type.unwrap_or_default();
            if !is_config(&config.media_type) {
                let kind = if kind.is_empty() {
                    config.media_type
                } else {
                    kind
                };
                return Err(refuse(format!(
                    "no image of a root file system but `{kind}`"
                )));
            }
            if layers.len() > MOST_LAYERS {
                return Err(refuse(format!(
                    "{} layers, where at most {MOST_LAYERS} are taken",
                    layers.len()
                )));
            }
            let layers: Result<Vec<Descriptor>, OciError> = layers
                .into_iter()
                .map(|raw| {
                    if !is_layer(&raw.media_type) {
                        return Err(refuse(format!(
                            "a layer of type `{}`, which is not read",
                            raw.media_type
                        )));
                    }
                    descriptor(raw, what)
                })
                .collect();
            Ok(Document::Manifest(Manifest {
                config: descriptor(config, what)?,
                layers: layers?,
            }))
        }
        _ => Err(refuse(
            "neither a manifest (config and layers) nor an index (manifests)".to_owned(),
        )),
    }
}

fn descriptor(raw: RawDescriptor, what: &str) -> Result<Descriptor, OciError> {
    let Some(digest) = Digest::parse(&raw.digest) else {
        return Err(OciError::Document {
            what: what.to_owned(),
            reason: format!("`{}` is no SHA-256 digest", raw.digest),
        });
    };
    let names = raw
        .annotations
        .unwrap_or_default()
        .into_iter()
        .filter(|(key, _)| {
            matches!(
                key.as_str(),
                "org.opencontainers.image.ref.name" | "io.containerd.image.name"
            )
        })
        .map(|(_, name)| name)
        .collect();
    Ok(Descriptor {
        media_type: raw.media_type,
        digest,
        size: raw.size,
        platform: raw.platform.map(|platform| Platform {
            os: platform.os,
            architecture: platform.architecture,
            variant: platform.variant.filter(|variant| !variant.is_empty()),
        }),
        names,
    })
}

fn is_config(media_type: &str) -> bool {
    matches!(
        media_type,
        "" | "application/vnd.oci.image.config.v1+json"
            | "application/vnd.docker.container.image.v1+json"
    )
}

/// How it is compressed is told by its bytes, as every reader does.
fn is_layer(media_type: &str) -> bool {
    let known = [
        "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.foreign.diff.tar",
    ];
    let bare = media_type
        .trim_end_matches("+gzip")
        .trim_end_matches("+zstd")
        .trim_end_matches(".gzip")
        .trim_end_matches(".zstd");
    media_type.is_empty() || known.contains(&bare)
}

/// The one of an index for this platform. Of several levels of amd64 the lowest is
/// taken: it runs on every CPU a kernel is started with.
///
/// # Errors
/// When there is none.
pub fn choose<'index>(
    manifests: &'index [Descriptor],
    architecture: &str,
    what: &str,
) -> Result<&'index Descriptor, OciError> {
    let word = go_word(architecture);
    let chosen = manifests
        .iter()
        .filter(|manifest| {
            manifest
                .platform
                .as_ref()
                .is_some_and(|platform| platform.os == "linux" && platform.architecture == word)
        })
        .min_by_key(|manifest| {
            let platform = manifest.platform.as_ref();
            platform.and_then(|platform| platform.variant.clone())
        });
    if let Some(chosen) = chosen {
        return Ok(chosen);
    }
    // An index of one that does not say what it is for: its configuration does.
    if let [only] = manifests
        && only.platform.is_none()
    {
        return Ok(only);
    }
    let found: Vec<String> = manifests
        .iter()
        .map(|manifest| match &manifest.platform {
            Some(platform) => platform.to_string(),
            None => "one that does not say".to_owned(),
        })
        // What build tools attest is listed as unknown/unknown.
        .filter(|platform| platform != "unknown/unknown")
        .collect();
    Err(OciError::Platform {
        what: what.to_owned(),
        wanted: format!("linux/{word}"),
        found: if found.is_empty() {
            "none at all".to_owned()
        } else {
            found.join(", ")
        },
    })
}

/// The registries' word for one of ours.
pub fn go_word(architecture: &str) -> &str {
    match architecture {
        "i386" => "386",
        other => other,
    }
}

#[cfg(test)]
mod tests;
