//! The Debian mirrors this machine should use: what the environment names, else what
//! its own apt is set up with, and Debian's primary archive last.
//!
//! Whether an archive really is Debian's shows when its Release is verified: a
//! machine's apt configuration also lists other vendors'. Which suites it lists does
//! not matter, only where.

use std::io;
use std::path::{Path, PathBuf};

use crate::apt::{AptError, stanzas};

/// Names the mirror of Debian's main archive.
pub const DEBIAN_VARIABLE: &str = "MATRIX_DEBIAN_MIRROR";
/// Names the mirror of Debian's security archive.
pub const SECURITY_VARIABLE: &str = "MATRIX_DEBIAN_SECURITY_MIRROR";

/// Names the archive of snapshots, below which Debian's archives lie by their times.
pub const SNAPSHOT_VARIABLE: &str = "MATRIX_DEBIAN_SNAPSHOT";

const PRIMARY: &str = "http://ftp.debian.org/debian";
const SECURITY_PRIMARY: &str = "http://security.debian.org/debian-security";

/// Base URLs to look for Debian's suites at, best first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mirrors {
    /// Of the main archive.
    pub debian: Vec<String>,
    /// Of the security archive.
    pub security: Vec<String>,
    /// The archive of snapshots; none: nobody has named one.
    pub snapshots: Option<String>,
}

impl Mirrors {
    /// From the environment and /etc/apt.
    pub fn of_this_machine() -> Result<Mirrors, AptError> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let (debian, security) = (variable(DEBIAN_VARIABLE), variable(SECURITY_VARIABLE));
        let configured = if debian.is_some() && security.is_some() {
            Vec::new()
        } else {
            configured(Path::new("/etc/apt"))?
        };
        let mut mirrors = Mirrors::choose(&configured, debian, security);
        mirrors.snapshots = variable(SNAPSHOT_VARIABLE)
            .map(|url| trim(&url))
            .or_else(|| configured.iter().find_map(|url| snapshots_of(url)));
        Ok(mirrors)
    }

    /// Where one of Debian's archives is as it was at a moment.
    ///
    /// # Errors
    /// When no archive of snapshots is known.
    pub(crate) fn snapshot(&self, security: bool, time: &str) -> Result<String, AptError> {
        let base = self.snapshots.as_deref().ok_or(AptError::NoSnapshots {
            time: time.to_owned(),
            variable: SNAPSHOT_VARIABLE,
        })?;
        let archive = if security {
            "debian-security"
        } else {
            "debian"
        };
        Ok(format!("{base}/{archive}/{time}"))
    }

    /// A file of a mirror at the address it has on Debian's own server, so that it
    /// means the same to machines with other mirrors; any other address as it is.
    pub(crate) fn common(&self, url: &str) -> String {
        for (mirrors, primary) in [(&self.debian, PRIMARY), (&self.security, SECURITY_PRIMARY)] {
            let path = mirrors
                .iter()
                .find_map(|mirror| url.strip_prefix(mirror.as_str())?.strip_prefix('/'));
            if let Some(path) = path {
                return format!("{primary}/{path}");
            }
        }
        url.to_owned()
    }

    /// Where to look for what [`Mirrors::common`] gave, best first.
    pub(crate) fn places_of(&self, url: &str) -> Vec<String> {
        for (mirrors, primary) in [(&self.debian, PRIMARY), (&self.security, SECURITY_PRIMARY)] {
            if let Some(path) = url
                .strip_prefix(primary)
                .and_then(|it| it.strip_prefix('/'))
            {
                return mirrors
                    .iter()
                    .map(|mirror| format!("{mirror}/{path}"))
                    .collect();
            }
        }
        vec![url.to_owned()]
    }

    /// From the URLs apt is set up with, and what the environment names instead.
    fn choose(configured: &[String], debian: Option<String>, security: Option<String>) -> Mirrors {
        let (for_security, for_debian): (Vec<&String>, Vec<&String>) =
            configured.iter().partition(|url| is_security(url));
        let rest = |urls: Vec<&String>, primary: &str| {
            let mut urls: Vec<String> = urls.into_iter().cloned().collect();
            // Debian's mirrors are mostly called so: other vendors' archives are
            // asked after them.
            urls.sort_by_key(|url| !url.ends_with("/debian"));
            urls.push(primary.to_owned());
            distinct(urls)
        };
        Mirrors {
            // Who names a mirror wants that one and no other.
            debian: match debian {
                Some(url) => vec![trim(&url)],
                None => rest(for_debian, PRIMARY),
            },
            security: match security {
                Some(url) => vec![trim(&url)],
                None => rest(for_security, SECURITY_PRIMARY),
            },
            snapshots: None,
        }
    }
}

/// `20260101T000000Z` as a time.
pub(crate) fn moment(text: &str) -> Option<jiff::Timestamp> {
    jiff::fmt::temporal::DateTimeParser::new()
        .parse_timestamp(text)
        .ok()
}

/// The archive of snapshots that an apt held at a moment is set up with:
/// `BASE/debian/20260101T000000Z`.
fn snapshots_of(url: &str) -> Option<String> {
    let (archive, time) = url.rsplit_once('/')?;
    moment(time)?;
    let base = archive
        .strip_suffix("/debian")
        .or_else(|| archive.strip_suffix("/debian-security"))?;
    Some(base.to_owned())
}

fn is_security(url: &str) -> bool {
    url.ends_with("/debian-security") || url.contains("//security.debian.org")
}

fn trim(url: &str) -> String {
    url.trim_end_matches('/').to_owned()
}

fn distinct(urls: Vec<String>) -> Vec<String> {
    let mut seen = Vec::new();
    for url in urls {
        if !seen.contains(&url) {
            seen.push(url);
        }
    }
    seen
}

/// The URLs of all archives of binary packages in an apt configuration, in apt's
/// order. A machine without apt has none.
fn configured(folder: &Path) -> Result<Vec<String>, AptError> {
    let mut files = vec![folder.join("sources.list")];
    files.extend(list(&folder.join("sources.list.d"))?);
    let mut urls = Vec::new();
    for path in files {
        let text = match std::fs::read(&path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => return Err(AptError::Configuration { path, source }),
        };
        let deb822 = path
            .extension()
            .is_some_and(|extension| extension == "sources");
        urls.extend(if deb822 {
            parse_sources(&text)
        } else {
            parse_list(&text)
        });
    }
    Ok(distinct(urls))
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, AptError> {
    let failed = |source| AptError::Configuration {
        path: folder.to_owned(),
        source,
    };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(failed(source)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if path
            .extension()
            .is_some_and(|it| it == "list" || it == "sources")
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The URLs of a sources.list: `deb [options] URL suite component…`.
fn parse_list(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| {
            let line = line.split('#').next()?.trim();
            let rest = line.strip_prefix("deb")?;
            let rest = rest.strip_prefix([' ', '\t'])?.trim_start();
            let rest = match rest.strip_prefix('[') {
                Some(options) => options.split_once(']')?.1,
                None => rest,
            };
            rest.split_ascii_whitespace().next()
        })
        .filter_map(usable)
        .collect()
}

/// The URLs of a *.sources file.
fn parse_sources(text: &str) -> Vec<String> {
    // Comments may stand even between the lines of one field.
    let text: String = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(|line| [line, "\n"])
        .collect();
    stanzas(&text)
        .filter(|stanza| {
            let types = stanza.get("Types").unwrap_or_default();
            let enabled = stanza.get("Enabled").unwrap_or("yes");
            types.split_ascii_whitespace().any(|kind| kind == "deb")
                && !matches!(
                    enabled,
                    "no" | "false" | "0" | "off" | "without" | "disable"
                )
        })
        .flat_map(|stanza| {
            stanza
                .get("URIs")
                .unwrap_or_default()
                .split_ascii_whitespace()
        })
        .filter_map(usable)
        .collect()
}

/// One that this program can fetch from: not `cdrom:`, `tor+http:`, `mirror:`.
fn usable(url: &str) -> Option<String> {
    let known = ["http://", "https://", "file:///"]
        .iter()
        .any(|scheme| url.starts_with(scheme));
    known.then(|| trim(url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_means_the_same_on_every_machine() {
        let mirrors = Mirrors {
            debian: vec!["http://a.example/debian".to_owned(), PRIMARY.to_owned()],
            security: vec!["http://a.example/debian-security".to_owned()],
            snapshots: None,
        };
        let url = "http://a.example/debian/pool/main/b/bash.deb";
        let common = mirrors.common(url);
        assert_eq!(common, format!("{PRIMARY}/pool/main/b/bash.deb"));
        assert_eq!(mirrors.places_of(&common), [url.to_owned(), common.clone()]);
        let security = mirrors.common("http://a.example/debian-security/pool/x.deb");
        assert_eq!(security, format!("{SECURITY_PRIMARY}/pool/x.deb"));
        let other = "http://b.example/ubuntu/pool/x.deb";
        assert_eq!(mirrors.common(other), other);
        assert_eq!(mirrors.places_of(other), [other]);
    }

    #[test]
    fn a_snapshot_is_named_by_its_time() {
        let time = "20260101T000000Z";
        let mirrors = Mirrors {
            snapshots: snapshots_of("http://then.example/archive/debian/20250520T000000Z"),
            ..Mirrors::default()
        };
        assert_eq!(
            mirrors.snapshot(true, time).unwrap(),
            "http://then.example/archive/debian-security/20260101T000000Z"
        );
        for url in [
            "http://mirror.example/debian",
            "http://mirror.example/debian/bookworm",
            "http://mirror.example/other/20250520T000000Z",
        ] {
            assert_eq!(snapshots_of(url), None, "{url}");
        }
        // Nobody has named one: the error says how to.
        let error = Mirrors::default().snapshot(false, time).unwrap_err();
        assert!(error.to_string().contains(SNAPSHOT_VARIABLE), "{error}");
        assert_eq!(
            moment("20260101T000000Z").unwrap().to_string(),
            "2026-01-01T00:00:00Z"
        );
    }

    #[test]
    fn classic_lists_are_read() {
        let text = "# deb http://old.example/debian etch main\n\
                    deb http://mirror.example/debian/ bookworm main # a comment\n\
                    deb-src http://source.example/debian bookworm main\n\
                    deb\t[arch=amd64 signed-by=/x.gpg] https://vendor.example/apt stable main\n\
                    deb [ trusted=yes ] file:///srv/debian ./\n\
                    deb cdrom:[Debian 12]/ bookworm main\n";
        let urls = [
            "http://mirror.example/debian",
            "https://vendor.example/apt",
            "file:///srv/debian",
        ];
        assert_eq!(parse_list(text), urls);
    }

    #[test]
    fn deb822_sources_are_read() {
        let text = "Types: deb deb-src\n# http://snapshot.example/archive\n\
                    URIs: http://mirror.example/debian\n http://second.example/debian/\n\
                    Suites: bookworm bookworm-updates\nComponents: main\n\n\
                    # all off\nTypes: deb\nURIs: http://off.example/debian\nEnabled: no\n\n\
                    Types: deb-src\nURIs: http://source.example/debian\n";
        assert_eq!(
            parse_sources(text),
            [
                "http://mirror.example/debian",
                "http://second.example/debian"
            ]
        );
    }

    #[test]
    fn mirrors_are_ordered_and_the_environment_wins() {
        let configured = [
            "https://vendor.example/apt",
            "http://mirror.example/debian-security",
            "http://mirror.example/debian",
        ]
        .map(str::to_owned);
        let found = Mirrors::choose(&configured, None, None);
        let debian = [
            "http://mirror.example/debian",
            "https://vendor.example/apt",
            PRIMARY,
        ];
        assert_eq!(found.debian, debian);
        assert_eq!(
            found.security,
            ["http://mirror.example/debian-security", SECURITY_PRIMARY]
        );
        let named = Mirrors::choose(&configured, Some("http://named.example/d/".into()), None);
        assert_eq!(named.debian, ["http://named.example/d"]);
        assert_eq!(named.security, found.security);
        let bare = Mirrors::choose(&[], None, None);
        assert_eq!(bare.debian, [PRIMARY]);
    }

    #[test]
    fn a_configuration_is_collected_in_order() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(configured(folder.path()).unwrap(), [""; 0]);
        let parts = folder.path().join("sources.list.d");
        std::fs::create_dir(&parts).unwrap();
        std::fs::write(
            folder.path().join("sources.list"),
            "deb http://a.example/debian x y\n",
        )
        .unwrap();
        std::fs::write(parts.join("b.list"), "deb http://b.example/debian x y\n").unwrap();
        std::fs::write(
            parts.join("a.sources"),
            "Types: deb\nURIs: http://c.example/debian\n",
        )
        .unwrap();
        std::fs::write(
            parts.join("ignored.save"),
            "deb http://d.example/debian x y\n",
        )
        .unwrap();
        let urls = [
            "http://a.example/debian",
            "http://c.example/debian",
            "http://b.example/debian",
        ];
        assert_eq!(configured(folder.path()).unwrap(), urls);
    }
}
