//! Why an image cannot be had from where it is.

use std::io;
use std::path::PathBuf;

use crate::cache::CacheError;
use crate::http::HttpError;
use crate::tree::{ContentError, LayerError, TarError};

/// Why an image cannot be had from where it is.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// The registry cannot be reached or refuses.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The registry has no such image.
    #[error("{reference}: the registry has no such image{words}")]
    NoImage {
        /// What was asked for.
        reference: String,
        /// What it says, after a colon.
        words: String,
    },
    /// The registry shows this image to nobody, or not to this user.
    #[error("{reference}: the registry refuses{words}\nhint: {hint}")]
    Refused {
        /// What was asked for.
        reference: String,
        /// What it says, after a colon.
        words: String,
        /// What may mend it.
        hint: String,
    },
    /// A registry wants a login in a way that is not spoken.
    #[error("{registry}: the registry wants a login by {scheme}, which is not spoken")]
    Scheme {
        /// The registry.
        registry: String,
        /// The schemes it offers.
        scheme: String,
    },
    /// Credentials would travel in the open.
    #[error(
        "{url}: a login over plain http, which all on the way could read\nhint: `insecure = true` in the source allows it"
    )]
    OpenLogin {
        /// Where.
        url: String,
    },
    /// The answer to a login is none.
    #[error("{url}: the answer to a login has no token in it")]
    Token {
        /// Where.
        url: String,
    },
    /// Both ways to speak to a registry failed.
    #[error("{secure}; and over plain http: {plain}")]
    Neither {
        /// The error over TLS.
        secure: Box<OciError>,
        /// The error without.
        plain: Box<OciError>,
    },
    /// Nothing of it is in the cache, and fetching is forbidden.
    #[error(
        "{reference}: not in the cache, and --offline forbids asking the registry\nhint: `matrix fetch` without --offline fills the cache"
    )]
    Offline {
        /// What was asked for.
        reference: String,
    },
    /// A manifest, an index or a configuration is none.
    #[error("{what}: {reason}")]
    Document {
        /// Whose.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The image is there for other machines only.
    #[error("{what}: there is no {wanted} in it; it has {found}")]
    Platform {
        /// Which image.
        what: String,
        /// The platform asked for.
        wanted: String,
        /// Those it has.
        found: String,
    },
    /// Something is not what its digest says.
    #[error("{what}: its digest is {actual} where {expected} was expected")]
    Digest {
        /// What.
        what: String,
        /// As named.
        expected: String,
        /// As found.
        actual: String,
    },
    /// A layer's archive is broken or holds what no root file system can.
    #[error("{layer}: {source}")]
    Layer {
        /// Which.
        layer: String,
        /// Why.
        source: TarError,
    },
    /// A layer's compression is broken or not read.
    #[error("{layer}: {reason}")]
    Compression {
        /// Which.
        layer: String,
        /// Why.
        reason: String,
    },
    /// A layer cannot be laid over those below.
    #[error("{layer}: {source}")]
    Apply {
        /// Which.
        layer: String,
        /// Why.
        source: LayerError,
    },
    /// A file of an archive is not there, or not a file.
    #[error("{}: {name} {reason}", archive.display())]
    Member {
        /// The archive.
        archive: PathBuf,
        /// The file in it.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An archive cannot be read.
    #[error("{}: {source}", archive.display())]
    Archive {
        /// The archive.
        archive: PathBuf,
        /// Why.
        source: TarError,
    },
    /// A file or folder holds no image.
    #[error("{}: neither what `docker save` writes nor an OCI layout: it has no manifest.json and no index.json\nhint: a root file system is `tarball = …` or `directory = …`", archive.display())]
    NotAnArchive {
        /// The file or folder.
        archive: PathBuf,
    },
    /// Several images, and none was chosen, or one that is not there.
    #[error("{}: {problem}; it has {names}\nhint: `image = \"…\"` beside `archive` chooses one", archive.display())]
    Choice {
        /// The archive.
        archive: PathBuf,
        /// Why none is taken.
        problem: String,
        /// Those it has.
        names: String,
    },
    /// A container engine did not give the image.
    #[error("{engine}: {reason}")]
    Engine {
        /// Its command.
        engine: String,
        /// Why.
        reason: String,
    },
    /// A helper of docker's did not give credentials.
    #[error("{helper}: {reason}\nhint: the docker configuration names it for this registry")]
    Helper {
        /// Its command.
        helper: String,
        /// Why.
        reason: String,
    },
    /// A file of credentials is broken.
    #[error("{}: {reason}", path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A variable of the environment says nothing that can be used.
    #[error("{variable}: {reason}")]
    Variable {
        /// Its name.
        variable: &'static str,
        /// Why.
        reason: String,
    },
    /// Content could not be stored or read.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The cache could not be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A file could not be read or written; the message has its path.
    #[error(transparent)]
    File(#[from] io::Error),
}

impl OciError {
    /// What came is at fault, not the way to it: nothing of it is to be kept.
    pub(crate) fn is_images_fault(&self) -> bool {
        matches!(
            self,
            Self::Document { .. }
                | Self::Digest { .. }
                | Self::Layer { .. }
                | Self::Compression { .. }
                | Self::Apply { .. }
                | Self::Http(
                    HttpError::TooLarge { .. }
                        | HttpError::Redirects { .. }
                        | HttpError::Status {
                            status: 300..=399,
                            ..
                        }
                        | HttpError::WrongSize { .. }
                        | HttpError::WrongDigest { .. }
                )
        )
    }
}
