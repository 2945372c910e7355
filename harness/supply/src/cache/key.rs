//! Keys of the cache: a digest over all that went into a thing.

use std::fmt;

use sha2::{Digest, Sha256};

/// The digest over all that went into a cached thing. Two keys are equal only if
/// the same words were given in the same order: each is hashed with its length, so
/// `("ab", "c")` is not `("a", "bc")`.
#[derive(Clone)]
pub struct Key(Sha256);

impl Key {
    /// A key that starts with what makes the thing and in which version
    /// (`squashfs-v1`), so that a changed maker never meets its older work.
    pub fn new(maker: &str) -> Key {
        let mut key = Key(Sha256::new());
        key.word(maker.as_bytes());
        key
    }

    /// With one more thing that went in: its name and its value.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Key {
        self.word(name.as_bytes());
        self.word(value.as_ref());
        self
    }

    fn word(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// The key as 64 hexadecimal digits.
    pub fn hex(&self) -> String {
        crate::cache::hex(&self.0.clone().finalize())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.hex())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_and_its_place_count() {
        let base = Key::new("disk-v1").with("tool", "4.5").with("tree", "abc");
        for other in [
            Key::new("disk-v2").with("tool", "4.5").with("tree", "abc"),
            Key::new("disk-v1").with("tree", "abc").with("tool", "4.5"),
            Key::new("disk-v1").with("tool", "4.5t").with("ree", "abc"),
            Key::new("disk-v1").with("tool", "4.5"),
        ] {
            assert_ne!(base.hex(), other.hex());
        }
        assert_eq!(base.hex(), base.clone().hex());
        assert_eq!(base.hex().len(), 64);
    }
}
