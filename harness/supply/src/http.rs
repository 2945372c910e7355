//! Fetching over HTTP.

use crate::progress::Progress;
use std::sync::Arc;

/// Settings of the client.
#[derive(Clone, Debug, Default)]
pub struct HttpOptions {
    /// No network at all.
    pub offline: bool,
}
/// The client.
pub struct Http;
impl Http {
    /// A client.
    pub fn new(options: HttpOptions, progress: Arc<dyn Progress>) -> Result<Http, HttpError> {
        todo!()
    }
}
/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Not fetched because of --offline.
    #[error("{url}: not in the cache, and --offline forbids fetching it")]
    Offline {
        /// What was wanted.
        url: String,
    },
}
