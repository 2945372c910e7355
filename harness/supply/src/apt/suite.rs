//! A suite's Release: fetched, verified, and kept for a while.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::client::Apt;
use super::{AptError, Release};
use crate::cache::{CacheError, Key};
use crate::http::{Answer, HttpError, Validators, Want};
use crate::openpgp::{self, Keyring, OpenPgpError, Policy, Verified};

/// The largest Release there is has 1.5 MB.
const LIMIT: u64 = 32 << 20;
/// How far this machine's clock may be behind the archive's.
const CLOCK: Duration = Duration::from_secs(24 * 3600);

/// A suite whose Release was verified.
pub(super) struct Suite {
    /// The archive, without a slash at the end.
    pub(super) url: String,
    pub(super) name: String,
    pub(super) release: Release,
}

/// What is kept of a suite.
#[derive(Serialize, Deserialize)]
struct Record {
    /// When the archive last said that this is the newest, in seconds since 1970.
    checked: u64,
    /// What it said to recognise it by.
    validators: Validators,
    /// The text that the signature covered.
    release: String,
}

impl Suite {
    /// The URL of a file of the suite.
    pub(super) fn file(&self, path: &str) -> String {
        format!("{}/dists/{}/{path}", self.url, self.name)
    }
}

/// Where a suite is looked for, and how.
pub(super) struct Place<'a> {
    /// The archive's base URL.
    pub(super) url: &'a str,
    /// The keys that may sign it.
    pub(super) keyring: &'a Keyring,
    /// It never changes: what is in the cache is as good as the archive.
    pub(super) frozen: bool,
}

impl Apt {
    /// A suite of an archive: from the cache if it was asked for recently.
    pub(super) fn suite(
        &self,
        place: &Place<'_>,
        name: &str,
        allow_expired: bool,
    ) -> Result<Suite, AptError> {
        let asked = Asked::new(self, place, name, allow_expired);
        let release = asked.release()?;
        Ok(Suite {
            url: asked.url.to_owned(),
            name: name.to_owned(),
            release,
        })
    }

    /// Whether a suite's Release is in the cache, however old.
    pub(super) fn knows_suite(&self, place: &Place<'_>, name: &str, allow_expired: bool) -> bool {
        let key = Asked::new(self, place, name, allow_expired).key();
        self.cache.get("suite", &key).is_some()
    }
}

/// A suite being asked for.
struct Asked<'a> {
    apt: &'a Apt,
    keyring: &'a Keyring,
    url: &'a str,
    name: &'a str,
    allow_expired: bool,
    frozen: bool,
}

impl<'a> Asked<'a> {
    fn new(apt: &'a Apt, place: &Place<'a>, name: &'a str, allow_expired: bool) -> Asked<'a> {
        Asked {
            apt,
            keyring: place.keyring,
            url: place.url.trim_end_matches('/'),
            name,
            allow_expired,
            frozen: place.frozen,
        }
    }
}

impl Asked<'_> {
    fn key(&self) -> Key {
        Key::new("apt-suite-v1")
            .with("url", self.url)
            .with("suite", self.name)
            .with("keys", self.keyring.digest())
            .with("allow-expired", [u8::from(self.allow_expired)])
    }

    fn file(&self, path: &str) -> String {
        format!("{}/dists/{}/{path}", self.url, self.name)
    }

    fn release(&self) -> Result<Release, AptError> {
        if let Some(release) = self.kept()? {
            return Ok(release);
        }
        // One asks; threads and programs that want the same wait for its answer.
        let _asking = self.apt.cache.hold("asked", &self.key())?;
        if let Some(release) = self.kept()? {
            return Ok(release);
        }
        let url = self.file("InRelease");
        let Some(record) = self.record() else {
            let (release, _) = self.fetch(None)?;
            self.apt.has_asked(&self.key());
            return self.check(&release, &url);
        };
        match self.fetch(Some(&record)) {
            Ok((release, _)) => {
                self.apt.has_asked(&self.key());
                self.check(&release, &url)
            }
            Err(AptError::Http(error)) if error.is_unreachable() && !self.apt.anew => {
                let release = self.check(&record.release, &url)?;
                let age = now().saturating_sub(record.checked);
                self.apt.progress.note(&format!("{error}; {}", age_of(age)));
                Ok(release)
            }
            Err(error) => Err(error),
        }
    }

    /// The Release in the cache, where the archive need not or must not be asked.
    fn kept(&self) -> Result<Option<Release>, AptError> {
        let Some(record) = self.record() else {
            return Ok(None);
        };
        let url = self.file("InRelease");
        let age = now().saturating_sub(record.checked);
        if self.apt.http.is_offline() {
            // However old: that is what offline means; but it is said.
            let release = self.read(&record.release, &url)?;
            if age >= self.apt.options.fresh.as_secs() {
                self.apt.progress.note(&format!("{url}: {}", age_of(age)));
            }
            return Ok(Some(release));
        }
        // One that expired meanwhile has a successor: it is asked for.
        let fresh = match self.apt.anew {
            true => self.apt.was_asked(&self.key()),
            false => self.frozen || age < self.apt.options.fresh.as_secs(),
        };
        Ok(self.check(&record.release, &url).ok().filter(|_| fresh))
    }

    fn record(&self) -> Option<Record> {
        let path = self.apt.cache.get("suite", &self.key())?;
        let record = std::fs::read(&path)
            .ok()
            .and_then(|json| serde_json::from_slice(&json).ok());
        if record.is_none() {
            self.apt
                .progress
                .note(&format!("{}: unreadable, fetched again", path.display()));
        }
        record
    }

    /// Asks the archive, and keeps what it says if that is good. The text of the
    /// verified Release.
    fn fetch(&self, known: Option<&Record>) -> Result<(String, Validators), AptError> {
        let (release, validators) = match self.signed(known.map(|record| &record.validators))? {
            Some((verified, validators)) => {
                self.check_vendor(&verified)?;
                (verified.text, validators)
            }
            None => match known {
                Some(record) => (record.release.clone(), record.validators.clone()),
                None => {
                    return Err(HttpError::Status {
                        url: self.file("InRelease"),
                        status: 304,
                    }
                    .into());
                }
            },
        };
        // Nothing is kept that would be refused.
        self.check(&release, &self.file("InRelease"))?;
        let record = Record {
            checked: now(),
            validators: validators.clone(),
            release,
        };
        self.apt.cache.replace("suite", &self.key(), |path| {
            let failed = |source| CacheError::io(path, source);
            let json = serde_json::to_vec(&record).map_err(|error| failed(error.into()))?;
            std::fs::write(path, json).map_err(failed)
        })?;
        Ok((record.release, validators))
    }

    /// The Release with a good signature: InRelease, or Release with Release.gpg,
    /// which is all that old suites have. None if it did not change.
    fn signed(
        &self,
        validators: Option<&Validators>,
    ) -> Result<Option<(Verified, Validators)>, AptError> {
        let url = self.file("InRelease");
        let policy = Policy {
            now: Timestamp::now(),
            allow_expired: self.allow_expired,
        };
        let keyring = self.keyring;
        match self.get(&url, validators) {
            Ok(None) => return Ok(None),
            Ok(Some((bytes, validators))) => {
                let verified = openpgp::verify_cleartext(&bytes, keyring, policy)
                    .map_err(|source| AptError::Signature { url, source })?;
                return Ok(Some((verified, validators)));
            }
            Err(AptError::Http(HttpError::NotFound { .. })) => {}
            Err(error) => return Err(error),
        }
        let (url, signature_url) = (self.file("Release"), self.file("Release.gpg"));
        let release = match self.get(&url, None) {
            Ok(Some((bytes, _))) => bytes,
            Ok(None) | Err(AptError::Http(HttpError::NotFound { .. })) => {
                return Err(AptError::SuiteNotFound {
                    url: self.url.to_owned(),
                    suite: self.name.to_owned(),
                });
            }
            Err(error) => return Err(error),
        };
        let signature = match self.get(&signature_url, None) {
            Ok(Some((bytes, _))) => bytes,
            Ok(None) | Err(AptError::Http(HttpError::NotFound { .. })) => {
                return Err(AptError::Signature {
                    url,
                    source: OpenPgpError::Unsigned,
                });
            }
            Err(error) => return Err(error),
        };
        let verified = openpgp::verify_detached(&release, &signature, keyring, policy)
            .map_err(|source| AptError::Signature { url, source })?;
        // The validators would be those of one file of two.
        Ok(Some((verified, Validators::default())))
    }

    fn get(
        &self,
        url: &str,
        validators: Option<&Validators>,
    ) -> Result<Option<(Vec<u8>, Validators)>, AptError> {
        let staging = self.apt.cache.staging()?;
        let path = staging.path().join("file");
        let what = format!("{} {}", self.name, url.rsplit('/').next().unwrap_or(url));
        let want = Want {
            url,
            what: &what,
            size: None,
            limit: LIMIT,
            sha256: None,
            validators,
        };
        match self.apt.http.fetch(&want, &path)? {
            Answer::NotModified => Ok(None),
            Answer::Fetched(fetched) => {
                let bytes = std::fs::read(&path).map_err(|source| CacheError::io(&path, source))?;
                Ok(Some((bytes, fetched.validators)))
            }
        }
    }

    /// Holds a Release against the key that signed it: one vendor's key does not
    /// make another vendor's archive.
    fn check_vendor(&self, verified: &Verified) -> Result<(), AptError> {
        let url = self.file("Release");
        let origin = self.read(&verified.text, &url)?.origin;
        match verified.vendor {
            Some(vendor) if origin.split(' ').next() != Some(vendor) => Err(AptError::ForeignKey {
                url,
                origin,
                key: verified.fingerprint.clone(),
                vendor,
            }),
            _ => Ok(()),
        }
    }

    fn read(&self, text: &str, url: &str) -> Result<Release, AptError> {
        let release = Release::parse(text).map_err(|source| AptError::MalformedRelease {
            url: url.to_owned(),
            source,
        })?;
        if !is_release_of(&release, self.name) {
            return Err(AptError::WrongSuite {
                url: url.to_owned(),
                wanted: self.name.to_owned(),
                found: release.codename,
            });
        }
        Ok(release)
    }

    /// Reads a verified Release and holds it against what was asked for and the time.
    fn check(&self, text: &str, url: &str) -> Result<Release, AptError> {
        let release = self.read(text, url)?;
        let now = Timestamp::now();
        if let Some(date) = release.date.filter(|date| *date > now + CLOCK) {
            return Err(AptError::NotYetValid {
                url: url.to_owned(),
                date,
            });
        }
        match release.valid_until {
            Some(valid_until) if valid_until < now && !self.allow_expired => {
                Err(AptError::ExpiredRelease {
                    url: url.to_owned(),
                    valid_until,
                })
            }
            _ => Ok(release),
        }
    }
}

/// Whether a Release is that of the suite asked for, by either of its names; without
/// this, a mirror could answer with another suite's, which is signed as well. A
/// security suite's name was once `buster/updates`, its Release says `buster`.
fn is_release_of(release: &Release, name: &str) -> bool {
    let short = name.strip_suffix("/updates").unwrap_or(name);
    [&release.codename, &release.suite]
        .into_iter()
        .any(|own| own == name || own == short || own.strip_suffix("/updates") == Some(short))
}

fn now() -> u64 {
    // A clock before 1970 makes all that is kept look new, and its Date wrong.
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn age_of(seconds: u64) -> String {
    match seconds / 3600 {
        0 => "the copy in the cache is used, which is less than an hour old".to_owned(),
        hours @ 1..48 => format!("the copy in the cache is used, which is {hours} hours old"),
        hours => format!(
            "the copy in the cache is used, which is {} days old",
            hours / 24
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_goes_by_two_names() {
        let release = |codename: &str, suite: &str| {
            let text = format!("Codename: {codename}\nSuite: {suite}\nSHA256:\n");
            Release::parse(&text).unwrap()
        };
        assert!(is_release_of(&release("bookworm", "oldstable"), "bookworm"));
        assert!(is_release_of(
            &release("bookworm", "oldstable"),
            "oldstable"
        ));
        assert!(!is_release_of(&release("bookworm", "oldstable"), "trixie"));
        assert!(!is_release_of(
            &release("bookworm", "oldstable"),
            "bookworm-security"
        ));
        assert!(is_release_of(
            &release("buster", "oldoldstable"),
            "buster/updates"
        ));
    }
}
