//! Keys made in the test, good and bad ones, and what they sign.

use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, DetachedSignature, KeyType, SecretKeyParamsBuilder,
    SignedSecretKey, SubkeyParamsBuilder,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{
    KeyFlags, RevocationCode, Signature, SignatureConfig, SignatureType, Subpacket, SubpacketData,
};
use pgp::ser::Serialize;
use pgp::types::{Duration, KeyDetails as _, Password, SigningKey, Tag, Timestamp};

pub(crate) const DAY: u32 = 24 * 3600;

/// Now, in seconds since 1970.
pub(crate) fn now() -> u32 {
    Timestamp::now().as_secs()
}

/// What a key is like.
pub(crate) struct KeyPlan {
    pub(crate) created: u32,
    /// Seconds; none: for ever.
    pub(crate) lifetime: Option<u32>,
    pub(crate) revoked: Option<(u32, RevocationCode)>,
    pub(crate) may_sign: bool,
    /// A subkey signs.
    pub(crate) subkey: bool,
    /// RSA takes digests that Ed25519 refuses by itself.
    pub(crate) rsa: bool,
}

impl Default for KeyPlan {
    fn default() -> KeyPlan {
        KeyPlan {
            created: now() - 100 * DAY,
            lifetime: None,
            revoked: None,
            may_sign: true,
            subkey: false,
            rsa: false,
        }
    }
}

/// A key that signs.
pub(crate) struct Signer {
    key: SignedSecretKey,
    subkey: bool,
}

impl Signer {
    pub(crate) fn good() -> Signer {
        Signer::new(&KeyPlan::default())
    }

    pub(crate) fn new(plan: &KeyPlan) -> Signer {
        let mut params = SecretKeyParamsBuilder::default();
        params
            .key_type(if plan.rsa {
                KeyType::Rsa(2048)
            } else {
                KeyType::Ed25519Legacy
            })
            .can_certify(true)
            .can_sign(plan.may_sign)
            .created_at(Timestamp::from_secs(plan.created))
            .primary_user_id("An archive made in a test <test@example.org>".to_owned());
        if plan.subkey {
            let mut subkey = SubkeyParamsBuilder::default();
            subkey
                .key_type(KeyType::Ed25519Legacy)
                .can_sign(true)
                .created_at(Timestamp::from_secs(plan.created));
            params.subkey(subkey.build().unwrap());
        }
        let mut key = params
            .build()
            .unwrap()
            .generate(rand::thread_rng())
            .unwrap();
        let mut flags = KeyFlags::default();
        flags.set_certify(true);
        flags.set_sign(plan.may_sign);
        let mut data = vec![SubpacketData::KeyFlags(flags)];
        if let Some(lifetime) = plan.lifetime {
            data.push(SubpacketData::KeyExpirationTime(Duration::from_secs(
                lifetime,
            )));
        }
        let primary = &key.primary_key;
        let user = &key.details.users[0];
        let config = config_of(SignatureType::CertPositive, primary, plan.created, data);
        let certification = config
            .sign_certification(
                primary,
                primary.public_key(),
                &Password::empty(),
                Tag::UserId,
                &user.id,
            )
            .unwrap();
        let revocation = plan.revoked.map(|(when, code)| {
            let reason = SubpacketData::RevocationReason(code, Vec::new().into());
            config_of(SignatureType::KeyRevocation, primary, when, vec![reason])
                .sign_key(primary, &Password::empty(), primary.public_key())
                .unwrap()
        });
        key.details.users[0].signatures = vec![certification];
        key.details.revocation_signatures.extend(revocation);
        Signer {
            key,
            subkey: plan.subkey,
        }
    }

    /// The public half as a keyring.
    pub(crate) fn keyring(&self) -> Vec<u8> {
        self.key.to_public_key().to_bytes().unwrap()
    }

    /// The same in ASCII.
    pub(crate) fn armoured_keyring(&self) -> Vec<u8> {
        let key = self.key.to_public_key();
        key.to_armored_bytes(ArmorOptions::default()).unwrap()
    }

    /// Without the subkey's word that it belongs to the primary key.
    pub(crate) fn keyring_without_back_signature(&self) -> Vec<u8> {
        let mut key = self.key.to_public_key();
        let mut flags = KeyFlags::default();
        flags.set_sign(true);
        let primary = &self.key.primary_key;
        let data = vec![SubpacketData::KeyFlags(flags)];
        let binding = config_of(SignatureType::SubkeyBinding, primary, now(), data)
            .sign_subkey_binding(
                primary,
                primary.public_key(),
                &Password::empty(),
                &key.public_subkeys[0].key,
            )
            .unwrap();
        key.public_subkeys[0].signatures = vec![binding];
        key.to_bytes().unwrap()
    }

    fn sign_bytes(
        &self,
        kind: SignatureType,
        hash: HashAlgorithm,
        when: u32,
        data: &[u8],
    ) -> Signature {
        fn by(
            key: &impl SigningKey,
            kind: SignatureType,
            hash: HashAlgorithm,
            when: u32,
            data: &[u8],
        ) -> Signature {
            let mut config = config_of(kind, key, when, Vec::new());
            config.hash_alg = hash;
            config.sign(key, &Password::empty(), data).unwrap()
        }
        if self.subkey {
            by(&self.key.secret_subkeys[0].key, kind, hash, when, data)
        } else {
            by(&self.key.primary_key, kind, hash, when, data)
        }
    }

    /// As InRelease.
    pub(crate) fn clear(&self, text: &str) -> Vec<u8> {
        self.clear_at(text, now(), HashAlgorithm::Sha512)
    }

    pub(crate) fn clear_at(&self, text: &str, when: u32, hash: HashAlgorithm) -> Vec<u8> {
        let sign = |text: &str| {
            Ok(vec![self.sign_bytes(
                SignatureType::Text,
                hash,
                when,
                text.as_bytes(),
            )])
        };
        let message = CleartextSignedMessage::new_many(text, sign).unwrap();
        message.to_armored_bytes(ArmorOptions::default()).unwrap()
    }

    /// A signature packet over any bytes, as an RPM package has it.
    pub(crate) fn packet(&self, data: &[u8]) -> Vec<u8> {
        self.packet_at(data, now())
    }

    /// The same, made at this time.
    pub(crate) fn packet_at(&self, data: &[u8], when: u32) -> Vec<u8> {
        let signature = self.sign_bytes(SignatureType::Binary, HashAlgorithm::Sha256, when, data);
        DetachedSignature::new(signature).to_bytes().unwrap()
    }

    /// The same in the third version of the format, in which rpm signed for twenty
    /// years. The pgp crate reads it and makes none.
    pub(crate) fn old_packet(&self, data: &[u8]) -> Vec<u8> {
        let key = &self.key.primary_key;
        let created = Timestamp::from_secs(now());
        let config = SignatureConfig::v3(
            SignatureType::Binary,
            key.algorithm(),
            HashAlgorithm::Sha256,
            created,
            key.legacy_key_id(),
        );
        // RFC 4880, 5.2.2: the data, the signature's type and its time.
        let mut signed = data.to_vec();
        signed.push(0);
        signed.extend(created.as_secs().to_be_bytes());
        let digest = <sha2::Sha256 as sha2::Digest>::digest(&signed);
        let bytes = key
            .sign(&Password::empty(), HashAlgorithm::Sha256, &digest)
            .unwrap();
        let signature = Signature::from_config(config, [digest[0], digest[1]], bytes).unwrap();
        DetachedSignature::new(signature).to_bytes().unwrap()
    }

    /// As Release.gpg.
    pub(crate) fn detached(&self, text: &str) -> Vec<u8> {
        let signature = self.sign_bytes(
            SignatureType::Binary,
            HashAlgorithm::Sha256,
            now(),
            text.as_bytes(),
        );
        DetachedSignature::new(signature)
            .to_armored_bytes(ArmorOptions::default())
            .unwrap()
    }
}

fn config_of(
    kind: SignatureType,
    key: &impl SigningKey,
    when: u32,
    data: Vec<SubpacketData>,
) -> SignatureConfig {
    let mut config = SignatureConfig::v4(kind, key.algorithm(), HashAlgorithm::Sha256);
    let mut hashed = vec![
        SubpacketData::SignatureCreationTime(Timestamp::from_secs(when)),
        SubpacketData::IssuerFingerprint(key.fingerprint()),
    ];
    hashed.extend(data);
    config.hashed_subpackets = hashed
        .into_iter()
        .map(|it| Subpacket::regular(it).unwrap())
        .collect();
    config.unhashed_subpackets =
        vec![Subpacket::regular(SubpacketData::IssuerKeyId(key.legacy_key_id())).unwrap()];
    config
}
