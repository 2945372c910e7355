//! Images as registries, archives and container engines have them: a manifest that
//! names layers, each an archive laid over those before it.
//!
//! [`registry`] speaks the distribution protocol, [`archive`] reads what `docker save`
//! and skopeo write; both come to a [`Manifest`] and to layers that [`unpack`] lays
//! over one another. Every byte is held against a digest: a manifest's against what
//! named it, the configuration's and a layer's against the manifest, and a layer's
//! plain bytes once more against the configuration, whose digest is therefore all that
//! went into an image.

pub mod archive;
mod challenge;
pub mod config;
mod credentials;
mod daemon;
mod endpoints;
mod error;
pub mod manifest;
pub mod registry;
mod requests;
mod tail;
mod token;
pub mod unpack;

pub use config::ImageConfig;
pub use error::OciError;
pub use manifest::{Descriptor, Document, Manifest};
pub use registry::{Registries, Resolved};

pub(crate) use daemon::{id as engine_id, saved};

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::cache::hex;

/// A SHA-256, as images are named by: `sha256:` and 64 digits in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    text: String,
}

impl Digest {
    const PREFIX: &'static str = "sha256:";

    /// Reads one; none where it is none, or by another algorithm.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(Self::PREFIX)?;
        let good = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
        (digits.len() == 64 && digits.bytes().all(good)).then(|| Self {
            text: text.to_owned(),
        })
    }

    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_hash(&Sha256::digest(bytes))
    }

    pub(crate) fn from_hash(hash: &[u8]) -> Self {
        Self {
            text: format!("{}{}", Self::PREFIX, hex(hash)),
        }
    }

    /// The 64 digits.
    pub fn hex(&self) -> &str {
        &self.text[Self::PREFIX.len()..]
    }

    /// With the algorithm.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// What an image may come to; more is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all files of all layers together, holes counted.
    pub bytes: u64,
    /// Entries of all layers together.
    pub entries: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 16 << 30,
            entries: 1_000_000,
        }
    }
}

impl Limits {
    /// The default, or what `MATRIX_IMAGE_MIB` and `MATRIX_IMAGE_ENTRIES` say.
    ///
    /// # Errors
    /// When one of them is no number.
    pub fn from_environment() -> Result<Self, OciError> {
        let number = |variable: &'static str| match std::env::var(variable) {
            Ok(text) if !text.is_empty() => match text.parse::<u64>() {
                Ok(number) if number > 0 => Ok(Some(number)),
                _ => Err(OciError::Variable {
                    variable,
                    reason: format!("`{text}` is no number above zero"),
                }),
            },
            _ => Ok(None),
        };
        let usual = Self::default();
        Ok(Self {
            bytes: number("MATRIX_IMAGE_MIB")?
                .map_or(usual.bytes, |mebibytes| mebibytes.saturating_mul(1 << 20)),
            entries: number("MATRIX_IMAGE_ENTRIES")?.unwrap_or(usual.entries),
        })
    }
}
