//! primary.xml: the packages of a repository.

use std::io::BufRead;

use serde::{Deserialize, Serialize};

use super::checksum::Checksum;
use super::repomd::{below, number};
use super::version::Evr;
use super::xml::{Document, Piece, XmlError, attribute};

/// The architecture of the guests.
const ARCHITECTURE: &str = "x86_64";

/// A package as a repository tells of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RpmPackage {
    /// `kernel-core`.
    pub name: String,
    /// Epoch, version and release.
    pub evr: Evr,
    /// Below the repository, or below `base`.
    pub path: String,
    /// Another place than the repository, as a URL.
    pub base: Option<String>,
    /// What its bytes come to.
    pub checksum: Checksum,
    /// Bytes.
    pub size: u64,
    /// The source package it was built from; empty where the repository does not say.
    pub source: String,
}

/// What was looked for in a primary.xml.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Those of a wanted name, for x86-64.
    pub(super) packages: Vec<RpmPackage>,
    /// Names that begin with `kernel`, for a message; each once, not all.
    pub(super) kernels: Vec<String>,
}

/// Reads a primary.xml and keeps the packages whose name `wanted` takes.
pub(super) fn parse(
    source: impl BufRead,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Found, XmlError> {
    const NAMES: usize = 30;
    let mut document = Document::new(source, "metadata");
    let mut found = Found::default();
    while let Some(piece) = document.next()? {
        let Piece::Start { name, attributes } = piece else {
            continue;
        };
        if name != "package" || attribute(&attributes, "type") != Some("rpm") {
            continue;
        }
        let Some(package) = package(&mut document, wanted, &mut |name| {
            if name.starts_with("kernel")
                && found.kernels.len() < NAMES
                && !found.kernels.iter().any(|known| known == name)
            {
                found.kernels.push(name.to_owned());
            }
        })?
        else {
            continue;
        };
        found.packages.push(package);
    }
    Ok(found)
}

#[derive(Default)]
struct Draft {
    name: String,
    architecture: String,
    evr: Option<Evr>,
    checksum: Option<Checksum>,
    path: Option<String>,
    base: Option<String>,
    size: Option<u64>,
    source: String,
}

/// The package whose element has begun; none where it is not wanted.
fn package<R: BufRead>(
    document: &mut Document<R>,
    wanted: &dyn Fn(&str) -> bool,
    name_seen: &mut dyn FnMut(&str),
) -> Result<Option<RpmPackage>, XmlError> {
    let mut draft = Draft::default();
    let mut kind = None;
    // Children of <package> alone: <format> has elements of the same names.
    let mut depth = 1;
    while let Some(piece) = document.next()? {
        match piece {
            Piece::Start { name, attributes } => {
                depth += 1;
                if depth != 2 || skipped(&draft, wanted) {
                    continue;
                }
                let get = |key| attribute(&attributes, key).map(str::to_owned);
                match name.as_str() {
                    "version" => draft.evr = evr(&attributes),
                    "location" => (draft.path, draft.base) = (get("href"), get("base")),
                    "checksum" => kind = get("type"),
                    "size" => {
                        draft.size = get("package")
                            .map(|text| number(&draft.name, &text))
                            .transpose()?;
                    }
                    _ => {}
                }
            }
            Piece::End { name, text } => {
                depth -= 1;
                match (depth, name.as_str()) {
                    (0, _) => break,
                    (1, "name") => {
                        name_seen(&text);
                        draft.name = text;
                    }
                    (1, "arch") => draft.architecture = text,
                    (1, "checksum") if !skipped(&draft, wanted) => {
                        let kind = kind.take().unwrap_or_default();
                        draft.checksum = Some(Checksum::parse(&draft.name, &kind, &text)?);
                    }
                    (2, "sourcerpm") => draft.source = text,
                    _ => {}
                }
            }
        }
    }
    if draft.architecture != ARCHITECTURE || !wanted(&draft.name) {
        return Ok(None);
    }
    let missing = |what| XmlError::Missing {
        element: draft.name.clone(),
        what,
    };
    if let Some(base) = &draft.base
        && !(base.starts_with("http://") || base.starts_with("https://"))
    {
        return Err(XmlError::Value {
            element: draft.name.clone(),
            value: base.clone(),
            what: "place to fetch it from",
        });
    }
    let path = draft.path.ok_or_else(|| missing("<location href=…>"))?;
    Ok(Some(RpmPackage {
        path: below(&draft.name, &path)?,
        base: draft.base,
        evr: draft.evr.ok_or_else(|| missing("<version>"))?,
        checksum: draft.checksum.ok_or_else(|| missing("<checksum>"))?,
        size: draft.size.ok_or_else(|| missing("<size package=…>"))?,
        source: draft.source,
        name: draft.name,
    }))
}

/// Known already not to be kept: what is wrong with it does not matter.
fn skipped(draft: &Draft, wanted: &dyn Fn(&str) -> bool) -> bool {
    (!draft.name.is_empty() && !wanted(&draft.name))
        || (!draft.architecture.is_empty() && draft.architecture != ARCHITECTURE)
}

fn evr(attributes: &[(String, String)]) -> Option<Evr> {
    Some(Evr {
        epoch: attribute(attributes, "epoch").unwrap_or("0").parse().ok()?,
        version: attribute(attributes, "ver")?.to_owned(),
        release: attribute(attributes, "rel")?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As createrepo_c writes it, shortened to what matters.
    fn text(name: &str, architecture: &str, extra: &str) -> String {
        format!(
            r#"<package type="rpm"><name>{name}</name><arch>{architecture}</arch>
  <version epoch="0" ver="4.18.0" rel="553.el8_10"/>
  <checksum type="sha256" pkgid="YES">34408890500ec72c0f181542a91f7ff9549d2ef32c8efaa01d1f8e43ee1ff1ac</checksum>
  <summary>The Linux kernel &amp; more</summary><url>https://example.org</url>
  <time file="1" build="2"/><size package="11111" installed="2" archive="3"/>
  <location href="Packages/{name}-4.18.0-553.el8_10.x86_64.rpm"{extra}/>
  <format><rpm:license>GPLv2</rpm:license><rpm:sourcerpm>kernel-4.18.0-553.el8_10.src.rpm</rpm:sourcerpm>
    <rpm:provides><rpm:entry name="kernel" flags="EQ" epoch="0" ver="4.18.0" rel="553.el8_10"/></rpm:provides>
    <file>/boot/x</file></format></package>"#
        )
    }

    fn document(packages: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?><metadata xmlns=\"c\" xmlns:rpm=\"r\" packages=\"9\">{packages}</metadata>"
        )
    }

    fn read(packages: &str) -> Result<Found, XmlError> {
        parse(document(packages).as_bytes(), &|name| {
            name.starts_with("kernel")
        })
    }

    #[test]
    fn what_is_wanted_is_kept_and_names_are_remembered() {
        let all = [
            text("kernel-core", "x86_64", ""),
            text("kernel-core", "i686", ""),
            text("bash", "x86_64", ""),
            text("kernel", "src", ""),
        ];
        let found = read(&all.concat()).unwrap();
        assert_eq!(found.packages.len(), 1);
        let package = &found.packages[0];
        assert_eq!(package.evr.to_string(), "4.18.0-553.el8_10");
        assert_eq!(package.size, 11111);
        assert_eq!(package.source, "kernel-4.18.0-553.el8_10.src.rpm");
        assert_eq!(
            package.path,
            "Packages/kernel-core-4.18.0-553.el8_10.x86_64.rpm"
        );
        assert_eq!(found.kernels, ["kernel-core", "kernel"]);
    }

    #[test]
    fn what_is_wrong_with_a_wanted_one_is_told_and_with_another_one_not() {
        let wrong = |name: &str| {
            text(name, "x86_64", "").replace("Packages/", "../../")
                + &text(name, "x86_64", "").replace("sha256", "md5")
        };
        assert!(read(&wrong("bash")).is_ok());
        assert!(matches!(
            read(&wrong("kernel")),
            Err(XmlError::Value { .. })
        ));
        let elsewhere = text("kernel", "x86_64", " xml:base=\"file:///etc\"");
        assert!(matches!(read(&elsewhere), Err(XmlError::Value { .. })));
        let cut = document(&text("kernel", "x86_64", ""));
        let cut = &cut[..cut.len() / 2];
        assert!(parse(cut.as_bytes(), &|_| true).is_err());
    }
}
