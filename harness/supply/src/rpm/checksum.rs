//! Checksums as repositories write them: an algorithm and hexadecimal digits.

use std::fmt;
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::digest::DynDigest;

use super::xml::XmlError;
use crate::cache::hex;

/// How a checksum is made. MD5, which any student can forge, is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// `sha` in repositories made before 2010; collisions of it can be made.
    Sha1,
    /// `sha256`.
    Sha256,
    /// `sha512`.
    Sha512,
}

impl Algorithm {
    /// Nobody can make another thing with the same sum.
    pub fn is_strong(self) -> bool {
        self != Algorithm::Sha1
    }

    fn name(self) -> &'static str {
        match self {
            Algorithm::Sha1 => "sha1",
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha512 => "sha512",
        }
    }

    fn digits(self) -> usize {
        match self {
            Algorithm::Sha1 => 40,
            Algorithm::Sha256 => 64,
            Algorithm::Sha512 => 128,
        }
    }

    fn hasher(self) -> Box<dyn DynDigest> {
        match self {
            Algorithm::Sha1 => Box::new(sha1::Sha1::default()),
            Algorithm::Sha256 => Box::new(sha2::Sha256::default()),
            Algorithm::Sha512 => Box::new(sha2::Sha512::default()),
        }
    }
}

/// What a file must come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checksum {
    /// How it is made.
    pub algorithm: Algorithm,
    /// Hexadecimal, lower case.
    pub digits: String,
}

impl fmt::Display for Checksum {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.algorithm.name(), self.digits)
    }
}

impl Checksum {
    /// Of a repository's `<checksum type="…">`.
    ///
    /// # Errors
    /// When the algorithm is not taken, or the digits are none.
    pub(super) fn parse(element: &str, kind: &str, digits: &str) -> Result<Self, XmlError> {
        let algorithm = match kind {
            "sha" | "sha1" => Algorithm::Sha1,
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            other => {
                return Err(XmlError::Value {
                    element: element.to_owned(),
                    value: other.to_owned(),
                    what: "checksum's type that is taken: sha256, sha512 and sha (SHA-1)",
                });
            }
        };
        let digits = digits.to_ascii_lowercase();
        let good = digits.len() == algorithm.digits()
            && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        if good {
            Ok(Checksum { algorithm, digits })
        } else {
            Err(XmlError::Value {
                element: element.to_owned(),
                value: digits,
                what: "checksum of its type",
            })
        }
    }

    /// The SHA-256, where it is one.
    pub fn sha256(&self) -> Option<&str> {
        (self.algorithm == Algorithm::Sha256).then_some(self.digits.as_str())
    }

    /// The checksum by the same algorithm of what is in a file.
    ///
    /// # Errors
    /// When it cannot be read; the message has the path.
    pub(super) fn of_file(&self, path: &Path) -> io::Result<Checksum> {
        Ok(Checksum {
            algorithm: self.algorithm,
            digits: digits_of(fs_err::File::open(path)?, self.algorithm)?,
        })
    }
}

/// Hexadecimal digits over all that comes.
pub(super) fn digits_of(mut source: impl Read, algorithm: Algorithm) -> io::Result<String> {
    let mut hasher = algorithm.hasher();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return Ok(hex(&hasher.finalize())),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_read_as_repositories_write_them() {
        // "abc", from FIPS 180.
        let known = [
            ("sha", "A9993E364706816ABA3E25717850C26C9CD0D89D"),
            (
                "sha256",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
            (
                "sha512",
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            ),
        ];
        for (kind, digits) in known {
            let checksum = Checksum::parse("x", kind, digits).unwrap();
            assert_eq!(
                digits_of(&b"abc"[..], checksum.algorithm).unwrap(),
                digits.to_ascii_lowercase()
            );
            assert!(Checksum::parse("x", kind, &digits[1..]).is_err());
            assert!(Checksum::parse("x", kind, &digits.replace(['a', 'A'], "g")).is_err());
        }
        let error = Checksum::parse("x", "md5", &"0".repeat(32)).unwrap_err();
        assert!(error.to_string().contains("\"md5\""), "{error}");
    }
}
