//! repodata/repomd.xml: which files describe a repository.

use super::checksum::Checksum;
use super::xml::{Document, Piece, XmlError, attribute};

/// The part of a repomd.xml that leads to the packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Repomd {
    /// The primary.xml, compressed.
    pub(super) primary: File,
}

/// A file of a repository's description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    /// Below the repository.
    pub(super) path: String,
    /// Of the file as it is fetched.
    pub(super) checksum: Checksum,
    /// Bytes as it is fetched; old repositories do not say.
    pub(super) size: Option<u64>,
    /// Bytes unpacked; old repositories do not say.
    pub(super) open_size: Option<u64>,
}

/// Reads a repomd.xml.
pub(super) fn parse(text: &[u8]) -> Result<Repomd, XmlError> {
    let mut document = Document::new(text, "repomd");
    let mut primary = None;
    while let Some(piece) = document.next()? {
        if let Piece::Start { name, attributes } = piece
            && name == "data"
            && attribute(&attributes, "type") == Some("primary")
        {
            primary = Some(file(&mut document)?);
        }
    }
    let primary = primary.ok_or(XmlError::Missing {
        element: "<repomd>".to_owned(),
        what: "<data type=\"primary\">",
    })?;
    Ok(Repomd { primary })
}

fn file(document: &mut Document<&[u8]>) -> Result<File, XmlError> {
    const ELEMENT: &str = "<data type=\"primary\">";
    let missing = |what| XmlError::Missing {
        element: ELEMENT.to_owned(),
        what,
    };
    let (mut path, mut kind, mut checksum) = (None, None, None);
    let (mut size, mut open_size) = (None, None);
    while let Some(piece) = document.next()? {
        match piece {
            Piece::Start { name, attributes } => match name.as_str() {
                "location" => path = attribute(&attributes, "href").map(str::to_owned),
                "checksum" => kind = attribute(&attributes, "type").map(str::to_owned),
                _ => {}
            },
            Piece::End { name, text } => match name.as_str() {
                "data" => break,
                "checksum" => {
                    let kind = kind
                        .take()
                        .ok_or_else(|| missing("type of its <checksum>"))?;
                    checksum = Some(Checksum::parse(ELEMENT, &kind, &text)?);
                }
                "size" => size = Some(number(ELEMENT, &text)?),
                "open-size" => open_size = Some(number(ELEMENT, &text)?),
                _ => {}
            },
        }
    }
    Ok(File {
        path: below(ELEMENT, &path.ok_or_else(|| missing("<location href=…>"))?)?,
        checksum: checksum.ok_or_else(|| missing("<checksum>"))?,
        size,
        open_size,
    })
}

pub(super) fn number(element: &str, text: &str) -> Result<u64, XmlError> {
    text.parse().map_err(|_| XmlError::Value {
        element: element.to_owned(),
        value: text.chars().take(80).collect(),
        what: "size in bytes",
    })
}

/// A path that stays below the repository, whatever a URL's parts can mean.
pub(super) fn below(element: &str, path: &str) -> Result<String, XmlError> {
    let lower = path.to_ascii_lowercase();
    let climbs = path.split('/').any(|part| matches!(part, "" | "." | ".."));
    let strange = path
        .chars()
        .any(|letter| letter.is_control() || matches!(letter, '\\' | '?' | '#' | ' '));
    if climbs || strange || lower.contains("%2e") || lower.contains("%2f") || path.contains("://") {
        return Err(XmlError::Value {
            element: element.to_owned(),
            value: path.chars().take(80).collect(),
            what: "path below the repository",
        });
    }
    Ok(path.to_owned())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::rpm::checksum::Algorithm;

    /// As createrepo_c 0.17 writes it, shortened.
    const NEW: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<repomd xmlns="http://linux.duke.edu/metadata/repo" xmlns:rpm="http://linux.duke.edu/metadata/rpm">
  <revision>1764000000</revision>
  <data type="filelists"><checksum type="sha256">00</checksum><location href="x"/></data>
  <data type="primary">
    <checksum type="sha256">34408890500ec72c0f181542a91f7ff9549d2ef32c8efaa01d1f8e43ee1ff1ac</checksum>
    <open-checksum type="sha256">8e2b1c2c6e4e5a49b0b1a7b1e9b1a7b1e9b1a7b1e9b1a7b1e9b1a7b1e9b1a7b1</open-checksum>
    <location href="repodata/34408890-primary.xml.gz"/>
    <timestamp>1764000000</timestamp>
    <size>1234</size>
    <open-size>5678</open-size>
  </data>
</repomd>"#;

    /// As yum's createrepo of 2007 wrote it.
    const OLD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<repomd xmlns="http://linux.duke.edu/metadata/repo">
  <data type="primary">
    <location href="repodata/primary.xml.gz"/>
    <checksum type="sha">a9993e364706816aba3e25717850c26c9cd0d89d</checksum>
    <timestamp>1190300000</timestamp>
    <open-checksum type="sha">a9993e364706816aba3e25717850c26c9cd0d89d</open-checksum>
  </data>
</repomd>"#;

    #[test]
    fn new_and_old_ones_are_read() {
        let new = parse(NEW.as_bytes()).unwrap().primary;
        assert_eq!(new.path, "repodata/34408890-primary.xml.gz");
        assert_eq!((new.size, new.open_size), (Some(1234), Some(5678)));
        assert_eq!(new.checksum.algorithm, Algorithm::Sha256);
        let old = parse(OLD.as_bytes()).unwrap().primary;
        assert_eq!((old.size, old.open_size), (None, None));
        assert_eq!(old.checksum.algorithm, Algorithm::Sha1);
    }

    #[test]
    fn a_path_that_climbs_and_a_lack_are_told() {
        for path in [
            "../x",
            "/etc/passwd",
            "repodata/../../x",
            "%2e%2e/x",
            "a%2Fb",
            "http://x/y",
            "a//b",
            "a?b",
            "",
        ] {
            let text = NEW.replace("repodata/34408890-primary.xml.gz", path);
            assert!(
                matches!(parse(text.as_bytes()), Err(XmlError::Value { .. })),
                "{path}"
            );
        }
        for (gone, what) in [("type=\"primary\"", "primary"), ("href=", "location")] {
            let text = NEW.replace(gone, "x=\"y\" z=");
            let error = parse(text.replace("z=>", ">").as_bytes()).unwrap_err();
            assert!(error.to_string().contains(what), "{error}");
        }
    }
}
