//! Opening suites and fetching packages.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use plan::AptSource;

use super::index::Index;
use super::universe::Part;
use super::{AptError, Package, Universe};
use crate::cache::{Cache, Key};
use crate::http::{Http, HttpError, Want};
use crate::mirror::Mirrors;
use crate::openpgp::Keyring;
use crate::progress::Progress;
use crate::purpose;

/// How many packages are fetched at once: enough to hide the round trips, few
/// enough that no mirror minds.
const AT_ONCE: usize = 4;

/// More than any package of a distribution has, bytes.
const LARGEST_DEB: u64 = 4 << 30;

/// Settings of the apt client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AptOptions {
    /// A suite in the cache younger than this is used without asking the archive.
    pub fresh: Duration,
}

impl Default for AptOptions {
    fn default() -> AptOptions {
        AptOptions {
            fresh: Duration::from_secs(24 * 3600),
        }
    }
}

/// Opens suites of Debian-style archives and fetches their packages. Threads share
/// it.
pub struct Apt {
    pub(super) cache: Arc<Cache>,
    pub(super) http: Arc<Http>,
    pub(super) progress: Arc<dyn Progress>,
    pub(super) keyring: Keyring,
    pub(super) options: AptOptions,
    /// Each suite is asked for anew, once, and one that cannot be reached is an
    /// error however much is in the cache.
    pub(super) anew: bool,
    /// Suites that were asked for since this was made, by their keys.
    asked: Mutex<HashSet<String>>,
    mirrors: OnceLock<Mirrors>,
    /// Those in use: several threads share one. Not held beyond that, since each
    /// takes tens of megabytes.
    indices: Mutex<HashMap<String, Weak<Index>>>,
}

impl Apt {
    /// With the keys that are shipped, the mirrors of this machine, and the default
    /// settings.
    pub fn new(cache: Arc<Cache>, http: Arc<Http>, progress: Arc<dyn Progress>) -> Apt {
        Apt {
            cache,
            http,
            progress,
            keyring: Keyring::shipped(),
            options: AptOptions::default(),
            anew: false,
            asked: Mutex::default(),
            mirrors: OnceLock::new(),
            indices: Mutex::new(HashMap::new()),
        }
    }

    /// With other keys.
    #[must_use]
    pub fn with_keyring(mut self, keyring: Keyring) -> Apt {
        self.keyring = keyring;
        self
    }

    /// With other settings.
    #[must_use]
    pub fn with_options(mut self, options: AptOptions) -> Apt {
        self.options = options;
        self
    }

    /// Asks for each suite anew, and takes no copy for one that cannot be reached.
    #[must_use]
    pub fn asking_anew(mut self) -> Apt {
        self.anew = true;
        self
    }

    pub(super) fn has_asked(&self, suite: &Key) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.insert(suite.hex());
    }

    pub(super) fn was_asked(&self, suite: &Key) -> bool {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.contains(&suite.hex())
    }

    /// With other mirrors than this machine's.
    #[must_use]
    pub fn with_mirrors(mut self, mirrors: Mirrors) -> Apt {
        self.mirrors = OnceLock::from(mirrors);
        self
    }

    /// The mirrors to look for Debian's suites on.
    pub(crate) fn mirrors(&self) -> Result<&Mirrors, AptError> {
        if let Some(mirrors) = self.mirrors.get() {
            return Ok(mirrors);
        }
        let mirrors = Mirrors::of_this_machine()?;
        Ok(self.mirrors.get_or_init(|| mirrors))
    }

    /// The suites of one source taken together, as apt would.
    pub fn open(&self, source: &AptSource) -> Result<Universe, AptError> {
        let (mut parts, mut digest) = (Vec::new(), Key::new("apt-universe-v1"));
        for wanted in &source.suites {
            let suite = self.find_suite(wanted)?;
            let mut found = false;
            for folder in suite.release.index_folders(&source.architecture) {
                let Some((index, sha256)) = self.index(&suite, &folder)? else {
                    continue;
                };
                found |= folder.ends_with(&format!("binary-{}", source.architecture));
                digest = digest.with(&suite.name, sha256);
                parts.push(Part::new(index, &suite.url, &suite.name));
            }
            if !found {
                return Err(AptError::ArchitectureNotFound {
                    url: suite.url,
                    suite: suite.name,
                    architecture: source.architecture.clone(),
                    offered: suite.release.architectures,
                });
            }
        }
        let pinned: Vec<Package> = match (source.pinned.is_empty(), source.suites.first()) {
            (false, Some(wanted)) => {
                let suite = self.find_suite(wanted)?;
                let of = |pinned| Package::pinned(pinned, &suite.url, &suite.name);
                source.pinned.iter().map(of).collect()
            }
            _ => Vec::new(),
        };
        for package in &pinned {
            digest = digest.with("pinned", &package.sha256);
        }
        Ok(Universe::new(parts, pinned, digest.hex()))
    }

    /// A digest, in hexadecimal, of what [`Apt::open`] would be made from, by what the
    /// suites' Releases say of their indices, which are not read: as long as it is
    /// the same, every answer of the universe is.
    pub fn state(&self, source: &AptSource) -> Result<String, AptError> {
        let mut state = Key::new("apt-state-v1").with("architecture", &source.architecture);
        for pinned in &source.pinned {
            state = state.with("pinned", &pinned.sha256);
        }
        for wanted in &source.suites {
            let suite = self.find_suite(wanted)?;
            state = state.with("url", &suite.url).with("suite", &suite.name);
            for folder in suite.release.index_folders(&source.architecture) {
                for packing in ["", ".xz", ".gz"] {
                    if let Some(file) = suite.release.file(&format!("{folder}/Packages{packing}")) {
                        state = state.with(&folder, &file.sha256);
                    }
                }
            }
        }
        Ok(state.hex())
    }

    /// The verified .deb in the cache, fetched if it is not there.
    pub fn fetch(&self, package: &Package) -> Result<PathBuf, AptError> {
        let url = package.deb_url();
        self.cache.blob(&package.sha256, |path| {
            let what = package.to_string();
            let want = Want {
                url: &url,
                what: &what,
                size: Some(package.size),
                limit: package.size,
                sha256: Some(&package.sha256),
                validators: None,
            };
            match self.http.fetch(&want, path) {
                Ok(_) => Ok(()),
                Err(HttpError::WrongDigest {
                    url,
                    expected,
                    actual,
                }) => Err(AptError::TamperedPackage {
                    url,
                    package: what.clone(),
                    expected,
                    actual,
                }),
                Err(HttpError::WrongSize {
                    url,
                    expected,
                    actual,
                }) => Err(AptError::WrongSize {
                    url,
                    expected,
                    actual,
                }),
                Err(HttpError::NotFound { url }) => Err(AptError::PackageGone {
                    url,
                    package: what.clone(),
                }),
                Err(error) => Err(error.into()),
            }
        })
    }

    /// As [`Apt::fetch`] for several, a few at once; in the order given. After the
    /// first error no other is begun, and of several the first by that order is told.
    pub fn fetch_all(&self, packages: &[&Package]) -> Result<Vec<PathBuf>, AptError> {
        self.tell_plan(packages);
        at_once(packages, |package| self.fetch(package))
    }

    /// The .debs a lock file names, held to its digests: from the mirrors of this
    /// machine where the address is Debian's own.
    pub fn fetch_locked(&self, packages: &[plan::LockedPackage]) -> Result<Vec<PathBuf>, AptError> {
        let packages: Vec<&plan::LockedPackage> = packages.iter().collect();
        at_once(&packages, |package| self.fetch_one_locked(package))
    }

    fn fetch_one_locked(&self, package: &plan::LockedPackage) -> Result<PathBuf, AptError> {
        let what = format!("{} {}", package.name, package.version);
        let urls = self.mirrors()?.places_of(&package.url);
        self.cache.blob(&package.sha256, |path| {
            let mut gone = None;
            for url in &urls {
                let want = Want {
                    url,
                    what: &what,
                    size: None,
                    limit: LARGEST_DEB,
                    sha256: Some(&package.sha256),
                    validators: None,
                };
                match self.http.fetch(&want, path) {
                    Ok(_) => return Ok(()),
                    Err(HttpError::WrongDigest {
                        url,
                        expected,
                        actual,
                    }) => {
                        return Err(AptError::NotAsLocked {
                            url,
                            package: what.clone(),
                            expected,
                            actual,
                        });
                    }
                    // Another mirror may still have it.
                    Err(HttpError::NotFound { url }) => {
                        gone = gone.or(Some(AptError::LockedPackageGone {
                            url,
                            package: what.clone(),
                        }));
                    }
                    Err(error) => gone = gone.or(Some(error.into())),
                }
            }
            Err(gone.unwrap_or_else(|| AptError::LockedPackageGone {
                url: package.url.clone(),
                package: what.clone(),
            }))
        })
    }

    fn tell_plan(&self, packages: &[&Package]) {
        let missing: Vec<u64> = packages
            .iter()
            .filter(|package| self.cache.get_blob(&package.sha256).is_none())
            .map(|package| package.size)
            .collect();
        if !missing.is_empty() && !self.http.is_offline() {
            self.progress
                .planned(missing.len(), "package", missing.iter().sum());
        }
    }

    pub(super) fn loaded_index(&self, sha256: &str) -> Option<Arc<Index>> {
        let indices = self.indices.lock().unwrap_or_else(PoisonError::into_inner);
        indices.get(sha256)?.upgrade()
    }

    pub(super) fn keep_index(&self, sha256: &str, index: &Arc<Index>) {
        let mut indices = self.indices.lock().unwrap_or_else(PoisonError::into_inner);
        indices.insert(sha256.to_owned(), Arc::downgrade(index));
    }
}

/// Fetches several, a few at once; see [`Apt::fetch_all`].
fn at_once<T: Sync>(
    packages: &[T],
    fetch: impl Fn(&T) -> Result<PathBuf, AptError> + Sync,
) -> Result<Vec<PathBuf>, AptError> {
    let purpose = purpose::current();
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let results: Vec<OnceLock<Result<PathBuf, AptError>>> =
        packages.iter().map(|_| OnceLock::new()).collect();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(packages.len()) {
            scope.spawn(|| {
                let _for = purpose::adopt(purpose.clone());
                while !failed.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(package) = packages.get(number) else {
                        break;
                    };
                    let result = results[number].get_or_init(|| fetch(package));
                    if result.is_err() {
                        failed.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    // What was not begun comes after an error: numbers are given out in order.
    results
        .into_iter()
        .filter_map(OnceLock::into_inner)
        .collect()
}
