//! Opening suites and fetching packages.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{AptError, Package, Universe};
use crate::cache::Cache;
use crate::http::Http;
use crate::openpgp::Keyring;
use crate::progress::Progress;

/// Settings of the apt client.
#[derive(Clone, Debug)]
pub struct AptOptions {
    /// A cached Release younger than this is used without asking the archive.
    pub fresh: Duration,
}

/// Opens suites of Debian-style archives and fetches their packages.
pub struct Apt;
impl Apt {
    /// With the keys shipped and the default settings.
    pub fn new(cache: Arc<Cache>, http: Arc<Http>, progress: Arc<dyn Progress>) -> Apt {
        todo!()
    }
    /// With other keys.
    #[must_use]
    pub fn with_keyring(self, keyring: Keyring) -> Apt {
        todo!()
    }
    /// With other settings.
    #[must_use]
    pub fn with_options(self, options: AptOptions) -> Apt {
        todo!()
    }
    /// The suites of one source taken together, as apt would.
    pub fn open(&self, source: &plan::AptSource) -> Result<Universe, AptError> {
        todo!()
    }
    /// The verified .deb in the cache, fetched if it is not there.
    pub fn fetch(&self, package: &Package) -> Result<PathBuf, AptError> {
        todo!()
    }
    /// Several at once, four at a time; in the order given.
    pub fn fetch_all(&self, packages: &[&Package]) -> Result<Vec<PathBuf>, AptError> {
        todo!()
    }
}
