//! The distribution protocol: from a reference to a manifest, a configuration and
//! layers, each held against its digest.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use plan::{ImageReference, OciSource};

use super::credentials::Store;
use super::endpoints::{Endpoint, Mirrors};
use super::manifest::{self, Document, Manifest};
use super::tail::{Tail, TailReader};
use super::{Descriptor, Digest, Limits, OciError, config, unpack};
use crate::cache::{Cache, CacheError, Key};
use crate::http::{Http, HttpOptions, Want};
use crate::progress::Progress;
use crate::tree::{Budget, Layer, Spool, Tree};

/// How deep indexes may lie in one another.
const DEPTH: usize = 3;

/// The largest layer that is fetched, bytes.
const LARGEST_LAYER: u64 = 32 << 30;

/// All registries. Threads share it; it connects to nothing before it is asked to.
pub struct Registries {
    pub(super) cache: Arc<Cache>,
    pub(super) progress: Arc<dyn Progress>,
    pub(super) offline: bool,
    pub(super) http: Http,
    /// For what is on this machine: past any proxy.
    pub(super) local: Http,
    pub(super) store: Store,
    pub(super) mirrors: Mirrors,
    limits: Limits,
    /// By the place asked and the repository: what authorizes.
    pub(super) tokens: Mutex<HashMap<(String, String), String>>,
    /// By registry: where it was found to answer.
    pub(super) found: Mutex<HashMap<String, Endpoint>>,
    /// What was fetched for an image that is not whole yet: it goes again if the image
    /// is refused.
    fetched: Mutex<HashMap<OciSource, Vec<Digest>>>,
}

impl std::fmt::Debug for Registries {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Registries")
            .field("mirrors", &self.mirrors)
            .finish_non_exhaustive()
    }
}

/// What a reference came to: everything of an image but its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// As asked for.
    pub reference: ImageReference,
    /// Of what the tag names: an index where the image is there for several
    /// platforms. This is what a lock file keeps: `NAME@DIGEST` is the same image for
    /// ever.
    pub digest: Digest,
    /// Of the manifest for the platform.
    pub manifest_digest: Digest,
    /// That manifest.
    pub manifest: Manifest,
}

impl Registries {
    /// Credentials, mirrors and limits are the environment's.
    ///
    /// # Errors
    /// When a variable of the environment cannot be used.
    pub fn new(
        cache: Arc<Cache>,
        options: HttpOptions,
        progress: Arc<dyn Progress>,
    ) -> Result<Self, OciError> {
        let options = HttpOptions {
            secure_redirects: true,
            ..options
        };
        let local = HttpOptions {
            proxy: false,
            ..options.clone()
        };
        Ok(Self {
            cache,
            offline: options.offline,
            http: Http::new(options, Arc::clone(&progress)),
            local: Http::new(local, Arc::clone(&progress)),
            progress,
            store: Store::from_environment(),
            mirrors: Mirrors::from_environment()?,
            limits: Limits::from_environment()?,
            tokens: Mutex::default(),
            found: Mutex::default(),
            fetched: Mutex::default(),
        })
    }

    /// The same with these limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The same, `MATRIX_REGISTRY_MIRRORS` being this text.
    ///
    /// # Errors
    /// When it is not a list of mirrors.
    pub fn with_mirrors(mut self, text: &str) -> Result<Self, OciError> {
        self.mirrors = Mirrors::parse(text).map_err(|reason| OciError::Variable {
            variable: "MATRIX_REGISTRY_MIRRORS",
            reason,
        })?;
        Ok(self)
    }

    /// What an image may come to.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The manifest a reference stands for now. A digest that is in the cache is not
    /// asked for; a tag always is, but where fetching is forbidden: then it is what it
    /// was last.
    ///
    /// # Errors
    /// When the registry cannot be reached or refuses, or has no such image for the
    /// platform.
    pub fn resolve(&self, source: &OciSource) -> Result<Resolved, OciError> {
        let resolved = self.resolved(source);
        self.clear_if_refused(source, resolved)
    }

    fn resolved(&self, source: &OciSource) -> Result<Resolved, OciError> {
        let reference = &source.reference;
        let what = reference.to_string();
        let digest = match &reference.digest {
            Some(digest) => Digest::parse(digest).ok_or_else(|| OciError::Document {
                what: what.clone(),
                reason: format!("`{digest}` is no SHA-256 digest"),
            })?,
            None => self.tag(source)?,
        };
        let mut manifest_digest = digest.clone();
        for _ in 0..DEPTH {
            let bytes = self.document(source, &manifest_digest)?;
            match manifest::parse(&bytes, &what)? {
                Document::Manifest(manifest) => {
                    return Ok(Resolved {
                        reference: reference.clone(),
                        digest,
                        manifest_digest,
                        manifest,
                    });
                }
                Document::Index(manifests) => {
                    manifest_digest = manifest::choose(&manifests, &source.architecture, &what)?
                        .digest
                        .clone();
                }
            }
        }
        Err(OciError::Document {
            what,
            reason: format!("indexes of indexes, more than {DEPTH} deep"),
        })
    }

    /// An image's configuration.
    ///
    /// # Errors
    /// When it cannot be fetched or read, or is for another platform.
    pub fn config(
        &self,
        source: &OciSource,
        resolved: &Resolved,
    ) -> Result<config::Config, OciError> {
        let config = self.read_config(source, resolved);
        self.clear_if_refused(source, config)
    }

    fn read_config(
        &self,
        source: &OciSource,
        resolved: &Resolved,
    ) -> Result<config::Config, OciError> {
        let descriptor = &resolved.manifest.config;
        let what = source.reference.to_string();
        if descriptor.size > config::LARGEST {
            return Err(OciError::Document {
                what,
                reason: format!("a configuration of {} bytes", descriptor.size),
            });
        }
        let path = self.cache.blob(descriptor.digest.hex(), |path| {
            self.blob(source, descriptor, &format!("{what} config"), None, path)?;
            self.was_fetched(source, &descriptor.digest);
            Ok::<_, OciError>(())
        })?;
        config::parse(
            &fs_err::read(path)?,
            &what,
            &source.architecture,
            resolved.manifest.layers.len(),
        )
    }

    /// All layers, fetched, checked and laid over one another. What was fetched of an
    /// image that is then refused is not kept, its manifest and configuration neither.
    ///
    /// # Errors
    /// When a layer cannot be fetched, or is not what its digests say, or is none.
    pub fn tree(
        &self,
        source: &OciSource,
        resolved: &Resolved,
        config: &config::Config,
        spool: &Arc<Spool>,
    ) -> Result<Tree, OciError> {
        let layers = &resolved.manifest.layers;
        let names: Vec<String> = (1..=layers.len())
            .map(|number| format!("{} layer {number}/{}", source.reference, layers.len()))
            .collect();
        let tree = unpack::layers(&names, self.limits, |number, budget| {
            let work = LayerWork {
                source,
                descriptor: &layers[number],
                name: &names[number],
                diff_id: &config.diff_ids[number],
            };
            self.layer(&work, spool, budget)
        });
        if tree.is_ok() {
            self.fetched().remove(source);
        }
        self.clear_if_refused(source, tree)
    }

    fn fetched(&self) -> MutexGuard<'_, HashMap<OciSource, Vec<Digest>>> {
        self.fetched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn was_fetched(&self, source: &OciSource, digest: &Digest) {
        let mut fetched = self.fetched();
        fetched
            .entry(source.clone())
            .or_default()
            .push(digest.clone());
    }

    /// Takes what was fetched of an image out of the cache again where `result` says
    /// that the image is at fault, and what its tag was found to be.
    fn clear_if_refused<T>(
        &self,
        source: &OciSource,
        result: Result<T, OciError>,
    ) -> Result<T, OciError> {
        if result.as_ref().is_err_and(OciError::is_images_fault) {
            let fetched = self.fetched().remove(source).unwrap_or_default();
            if source.reference.digest.is_none() {
                self.cache.forget("oci-tag", &tag_key(source))?;
            }
            for digest in fetched {
                self.cache.forget_blob(digest.hex())?;
            }
        }
        result
    }

    /// Fetches a layer and takes it apart meanwhile.
    fn layer(
        &self,
        work: &LayerWork<'_>,
        spool: &Arc<Spool>,
        budget: &Budget,
    ) -> Result<Layer, OciError> {
        let apart = |source: Box<dyn std::io::Read + '_>| {
            unpack::layer(work.name, source, work.diff_id, spool, budget, self.limits)
        };
        let digest = &work.descriptor.digest;
        if let Some(path) = self.cache.get_blob(digest.hex()) {
            return apart(Box::new(fs_err::File::open(path)?));
        }
        if work.descriptor.size > LARGEST_LAYER {
            return Err(OciError::Document {
                what: work.name.to_owned(),
                reason: format!("a layer of {} bytes", work.descriptor.size),
            });
        }
        let tail = Arc::new(Tail::default());
        let (path, early) = std::thread::scope(|scope| {
            let reader = TailReader::new(Arc::clone(&tail));
            let early = scope.spawn(move || apart(Box::new(reader)));
            let path = self.cache.blob(digest.hex(), |path| {
                tail.begin(path.to_owned());
                let landed = |length| tail.landed(length);
                self.blob(work.source, work.descriptor, work.name, Some(&landed), path)?;
                self.was_fetched(work.source, digest);
                Ok::<_, OciError>(())
            });
            match &path {
                Ok(path) => tail.complete(path.clone()),
                Err(_) => tail.fail(),
            }
            (path, early.join())
        });
        let path = path?;
        match early {
            Ok(Ok(layer)) => Ok(layer),
            // A broken first try of the transfer may have been read: now it is whole.
            Ok(Err(_)) if tail.restarted() => apart(Box::new(fs_err::File::open(path)?)),
            Ok(Err(error)) => Err(error),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// The digest a tag stands for.
    fn tag(&self, source: &OciSource) -> Result<Digest, OciError> {
        let reference = &source.reference;
        let key = tag_key(source);
        if self.offline {
            let known = self.cache.get("oci-tag", &key);
            let text = known.and_then(|path| fs_err::read_to_string(path).ok());
            return text
                .and_then(|text| Digest::parse(text.trim()))
                .ok_or_else(|| OciError::Offline {
                    reference: reference.to_string(),
                });
        }
        let staging = self.cache.staging()?;
        let path = staging.path().join("manifest");
        let what = format!("{reference} manifest");
        let fetched = self.ask(source, &|endpoint| {
            let url = format!(
                "{}/v2/{}/manifests/{}",
                endpoint.base,
                reference.repository,
                reference.asked()
            );
            let want = Want {
                url: &url,
                what: &what,
                size: None,
                limit: manifest::LARGEST,
                sha256: None,
                validators: None,
            };
            self.get(source, endpoint, &want, Some(manifest::ACCEPT), None, &path)
        })?;
        let digest = Digest::parse(&format!("sha256:{}", fetched.sha256)).ok_or_else(|| {
            OciError::Document {
                what: what.clone(),
                reason: "no digest".to_owned(),
            }
        })?;
        if let Some(told) = fetched.content_digest.as_deref().and_then(Digest::parse)
            && told != digest
        {
            return Err(OciError::Digest {
                what,
                expected: told.to_string(),
                actual: digest.to_string(),
            });
        }
        self.cache.blob(digest.hex(), |blob| {
            fs_err::rename(&path, blob)?;
            self.was_fetched(source, &digest);
            Ok::<_, OciError>(())
        })?;
        self.cache.replace("oci-tag", &key, |path| {
            std::fs::write(path, digest.as_str()).map_err(|source| CacheError::io(path, source))
        })?;
        Ok(digest)
    }

    /// A manifest or index by its digest.
    fn document(&self, source: &OciSource, digest: &Digest) -> Result<Vec<u8>, OciError> {
        let reference = &source.reference;
        let what = format!("{reference} manifest");
        let path = self.cache.blob(digest.hex(), |path| {
            self.ask(source, &|endpoint| {
                let url = format!(
                    "{}/v2/{}/manifests/{digest}",
                    endpoint.base, reference.repository
                );
                let want = Want {
                    url: &url,
                    what: &what,
                    size: None,
                    limit: manifest::LARGEST,
                    sha256: Some(digest.hex()),
                    validators: None,
                };
                self.get(source, endpoint, &want, Some(manifest::ACCEPT), None, path)
            })?;
            self.was_fetched(source, digest);
            Ok::<_, OciError>(())
        })?;
        Ok(fs_err::read(path)?)
    }

    fn blob(
        &self,
        source: &OciSource,
        descriptor: &Descriptor,
        what: &str,
        landed: Option<&(dyn Fn(u64) + Sync)>,
        path: &Path,
    ) -> Result<(), OciError> {
        self.ask(source, &|endpoint| {
            let url = format!(
                "{}/v2/{}/blobs/{}",
                endpoint.base, source.reference.repository, descriptor.digest
            );
            let want = Want {
                url: &url,
                what,
                size: Some(descriptor.size),
                limit: descriptor.size,
                sha256: Some(descriptor.digest.hex()),
                validators: None,
            };
            self.get(source, endpoint, &want, None, landed, path)
        })
        .map(drop)
    }
}

/// What it takes to fetch one layer.
struct LayerWork<'a> {
    source: &'a OciSource,
    descriptor: &'a Descriptor,
    name: &'a str,
    diff_id: &'a Digest,
}

/// Under which is kept what a tag was found to be.
fn tag_key(source: &OciSource) -> Key {
    Key::new("oci-tag-v1").with("reference", source.reference.to_string())
}

/// For the report: where an image came from.
impl Resolved {
    /// `oci`, `digest` of what the reference named, `manifest` and `config`.
    pub fn words(&self) -> std::collections::BTreeMap<String, String> {
        [
            ("oci", self.reference.to_string()),
            ("digest", self.digest.to_string()),
            ("manifest", self.manifest_digest.to_string()),
            ("config", self.manifest.config.digest.to_string()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
    }
}
