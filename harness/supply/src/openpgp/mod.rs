//! Signatures of archives: which key made one, and whether that key may.
//!
//! The `pgp` crate does the cryptography and nothing else. What makes a signature
//! good is decided here: the key is in the keyring, it is bound to its primary key,
//! it may sign, the digest is not a broken one, and key and signature are neither
//! expired nor revoked.

mod error;
mod keyring;
mod packets;
mod signer;

use jiff::Timestamp;
use pgp::composed::{CleartextSignedMessage, Deserializable, DetachedSignature};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType};

pub use error::OpenPgpError;
pub use keyring::Keyring;

/// What a verifier is to go by.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// The time at which keys and signatures must be good.
    pub now: Timestamp,
    /// Also take what was good when the signature was made: keys that expired since,
    /// and keys Debian removed. For archives, whose signatures nobody renews.
    pub allow_expired: bool,
}

/// A text that a good signature covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The text, and nothing that was not signed, with `\n` at the end of lines.
    pub text: String,
    /// Fingerprint of the key that signed.
    pub fingerprint: String,
    /// Whose archives that key is good for (`Debian`); none: whatever it was given
    /// for.
    pub vendor: Option<&'static str>,
}

/// Verifies a cleartext-signed message, as InRelease is. Text before or after the
/// signed part is refused, not ignored.
pub fn verify_cleartext(
    message: &[u8],
    keyring: &Keyring,
    policy: Policy,
) -> Result<Verified, OpenPgpError> {
    let malformed = |reason: String| OpenPgpError::Malformed { reason };
    let message = std::str::from_utf8(message).map_err(|error| malformed(error.to_string()))?;
    if !message.starts_with("-----BEGIN PGP SIGNED MESSAGE-----") {
        return Err(OpenPgpError::Unsigned);
    }
    let (message, _) = CleartextSignedMessage::from_string(message)
        .map_err(|error| malformed(error.to_string()))?;
    let text = message.signed_text();
    let (fingerprint, vendor) = verify_any(message.signatures(), text.as_bytes(), keyring, policy)?;
    Ok(Verified {
        text: text.replace("\r\n", "\n"),
        fingerprint,
        vendor,
    })
}

/// Verifies a detached signature over a text, armoured or not, as Release.gpg is.
pub fn verify_detached(
    text: &[u8],
    signature: &[u8],
    keyring: &Keyring,
    policy: Policy,
) -> Result<Verified, OpenPgpError> {
    let (fingerprint, vendor) = verify_signature(text, signature, keyring, policy)?;
    let text = std::str::from_utf8(text).map_err(|error| OpenPgpError::Malformed {
        reason: error.to_string(),
    })?;
    Ok(Verified {
        text: text.replace("\r\n", "\n"),
        fingerprint,
        vendor,
    })
}

/// Verifies a detached signature over any bytes, armoured or not. The fingerprint of
/// the key that made it.
pub fn verify_bytes(
    data: &[u8],
    signature: &[u8],
    keyring: &Keyring,
    policy: Policy,
) -> Result<String, OpenPgpError> {
    verify_signature(data, signature, keyring, policy).map(|(fingerprint, _)| fingerprint)
}

/// The fingerprint of the key that made a signature, and whose archives it is good for.
fn verify_signature(
    data: &[u8],
    signature: &[u8],
    keyring: &Keyring,
    policy: Policy,
) -> Result<(String, Option<&'static str>), OpenPgpError> {
    let malformed = |reason: String| OpenPgpError::Malformed { reason };
    let signatures: Result<Vec<DetachedSignature>, pgp::errors::Error> =
        if signature.starts_with(b"-----") {
            DetachedSignature::from_armor_many(signature)
                .map_err(|error| malformed(error.to_string()))?
                .0
                .collect()
        } else {
            DetachedSignature::from_bytes_many(signature)
                .map_err(|error| malformed(error.to_string()))?
                .collect()
        };
    let signatures: Vec<Signature> = signatures
        .map_err(|error| malformed(error.to_string()))?
        .into_iter()
        .map(|detached| detached.signature)
        .collect();
    verify_any(&signatures, data, keyring, policy)
}

/// One good signature is enough, since each covers all; the error is of the one
/// that came furthest.
fn verify_any(
    signatures: &[Signature],
    data: &[u8],
    keyring: &Keyring,
    policy: Policy,
) -> Result<(String, Option<&'static str>), OpenPgpError> {
    let mut worst = OpenPgpError::Unsigned;
    for signature in signatures {
        match verify_one(signature, data, keyring, policy) {
            Ok(signer) => return Ok(signer),
            Err(error) if error.rank() > worst.rank() => worst = error,
            Err(_) => {}
        }
    }
    Err(worst)
}

fn verify_one(
    signature: &Signature,
    data: &[u8],
    keyring: &Keyring,
    policy: Policy,
) -> Result<(String, Option<&'static str>), OpenPgpError> {
    if !matches!(
        signature.typ(),
        Some(SignatureType::Binary | SignatureType::Text)
    ) {
        let reason = "it is no signature over a document".to_owned();
        return Err(OpenPgpError::Malformed { reason });
    }
    let signers = keyring.signers_of(signature)?;
    if signers.is_empty() {
        return Err(OpenPgpError::UnknownKey {
            key: keyring::issuer(signature),
        });
    }
    let mut worst = OpenPgpError::Unsigned;
    for signer in signers {
        match signer.verify(signature, data, policy) {
            Ok(()) => return Ok((signer.fingerprint(), signer.vendor())),
            Err(error) if error.rank() > worst.rank() => worst = error,
            Err(_) => {}
        }
    }
    Err(worst)
}

/// The digests whose collisions nobody can make. SHA-1's and MD5's can be made, and
/// the `pgp` crate verifies signatures over them all the same.
fn is_strong(hash: HashAlgorithm) -> bool {
    matches!(
        hash,
        HashAlgorithm::Sha224
            | HashAlgorithm::Sha256
            | HashAlgorithm::Sha384
            | HashAlgorithm::Sha512
            | HashAlgorithm::Sha3_256
            | HashAlgorithm::Sha3_512
    )
}

#[cfg(test)]
mod tests;
