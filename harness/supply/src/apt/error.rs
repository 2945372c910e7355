//! What can go wrong with an archive.

use crate::cache::CacheError;
use crate::http::HttpError;

/// What can go wrong with an archive.
#[derive(Debug, thiserror::Error)]
pub enum AptError {
    /// The cache could not be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// Something could not be fetched.
    #[error(transparent)]
    Http(#[from] HttpError),
}
