//! The XML of repositories: elements, attributes and text, and no more.
//!
//! A document that declares a type is refused, and with it every entity but the five
//! that XML has by itself: so nothing expands. How deep elements lie in one another,
//! and how long one piece of text is, has an end.

use std::io::{self, BufRead, Read};

use quick_xml::Reader;
use quick_xml::events::attributes::Attributes;
use quick_xml::events::{BytesStart, Event};

/// How deep elements may lie in one another; repositories' lie five deep.
const DEPTH: usize = 32;

/// The most bytes of one element's own text, or of one tag.
const LONGEST: usize = 1 << 20;

/// Why a document is not read.
#[derive(Debug, thiserror::Error)]
pub enum XmlError {
    /// It is no XML, or the stream failed.
    #[error("{0}")]
    Syntax(#[from] quick_xml::Error),
    /// It is not UTF-8.
    #[error("it is not UTF-8")]
    Encoding,
    /// It declares a document type.
    #[error(
        "it declares a document type, which no repository does and entities could be hidden in"
    )]
    DocumentType,
    /// An entity that is not XML's own.
    #[error("it uses the entity `&{name};`, which is not known")]
    Entity {
        /// Its name.
        name: String,
    },
    /// Elements lie too deep in one another.
    #[error("its elements lie more than {DEPTH} deep in one another")]
    Depth,
    /// A tag or a text without end.
    #[error("a tag or text of it is longer than {LONGEST} bytes")]
    TooLong,
    /// It ends within an element.
    #[error("it is cut short within <{element}>")]
    Cut {
        /// The innermost element.
        element: String,
    },
    /// It is XML, but not of this kind.
    #[error("its root is <{found}>, not <{wanted}>")]
    Root {
        /// What was looked for.
        wanted: &'static str,
        /// What is there.
        found: String,
    },
    /// Something is not there.
    #[error("{element}: no {what}")]
    Missing {
        /// In what.
        element: String,
        /// What.
        what: &'static str,
    },
    /// A value is not what it should be.
    #[error("{element}: {value:?} is no {what}")]
    Value {
        /// In what.
        element: String,
        /// As it stands.
        value: String,
        /// What it should be.
        what: &'static str,
    },
}

/// What a document has next. Names are without their prefix.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// An element begins.
    Start {
        name: String,
        attributes: Vec<(String, String)>,
    },
    /// An element ends; its own text, white space at its ends off.
    End { name: String, text: String },
}

/// A stream of which only so much is read for one piece: the XML reader keeps a whole
/// text in memory, however long it is.
struct Rationed<R> {
    source: R,
    left: usize,
}

impl<R: BufRead> Read for Rationed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Rationed<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let bytes = self.source.fill_buf()?;
        let most = bytes.len().min(self.left);
        if most == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(&bytes[..most])
    }

    fn consume(&mut self, count: usize) {
        self.left -= count.min(self.left);
        self.source.consume(count);
    }
}

/// A document being read.
pub(super) struct Document<R> {
    reader: Reader<Rationed<R>>,
    buffer: Vec<u8>,
    /// The elements that are open, each with its own text so far.
    open: Vec<(String, String)>,
    /// Of an element without content: what comes after its beginning.
    empty: bool,
    root: &'static str,
    begun: bool,
}

impl<R: BufRead> Document<R> {
    /// A document whose outermost element is called `root`.
    pub(super) fn new(source: R, root: &'static str) -> Self {
        Document {
            reader: Reader::from_reader(Rationed { source, left: 0 }),
            buffer: Vec::new(),
            open: Vec::new(),
            empty: false,
            root,
            begun: false,
        }
    }

    /// The next piece; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<Piece>, XmlError> {
        if self.empty {
            self.empty = false;
            return Ok(self.close());
        }
        loop {
            self.buffer.clear();
            self.reader.get_mut().left = LONGEST;
            let event = match self.reader.read_event_into(&mut self.buffer) {
                Err(quick_xml::Error::Io(error)) if error.kind() == io::ErrorKind::FileTooLarge => {
                    return Err(XmlError::TooLong);
                }
                event => event?,
            };
            match event {
                Event::Start(tag) => {
                    let piece = start(&tag)?;
                    return self.enter(piece).map(Some);
                }
                Event::Empty(tag) => {
                    let piece = start(&tag)?;
                    self.empty = true;
                    return self.enter(piece).map(Some);
                }
                // The reader holds a tag's end against its beginning.
                Event::End(_) => return Ok(self.close()),
                Event::Text(text) => {
                    let text = text.decode().map_err(quick_xml::Error::from)?.into_owned();
                    self.append(&text)?;
                }
                Event::CData(text) => {
                    let text = text.decode().map_err(quick_xml::Error::from)?.into_owned();
                    self.append(&text)?;
                }
                Event::GeneralRef(reference) => {
                    let name = reference
                        .decode()
                        .map_err(quick_xml::Error::from)?
                        .into_owned();
                    let letter = match reference.resolve_char_ref()? {
                        Some(letter) => letter.to_string(),
                        None => quick_xml::escape::resolve_xml_entity(&name)
                            .ok_or(XmlError::Entity { name })?
                            .to_owned(),
                    };
                    self.append(&letter)?;
                }
                Event::DocType(_) => return Err(XmlError::DocumentType),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
                Event::Eof => {
                    return match self.open.pop() {
                        Some((element, _)) => Err(XmlError::Cut { element }),
                        None if self.begun => Ok(None),
                        None => Err(XmlError::Root {
                            wanted: self.root,
                            found: String::new(),
                        }),
                    };
                }
            }
        }
    }

    fn enter(&mut self, piece: Piece) -> Result<Piece, XmlError> {
        if let Piece::Start { name, .. } = &piece {
            if self.open.is_empty() && name != self.root {
                return Err(XmlError::Root {
                    wanted: self.root,
                    found: name.clone(),
                });
            }
            if self.open.len() == DEPTH {
                return Err(XmlError::Depth);
            }
            self.begun = true;
            self.open.push((name.clone(), String::new()));
        }
        Ok(piece)
    }

    fn close(&mut self) -> Option<Piece> {
        let (name, text) = self.open.pop()?;
        let text = text.trim().to_owned();
        Some(Piece::End { name, text })
    }

    fn append(&mut self, more: &str) -> Result<(), XmlError> {
        if let Some((_, text)) = self.open.last_mut() {
            if text.len() + more.len() > LONGEST {
                return Err(XmlError::TooLong);
            }
            text.push_str(more);
        }
        Ok(())
    }
}

fn start(tag: &BytesStart<'_>) -> Result<Piece, XmlError> {
    let name = String::from_utf8_lossy(tag.local_name().as_ref()).into_owned();
    Ok(Piece::Start {
        attributes: attributes(tag.attributes())?,
        name,
    })
}

fn attributes(all: Attributes<'_>) -> Result<Vec<(String, String)>, XmlError> {
    all.map(|attribute| {
        let attribute = attribute.map_err(quick_xml::Error::from)?;
        let name = String::from_utf8_lossy(attribute.key.local_name().as_ref()).into_owned();
        let raw = String::from_utf8_lossy(&attribute.value).into_owned();
        let value = quick_xml::escape::unescape(&raw)
            .map_err(|_| XmlError::Value {
                element: name.clone(),
                value: raw.chars().take(80).collect(),
                what: "attribute",
            })?
            .into_owned();
        Ok((name, value))
    })
    .collect()
}

/// The attribute of this name.
pub(super) fn attribute<'a>(attributes: &'a [(String, String)], name: &str) -> Option<&'a str> {
    attributes
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Result<Vec<Piece>, XmlError> {
        let mut document = Document::new(text.as_bytes(), "a");
        let mut pieces = Vec::new();
        while let Some(piece) = document.next()? {
            pieces.push(piece);
        }
        Ok(pieces)
    }

    #[test]
    fn elements_attributes_and_text_are_told() {
        let pieces = all(
            "<?xml version=\"1.0\"?><!-- x --><a xmlns:rpm=\"y\"><rpm:b c=\"1 &lt; 2\"/> x &amp;&#65;<![CDATA[<]]></a>",
        )
        .unwrap();
        let begin = |name: &str, attributes: &[(&str, &str)]| Piece::Start {
            name: name.to_owned(),
            attributes: attributes
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        };
        let end = |name: &str, text: &str| Piece::End {
            name: name.to_owned(),
            text: text.to_owned(),
        };
        assert_eq!(
            pieces,
            [
                begin("a", &[("rpm", "y")]),
                begin("b", &[("c", "1 < 2")]),
                end("b", ""),
                end("a", "x &A<"),
            ]
        );
    }

    #[test]
    fn what_could_grow_is_refused() {
        let laughs = "<!DOCTYPE a [<!ENTITY x \"xxxxxxxxxx\"><!ENTITY y \"&x;&x;&x;\">]><a>&y;</a>";
        assert!(matches!(all(laughs), Err(XmlError::DocumentType)));
        assert!(matches!(all("<a>&y;</a>"), Err(XmlError::Entity { name }) if name == "y"));
        assert!(matches!(
            all("<a b=\"&y;\"></a>"),
            Err(XmlError::Value { .. })
        ));
        let deep = "<a>".repeat(DEPTH + 1);
        assert!(matches!(all(&deep), Err(XmlError::Depth)));
        for long in [
            "x &amp; ".repeat(LONGEST / 2),
            "x".repeat(LONGEST + 1),
            format!("<!--{}-->", "x".repeat(LONGEST)),
            format!("<b c=\"{}\"/>", "x".repeat(LONGEST)),
        ] {
            let error = all(&format!("<a>{long}</a>"));
            assert!(matches!(error, Err(XmlError::TooLong)));
        }
    }

    #[test]
    fn what_is_broken_or_another_document_is_refused() {
        assert!(matches!(all("<a><b>"), Err(XmlError::Cut { element }) if element == "b"));
        assert!(matches!(all("<html/>"), Err(XmlError::Root { found, .. }) if found == "html"));
        assert!(matches!(all(""), Err(XmlError::Root { .. })));
        assert!(matches!(all("<a></b>"), Err(XmlError::Syntax(_))));
        assert!(all("<a b=1/>").is_err());
    }
}
