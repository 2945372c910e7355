//! Which mirror a suite of Debian comes from: the first whose verified Release says
//! it is Debian's.

use std::path::Path;

use plan::{AptSuite, Archive};

use super::AptError;
use super::client::Apt;
use super::suite::{Place, Suite};
use crate::mirror;
use crate::openpgp::{Keyring, OpenPgpError};

/// The Label by which Debian's security archive is known.
const SECURITY: &str = "Debian-Security";

impl Apt {
    /// The suite, from the archive it names or from the Debian mirror.
    pub(super) fn find_suite(&self, wanted: &AptSuite) -> Result<Suite, AptError> {
        let (candidates, security) = match &wanted.archive {
            Archive::Url(url) => {
                return self.suite(&self.shipped(url), &wanted.suite, wanted.allow_expired);
            }
            Archive::Keyed { url, key } => return self.keyed(url, key, wanted),
            Archive::Snapshot { security, time } => return self.snapshot(*security, time, wanted),
            Archive::Debian => (&self.mirrors()?.debian, false),
            Archive::DebianSecurity => (&self.mirrors()?.security, true),
        };
        // One that has been asked before and is in the cache needs no other asked.
        let is_known = |url: &String| {
            self.knows_suite(&self.shipped(url), &wanted.suite, wanted.allow_expired)
        };
        let (mut order, others): (Vec<&String>, Vec<&String>) =
            candidates.iter().partition(|url| is_known(url));
        order.extend(others);
        let (mut tried, mut telling) = (Vec::new(), None);
        let mut only = None;
        for url in order {
            let error = match self.suite(&self.shipped(url), &wanted.suite, wanted.allow_expired) {
                Ok(suite) if is_wanted(&suite, security) => return Ok(suite),
                Ok(suite) => {
                    let (origin, label) = (&suite.release.origin, &suite.release.label);
                    tried.push(format!(
                        "  {url}: not Debian's, but of `{origin}` (`{label}`)"
                    ));
                    continue;
                }
                Err(error) => error,
            };
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            tried.push(if line.starts_with(url.as_str()) {
                format!("  {line}")
            } else {
                format!("  {url}: {line}")
            });
            if says_more(&error) {
                telling = telling.or(Some(error));
            } else {
                only = Some(error);
            }
        }
        match (telling, only) {
            (Some(error), _) => Err(error),
            (None, Some(error)) if tried.len() == 1 => Err(error),
            _ => Err(AptError::NoMirror {
                suite: wanted.suite.clone(),
                tried,
                variable: if security {
                    mirror::SECURITY_VARIABLE
                } else {
                    mirror::DEBIAN_VARIABLE
                },
            }),
        }
    }

    /// An archive that changes, by the keys of this program.
    fn shipped<'a>(&'a self, url: &'a str) -> Place<'a> {
        Place {
            url,
            keyring: &self.keyring,
            frozen: false,
        }
    }

    /// A suite of an archive that an entry gives the keys of.
    fn keyed(&self, url: &str, key: &Path, wanted: &AptSuite) -> Result<Suite, AptError> {
        let failed = |reason: String| AptError::Key {
            path: key.to_path_buf(),
            reason,
        };
        let bytes = std::fs::read(key).map_err(|error| failed(error.to_string()))?;
        let keyring = Keyring::from_bytes(&bytes).map_err(|error| failed(error.to_string()))?;
        let place = Place {
            url,
            keyring: &keyring,
            frozen: false,
        };
        self.suite(&place, &wanted.suite, wanted.allow_expired)
    }

    /// A suite as it was. The archive of snapshots answers any moment with the last
    /// state before it, so a Release of a later date is not what was asked for.
    fn snapshot(&self, security: bool, time: &str, wanted: &AptSuite) -> Result<Suite, AptError> {
        let url = self.mirrors()?.snapshot(security, time)?;
        let place = Place {
            frozen: true,
            ..self.shipped(&url)
        };
        let suite = self.suite(&place, &wanted.suite, wanted.allow_expired)?;
        if !is_wanted(&suite, security) {
            return Err(AptError::WrongSuite {
                url,
                wanted: wanted.suite.clone(),
                found: format!("{} ({})", suite.release.codename, suite.release.origin),
            });
        }
        match (suite.release.date, mirror::moment(time)) {
            (Some(date), Some(moment)) if date > moment => Err(AptError::NotTheSnapshot {
                url: suite.file("Release"),
                date,
            }),
            _ => Ok(suite),
        }
    }
}

fn is_wanted(suite: &Suite, security: bool) -> bool {
    // Backports have an origin of their own, on the same mirror and by the same keys.
    matches!(suite.release.origin.as_str(), "Debian" | "Debian Backports")
        && (suite.release.label == SECURITY) == security
}

/// Whether an error is about a suite that is there and Debian's, rather than about
/// a mirror that cannot be reached, lacks it, or is another vendor's.
fn says_more(error: &AptError) -> bool {
    match error {
        AptError::ExpiredRelease { .. }
        | AptError::NotYetValid { .. }
        | AptError::WrongSuite { .. }
        | AptError::MalformedRelease { .. }
        | AptError::ForeignKey { .. }
        | AptError::Cache(_) => true,
        AptError::Signature { source, .. } => !matches!(
            source,
            OpenPgpError::UnknownKey { .. } | OpenPgpError::Unsigned
        ),
        _ => false,
    }
}
