//! An image's configuration: what its containers run with, and what its layers are.

use serde::{Deserialize, Serialize};

use super::{Digest, OciError, manifest};

/// The most bytes a configuration may have.
pub const LARGEST: u64 = 8 << 20;

/// What an image says of how its containers run; empty where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// Variables, in order.
    pub environment: Vec<(String, String)>,
    /// `UID[:GID]` or names.
    pub user: Option<String>,
    /// Absolute.
    pub directory: Option<String>,
    /// What goes before a command.
    pub entrypoint: Vec<String>,
}

/// A configuration, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How its containers run.
    pub image: ImageConfig,
    /// Of each layer's plain bytes, from the lowest up.
    pub diff_ids: Vec<Digest>,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    config: Option<RawConfig>,
    rootfs: Option<RawRoot>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawConfig {
    env: Option<Vec<String>>,
    user: Option<String>,
    working_dir: Option<String>,
    entrypoint: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct RawRoot {
    diff_ids: Vec<String>,
}

/// Reads a configuration. `what` is whose it is, for messages.
///
/// # Errors
/// When it is none, is for another architecture or system, or has not as many layers.
pub fn parse(
    bytes: &[u8],
    what: &str,
    architecture: &str,
    layers: usize,
) -> Result<Config, OciError> {
    let refuse = |reason: String| OciError::Document {
        what: what.to_owned(),
        reason,
    };
    let raw: Raw = serde_json::from_slice(bytes)
        .map_err(|error| refuse(format!("not an image's configuration: {error}")))?;
    let wanted = manifest::go_word(architecture);
    if raw.os != "linux" || raw.architecture != wanted {
        return Err(OciError::Platform {
            what: what.to_owned(),
            wanted: format!("linux/{wanted}"),
            found: format!("{}/{}", raw.os, raw.architecture),
        });
    }
    let root = raw
        .rootfs
        .ok_or_else(|| refuse("the configuration names no layers (rootfs)".to_owned()))?;
    if root.diff_ids.len() != layers {
        return Err(refuse(format!(
            "the configuration names {} layers, the manifest {layers}",
            root.diff_ids.len()
        )));
    }
    let diff_ids: Option<Vec<Digest>> = root
        .diff_ids
        .iter()
        .map(|digest| Digest::parse(digest))
        .collect();
    let diff_ids = diff_ids
        .ok_or_else(|| refuse("a diff_id in the configuration is no SHA-256".to_owned()))?;
    let config = raw.config.unwrap_or_default();
    // None of these can be handed to a process with a NUL byte in it.
    let texts = [&config.user, &config.working_dir].into_iter().flatten();
    if let Some(text) = texts
        .chain(config.entrypoint.iter().flatten())
        .find(|text| text.contains('\0'))
    {
        return Err(refuse(format!(
            "`{text}` in the configuration has a NUL byte"
        )));
    }
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let mut environment = Vec::new();
    for variable in config.env.unwrap_or_default() {
        // Without a `=` it is set to nothing, as docker does.
        let (name, value) = variable.split_once('=').unwrap_or((&variable, ""));
        if name.is_empty() || variable.contains('\0') {
            return Err(refuse(format!("`{variable}` is no variable")));
        }
        environment.push((name.to_owned(), value.to_owned()));
    }
    let directory = given(config.working_dir).map(|directory| {
        if directory.starts_with('/') {
            directory
        } else {
            format!("/{directory}")
        }
    });
    Ok(Config {
        image: ImageConfig {
            environment,
            user: given(config.user),
            directory,
            entrypoint: config.entrypoint.unwrap_or_default(),
        },
        diff_ids,
    })
}

#[cfg(test)]
mod tests;
