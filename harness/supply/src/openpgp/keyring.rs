//! The keys that signatures are checked against.

use std::borrow::Cow;
use std::sync::OnceLock;

use pgp::composed::{Deserializable, SignedPublicKey};
use pgp::packet::Signature;
use pgp::types::KeyDetails;
use sha2::{Digest, Sha256};

use super::error::OpenPgpError;
use super::packets;
use super::signer::Signer;
use crate::cache::hex;

/// The keys of the archives Debian has now. See keys/README.md.
const DEBIAN: &[u8] = include_bytes!("../../keys/debian-archive-keyring.pgp");
/// The keys that signed what is now in archive.debian.org.
const DEBIAN_REMOVED: &[u8] = include_bytes!("../../keys/debian-archive-removed-keys.pgp");

/// The keys of Ubuntu's archives since 12.10.
const UBUNTU: &[u8] = include_bytes!("../../keys/ubuntu-archive-keyring.pgp");

/// Keys that signatures are checked against. Those shipped are read when the first
/// signature is checked: a run that finds all in the cache checks none.
pub struct Keyring {
    sources: Vec<Source>,
    digest: String,
    certificates: OnceLock<Vec<Certificate>>,
}

#[derive(Clone)]
struct Source {
    bytes: Cow<'static, [u8]>,
    removed: bool,
    vendor: Option<&'static str>,
}

pub(super) struct Certificate {
    pub(super) key: SignedPublicKey,
    /// Debian no longer uses it: good for archives only.
    pub(super) removed: bool,
    /// Whose archives it is good for; none: for all that were asked for with it.
    pub(super) vendor: Option<&'static str>,
}

impl Keyring {
    /// Debian's and Ubuntu's archive keys as they ship with this program, each good
    /// for its vendor's archives alone. Those Debian has removed are in it too, and
    /// are taken only where [`super::Policy`] allows what expired.
    pub fn shipped() -> Keyring {
        let source = |bytes, vendor, removed| Source {
            bytes: Cow::Borrowed(bytes),
            removed,
            vendor: Some(vendor),
        };
        Keyring::new(vec![
            source(DEBIAN, "Debian", false),
            source(DEBIAN_REMOVED, "Debian", true),
            source(UBUNTU, "Ubuntu", false),
        ])
    }

    /// The keys of a keyring, armoured or not, all of them in use.
    pub fn from_bytes(bytes: &[u8]) -> Result<Keyring, OpenPgpError> {
        read(bytes, false, None)?;
        Ok(Keyring::new(vec![Source {
            bytes: Cow::Owned(bytes.to_vec()),
            removed: false,
            vendor: None,
        }]))
    }

    /// As [`Keyring::from_bytes`], of keys that are good for one vendor's archives
    /// alone: those whose Release says it is their Origin.
    pub fn of_vendor(bytes: &[u8], vendor: &'static str) -> Result<Keyring, OpenPgpError> {
        let mut keyring = Keyring::from_bytes(bytes)?;
        for source in &mut keyring.sources {
            source.vendor = Some(vendor);
        }
        Ok(Keyring::new(keyring.sources))
    }

    /// The same keyring with the keys of another one that are good for archives
    /// only.
    pub fn with_removed(mut self, bytes: &[u8]) -> Result<Keyring, OpenPgpError> {
        read(bytes, true, None)?;
        self.sources.push(Source {
            bytes: Cow::Owned(bytes.to_vec()),
            removed: true,
            vendor: None,
        });
        Ok(Keyring::new(self.sources))
    }

    fn new(sources: Vec<Source>) -> Keyring {
        let mut hasher = Sha256::new();
        for source in &sources {
            hasher.update([u8::from(source.removed)]);
            hasher.update(source.vendor.unwrap_or_default());
            hasher.update([0]);
            hasher.update((source.bytes.len() as u64).to_le_bytes());
            hasher.update(&source.bytes);
        }
        let digest = hex(&hasher.finalize());
        Keyring {
            sources,
            digest,
            certificates: OnceLock::new(),
        }
    }

    /// SHA-256 over the keys, so that what was verified with some is not taken as
    /// verified with others.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    fn certificates(&self) -> Result<&[Certificate], OpenPgpError> {
        if let Some(certificates) = self.certificates.get() {
            return Ok(certificates);
        }
        let mut certificates = Vec::new();
        for source in &self.sources {
            certificates.extend(read(&source.bytes, source.removed, source.vendor)?);
        }
        Ok(self.certificates.get_or_init(|| certificates))
    }

    /// The keys and subkeys that say they made a signature.
    pub(super) fn signers_of(
        &self,
        signature: &Signature,
    ) -> Result<Vec<Signer<'_>>, OpenPgpError> {
        let signers = self.certificates()?.iter().flat_map(Signer::all);
        Ok(signers
            .filter(|signer| signer.is_issuer_of(signature))
            .collect())
    }

    /// Fingerprints of the keys in use of which neither the primary key nor a subkey
    /// can sign.
    #[cfg(test)]
    pub(crate) fn unfit(&self) -> Result<Vec<String>, OpenPgpError> {
        let in_use = self
            .certificates()?
            .iter()
            .filter(|certificate| !certificate.removed);
        Ok(in_use
            .filter(|certificate| !Signer::all(certificate).iter().any(Signer::is_fit))
            .map(|certificate| certificate.key.fingerprint().to_string())
            .collect())
    }

    /// Fingerprints of the primary keys.
    pub fn fingerprints(&self) -> Result<Vec<String>, OpenPgpError> {
        let certificates = self.certificates()?.iter();
        Ok(certificates
            .map(|certificate| certificate.key.fingerprint().to_string())
            .collect())
    }
}

/// Who a signature says made it.
pub(super) fn issuer(signature: &Signature) -> String {
    let fingerprint = signature
        .issuer_fingerprint()
        .first()
        .map(ToString::to_string);
    fingerprint
        .or_else(|| signature.issuer_key_id().first().map(ToString::to_string))
        .unwrap_or_else(|| "it does not say which".to_owned())
}

fn read(
    bytes: &[u8],
    removed: bool,
    vendor: Option<&'static str>,
) -> Result<Vec<Certificate>, OpenPgpError> {
    let malformed = |reason: String| OpenPgpError::Keyring { reason };
    let armoured = std::str::from_utf8(bytes)
        .ok()
        .filter(|text| text.contains("-----BEGIN PGP PUBLIC KEY BLOCK-----"));
    let mut certificates = Vec::new();
    let mut take = |keys: &mut dyn Iterator<Item = pgp::errors::Result<SignedPublicKey>>| {
        for key in keys {
            let key = key.map_err(|error| malformed(error.to_string()))?;
            certificates.push(Certificate {
                key,
                removed,
                vendor,
            });
        }
        Ok(())
    };
    match armoured {
        None => {
            let plain = packets::without_trust(bytes);
            let mut keys = SignedPublicKey::from_bytes_many(plain.as_slice())
                .map_err(|error| malformed(error.to_string()))?;
            take(&mut keys)?;
        }
        // A file of several blocks, one after the other, as vendors publish them.
        Some(text) => {
            for block in blocks(text) {
                let (mut keys, _) = SignedPublicKey::from_armor_many(block.as_bytes())
                    .map_err(|error| malformed(error.to_string()))?;
                take(&mut keys)?;
            }
        }
    }
    if certificates.is_empty() {
        return Err(malformed("there is no key in it".to_owned()));
    }
    Ok(certificates)
}

/// The armoured blocks of a text; what is around them is not of them.
fn blocks(text: &str) -> impl Iterator<Item = &str> {
    const BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
    const END: &str = "-----END PGP PUBLIC KEY BLOCK-----";
    text.match_indices(BEGIN).map(|(start, _)| {
        let end = text[start..].find(END).map(|at| start + at + END.len());
        // One without an end is told as broken by who reads it.
        &text[start..end.unwrap_or(text.len())]
    })
}
