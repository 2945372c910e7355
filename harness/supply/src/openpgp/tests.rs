//! Real keys and a real signature; what is made up is tested in tests/it/.

use super::*;

/// bookworm-security's InRelease of 22 November 2026, as it is.
const IN_RELEASE: &str = include_str!("testdata/bookworm-security.InRelease");

fn policy(now: &str) -> Policy {
    Policy {
        now: now.parse().unwrap(),
        allow_expired: false,
    }
}

#[test]
fn a_real_release_verifies_with_the_shipped_keys() {
    let keyring = Keyring::shipped();
    let policy = policy("2026-11-24T00:00:00Z");
    let verified = verify_cleartext(IN_RELEASE.as_bytes(), &keyring, policy).unwrap();
    assert!(
        verified
            .text
            .starts_with("Origin: Debian\nLabel: Debian-Security\n")
    );
    assert!(!verified.text.contains("PGP"));
    assert!(crate::apt::Release::parse(&verified.text).is_ok());
    // One changed digit, and the same in a place where only blanks differ.
    for (from, to) in [
        ("Version: 12\n", "Version: 13\n"),
        ("SHA256:\n", "SHA256: x\n"),
    ] {
        let tampered = IN_RELEASE.replacen(from, to, 1);
        assert_ne!(tampered, IN_RELEASE);
        let error = verify_cleartext(tampered.as_bytes(), &keyring, policy).unwrap_err();
        assert!(matches!(error, OpenPgpError::Tampered { .. }), "{error}");
    }
}

#[test]
fn text_around_the_signed_part_is_refused() {
    let policy = policy("2026-11-24T00:00:00Z");
    for message in [
        format!("Origin: Evil\n{IN_RELEASE}"),
        format!("\n{IN_RELEASE}"),
        format!("{IN_RELEASE}\nOrigin: Evil\n"),
        IN_RELEASE.replacen("Hash: SHA256\n", "Hash: SHA256\nOrigin: Evil\n", 1),
        IN_RELEASE.replacen(
            "-----BEGIN PGP SIGNATURE-----",
            "Origin: Evil\n-----BEGIN PGP SIGNATURE-----",
            1,
        ),
    ] {
        let error = verify_cleartext(message.as_bytes(), &Keyring::shipped(), policy);
        assert!(error.is_err(), "{}", &message[..80]);
    }
}

#[test]
fn the_keys_end_when_debian_says() {
    let keyring = Keyring::shipped();
    let late = policy("2036-01-01T00:00:00Z");
    let error = verify_cleartext(IN_RELEASE.as_bytes(), &keyring, late).unwrap_err();
    assert!(
        matches!(error, OpenPgpError::KeyExpiredSince { .. }),
        "{error}"
    );
    let archive = Policy {
        allow_expired: true,
        ..late
    };
    verify_cleartext(IN_RELEASE.as_bytes(), &keyring, archive).unwrap();
}

#[test]
fn debians_keys_are_there() {
    let fingerprints = Keyring::shipped().fingerprints().unwrap();
    for (release, fingerprint) in [
        ("bookworm", "4D64FEC119C2029067D6E791F8D2585B8783D481"),
        ("trixie", "41587F7DB8C774BCCF131416762F67A0B2C39DE4"),
        // Removed, and needed for what is in the archive: wheezy's and stretch's.
        ("wheezy", "ED6D65271AACF0FF15D123036FB2A1C265FFB764"),
        ("stretch", "067E3C456BAE240ACEE88F6FEF0F382A1A7B6500"),
    ] {
        let found = fingerprints
            .iter()
            .any(|it| it.eq_ignore_ascii_case(fingerprint));
        assert!(found, "{release} is not among {fingerprints:?}");
    }
}

#[test]
fn each_key_in_use_is_fit_to_sign() {
    let unfit = Keyring::shipped().unfit().unwrap();
    assert_eq!(unfit, [""; 0]);
}
