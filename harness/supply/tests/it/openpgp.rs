//! Which signatures are good, by keys made for it.

use jiff::Timestamp;
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::RevocationCode;
use supply::Keyring;
use supply::openpgp::{OpenPgpError, Policy, Verified, verify_cleartext, verify_detached};

use crate::signer::{DAY, KeyPlan, Signer, now};

const TEXT: &str = "Origin: Test\n- a line with a dash\n";

const STRICT: bool = false;
const ALLOW_EXPIRED: bool = true;

fn policy(allow_expired: bool) -> Policy {
    Policy {
        now: Timestamp::now(),
        allow_expired,
    }
}

fn verify(plan: &KeyPlan, signed: u32, allow_expired: bool) -> Result<Verified, OpenPgpError> {
    let signer = Signer::new(plan);
    let keyring = Keyring::from_bytes(&signer.keyring()).unwrap();
    let message = signer.clear_at(TEXT, signed, HashAlgorithm::Sha512);
    verify_cleartext(&message, &keyring, policy(allow_expired))
}

#[test]
fn primary_keys_and_subkeys_sign() {
    for subkey in [false, true] {
        let verified = verify(
            &KeyPlan {
                subkey,
                ..KeyPlan::default()
            },
            now(),
            STRICT,
        )
        .unwrap();
        assert_eq!(verified.text, TEXT);
    }
    let signer = Signer::good();
    let keyring = Keyring::from_bytes(&signer.keyring()).unwrap();
    // Blanks at the end of lines are not signed, and not passed on.
    let message = String::from_utf8(signer.clear(TEXT)).unwrap();
    let blanks = message.replace("a dash\n", "a dash \t\n");
    assert_ne!(blanks, message);
    let verified = verify_cleartext(blanks.as_bytes(), &keyring, policy(STRICT)).unwrap();
    assert_eq!(verified.text, TEXT);
    let signature = signer.detached(TEXT);
    let verified = verify_detached(TEXT.as_bytes(), &signature, &keyring, policy(STRICT)).unwrap();
    assert_eq!(verified.text, TEXT);
    let error = verify_detached(b"Origin: Tess\n", &signature, &keyring, policy(STRICT));
    assert!(
        matches!(error, Err(OpenPgpError::Tampered { .. })),
        "{error:?}"
    );
}

#[test]
fn a_key_that_is_not_known_or_not_there_is_told() {
    let keyring = Keyring::from_bytes(&Signer::good().keyring()).unwrap();
    let error = verify_cleartext(&Signer::good().clear(TEXT), &keyring, policy(ALLOW_EXPIRED));
    assert!(
        matches!(error, Err(OpenPgpError::UnknownKey { .. })),
        "{error:?}"
    );
    let error = verify_cleartext(TEXT.as_bytes(), &keyring, policy(ALLOW_EXPIRED));
    assert_eq!(error, Err(OpenPgpError::Unsigned));
}

#[test]
fn a_key_that_had_expired_never_signs() {
    let plan = || KeyPlan {
        created: now() - 10 * DAY,
        lifetime: Some(5 * DAY),
        ..KeyPlan::default()
    };
    for allow_expired in [STRICT, ALLOW_EXPIRED] {
        let error = verify(&plan(), now() - DAY, allow_expired);
        assert!(
            matches!(error, Err(OpenPgpError::ExpiredKey { .. })),
            "{error:?}"
        );
    }
    let error = verify(&plan(), now() - 7 * DAY, STRICT);
    assert!(
        matches!(error, Err(OpenPgpError::KeyExpiredSince { .. })),
        "{error:?}"
    );
    verify(&plan(), now() - 7 * DAY, ALLOW_EXPIRED).unwrap();
    // A subkey is no better than its primary key.
    let error = verify(
        &KeyPlan {
            subkey: true,
            ..plan()
        },
        now() - DAY,
        ALLOW_EXPIRED,
    );
    assert!(
        matches!(error, Err(OpenPgpError::ExpiredKey { .. })),
        "{error:?}"
    );
}

#[test]
fn a_revoked_key_signs_only_what_it_signed_before_it_was_given_up() {
    let revoked = |code| KeyPlan {
        revoked: Some((now() - 5 * DAY, code)),
        ..KeyPlan::default()
    };
    for (code, signed, allow_expired, good) in [
        (
            RevocationCode::KeyRetired,
            now() - 7 * DAY,
            ALLOW_EXPIRED,
            true,
        ),
        (RevocationCode::KeyRetired, now() - 7 * DAY, STRICT, false),
        (
            RevocationCode::KeyRetired,
            now() - DAY,
            ALLOW_EXPIRED,
            false,
        ),
        (
            RevocationCode::KeyCompromised,
            now() - 7 * DAY,
            ALLOW_EXPIRED,
            false,
        ),
        (
            RevocationCode::NoReason,
            now() - 7 * DAY,
            ALLOW_EXPIRED,
            false,
        ),
    ] {
        match verify(&revoked(code), signed, allow_expired) {
            Ok(_) => assert!(good, "{code:?}"),
            Err(OpenPgpError::RevokedKey { .. }) => assert!(!good, "{code:?}"),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_removed_key_is_for_archives() {
    let signer = Signer::good();
    let keyring = Keyring::from_bytes(&Signer::good().keyring()).unwrap();
    let keyring = keyring.with_removed(&signer.keyring()).unwrap();
    let message = signer.clear(TEXT);
    let error = verify_cleartext(&message, &keyring, policy(STRICT));
    assert!(
        matches!(error, Err(OpenPgpError::RemovedKey { .. })),
        "{error:?}"
    );
    verify_cleartext(&message, &keyring, policy(ALLOW_EXPIRED)).unwrap();
}

#[test]
fn a_key_that_may_not_sign_does_not() {
    let error = verify(
        &KeyPlan {
            may_sign: false,
            ..KeyPlan::default()
        },
        now(),
        STRICT,
    );
    assert!(
        matches!(error, Err(OpenPgpError::UnfitKey { .. })),
        "{error:?}"
    );
    let signer = Signer::new(&KeyPlan {
        subkey: true,
        ..KeyPlan::default()
    });
    let keyring = Keyring::from_bytes(&signer.keyring_without_back_signature()).unwrap();
    let error = verify_cleartext(&signer.clear(TEXT), &keyring, policy(STRICT));
    assert!(
        matches!(error, Err(OpenPgpError::UnfitKey { .. })),
        "{error:?}"
    );
}

#[test]
fn digests_that_can_be_forged_are_refused() {
    let signer = Signer::new(&KeyPlan {
        rsa: true,
        ..KeyPlan::default()
    });
    let keyring = Keyring::from_bytes(&signer.keyring()).unwrap();
    verify_cleartext(&signer.clear(TEXT), &keyring, policy(STRICT)).unwrap();
    let message = signer.clear_at(TEXT, now(), HashAlgorithm::Sha1);
    let error = verify_cleartext(&message, &keyring, policy(ALLOW_EXPIRED));
    assert!(
        matches!(error, Err(OpenPgpError::WeakDigest { .. })),
        "{error:?}"
    );
}
