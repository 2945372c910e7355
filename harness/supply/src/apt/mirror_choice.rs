//! Which mirror a suite of Debian comes from: the first whose verified Release says
//! it is Debian's.

use plan::{AptSuite, Archive};

use super::AptError;
use super::client::Apt;
use super::suite::Suite;
use crate::openpgp::OpenPgpError;

/// The Label by which Debian's security archive is known.
const SECURITY: &str = "Debian-Security";

impl Apt {
    /// The suite, from the archive it names or from the Debian mirror.
    pub(super) fn find_suite(&self, wanted: &AptSuite) -> Result<Suite, AptError> {
        let (candidates, security) = match &wanted.archive {
            Archive::Url(url) => return self.suite(url, &wanted.suite, wanted.allow_expired),
            Archive::Debian => (&self.mirrors()?.debian, false),
            Archive::DebianSecurity => (&self.mirrors()?.security, true),
        };
        // One that has been asked before and is in the cache needs no other asked.
        let is_known = |url: &String| self.knows_suite(url, &wanted.suite, wanted.allow_expired);
        let (mut order, others): (Vec<&String>, Vec<&String>) =
            candidates.iter().partition(|url| is_known(url));
        order.extend(others);
        let (mut tried, mut telling) = (Vec::new(), None);
        let mut only = None;
        for url in order {
            let error = match self.suite(url, &wanted.suite, wanted.allow_expired) {
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
                    crate::mirror::SECURITY_VARIABLE
                } else {
                    crate::mirror::DEBIAN_VARIABLE
                },
            }),
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
        | AptError::Cache(_) => true,
        AptError::Signature { source, .. } => !matches!(
            source,
            OpenPgpError::UnknownKey { .. } | OpenPgpError::Unsigned
        ),
        _ => false,
    }
}
