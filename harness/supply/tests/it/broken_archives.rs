//! Archives that are not as they should be: each is refused with its own error, and
//! nothing of it is kept.

use std::sync::Arc;

use supply::openpgp::OpenPgpError;
use supply::{AptError, AptOptions, HttpError, HttpOptions};

use crate::archive::{Mirror, date, deb, stanza, xz};
use crate::server::Reply;
use crate::signer::{DAY, KeyPlan, Signer, now};

const RELEASE: &[&str] = &["suite", "index"];
const INDEX: &[&str] = &["index"];
const PACKAGES: &str = "/debian/dists/test/main/binary-amd64/Packages";
const PACKAGES_XZ: &str = "/debian/dists/test/main/binary-amd64/Packages.xz";

fn signature(error: AptError) -> OpenPgpError {
    match error {
        AptError::Signature { source, .. } => source,
        error => panic!("{error}"),
    }
}

#[test]
fn a_release_without_a_signature() {
    let mirror = Mirror::plain();
    mirror.publish();
    mirror.in_release(Reply::File(mirror.release().into_bytes()));
    assert_eq!(
        signature(mirror.client().refused(RELEASE)),
        OpenPgpError::Unsigned
    );
    // The same with a Release that has no Release.gpg.
    mirror.in_release(Reply::Status(404));
    mirror.server.on(
        "/debian/dists/test/Release",
        Reply::File(mirror.release().into_bytes()),
    );
    assert_eq!(
        signature(mirror.client().refused(RELEASE)),
        OpenPgpError::Unsigned
    );
}

#[test]
fn a_release_by_an_unknown_key() {
    let mirror = Mirror::plain();
    mirror.publish();
    mirror.in_release(Reply::File(Signer::good().clear(&mirror.release())));
    let error = signature(mirror.client().refused(RELEASE));
    assert!(matches!(error, OpenPgpError::UnknownKey { .. }), "{error}");
}

#[test]
fn a_release_by_a_key_that_expired_or_was_revoked() {
    let expired = KeyPlan {
        lifetime: Some(50 * DAY),
        ..KeyPlan::default()
    };
    let compromised = pgp::packet::RevocationCode::KeyCompromised;
    let revoked = KeyPlan {
        revoked: Some((now() - DAY, compromised)),
        ..KeyPlan::default()
    };
    for (plan, is_expired) in [(expired, true), (revoked, false)] {
        let mirror = Mirror {
            signer: Signer::new(&plan),
            ..Mirror::plain()
        };
        mirror.publish();
        match signature(mirror.client().refused(RELEASE)) {
            OpenPgpError::ExpiredKey { .. } => assert!(is_expired),
            OpenPgpError::RevokedKey { .. } => assert!(!is_expired),
            error => panic!("{error}"),
        }
    }
}

#[test]
fn a_release_that_was_changed() {
    let mirror = Mirror::plain();
    mirror.publish();
    let signed = String::from_utf8(mirror.signer.clear(&mirror.release())).unwrap();
    let changed = signed.replace("Codename: test", "Codename: tess");
    assert_ne!(changed, signed);
    mirror.in_release(Reply::File(changed.into_bytes()));
    let error = signature(mirror.client().refused(RELEASE));
    assert!(matches!(error, OpenPgpError::Tampered { .. }), "{error}");
    // What stands around the signed text is nobody's word.
    mirror.in_release(Reply::File(
        format!("Origin: Evil\n\n{signed}").into_bytes(),
    ));
    assert_eq!(
        signature(mirror.client().refused(RELEASE)),
        OpenPgpError::Unsigned
    );
    mirror.in_release(Reply::File(format!("{signed}\nSHA256:\n").into_bytes()));
    let error = signature(mirror.client().refused(RELEASE));
    assert!(matches!(error, OpenPgpError::Malformed { .. }), "{error}");
    let cut = &signed[..signed.len() / 2];
    mirror.in_release(Reply::File(cut.as_bytes().to_vec()));
    let error = signature(mirror.client().refused(RELEASE));
    assert!(matches!(error, OpenPgpError::Malformed { .. }), "{error}");
}

#[test]
fn a_release_of_another_time_or_suite() {
    let mut mirror = Mirror::plain();
    mirror.head.insert("Valid-Until", date(-1));
    mirror.publish();
    let error = mirror.client().refused(RELEASE);
    assert!(matches!(error, AptError::ExpiredRelease { .. }), "{error}");
    assert!(
        error.to_string().contains("hint: `allow-expired = true`"),
        "{error}"
    );
    mirror
        .client()
        .apt
        .open(&mirror.source("test", true))
        .unwrap();

    let mut mirror = Mirror::plain();
    mirror.head.insert("Date", date(3));
    mirror.publish();
    let error = mirror.client().refused(RELEASE);
    assert!(matches!(error, AptError::NotYetValid { .. }), "{error}");

    let mut mirror = Mirror::plain();
    mirror.head.insert("Codename", "other".to_owned());
    mirror.publish();
    let error = mirror.client().refused(RELEASE);
    assert!(
        matches!(&error, AptError::WrongSuite { found, .. } if found == "other"),
        "{error}"
    );

    let mirror = Mirror::plain();
    mirror.publish();
    mirror.in_release(Reply::File(mirror.signer.clear("Codename: test\n")));
    let error = mirror.client().refused(RELEASE);
    assert!(
        matches!(error, AptError::MalformedRelease { .. }),
        "{error}"
    );
}

#[test]
fn a_suite_or_architecture_that_is_not_there() {
    let mirror = Mirror::plain();
    mirror.publish();
    let client = mirror.client();
    let error = client
        .apt
        .open(&mirror.source("woody", false))
        .err()
        .unwrap();
    assert!(
        matches!(&error, AptError::SuiteNotFound { suite, .. } if suite == "woody"),
        "{error}"
    );
    let mut source = mirror.source("test", false);
    source.architecture = "i386".to_owned();
    let error = client.apt.open(&source).err().unwrap();
    assert!(
        error
            .to_string()
            .ends_with("no packages for i386; it has amd64"),
        "{error}"
    );
}

#[test]
fn an_index_that_is_not_the_signed_one() {
    let mirror = Mirror::plain();
    mirror.publish();
    let mut changed = mirror.files["main/binary-amd64/Packages.xz"].clone();
    changed[40] ^= 1;
    mirror.server.on(PACKAGES_XZ, Reply::File(changed.clone()));
    let error = mirror.client().refused(INDEX);
    assert!(matches!(error, AptError::TamperedIndex { .. }), "{error}");
    changed.push(0);
    mirror.server.on(PACKAGES_XZ, Reply::File(changed));
    let error = mirror.client().refused(INDEX);
    assert!(matches!(error, AptError::WrongSize { .. }), "{error}");
    mirror.server.on(PACKAGES_XZ, Reply::Status(404));
    mirror.server.on(PACKAGES, Reply::Status(404));
    let error = mirror.client().refused(INDEX);
    assert!(
        matches!(error, AptError::Http(HttpError::NotFound { .. })),
        "{error}"
    );
}

#[test]
fn an_index_that_unpacks_to_too_much_or_to_something_else() {
    let mut mirror = Mirror::plain();
    let packages = mirror.files["main/binary-amd64/Packages"].clone();
    for (unpacked, is_bomb) in [
        (vec![b'x'; 50 << 20], true),
        (packages[1..].to_vec(), false),
    ] {
        mirror
            .files
            .insert("main/binary-amd64/Packages.xz".to_owned(), xz(&unpacked));
        mirror.publish();
        match mirror.client().refused(INDEX) {
            AptError::Bomb { limit, .. } => assert!(is_bomb && limit == packages.len() as u64),
            AptError::WrongSize { .. } => assert!(!is_bomb),
            error => panic!("{error}"),
        }
    }
    let mut other = packages.clone();
    other[9] = b'x';
    mirror
        .files
        .insert("main/binary-amd64/Packages.xz".to_owned(), xz(&other));
    mirror.publish();
    let error = mirror.client().refused(INDEX);
    assert!(matches!(error, AptError::TamperedIndex { .. }), "{error}");
    mirror.files.insert(
        "main/binary-amd64/Packages.xz".to_owned(),
        b"no xz at all".to_vec(),
    );
    mirror.publish();
    let error = mirror.client().refused(INDEX);
    assert!(matches!(error, AptError::Unpack { .. }), "{error}");
}

#[test]
fn an_index_that_cannot_be_read() {
    let mirror = Mirror::new("Package: a\nVersion: 1\n");
    mirror.publish();
    let error = mirror.client().refused(INDEX);
    assert!(matches!(error, AptError::MalformedIndex { .. }), "{error}");
}

#[test]
fn a_package_that_is_not_the_signed_one() {
    let mirror = Mirror::plain();
    mirror.publish();
    let good = deb("a");
    let mut changed = good.clone();
    changed[100] ^= 1;
    let client = mirror.client();
    let universe = client.open().unwrap();
    let package = universe.newest("a").unwrap();
    let cut = good[..good.len() - 1].to_vec();
    for reply in [
        Reply::File(changed),
        Reply::File(cut),
        Reply::Status(404),
        Reply::Unannounced(good.clone(), 5000),
    ] {
        mirror.server.on("/debian/pool/a_1.0.deb", reply.clone());
        let error = client.apt.fetch(package).unwrap_err();
        match (&reply, &error) {
            (Reply::File(bytes), AptError::TamperedPackage { package, .. }) => {
                assert_eq!((bytes.len(), package.as_str()), (good.len(), "a 1.0"));
            }
            (Reply::File(bytes), AptError::WrongSize { actual, .. }) => {
                assert_eq!(*actual, bytes.len() as u64);
            }
            (Reply::Status(_), AptError::PackageGone { .. })
            | (Reply::Unannounced(..), AptError::Http(HttpError::Interrupted { .. })) => {}
            _ => panic!("{reply:?}: {error}"),
        }
        assert_eq!(client.kept("blob"), 0);
        // The error was told of where the transfer is shown.
        assert!(
            client
                .events
                .finished
                .lock()
                .unwrap()
                .iter()
                .any(|it| it.0 == "a 1.0" && it.2.is_some())
        );
    }
    let wanted: Vec<_> = universe.closure(&["b".to_owned()], false).unwrap();
    assert!(client.apt.fetch_all(&wanted).is_err());
}

#[test]
fn packages_and_dependencies_that_are_not_there() {
    let packages = [
        stanza("app", "1", "Depends: library (>= 2)\n"),
        stanza("library", "3", "Pre-Depends: base | other\n"),
        stanza("base", "1", "Depends: engine (>= 9)\n"),
        stanza(
            "mawk",
            "1",
            "Priority: required\nProvides: awk, engine (= 8)\n",
        ),
        stanza("gawk", "1", "Provides: awk\n"),
        stanza("reader", "1", "Depends: awk, newer (= 2), older\n"),
        stanza("older", "1", "Depends: newer (= 1)\n"),
        stanza("newer", "1", ""),
        stanza("newer", "2", ""),
    ];
    let mirror = Mirror::new(&packages.concat());
    mirror.publish();
    let client = mirror.client();
    let universe = client.open().unwrap();
    let place = format!("test at {}", mirror.server.url("/debian"));
    let error = |name: &str| {
        universe
            .closure(&[name.to_owned()], false)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        error("app"),
        format!(
            "app 1, which needs library 3, which needs base 1 needs engine (>= 9), which nothing in {place} satisfies"
        )
    );
    assert_eq!(
        error("reader"),
        "reader 1, which needs older 1 needs newer (= 1), but newer 2 is needed too"
    );
    assert_eq!(
        error("librery"),
        format!("no package `librery` in {place}\nhint: there is library")
    );
    let lacking = universe.newest("awk").unwrap_err().to_string();
    assert!(
        lacking.ends_with("hint: there is mawk, which provides it, gawk, which provides it"),
        "{lacking}"
    );
    let nothing = universe.newest("libr*2").unwrap_err().to_string();
    assert_eq!(
        nothing,
        format!("no package matches `libr*2` in {place}\nhint: there is library")
    );
    assert!(matches!(universe.newest("[a"), Err(AptError::Glob { .. })));
}

#[test]
fn offline_names_what_is_missing() {
    let mirror = Mirror::plain();
    mirror.publish();
    let http = HttpOptions {
        offline: true,
        ..HttpOptions::default()
    };
    let client = mirror.client_with(
        Arc::new(tempfile::tempdir().unwrap()),
        http,
        AptOptions::default(),
    );
    let error = client.refused(RELEASE);
    assert!(
        matches!(&error, AptError::Http(HttpError::Offline { url }) if url.ends_with("/InRelease")),
        "{error}"
    );
    assert!(mirror.server.requests("").is_empty());
}

#[test]
fn a_network_in_between() {
    let mirror = Mirror::plain();
    mirror.publish();
    mirror.in_release(Reply::Page);
    let error = mirror.client().refused(RELEASE);
    assert!(
        matches!(error, AptError::Http(HttpError::Html { .. })),
        "{error}"
    );
    mirror.in_release(Reply::Redirect(
        mirror.server.url("/debian/dists/test/InRelease"),
    ));
    let error = mirror.client().refused(RELEASE);
    assert!(
        matches!(
            error,
            AptError::Http(HttpError::Redirects { limit: 10, .. })
        ),
        "{error}"
    );
    mirror.in_release(Reply::Status(403));
    let error = mirror.client().refused(RELEASE);
    assert!(
        matches!(error, AptError::Http(HttpError::Status { status: 403, .. })),
        "{error}"
    );
    mirror.publish();
    mirror.server.on(PACKAGES_XZ, Reply::Page);
    let error = mirror.client().refused(INDEX);
    assert!(
        matches!(error, AptError::Http(HttpError::Html { .. })),
        "{error}"
    );
}
