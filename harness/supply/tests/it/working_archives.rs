//! Archives that are as they should be.

use std::sync::Arc;
use std::time::Duration;

use plan::{AptSource, AptSuite, Archive};
use supply::{AptError, AptOptions, HttpError, HttpOptions, Mirrors};

use crate::archive::{Mirror, date, deb, gzip, stanza};
use crate::server::Reply;
use crate::signer::Signer;

#[test]
fn a_package_comes_from_release_to_deb() {
    let mirror = Mirror::plain();
    mirror.publish();
    let client = mirror.client();
    let universe = client.open().unwrap();
    let closure = universe.closure(&["b".to_owned()], false).unwrap();
    let names: Vec<&str> = closure
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    assert_eq!(names, ["a", "b"]);
    let debs = client.apt.fetch_all(&closure).unwrap();
    for (path, name) in debs.iter().zip(names) {
        assert_eq!(std::fs::read(path).unwrap(), deb(name));
    }
    let finished = client.events.finished.lock().unwrap().clone();
    assert!(
        finished.contains(&("a 1.0".to_owned(), deb("a").len() as u64, None)),
        "{finished:?}"
    );
}

#[test]
fn a_cached_suite_touches_no_network() {
    let mirror = Mirror::plain();
    mirror.publish();
    let first = mirror.client();
    let universe = first.open().unwrap();
    first.apt.fetch(universe.newest("a").unwrap()).unwrap();
    let asked = mirror.server.requests("").len();
    for offline in [false, true] {
        let http = HttpOptions {
            offline,
            ..HttpOptions::default()
        };
        let again = mirror.client_with(Arc::clone(&first.folder), http, AptOptions::default());
        let universe = again.open().unwrap();
        again.apt.fetch(universe.newest("a").unwrap()).unwrap();
        assert_eq!(mirror.server.requests("").len(), asked);
        if offline {
            let error = again.apt.fetch(universe.newest("b").unwrap()).unwrap_err();
            assert!(
                matches!(&error, AptError::Http(HttpError::Offline { url }) if url.ends_with("pool/b_2.0.deb"))
            );
        }
    }
}

#[test]
fn a_stale_suite_is_asked_for_again_and_may_be_unchanged() {
    let mirror = Mirror::plain();
    mirror.publish();
    let always = AptOptions {
        fresh: Duration::ZERO,
    };
    let folder = mirror.client().folder;
    let client = || mirror.client_with(Arc::clone(&folder), HttpOptions::default(), always.clone());
    let digest = client().open().unwrap().digest().to_owned();
    assert_eq!(client().open().unwrap().digest(), digest);
    let requests = mirror.server.requests("InRelease");
    assert_eq!(requests.len(), 2);
    assert!(requests[1].headers.contains_key("if-none-match"));
    assert_eq!(mirror.server.requests("Packages.xz").len(), 1);
    // A mirror that is down does not matter while there is a copy; it is told.
    mirror.in_release(Reply::Hang);
    let down = client();
    assert_eq!(down.open().unwrap().digest(), digest);
    let notes = down.events.notes.lock().unwrap();
    assert!(
        notes
            .iter()
            .any(|it| it.contains("the copy in the cache is used")),
        "{notes:?}"
    );
}

#[test]
fn the_state_of_suites_is_told_without_their_indices() {
    let mut mirror = Mirror::plain();
    mirror.publish();
    let source = mirror.source("test", false);
    let state = mirror.client().apt.state(&source).unwrap();
    // A new Release that lists the same indices.
    mirror.head.insert("Date", date(0));
    mirror.publish();
    assert_eq!(mirror.client().apt.state(&source).unwrap(), state);
    assert_eq!(mirror.server.requests("Packages").len(), 0);
    let changed = stanza("a", "1.1", "").into_bytes();
    mirror
        .files
        .insert("main/binary-amd64/Packages".to_owned(), changed);
    mirror.publish();
    assert_ne!(mirror.client().apt.state(&source).unwrap(), state);
}

#[test]
fn an_expired_copy_is_used_offline_and_nowhere_else() {
    let mut mirror = Mirror::plain();
    mirror.head.insert("Valid-Until", date(-1));
    mirror.publish();
    let folder = mirror.client().folder;
    let source = mirror.source("test", true);
    let client = mirror.client_with(
        Arc::clone(&folder),
        HttpOptions::default(),
        AptOptions::default(),
    );
    client.apt.open(&source).unwrap();
    // What an entry with allow-expired fetched is no good for one without.
    assert!(matches!(
        client.refused(&[]),
        AptError::ExpiredRelease { .. }
    ));
}

#[test]
fn indices_come_by_hash_where_the_archive_offers_that() {
    let mut mirror = Mirror::plain();
    mirror.head.insert("Acquire-By-Hash", "yes".to_owned());
    mirror.publish();
    mirror.client().open().unwrap();
    assert_eq!(mirror.server.requests("Packages.xz").len(), 0);
    // A mirror that promises it and has it not is asked by name.
    mirror.head.remove("Acquire-By-Hash");
    mirror.publish();
    mirror.head.insert("Acquire-By-Hash", "yes".to_owned());
    let other = Mirror {
        server: crate::server::Server::start(),
        ..mirror
    };
    for (path, bytes) in &other.files {
        other.server.on(
            &format!("/debian/dists/test/{path}"),
            Reply::File(bytes.clone()),
        );
    }
    other.in_release(Reply::File(other.signer.clear(&other.release())));
    other.client().open().unwrap();
    assert_eq!(other.server.requests("Packages.xz").len(), 1);
}

#[test]
fn every_packing_will_do() {
    let packages = stanza("a", "1.0", "");
    for packing in ["", ".gz"] {
        let mut mirror = Mirror::plain();
        mirror.files.clear();
        let path = format!("main/binary-amd64/Packages{packing}");
        let bytes = if packing.is_empty() {
            packages.clone().into_bytes()
        } else {
            gzip(packages.as_bytes())
        };
        mirror.files.insert(path, bytes);
        mirror.publish();
        mirror.client().open().unwrap().newest("a").unwrap();
    }
    // Listed, but not on the mirror: the next one is taken.
    let mirror = Mirror::plain();
    mirror.publish();
    mirror.server.on(
        "/debian/dists/test/main/binary-amd64/Packages.xz",
        Reply::Status(404),
    );
    mirror.client().open().unwrap().newest("b").unwrap();
}

#[test]
fn old_suites_have_a_detached_signature() {
    let mirror = Mirror::plain();
    mirror.publish();
    mirror.in_release(Reply::Status(404));
    let release = mirror.release();
    mirror.server.on(
        "/debian/dists/test/Release",
        Reply::File(release.clone().into_bytes()),
    );
    mirror.server.on(
        "/debian/dists/test/Release.gpg",
        Reply::File(mirror.signer.detached(&release)),
    );
    mirror.client().open().unwrap().newest("a").unwrap();
}

#[test]
fn file_archives_work_offline_too() {
    let mirror = Mirror::plain();
    let folder = tempfile::tempdir().unwrap();
    let suite = folder.path().join("dists/test/main/binary-amd64");
    std::fs::create_dir_all(&suite).unwrap();
    std::fs::write(
        suite.join("Packages"),
        &mirror.files["main/binary-amd64/Packages"],
    )
    .unwrap();
    std::fs::write(
        suite.join("../../InRelease"),
        mirror.signer.clear(&mirror.release()),
    )
    .unwrap();
    let http = HttpOptions {
        offline: true,
        ..HttpOptions::default()
    };
    let client = mirror.client_with(
        Arc::new(tempfile::tempdir().unwrap()),
        http,
        AptOptions::default(),
    );
    let mut source = mirror.source("test", false);
    source.suites[0].archive = Archive::Url(format!("file://{}", folder.path().display()));
    client.apt.open(&source).unwrap().newest("a").unwrap();
    source.suites[0].suite = "other".to_owned();
    assert!(matches!(
        client.apt.open(&source),
        Err(AptError::SuiteNotFound { .. })
    ));
}

#[test]
fn the_newest_of_several_suites_counts() {
    let (old, new) = (
        Mirror::new(&stanza("a", "1.0", "")),
        Mirror::new(&stanza("a", "1.0+deb12u1", "")),
    );
    old.publish();
    new.in_release(Reply::File(old.signer.clear(&new.release())));
    for (path, bytes) in &new.files {
        new.server.on(
            &format!("/debian/dists/test/{path}"),
            Reply::File(bytes.clone()),
        );
    }
    let mut source = old.source("test", false);
    source.suites.extend(new.source("test", false).suites);
    let universe = old.client().apt.open(&source).unwrap();
    let versions: Vec<&str> = universe
        .by_name("a")
        .map(|it| it.version.as_str())
        .collect();
    assert_eq!(versions, ["1.0+deb12u1", "1.0"]);
    assert_eq!(universe.newest("a").unwrap().url, new.server.url("/debian"));
}

fn debian(suite: &str) -> AptSource {
    let archive = Archive::Debian;
    AptSource {
        suites: vec![AptSuite {
            archive,
            suite: suite.to_owned(),
            allow_expired: false,
        }],
        packages: vec![],
        architecture: "amd64".to_owned(),
        pinned: vec![],
    }
}

/// What an entry pins is found where the index has it no more, held to its digest,
/// and never put before what a signed index says.
#[test]
fn a_pinned_package_stands_in_for_one_that_left_the_index() {
    use crate::archive::{deb, sha256};
    let mirror = Mirror::plain();
    mirror.publish();
    let (path, there) = ("pool/main/g/gone/gone_2.0_amd64.deb", deb("gone"));
    mirror
        .server
        .on(&format!("/debian/{path}"), Reply::File(there.clone()));
    let pin = |name: &str, version: &str, sha256: String| plan::PinnedPackage {
        path: path.to_owned(),
        name: name.to_owned(),
        version: version.to_owned(),
        size: there.len() as u64,
        sha256,
    };
    let mut source = mirror.source("test", false);
    source.pinned = vec![
        pin("gone", "2.0", sha256(&there)),
        pin("a", "1.0", "0".repeat(64)),
    ];
    let client = mirror.client();
    let universe = client.apt.open(&source).unwrap();
    let gone = universe.newest("gone").unwrap();
    let file = client.apt.fetch(gone).unwrap();
    assert_eq!(fs_err::read(file).unwrap(), there);
    // The index's own stays the only one of its version.
    assert!(universe.by_name("a").all(|it| it.sha256 != "0".repeat(64)));
    assert!(universe.by_name("a").next().is_some());

    source.pinned = vec![pin("gone", "2.0", "1".repeat(64))];
    let universe = client.apt.open(&source).unwrap();
    let refused = client.apt.fetch(universe.newest("gone").unwrap());
    assert!(
        matches!(refused, Err(AptError::TamperedPackage { .. })),
        "{refused:?}"
    );
}

#[test]
fn the_debian_mirror_is_the_one_whose_release_says_so() {
    let mirror = Mirror::plain();
    mirror.publish();
    let mut vendor = Mirror::plain();
    vendor.head.insert("Origin", "Vendor".to_owned());
    vendor.in_release(Reply::File(mirror.signer.clear(&vendor.release())));
    let stranger = Mirror {
        signer: Signer::good(),
        ..Mirror::plain()
    };
    stranger.publish();
    let mut security = Mirror::plain();
    security.head.insert("Label", "Debian-Security".to_owned());
    security.in_release(Reply::File(mirror.signer.clear(&security.release())));
    let url = |mirror: &Mirror| mirror.server.url("/debian");
    let mut mirrors = Mirrors {
        debian: vec![url(&vendor), url(&stranger), url(&security), url(&mirror)],
        security: vec![],
        ..Mirrors::default()
    };
    let client = mirror.client();
    let apt = client.apt.with_mirrors(mirrors.clone());
    let universe = apt.open(&debian("test")).unwrap();
    assert_eq!(universe.newest("a").unwrap().url, url(&mirror));
    // The next time it is asked for first.
    let asked = vendor.server.requests("").len();
    apt.open(&debian("test")).unwrap();
    assert_eq!(vendor.server.requests("").len(), asked);

    mirrors.debian.pop();
    let error = mirror
        .client()
        .apt
        .with_mirrors(mirrors)
        .open(&debian("test"))
        .err()
        .unwrap();
    let AptError::NoMirror { tried, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(tried.len(), 3);
    assert!(tried[0].contains("of `Vendor`"), "{error}");
    assert!(tried[1].contains("not known"), "{error}");
    assert!(tried[2].contains("Debian-Security"), "{error}");
    assert!(
        error
            .to_string()
            .ends_with("hint: MATRIX_DEBIAN_MIRROR names a mirror")
    );
}
