//! Asking repositories, and fetching packages.

use std::collections::HashSet;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use plan::RpmSource;
use serde::{Deserialize, Serialize};

use super::checksum::Checksum;
use super::package::RpmFile;
use super::primary::{self, Found, RpmPackage};
use super::repomd::{self, Repomd};
use super::xml::XmlError;
use super::{RpmError, choice, key};
use crate::cache::{Cache, CacheError, Key};
use crate::compression;
use crate::http::{Answer, Http, HttpError, Validators, Want};
use crate::openpgp::{self, Keyring, OpenPgpError, Policy};
use crate::progress::Progress;

/// The largest repomd.xml taken, bytes; real ones have ten thousand.
const LARGEST_REPOMD: u64 = 4 << 20;
/// The largest signature taken, bytes.
const LARGEST_SIGNATURE: u64 = 1 << 20;
/// The largest primary.xml taken, bytes as it is fetched. Fedora's has 20 MB.
const LARGEST_PRIMARY: u64 = 512 << 20;
/// The largest primary.xml taken, bytes unpacked. Fedora's has 180 MB.
const LARGEST_OPEN: u64 = 4 << 30;
/// The largest package taken, bytes.
const LARGEST_PACKAGE: u64 = 4 << 30;

/// Asks RPM repositories for kernels. Threads share it.
pub struct Rpm {
    cache: Arc<Cache>,
    http: Arc<Http>,
    progress: Arc<dyn Progress>,
    /// A description in the cache younger than this is used without asking.
    fresh: Duration,
    /// Each repository is asked anew, once, and one that cannot be reached is an
    /// error however much is in the cache.
    anew: bool,
    /// Repositories that were asked since this was made, by their keys.
    asked: Mutex<HashSet<String>>,
}

/// The packages that make up a kernel, and who vouches for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelSet {
    /// The repository, without a slash at its end.
    pub base: String,
    /// Never empty.
    pub packages: Vec<RpmPackage>,
    /// Who vouches for them.
    pub trust: Trust,
}

impl KernelSet {
    /// Where a package is.
    pub fn url(&self, package: &RpmPackage) -> String {
        let base = package.base.as_deref().unwrap_or(&self.base);
        format!("{}/{}", base.trim_end_matches('/'), package.path)
    }
}

/// Who vouches for packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Nobody: the repository's own checksums alone.
    Nobody,
    /// repomd.xml is signed, and its checksums lead to the packages.
    Repository {
        /// Fingerprint of the key.
        fingerprint: String,
        /// Digest of the keyring it is in.
        keys: String,
        /// A key that has expired since will do.
        allow_expired: bool,
    },
    /// Each package has to be signed by one of the keys.
    Packages {
        /// Digest of the keyring.
        keys: String,
        /// A key that has expired since will do.
        allow_expired: bool,
    },
}

impl Trust {
    /// What is different between things that were verified in different ways.
    pub fn key(&self) -> String {
        let (what, keys, allow_expired) = match self {
            Trust::Nobody => return "nobody".to_owned(),
            Trust::Repository {
                keys,
                allow_expired,
                ..
            } => ("repository", keys, allow_expired),
            Trust::Packages {
                keys,
                allow_expired,
            } => ("packages", keys, allow_expired),
        };
        match allow_expired {
            true => format!("{what} {keys} or expired"),
            false => format!("{what} {keys}"),
        }
    }
}

/// A package that was fetched.
#[derive(Debug)]
pub struct Fetched {
    /// The package, verified.
    pub file: RpmFile,
    /// SHA-256 of the .rpm, hexadecimal.
    pub sha256: String,
    /// Fingerprint of the key that signed the package, where that was asked for.
    pub fingerprint: Option<String>,
}

/// What is kept of a repository.
#[derive(Serialize, Deserialize)]
struct Record {
    /// When it last said that this is the newest, in seconds since 1970.
    checked: u64,
    /// What it said to recognise it by.
    validators: Validators,
    /// repomd.xml.
    repomd: String,
    /// Fingerprint of the key in the keyring that signed it; none: it is not signed,
    /// or by another key.
    fingerprint: Option<String>,
}

/// A repository being asked.
struct Asked<'a> {
    rpm: &'a Rpm,
    base: &'a str,
    keyring: Option<Keyring>,
    policy: Policy,
}

impl Rpm {
    /// With the default settings.
    pub fn new(cache: Arc<Cache>, http: Arc<Http>, progress: Arc<dyn Progress>) -> Rpm {
        Rpm {
            cache,
            http,
            progress,
            fresh: Duration::from_secs(24 * 3600),
            anew: false,
            asked: Mutex::default(),
        }
    }

    /// Asks each repository anew, and takes no copy of one that cannot be reached.
    #[must_use]
    pub fn asking_anew(mut self) -> Rpm {
        self.anew = true;
        self
    }

    fn has_asked(&self, repository: &Key) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.insert(repository.hex());
    }

    fn was_asked(&self, repository: &Key) -> bool {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.contains(&repository.hex())
    }

    /// With another age up to which a description in the cache is not asked for.
    #[must_use]
    pub fn with_fresh(mut self, fresh: Duration) -> Rpm {
        self.fresh = fresh;
        self
    }

    fn asked<'a>(&'a self, source: &'a RpmSource) -> Result<Asked<'a>, RpmError> {
        Ok(Asked {
            rpm: self,
            base: source.base.trim_end_matches('/'),
            keyring: key::keyring(source)?,
            policy: Policy {
                now: Timestamp::now(),
                allow_expired: source.allow_expired,
            },
        })
    }

    /// The packages a source comes to now. While the repository is unchanged this is
    /// looked up, and no list of packages is read.
    ///
    /// # Errors
    /// When the repository cannot be reached or verified, or has no such kernel.
    pub fn resolve(&self, source: &RpmSource) -> Result<KernelSet, RpmError> {
        let asked = self.asked(source)?;
        let record = asked.record()?;
        let repomd = asked.read(&record.repomd)?;
        let mut key = Key::new("rpm-resolved-v1")
            .with("primary", repomd.primary.checksum.to_string())
            .with("package", &source.package);
        if let Some(version) = &source.version {
            key = key.with("version", version);
        }
        let path = self.cache.build("resolved", &key, |path| {
            let packages = asked.choose(&repomd, source)?;
            let json = serde_json::to_vec(&packages)
                .map_err(|error| CacheError::io(path, error.into()))?;
            std::fs::write(path, json).map_err(|error| CacheError::io(path, error))?;
            Ok::<_, RpmError>(())
        })?;
        let known = std::fs::read(&path)
            .ok()
            .and_then(|json| serde_json::from_slice(&json).ok());
        let packages: Vec<RpmPackage> = known.map_or_else(|| asked.choose(&repomd, source), Ok)?;
        Ok(KernelSet {
            trust: asked.trust(&record, &repomd, &packages),
            base: asked.base.to_owned(),
            packages,
        })
    }

    /// Every version there is of the package that a source names, the oldest first.
    ///
    /// # Errors
    /// When the repository cannot be reached or verified.
    pub fn versions(&self, source: &RpmSource) -> Result<Vec<RpmPackage>, RpmError> {
        let asked = self.asked(source)?;
        let repomd = asked.read(&asked.record()?.repomd)?;
        let found = asked.found(&repomd, source)?;
        let mut packages: Vec<RpmPackage> = found
            .packages
            .into_iter()
            .filter(|package| package.name == source.package)
            .collect();
        packages.sort_by(|one, other| one.evr.cmp(&other.evr));
        packages.dedup_by(|later, first| later.evr == first.evr);
        Ok(packages)
    }

    /// The packages of a set, fetched and verified; in its order. Only asked for what
    /// is not built yet.
    ///
    /// # Errors
    /// When one cannot be fetched, is not what the repository says, or is not signed
    /// as it must be.
    pub fn fetch(&self, source: &RpmSource, set: &KernelSet) -> Result<Vec<Fetched>, RpmError> {
        let asked = self.asked(source)?;
        let missing: Vec<u64> = set
            .packages
            .iter()
            .filter(|package| self.cached(&package.checksum).is_none())
            .map(|package| package.size)
            .collect();
        if !missing.is_empty() && !self.http.is_offline() {
            self.progress
                .planned(missing.len(), "package", missing.iter().sum());
        }
        let each = set.packages.iter().map(|package| {
            let url = set.url(package);
            let what = format!("{} {}", package.name, package.evr);
            let path = self.checked(
                &url,
                &what,
                &package.checksum,
                Some(package.size),
                LARGEST_PACKAGE,
            )?;
            asked.verified(package, &url, &path, &set.trust)
        });
        each.collect()
    }

    fn cached(&self, checksum: &Checksum) -> Option<PathBuf> {
        match checksum.sha256() {
            Some(sha256) => self.cache.get_blob(sha256),
            None => self.cache.get("rpm", &rpm_key(checksum)),
        }
    }

    /// A file with this checksum: from the cache, or fetched.
    fn checked(
        &self,
        url: &str,
        what: &str,
        checksum: &Checksum,
        size: Option<u64>,
        limit: u64,
    ) -> Result<PathBuf, RpmError> {
        let fetch = |path: &Path| {
            let want = Want {
                url,
                what,
                size,
                limit: size.unwrap_or(limit).min(limit),
                sha256: checksum.sha256(),
                validators: None,
            };
            match self.http.fetch(&want, path) {
                Ok(_) => {}
                Err(HttpError::WrongDigest {
                    url,
                    expected,
                    actual,
                }) => {
                    return Err(RpmError::Tampered {
                        url,
                        expected,
                        actual,
                    });
                }
                Err(HttpError::NotFound { url }) => return Err(RpmError::Gone { url }),
                Err(error) => return Err(error.into()),
            }
            if checksum.sha256().is_none() {
                let actual = checksum.of_file(path).map_err(RpmError::File)?;
                if actual != *checksum {
                    return Err(RpmError::Tampered {
                        url: url.to_owned(),
                        expected: checksum.to_string(),
                        actual: actual.to_string(),
                    });
                }
            }
            Ok(())
        };
        match checksum.sha256() {
            Some(sha256) => self.cache.blob(sha256, fetch),
            None => self.cache.build("rpm", &rpm_key(checksum), fetch),
        }
    }
}

fn rpm_key(checksum: &Checksum) -> Key {
    Key::new("rpm-v1").with("checksum", checksum.to_string())
}

impl Asked<'_> {
    fn url(&self) -> String {
        format!("{}/repodata/repomd.xml", self.base)
    }

    fn key(&self) -> Key {
        let keys = self.keyring.as_ref().map_or("", Keyring::digest);
        Key::new("rpm-repository-v1")
            .with("base", self.base)
            .with("keys", keys)
            .with("allow-expired", [u8::from(self.policy.allow_expired)])
    }

    /// What the repository says of itself: from the cache if it was asked recently.
    fn record(&self) -> Result<Record, RpmError> {
        if let Some(record) = self.kept() {
            return Ok(record);
        }
        // One asks; threads and programs that want the same wait for its answer.
        let _asking = self.rpm.cache.hold("asked", &self.key())?;
        if let Some(record) = self.kept() {
            return Ok(record);
        }
        let known = self.known();
        match self.ask(known.as_ref()) {
            Ok(record) => {
                self.rpm.has_asked(&self.key());
                Ok(record)
            }
            Err(RpmError::Http(error))
                if error.is_unreachable() && known.is_some() && !self.rpm.anew =>
            {
                let hours = known
                    .as_ref()
                    .map_or(0, |it| now().saturating_sub(it.checked))
                    / 3600;
                self.rpm.progress.note(&format!(
                    "{error}; the copy in the cache is used, which is {hours} hours old"
                ));
                known.ok_or(RpmError::Http(error))
            }
            Err(error) => Err(error),
        }
    }

    fn known(&self) -> Option<Record> {
        let path = self.rpm.cache.get("repository", &self.key())?;
        let json = std::fs::read(path).ok()?;
        serde_json::from_slice(&json).ok()
    }

    /// The record in the cache, where the repository need not or must not be asked.
    fn kept(&self) -> Option<Record> {
        let record = self.known()?;
        // One of this machine costs nothing to ask, and is being worked on.
        let fresh = match self.rpm.anew {
            true => self.rpm.was_asked(&self.key()),
            false => {
                now().saturating_sub(record.checked) < self.rpm.fresh.as_secs()
                    && !self.base.starts_with("file://")
            }
        };
        (fresh || self.rpm.http.is_offline()).then_some(record)
    }

    /// Asks the repository, and keeps what it says if that is good.
    fn ask(&self, known: Option<&Record>) -> Result<Record, RpmError> {
        let url = self.url();
        let answer = self.get(&url, LARGEST_REPOMD, known.map(|known| &known.validators));
        let record = match answer {
            Ok(None) => {
                let known = known.ok_or_else(|| HttpError::Status {
                    url: url.clone(),
                    status: 304,
                })?;
                Record {
                    checked: now(),
                    validators: known.validators.clone(),
                    repomd: known.repomd.clone(),
                    fingerprint: known.fingerprint.clone(),
                }
            }
            Ok(Some((bytes, validators))) => {
                let fingerprint = self.signed(&bytes)?;
                let repomd = String::from_utf8(bytes).map_err(|_| RpmError::Xml {
                    url: url.clone(),
                    source: XmlError::Encoding,
                })?;
                Record {
                    checked: now(),
                    validators,
                    repomd,
                    fingerprint,
                }
            }
            Err(RpmError::Http(HttpError::NotFound { .. })) => {
                return Err(RpmError::NoRepository {
                    url: self.base.to_owned(),
                });
            }
            Err(error) => return Err(error),
        };
        // Nothing is kept that would be refused.
        self.read(&record.repomd)?;
        self.rpm.cache.replace("repository", &self.key(), |path| {
            let failed = |source| CacheError::io(path, source);
            let json = serde_json::to_vec(&record).map_err(|error| failed(error.into()))?;
            std::fs::write(path, json).map_err(failed)
        })?;
        Ok(record)
    }

    /// Who of the keyring signed repomd.xml. One who is not in it may still have
    /// signed the packages' list for other people: then the packages have to show a
    /// signature of their own. A signature that is bad is refused.
    fn signed(&self, repomd: &[u8]) -> Result<Option<String>, RpmError> {
        let Some(keyring) = &self.keyring else {
            return Ok(None);
        };
        let url = format!("{}.asc", self.url());
        let signature = match self.get(&url, LARGEST_SIGNATURE, None) {
            Ok(Some((bytes, _))) => bytes,
            Ok(None) | Err(RpmError::Http(HttpError::NotFound { .. })) => return Ok(None),
            Err(error) => return Err(error),
        };
        match openpgp::verify_bytes(repomd, &signature, keyring, self.policy) {
            Ok(fingerprint) => Ok(Some(fingerprint)),
            Err(OpenPgpError::UnknownKey { .. }) => Ok(None),
            Err(source) => Err(RpmError::Signature { url, source }),
        }
    }

    fn get(
        &self,
        url: &str,
        limit: u64,
        validators: Option<&Validators>,
    ) -> Result<Option<(Vec<u8>, Validators)>, RpmError> {
        let staging = self.rpm.cache.staging()?;
        let path = staging.path().join("file");
        // Several repositories are asked at once, and all have files of these names.
        let what = format!("{} of {}", url.rsplit('/').next().unwrap_or(url), self.base);
        let want = Want {
            url,
            what: &what,
            size: None,
            limit,
            sha256: None,
            validators,
        };
        match self.rpm.http.fetch(&want, &path)? {
            Answer::NotModified => Ok(None),
            Answer::Fetched(fetched) => {
                let bytes = fs_err::read(&path).map_err(RpmError::File)?;
                Ok(Some((bytes, fetched.validators)))
            }
        }
    }

    fn read(&self, text: &str) -> Result<Repomd, RpmError> {
        repomd::parse(text.as_bytes()).map_err(|source| RpmError::Xml {
            url: self.url(),
            source,
        })
    }

    /// Reads the list of packages.
    fn choose(&self, repomd: &Repomd, source: &RpmSource) -> Result<Vec<RpmPackage>, RpmError> {
        let found = self.found(repomd, source)?;
        choice::choose(found, self.base, &source.package, source.version.as_deref())
    }

    /// The package that is named and its siblings, in all versions there are.
    fn found(&self, repomd: &Repomd, source: &RpmSource) -> Result<Found, RpmError> {
        let primary = &repomd.primary;
        let url = format!("{}/{}", self.base, primary.path);
        let what = format!("packages of {}", self.base);
        let path = self.rpm.checked(
            &url,
            &what,
            &primary.checksum,
            primary.size,
            LARGEST_PRIMARY,
        )?;
        let file = fs_err::File::open(path).map_err(RpmError::File)?;
        let plain = compression::decompress(file).map_err(|source| RpmError::Compression {
            url: url.clone(),
            source,
        })?;
        let limit = primary.open_size.unwrap_or(LARGEST_OPEN).min(LARGEST_OPEN);
        let mut bounded = plain.take(limit + 1);
        let siblings = choice::siblings(&source.package);
        let found = primary::parse(BufReader::with_capacity(256 << 10, &mut bounded), &|name| {
            siblings.iter().any(|sibling| sibling == name)
        });
        // Whatever it was taken for: it ended there.
        if bounded.limit() == 0 {
            return Err(RpmError::Bomb { url, limit });
        }
        found.map_err(|source| RpmError::Xml { url, source })
    }

    /// A chain of checksums that can be forged vouches for nothing.
    fn trust(&self, record: &Record, repomd: &Repomd, packages: &[RpmPackage]) -> Trust {
        let strong = repomd.primary.checksum.algorithm.is_strong()
            && packages
                .iter()
                .all(|package| package.checksum.algorithm.is_strong());
        match (&self.keyring, &record.fingerprint) {
            (None, _) => Trust::Nobody,
            (Some(keyring), Some(fingerprint)) if strong => Trust::Repository {
                fingerprint: fingerprint.clone(),
                keys: keyring.digest().to_owned(),
                allow_expired: self.policy.allow_expired,
            },
            (Some(keyring), _) => Trust::Packages {
                keys: keyring.digest().to_owned(),
                allow_expired: self.policy.allow_expired,
            },
        }
    }

    fn verified(
        &self,
        package: &RpmPackage,
        url: &str,
        path: &Path,
        trust: &Trust,
    ) -> Result<Fetched, RpmError> {
        let failed = |source| RpmError::Package {
            url: url.to_owned(),
            source,
        };
        let file = RpmFile::open(path).map_err(failed)?;
        let found = format!(
            "{} {}",
            file.name().map_err(failed)?,
            file.evr().map_err(failed)?
        );
        let expected = format!("{} {}", package.name, package.evr);
        if found != expected {
            return Err(RpmError::Another {
                url: url.to_owned(),
                expected,
                found,
            });
        }
        let fingerprint = match (trust, &self.keyring) {
            (Trust::Packages { .. }, Some(keyring)) => {
                Some(file.verify(keyring, self.policy).map_err(failed)?)
            }
            _ => None,
        };
        let sha256 = match package.checksum.sha256() {
            Some(sha256) => sha256.to_owned(),
            None => {
                let file = fs_err::File::open(path).map_err(RpmError::File)?;
                super::checksum::digits_of(file, super::Algorithm::Sha256)
                    .map_err(RpmError::File)?
            }
        };
        Ok(Fetched {
            file,
            sha256,
            fingerprint,
        })
    }
}

fn now() -> u64 {
    // A clock before 1970 makes all that is kept look new.
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
