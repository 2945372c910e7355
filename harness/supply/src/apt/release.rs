//! A suite's Release file: what it says of itself, and the digests of its indices.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::fmt::rfc2822;

use super::deb822;

/// A Release file that was verified; everything below rests on its digests.
#[derive(Clone, Debug, Default)]
pub struct Release {
    /// `Debian`.
    pub origin: String,
    /// `Debian`, `Debian-Security`, …
    pub label: String,
    /// `oldstable`, `unstable`: moves from one release to the next.
    pub suite: String,
    /// `bookworm`.
    pub codename: String,
    /// When it was made.
    pub date: Option<Timestamp>,
    /// When it stops being good; stable releases have none.
    pub valid_until: Option<Timestamp>,
    /// `amd64`, `all`, …
    pub architectures: Vec<String>,
    /// `main`; of a security suite `updates/main`.
    pub components: Vec<String>,
    /// Indices can be had by their digest, which no update of the archive breaks.
    pub by_hash: bool,
    /// The `all` packages are in each architecture's own index.
    pub all_in_each: bool,
    /// Path below the suite → what the file there must be; Packages indices only.
    files: BTreeMap<String, IndexFile>,
}

/// What a file listed in a Release must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexFile {
    /// Bytes.
    pub size: u64,
    /// 64 hexadecimal digits, lower case.
    pub sha256: String,
}

/// What makes a text no Release file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedRelease {
    /// It has no fields, or none of those each Release has.
    #[error("it has no field `{0}`")]
    Missing(&'static str),
    /// A date that is none.
    #[error("its field `{field}` is no date: `{value}`")]
    Date {
        /// `Date` or `Valid-Until`.
        field: &'static str,
        /// What stands there.
        value: String,
    },
    /// A line of the table of digests that is none.
    #[error("its SHA256 table has a line that is none: `{0}`")]
    Table(String),
}

impl Release {
    /// Reads the text of a Release file, which must be the very text a signature
    /// covered.
    pub fn parse(text: &str) -> Result<Release, MalformedRelease> {
        let mut release = Release::default();
        let mut table = None;
        let stanza = deb822::stanzas(text)
            .next()
            .ok_or(MalformedRelease::Missing("SHA256"))?;
        for (name, value) in stanza.fields() {
            match name {
                "Origin" => value.clone_into(&mut release.origin),
                "Label" => value.clone_into(&mut release.label),
                "Suite" => value.clone_into(&mut release.suite),
                "Codename" => value.clone_into(&mut release.codename),
                "Date" => release.date = Some(date("Date", value)?),
                "Valid-Until" => release.valid_until = Some(date("Valid-Until", value)?),
                "Architectures" => release.architectures = words(value),
                "Components" => release.components = words(value),
                "Acquire-By-Hash" => release.by_hash = value == "yes",
                "No-Support-for-Architecture-all" => {
                    release.all_in_each = words(value).iter().any(|word| word == "Packages");
                }
                "SHA256" => table = Some(value),
                _ => {}
            }
        }
        let table = table.ok_or(MalformedRelease::Missing("SHA256"))?;
        for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let malformed = || MalformedRelease::Table(line.to_owned());
            let mut columns = line.split_ascii_whitespace();
            let (Some(sha256), Some(size), Some(path), None) = (
                columns.next(),
                columns.next(),
                columns.next(),
                columns.next(),
            ) else {
                return Err(malformed());
            };
            // Of 1,500 lines a few are of use here; each is still one that makes sense.
            if sha256.len() != 64 || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(malformed());
            }
            let size = size.parse().map_err(|_| malformed())?;
            if !path.contains("/binary-") || !path.contains("/Packages") {
                continue;
            }
            let file = IndexFile {
                size,
                sha256: sha256.to_ascii_lowercase(),
            };
            release.files.insert(path.to_owned(), file);
        }
        Ok(release)
    }

    /// What the Packages index at `path` below the suite must be, if it is listed.
    pub fn file(&self, path: &str) -> Option<&IndexFile> {
        self.files.get(path)
    }

    /// The folders of the indices to take for one architecture: those of component
    /// `main` where there is one, else of all; and those of `all` where these are
    /// apart. In the order of the Release.
    pub fn index_folders(&self, architecture: &str) -> Vec<String> {
        // The component of a security suite is `updates/main`, its path `main`.
        let paths: Vec<&str> = self
            .components
            .iter()
            .map(|component| component.rsplit('/').next().unwrap_or(component))
            .collect();
        let main: Vec<&str> = paths
            .iter()
            .copied()
            .filter(|path| *path == "main")
            .collect();
        let mut folders = Vec::new();
        for component in if main.is_empty() { paths } else { main } {
            folders.push(format!("{component}/binary-{architecture}"));
            let all = self
                .architectures
                .iter()
                .any(|architecture| architecture == "all");
            if all && !self.all_in_each {
                folders.push(format!("{component}/binary-all"));
            }
        }
        folders
    }
}

fn words(value: &str) -> Vec<String> {
    value.split_ascii_whitespace().map(str::to_owned).collect()
}

/// `Sat, 11 Jul 2026 10:16:37 UTC`: RFC 2822, but for the zone's name, which is
/// UTC by the format's definition.
fn date(field: &'static str, value: &str) -> Result<Timestamp, MalformedRelease> {
    let malformed = || MalformedRelease::Date {
        field,
        value: value.to_owned(),
    };
    let without_zone = value
        .strip_suffix("UTC")
        .or_else(|| value.strip_suffix("GMT"))
        .or_else(|| value.strip_suffix('Z'))
        .map(str::trim_end);
    let text = match without_zone {
        Some(text) => format!("{text} +0000"),
        None => value.to_owned(),
    };
    // The day of the week can be missing or wrong; the date itself counts.
    let text = text
        .split_once(',')
        .map_or(text.as_str(), |(_, rest)| rest.trim_start());
    // Ubuntu's archive fills an hour of one digit up with a space.
    let words: Vec<_> = text
        .split_ascii_whitespace()
        .map(|word| match word.as_bytes() {
            [b'0'..=b'9', b':', ..] => format!("0{word}"),
            _ => word.to_owned(),
        })
        .collect();
    rfc2822::DateTimeParser::new()
        .parse_timestamp(words.join(" "))
        .map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_of_one_digit_is_filled_up_with_a_space() {
        let date = |value| date("Date", value).unwrap().to_string();
        // Of jammy-updates' Release of 29 November 2026.
        assert_eq!(
            date("Sun, 29 Nov 2026  3:25:35 UTC"),
            "2026-11-29T03:25:35Z"
        );
        assert_eq!(
            date("Sun, 29 Nov 2026 13:25:35 UTC"),
            "2026-11-29T13:25:35Z"
        );
    }

    /// The head of bookworm-security's Release of 22 November 2026.
    const SECURITY: &str = "\
Origin: Debian
Label: Debian-Security
Suite: oldstable-security
Version: 12
Codename: bookworm-security
Date: Sun, 22 Nov 2026 19:58:56 UTC
Valid-Until: Sun, 29 Nov 2026 19:58:56 UTC
Acquire-By-Hash: yes
Architectures: amd64 arm64 armhf i386 ppc64el
Components: updates/main updates/contrib updates/non-free-firmware updates/non-free
Description: Debian 12 - Security Updates
SHA256:
 c8688a4761aec8f6dfbab8f3941f383fc5ee72aaf0bdaaa3c43aac81d8c42c84     3681 contrib/binary-amd64/Packages
 19f8dd5f1ee03c4ce44d79f31c4a9bb538e7b8324bf8db398cf395e3223affe9     1456 contrib/binary-amd64/Packages.xz
";

    #[test]
    fn a_real_release_is_read() {
        let release = Release::parse(SECURITY).unwrap();
        assert_eq!(release.label, "Debian-Security");
        assert!(release.by_hash);
        let valid_until = release.valid_until.unwrap();
        assert_eq!(valid_until.to_string(), "2026-11-29T19:58:56Z");
        assert_eq!(release.index_folders("amd64"), ["main/binary-amd64"]);
        let file = release.file("contrib/binary-amd64/Packages.xz").unwrap();
        assert_eq!(file.size, 1456);
        assert!(file.sha256.starts_with("19f8dd5f"));
        assert_eq!(release.file("main/binary-amd64/Packages"), None);
    }

    #[test]
    fn indices_of_all_are_taken_where_they_are_apart() {
        let text = "Architectures: all amd64\nComponents: main contrib\nSHA256:\n";
        let apart = Release::parse(text).unwrap();
        assert_eq!(
            apart.index_folders("i386"),
            ["main/binary-i386", "main/binary-all"]
        );
        let text = format!("No-Support-for-Architecture-all: Packages\n{text}");
        let together = Release::parse(&text).unwrap();
        assert_eq!(together.index_folders("i386"), ["main/binary-i386"]);
        let others = Release::parse("Components: stable test\nSHA256:\n").unwrap();
        assert_eq!(
            others.index_folders("amd64"),
            ["stable/binary-amd64", "test/binary-amd64"]
        );
    }

    #[test]
    fn what_is_no_release_is_told() {
        for (text, error) in [
            ("", MalformedRelease::Missing("SHA256")),
            ("Origin: Debian\n", MalformedRelease::Missing("SHA256")),
            (
                "SHA256:\n abc 1 x\n",
                MalformedRelease::Table("abc 1 x".into()),
            ),
            (
                "Date: tomorrow\nSHA256:\n",
                MalformedRelease::Date {
                    field: "Date",
                    value: "tomorrow".into(),
                },
            ),
        ] {
            assert_eq!(Release::parse(text).unwrap_err(), error);
        }
    }
}
