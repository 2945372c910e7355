//! Why a signature is not good.

/// Why a signature is not good. The texts read after the URL of what was signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenPgpError {
    /// There is no signature.
    #[error("it is not signed")]
    Unsigned,
    /// What should be a signed message or a signature cannot be read as one.
    #[error("its signature cannot be read: {reason}")]
    Malformed {
        /// Why.
        reason: String,
    },
    /// No key in the keyring made it.
    #[error(
        "it is signed by a key that is not known here: {key}\nhint: `key = \"PATH\"` in the source names the keys of another vendor's archive"
    )]
    UnknownKey {
        /// Fingerprint or key ID, as far as the signature tells.
        key: String,
    },
    /// The digest it signs can be forged.
    #[error("it is signed over {hash}, which can be forged")]
    WeakDigest {
        /// `SHA1`, `MD5`, …
        hash: String,
    },
    /// The key may not sign, or its owner did not say so in a way that verifies.
    #[error("the key that signed it is not fit to sign: {key}: {reason}")]
    UnfitKey {
        /// Fingerprint.
        key: String,
        /// Why.
        reason: &'static str,
    },
    /// The key had expired when the signature was made.
    #[error("the key that signed it had expired on {expired}: {key}")]
    ExpiredKey {
        /// Fingerprint.
        key: String,
        /// The day it expired.
        expired: String,
    },
    /// The key has expired since the signature was made.
    #[error(
        "the key that signed it has expired since, on {expired}: {key}\nhint: `allow-expired = true` takes it, as an archive needs"
    )]
    KeyExpiredSince {
        /// Fingerprint.
        key: String,
        /// The day it expired.
        expired: String,
    },
    /// The key was revoked.
    #[error("the key that signed it was revoked on {revoked}: {key}")]
    RevokedKey {
        /// Fingerprint.
        key: String,
        /// The day it was revoked.
        revoked: String,
    },
    /// Debian removed the key from its keyring.
    #[error(
        "it is signed by a key that Debian no longer uses: {key}\nhint: `allow-expired = true` takes it, as an archive needs"
    )]
    RemovedKey {
        /// Fingerprint.
        key: String,
    },
    /// The signature itself has an end, and it has passed.
    #[error("its signature was good until {expired}")]
    ExpiredSignature {
        /// The day it expired.
        expired: String,
    },
    /// A known key's signature does not fit the text.
    #[error(
        "its signature by {key} does not fit it: it was changed after it was signed, or damaged"
    )]
    Tampered {
        /// Fingerprint.
        key: String,
    },
    /// A keyring cannot be read.
    #[error("a keyring cannot be read: {reason}")]
    Keyring {
        /// Why.
        reason: String,
    },
}

impl OpenPgpError {
    /// Of two errors the one that says more.
    #[must_use]
    pub(crate) fn worse(self, other: OpenPgpError) -> OpenPgpError {
        if other.rank() > self.rank() {
            other
        } else {
            self
        }
    }

    /// Of several errors the one that came furthest says most: that a known key's
    /// signature does not fit matters more than that another key is not known.
    pub(super) fn rank(&self) -> u8 {
        match self {
            OpenPgpError::Unsigned | OpenPgpError::Keyring { .. } => 0,
            OpenPgpError::Malformed { .. } => 1,
            OpenPgpError::UnknownKey { .. } => 2,
            OpenPgpError::WeakDigest { .. } => 3,
            OpenPgpError::RemovedKey { .. } => 4,
            OpenPgpError::UnfitKey { .. } => 5,
            OpenPgpError::KeyExpiredSince { .. } | OpenPgpError::ExpiredSignature { .. } => 6,
            OpenPgpError::ExpiredKey { .. } => 7,
            OpenPgpError::RevokedKey { .. } => 8,
            OpenPgpError::Tampered { .. } => 9,
        }
    }
}
