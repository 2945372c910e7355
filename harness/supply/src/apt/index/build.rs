//! From the text of a Packages index to the form in which it is kept.

use flate2::Crc;

use super::{ESSENTIAL, FIELDS, Field, MAGIC, PROVIDE, USUAL, usual_filename};
use crate::apt::deb822::{self, Stanza};
use crate::apt::dependency;
use crate::apt::package::Priority;
use crate::apt::version::Version;

/// A Packages index that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedIndex {
    /// A stanza lacks a field, or has one that makes no sense.
    #[error("package `{package}` has no usable field {field}")]
    Field {
        /// Its name; empty if that is what is missing.
        package: String,
        /// The field.
        field: &'static str,
    },
    /// More than 4 GiB of text.
    #[error("it is too large to be kept")]
    TooLarge,
}

struct Parsed<'a> {
    fields: [&'a str; FIELDS],
    version: Version,
    size: u64,
    sha256: [u8; 32],
    priority: Priority,
    essential: bool,
}

/// Turns the text of a Packages index into the form in which it is kept.
pub(in crate::apt) fn build(packages: &str) -> Result<Vec<u8>, MalformedIndex> {
    let mut parsed = deb822::stanzas(packages)
        .map(parse)
        .collect::<Result<Vec<_>, _>>()?;
    parsed.sort_by(|a, b| {
        a.name()
            .cmp(b.name())
            .then_with(|| b.version.cmp(&a.version))
    });
    let (mut text, mut rows) = (String::new(), Vec::new());
    let mut provides: Vec<(String, u32)> = Vec::new();
    for (row, package) in parsed.iter().enumerate() {
        rows.extend(place(text.len())?.to_le_bytes());
        rows.extend(package.size.to_le_bytes());
        rows.extend(package.sha256);
        rows.push(package.priority.to_byte());
        rows.push(if package.essential { ESSENTIAL } else { 0 });
        for (number, field) in package.fields.into_iter().enumerate() {
            match package.usual_pool() {
                Some(pool) if number == Field::Filename as usize => {
                    text.push(USUAL);
                    push_line(&mut text, pool);
                }
                _ => push_line(&mut text, field),
            }
        }
        let field = package.fields[Field::Provides as usize];
        for entry in dependency::parse_provides(field).map_err(|_| package.unusable("Provides"))? {
            provides.push((entry.name, place(row)?));
        }
    }
    provides.sort_unstable();
    provides.dedup();
    let mut table = Vec::with_capacity(provides.len() * PROVIDE);
    for (name, row) in &provides {
        table.extend(place(text.len())?.to_le_bytes());
        table.extend(place(name.len())?.to_le_bytes());
        table.extend(row.to_le_bytes());
        text.push_str(name);
    }
    let text_len = text.len() as u64;
    let mut bytes = text.into_bytes();
    bytes.extend(rows);
    bytes.extend(table);
    let mut crc = Crc::new();
    crc.update(&bytes);
    bytes.extend(text_len.to_le_bytes());
    bytes.extend(place(parsed.len())?.to_le_bytes());
    bytes.extend(place(provides.len())?.to_le_bytes());
    bytes.extend(crc.sum().to_le_bytes());
    bytes.extend(MAGIC);
    Ok(bytes)
}

fn place(len: usize) -> Result<u32, MalformedIndex> {
    u32::try_from(len).map_err(|_| MalformedIndex::TooLarge)
}

/// One line, however many the field was continued on.
fn push_line(text: &mut String, field: &str) {
    for (number, line) in field.lines().enumerate() {
        if number > 0 {
            text.push(' ');
        }
        text.push_str(line.trim());
    }
    text.push('\n');
}

fn parse(stanza: Stanza<'_>) -> Result<Parsed<'_>, MalformedIndex> {
    let mut parsed = Parsed {
        fields: [""; FIELDS],
        version: Version::new(""),
        size: 0,
        sha256: [0; 32],
        priority: Priority::Extra,
        essential: false,
    };
    let (mut size, mut sha256) = ("", "");
    for (name, value) in stanza.fields() {
        let field = match name {
            "Package" => Field::Package,
            "Version" => Field::Version,
            "Architecture" => Field::Architecture,
            "Source" => Field::Source,
            "Filename" => Field::Filename,
            "Multi-Arch" => Field::MultiArch,
            "Pre-Depends" => Field::PreDepends,
            "Depends" => Field::Depends,
            "Provides" => Field::Provides,
            "Size" => {
                size = value;
                continue;
            }
            "SHA256" => {
                sha256 = value;
                continue;
            }
            "Priority" => {
                parsed.priority = Priority::from_field(value);
                continue;
            }
            "Essential" => {
                parsed.essential = value == "yes";
                continue;
            }
            _ => continue,
        };
        parsed.fields[field as usize] = value;
    }
    for (field, name) in [
        (Field::Package, "Package"),
        (Field::Version, "Version"),
        (Field::Architecture, "Architecture"),
        (Field::Filename, "Filename"),
    ] {
        if parsed.fields[field as usize].is_empty() {
            return Err(parsed.unusable(name));
        }
    }
    // `linux-signed-amd64 (6.1.170+1)`: the name alone.
    let source = &mut parsed.fields[Field::Source as usize];
    *source = source.split([' ', '(']).next().unwrap_or_default();
    parsed.version = Version::new(parsed.fields[Field::Version as usize]);
    parsed.size = size.parse().map_err(|_| parsed.unusable("Size"))?;
    parsed.sha256 = unhex(sha256).ok_or_else(|| parsed.unusable("SHA256"))?;
    Ok(parsed)
}

impl<'a> Parsed<'a> {
    fn name(&self) -> &'a str {
        self.fields[Field::Package as usize]
    }

    /// The pool below which its file is where it usually is.
    fn usual_pool(&self) -> Option<&'a str> {
        let field = |field: Field| self.fields[field as usize];
        let source = match field(Field::Source) {
            "" => self.name(),
            source => source,
        };
        let [version, architecture] = [field(Field::Version), field(Field::Architecture)];
        let usual = usual_filename("", source, self.name(), version, architecture);
        field(Field::Filename).strip_suffix(&usual)
    }

    fn unusable(&self, field: &'static str) -> MalformedIndex {
        MalformedIndex::Field {
            package: self.name().to_owned(),
            field,
        }
    }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |byte: u8| char::from(byte).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
    }
    Some(bytes)
}
