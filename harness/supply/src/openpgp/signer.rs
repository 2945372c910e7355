//! One key or subkey, and whether it may sign.
//!
//! Only what a verified signature of the primary key says counts: the newest
//! self-signature for the primary key, the newest binding for a subkey. Signatures
//! of third parties, which most of Debian's keys carry, are passed over.

use jiff::Timestamp;
use pgp::composed::SignedPublicSubKey;
use pgp::packet::{RevocationCode, Signature, SignatureType, SubpacketData};
use pgp::types::{Fingerprint, KeyDetails, KeyId, Tag};

use super::error::OpenPgpError;
use super::keyring::Certificate;
use super::{Policy, is_strong};

/// A key that can make signatures: the primary key of a certificate, or a subkey.
pub(super) struct Signer<'a> {
    certificate: &'a Certificate,
    subkey: Option<&'a SignedPublicSubKey>,
}

/// How long a key is good.
struct Life {
    expires: Option<i64>,
    revoked: Option<Revocation>,
}

struct Revocation {
    at: i64,
    /// The key was only given up: what it signed before stays good.
    soft: bool,
}

impl<'a> Signer<'a> {
    pub(super) fn all(certificate: &'a Certificate) -> Vec<Signer<'a>> {
        let subkeys = certificate.key.public_subkeys.iter().map(Some);
        std::iter::once(None)
            .chain(subkeys)
            .map(|subkey| Signer {
                certificate,
                subkey,
            })
            .collect()
    }

    fn id(&self) -> (Fingerprint, KeyId) {
        match self.subkey {
            Some(subkey) => (subkey.key.fingerprint(), subkey.key.legacy_key_id()),
            None => {
                let primary = &self.certificate.key.primary_key;
                (primary.fingerprint(), primary.legacy_key_id())
            }
        }
    }

    pub(super) fn fingerprint(&self) -> String {
        self.id().0.to_string()
    }

    /// Whose archives the key is good for.
    pub(super) fn vendor(&self) -> Option<&'static str> {
        self.certificate.vendor
    }

    pub(super) fn is_issuer_of(&self, signature: &Signature) -> bool {
        let (fingerprint, key_id) = self.id();
        let fingerprints = signature.issuer_fingerprint();
        if fingerprints.is_empty() {
            signature
                .issuer_key_id()
                .into_iter()
                .any(|issuer| *issuer == key_id)
        } else {
            fingerprints
                .into_iter()
                .any(|issuer| *issuer == fingerprint)
        }
    }

    /// Whether this key made `signature` over `data`, and was allowed to.
    pub(super) fn verify(
        &self,
        signature: &Signature,
        data: &[u8],
        policy: Policy,
    ) -> Result<(), OpenPgpError> {
        let key = self.fingerprint();
        let unfit = |reason| OpenPgpError::UnfitKey {
            key: key.clone(),
            reason,
        };
        let hash = signature.hash_alg();
        if !hash.is_some_and(is_strong) {
            let hash = hash.map_or_else(|| "an unknown digest".to_owned(), |hash| hash.to_string());
            return Err(OpenPgpError::WeakDigest { hash });
        }
        let fits = match self.subkey {
            Some(subkey) => signature.verify(&subkey.key, data),
            None => signature.verify(&self.certificate.key.primary_key, data),
        };
        if fits.is_err() {
            return Err(OpenPgpError::Tampered { key });
        }
        let signed = created(signature).ok_or_else(|| unfit("its signature has no date"))?;
        let now = policy.now.as_second();
        if let Some(lifetime) = signature.signature_expiration_time() {
            let end = signed + i64::from(lifetime.as_secs());
            if lifetime.as_secs() > 0 && end < now {
                return Err(OpenPgpError::ExpiredSignature { expired: day(end) });
            }
        }
        // A subkey is no better than its primary key.
        let mut lives = vec![
            self.primary_life()
                .ok_or_else(|| unfit("it is not signed by itself"))?,
        ];
        match self.subkey {
            Some(subkey) => {
                lives.push(self.subkey_life(subkey).ok_or_else(|| {
                    unfit("it is not bound to its primary key as a key that signs")
                })?);
            }
            None if !self.primary_may_sign() => return Err(unfit("it is not a key that signs")),
            None => {}
        }
        for life in lives {
            life.check(&key, signed, now, policy.allow_expired)?;
        }
        if self.certificate.removed && !policy.allow_expired {
            return Err(OpenPgpError::RemovedKey { key });
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn is_fit(&self) -> bool {
        let subkey = match self.subkey {
            Some(subkey) => self.subkey_life(subkey).is_some(),
            None => self.primary_may_sign(),
        };
        subkey && self.primary_life().is_some()
    }

    /// The primary key's signatures over itself and its names that verify, newest
    /// first.
    fn self_signatures(&self) -> Vec<&'a Signature> {
        let (primary, details) = (
            &self.certificate.key.primary_key,
            &self.certificate.key.details,
        );
        let direct = details
            .direct_signatures
            .iter()
            .filter(|signature| signature.verify_key(primary).is_ok());
        let over_names = details.users.iter().flat_map(|user| {
            user.signatures.iter().filter(|signature| {
                signature.is_certification()
                    && signature
                        .verify_certification(primary, Tag::UserId, &user.id)
                        .is_ok()
            })
        });
        let mut found: Vec<&Signature> = direct.chain(over_names).collect();
        found.sort_by_key(|signature| std::cmp::Reverse(created(signature)));
        found
    }

    fn primary_may_sign(&self) -> bool {
        self.self_signatures().first().is_some_and(|signature| {
            let mut subpackets = signature
                .config()
                .into_iter()
                .flat_map(|it| it.hashed_subpackets());
            // Keys older than key flags may do all their algorithm can.
            let silent = !subpackets.any(|it| matches!(it.data, SubpacketData::KeyFlags(_)));
            silent || signature.key_flags().sign()
        })
    }

    fn primary_life(&self) -> Option<Life> {
        let key = &self.certificate.key;
        let newest = *self.self_signatures().first()?;
        let born = i64::from(key.primary_key.created_at().as_secs());
        let revoked = key
            .details
            .revocation_signatures
            .iter()
            .filter(|signature| signature.verify_key(&key.primary_key).is_ok());
        Some(Life {
            expires: expiry(newest, born),
            revoked: revocation(revoked),
        })
    }

    fn subkey_life(&self, subkey: &SignedPublicSubKey) -> Option<Life> {
        let primary = &self.certificate.key.primary_key;
        let verified = |kind: SignatureType| {
            subkey.signatures.iter().filter(move |signature| {
                signature.typ() == Some(kind)
                    && signature
                        .verify_subkey_binding(primary, &subkey.key)
                        .is_ok()
            })
        };
        let newest =
            verified(SignatureType::SubkeyBinding).max_by_key(|signature| created(signature))?;
        if !newest.key_flags().sign() {
            return None;
        }
        // The subkey says in turn that it belongs to the primary key; without that,
        // anyone could claim another's subkey.
        newest
            .embedded_signature()?
            .verify_primary_key_binding(&subkey.key, primary)
            .ok()?;
        let born = i64::from(subkey.key.created_at().as_secs());
        Some(Life {
            expires: expiry(newest, born),
            revoked: revocation(verified(SignatureType::SubkeyRevocation)),
        })
    }
}

impl Life {
    fn check(
        &self,
        key: &str,
        signed: i64,
        now: i64,
        allow_expired: bool,
    ) -> Result<(), OpenPgpError> {
        if let Some(revocation) = &self.revoked {
            let before = revocation.soft && signed < revocation.at && allow_expired;
            if !before {
                let revoked = day(revocation.at);
                return Err(OpenPgpError::RevokedKey {
                    key: key.to_owned(),
                    revoked,
                });
            }
        }
        let Some(end) = self.expires else {
            return Ok(());
        };
        let (key, expired) = (key.to_owned(), day(end));
        if end <= signed {
            Err(OpenPgpError::ExpiredKey { key, expired })
        } else if end <= now && !allow_expired {
            Err(OpenPgpError::KeyExpiredSince { key, expired })
        } else {
            Ok(())
        }
    }
}

fn revocation<'s>(signatures: impl Iterator<Item = &'s Signature>) -> Option<Revocation> {
    signatures
        .map(|signature| Revocation {
            // One without a date has always been in force.
            at: created(signature).unwrap_or(i64::MIN),
            soft: matches!(
                signature.revocation_reason_code(),
                Some(RevocationCode::KeySuperseded | RevocationCode::KeyRetired)
            ),
        })
        // Where there are several, the hardest and then the earliest counts.
        .min_by_key(|revocation| (revocation.soft, revocation.at))
}

fn created(signature: &Signature) -> Option<i64> {
    signature.created().map(|time| i64::from(time.as_secs()))
}

/// When a key ends: a lifetime of zero, as none, means never (RFC 9580, 5.2.3.13).
fn expiry(signature: &Signature, born: i64) -> Option<i64> {
    signature
        .key_expiration_time()
        .map(|lifetime| i64::from(lifetime.as_secs()))
        .filter(|lifetime| *lifetime > 0)
        .map(|lifetime| born + lifetime)
}

/// `2029-01-15`.
fn day(seconds: i64) -> String {
    match Timestamp::from_second(seconds) {
        Ok(time) => time.strftime("%Y-%m-%d").to_string(),
        Err(_) => "an unknown day".to_owned(),
    }
}
