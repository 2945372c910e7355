//! Archives of other vendors, of the past, and held to a lock file.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use plan::{Archive, LockedPackage};
use supply::openpgp::Keyring;
use supply::{Apt, AptError, AptOptions, HttpOptions, Mirrors, OpenPgpError};

use crate::archive::{Client, Mirror, date, deb, gzip, sha256, stanza};
use crate::server::Reply;
use crate::signer::{DAY, KeyPlan, Signer, now};

/// The client of a mirror, with other keys in place of its signer's.
fn with_keys(mirror: &Mirror, keyring: Keyring) -> Client {
    let mut client = mirror.client();
    client.apt = client.apt.with_keyring(keyring);
    client
}

#[test]
fn a_suite_of_the_past_is_taken_where_the_entry_says_so() {
    // As archive.debian.org has them: past the Valid-Until, Release with Release.gpg,
    // an index in gzip alone, and a key that is in use no more.
    let signer = || {
        Signer::new(&KeyPlan {
            created: now() - 300 * DAY,
            lifetime: None,
            ..KeyPlan::default()
        })
    };
    let mut mirror = Mirror {
        signer: signer(),
        ..Mirror::plain()
    };
    let plain = mirror.files.remove("main/binary-amd64/Packages").unwrap();
    mirror.files.clear();
    mirror
        .files
        .insert("main/binary-amd64/Packages.gz".to_owned(), gzip(&plain));
    mirror.head.insert("Date", date(-100));
    mirror.head.insert("Valid-Until", date(-90));
    mirror.publish();
    mirror.in_release(Reply::Status(404));
    let release = mirror.release();
    let serve = |name: &str, bytes: Vec<u8>| {
        let path = format!("/debian/dists/test/{name}");
        mirror.server.on(&path, Reply::File(bytes));
    };
    serve("Release", release.clone().into_bytes());
    serve("Release.gpg", mirror.signer.detached(&release));

    let removed = || {
        Keyring::from_bytes(&Signer::good().keyring())
            .unwrap()
            .with_removed(&mirror.signer.keyring())
            .unwrap()
    };
    let open = |keyring, allow_expired| {
        let client = with_keys(&mirror, keyring);
        let universe = client.apt.open(&mirror.source("test", allow_expired));
        universe.map(|universe| universe.newest("b").unwrap().version.to_string())
    };
    assert_eq!(open(removed(), true).unwrap(), "2.0");
    let Err(AptError::Signature { source, .. }) = open(removed(), false) else {
        panic!("a removed key was taken")
    };
    assert!(
        matches!(source, OpenPgpError::RemovedKey { .. }),
        "{source}"
    );
    let in_use = Keyring::from_bytes(&mirror.signer.keyring()).unwrap();
    assert!(matches!(
        open(in_use, false),
        Err(AptError::ExpiredRelease { .. })
    ));
}

#[test]
fn a_vendors_key_is_good_for_its_own_archives_alone() {
    let mut mirror = Mirror::plain();
    mirror.publish();
    let ubuntu = || Keyring::of_vendor(&mirror.signer.keyring(), "Ubuntu").unwrap();
    let client = with_keys(&mirror, ubuntu());
    let error = client.refused(&["suite", "index"]);
    assert!(
        matches!(&error, AptError::ForeignKey { origin, vendor: "Ubuntu", .. } if origin == "Debian"),
        "{error}"
    );
    mirror.head.insert("Origin", "Ubuntu".to_owned());
    mirror.publish();
    let ubuntu = Keyring::of_vendor(&mirror.signer.keyring(), "Ubuntu").unwrap();
    with_keys(&mirror, ubuntu).open().unwrap();
    // Backports have an origin of two words.
    mirror.head.insert("Origin", "Debian Backports".to_owned());
    mirror.publish();
    let debian = Keyring::of_vendor(&mirror.signer.keyring(), "Debian").unwrap();
    with_keys(&mirror, debian).open().unwrap();
}

#[test]
fn the_shipped_keys_are_of_two_vendors() {
    let fingerprints = Keyring::shipped().fingerprints().unwrap();
    for ubuntu in [
        "790bc7277767219c42c86f933b4fe6acc0b21f32",
        "f6ecb3762474eda9d21b7022871920d1991bc93c",
    ] {
        assert!(
            fingerprints
                .iter()
                .any(|it| it.eq_ignore_ascii_case(ubuntu)),
            "{fingerprints:?}"
        );
    }
}

#[test]
fn an_entry_names_the_keys_of_an_archive() {
    let mirror = Mirror::plain();
    mirror.publish();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let keyed = |key: &Path| {
        let mut source = mirror.source("test", false);
        source.suites[0].archive = Archive::Keyed {
            url: mirror.server.url("/debian"),
            key: key.to_path_buf(),
        };
        // The program's own keys are not asked.
        let stranger = Keyring::from_bytes(&Signer::good().keyring()).unwrap();
        let client = with_keys(&mirror, stranger);
        client.apt.open(&source).map(drop)
    };
    keyed(&file("binary.gpg", &mirror.signer.keyring())).unwrap();
    keyed(&file("armoured.asc", &mirror.signer.armoured_keyring())).unwrap();
    assert!(matches!(
        keyed(&file("other.gpg", &Signer::good().keyring())),
        Err(AptError::Signature { .. })
    ));
    for (name, bytes) in [
        ("empty", b"".as_slice()),
        ("text", b"no key"),
        ("armour", b"-----"),
    ] {
        let path = file(name, bytes);
        let error = keyed(&path).unwrap_err();
        assert!(
            matches!(&error, AptError::Key { path: told, .. } if *told == path),
            "{error}"
        );
    }
    let missing = folder.path().join("missing");
    assert!(matches!(keyed(&missing), Err(AptError::Key { .. })));
}

#[test]
fn a_snapshot_is_the_archive_of_its_time_and_asked_for_once() {
    let time = "20260101T000000Z";
    let mut mirror = Mirror::plain();
    mirror
        .head
        .insert("Date", "Wed, 31 Dec 2025 20:00:00 UTC".to_owned());
    mirror
        .head
        .insert("Valid-Until", "Wed, 07 Jan 2026 20:00:00 UTC".to_owned());
    let serve = |mirror: &Mirror| {
        let root = format!("/snapshots/debian/{time}");
        for (path, bytes) in &mirror.files {
            let path = format!("{root}/dists/test/{path}");
            mirror.server.on(&path, Reply::File(bytes.clone()));
        }
        let release = mirror.signer.clear(&mirror.release());
        let path = format!("{root}/dists/test/InRelease");
        mirror.server.on(&path, Reply::File(release));
    };
    serve(&mirror);
    let mut source = mirror.source("test", true);
    source.suites[0].archive = Archive::Snapshot {
        security: false,
        time: time.to_owned(),
    };
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let client = |mirror: &Mirror, folder: &Arc<tempfile::TempDir>| {
        let always = AptOptions {
            fresh: Duration::ZERO,
        };
        let client = mirror.client_with(Arc::clone(folder), HttpOptions::default(), always);
        client.apt.with_mirrors(Mirrors {
            snapshots: Some(mirror.server.url("/snapshots")),
            ..Mirrors::default()
        })
    };
    for _ in 0..2 {
        let universe = client(&mirror, &folder).open(&source).unwrap();
        let url = &universe.newest("a").unwrap().url;
        assert_eq!(
            *url,
            mirror.server.url(&format!("/snapshots/debian/{time}"))
        );
    }
    assert_eq!(mirror.server.requests("InRelease").len(), 1);
    // What is later than the moment is not what was asked for.
    mirror
        .head
        .insert("Date", "Thu, 01 Jan 2026 02:00:00 UTC".to_owned());
    serve(&mirror);
    let fresh = Arc::new(tempfile::tempdir().unwrap());
    assert!(matches!(
        client(&mirror, &fresh).open(&source).err(),
        Some(AptError::NotTheSnapshot { .. })
    ));
}

/// An index of a kernel that was built thrice, with a metapackage for the newest, and
/// what else lies around it.
fn kernels() -> String {
    let image = |abi: &str, version: &str| {
        stanza(
            &format!("linux-image-{abi}-cloud-amd64"),
            version,
            "Depends: kmod, linux-base (>= 4.3~), initramfs-tools | linux-initramfs-tool\n",
        )
    };
    [
        image("6.1.0-9", "6.1.27-1"),
        image("6.1.0-10", "6.1.37-1"),
        image("6.1.0-11", "6.1.38-1"),
        image("5.10.0-30", "5.10.218-1"),
        stanza("linux-image-6.1.0-11-amd64", "6.1.38-1", ""),
        stanza("linux-image-6.1.0-11-cloud-amd64-dbg", "6.1.38-1", ""),
        stanza(
            "linux-image-cloud-amd64",
            "6.1.38-1",
            "Depends: linux-image-6.1.0-11-cloud-amd64 (= 6.1.38-1)\n",
        ),
    ]
    .concat()
}

#[test]
fn an_entry_means_all_versions_that_the_index_has_of_its_kernel() {
    let mirror = Mirror::new(&kernels());
    mirror.publish();
    let universe = mirror.client().open().unwrap();
    for name in ["linux-image-cloud-amd64", "linux-image-6.1.*-cloud-amd64"] {
        let images = universe.kernel_images(name).unwrap();
        let found: Vec<(&str, &str)> = images
            .iter()
            .map(|image| (image.name.as_str(), image.version.as_str()))
            .collect();
        assert_eq!(
            found,
            [
                ("linux-image-6.1.0-9-cloud-amd64", "6.1.27-1"),
                ("linux-image-6.1.0-10-cloud-amd64", "6.1.37-1"),
                ("linux-image-6.1.0-11-cloud-amd64", "6.1.38-1"),
            ],
            "{name}"
        );
        let of_version = universe.kernel(&format!("{name}=6.1.37-1")).unwrap();
        assert_eq!(of_version[0].name, "linux-image-6.1.0-10-cloud-amd64");
        assert_eq!(of_version.len(), 1);
        let error = universe.kernel(&format!("{name}=6.1.99-1")).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("hint: there is 6.1.27-1, 6.1.37-1, 6.1.38-1"),
            "{error}"
        );
    }
    let newest = universe.kernel("linux-image-cloud-amd64").unwrap();
    assert_eq!(newest[0].name, "linux-image-6.1.0-11-cloud-amd64");
}

#[test]
fn ubuntus_kernels_are_an_image_and_its_modules() {
    let packages = [
        stanza(
            "linux-image-unsigned-5.15.0-91-generic",
            "5.15.0-91.101",
            "Depends: kmod, linux-base (>= 4.5ubuntu1~16.04.1), linux-modules-5.15.0-91-generic\n\
             Recommends: grub-pc | grub-efi-amd64, initramfs-tools | linux-initramfs-tool\n",
        ),
        stanza(
            "linux-image-unsigned-5.15.0-25-generic",
            "5.15.0-25.25",
            "Depends: kmod, linux-base (>= 4.5ubuntu1~16.04.1), linux-modules-5.15.0-25-generic\n",
        ),
        stanza("linux-modules-5.15.0-91-generic", "5.15.0-91.101", ""),
        stanza("linux-modules-5.15.0-25-generic", "5.15.0-25.25", ""),
        stanza("linux-modules-extra-5.15.0-91-generic", "5.15.0-91.101", ""),
    ]
    .concat();
    let mut mirror = Mirror::new(&packages);
    mirror.head.insert("Origin", "Ubuntu".to_owned());
    mirror.head.insert("Label", "Ubuntu".to_owned());
    mirror.head.insert(
        "Components",
        "main restricted universe multiverse".to_owned(),
    );
    mirror.publish();
    let keyring = Keyring::of_vendor(&mirror.signer.keyring(), "Ubuntu").unwrap();
    let universe = with_keys(&mirror, keyring).open().unwrap();
    let names = |name: &str| -> Vec<String> {
        let packages = universe.kernel(name).unwrap();
        packages.iter().map(|it| it.to_string()).collect()
    };
    let glob = "linux-image-unsigned-5.15.0-*-generic";
    assert_eq!(
        names(glob),
        [
            "linux-image-unsigned-5.15.0-91-generic 5.15.0-91.101",
            "linux-modules-5.15.0-91-generic 5.15.0-91.101",
        ]
    );
    assert_eq!(
        names(&format!("{glob}=5.15.0-25.25")),
        [
            "linux-image-unsigned-5.15.0-25-generic 5.15.0-25.25",
            "linux-modules-5.15.0-25-generic 5.15.0-25.25",
        ]
    );
}

/// What a lock file has of a package of this mirror.
fn locked(mirror: &Mirror, name: &str, version: &str) -> LockedPackage {
    LockedPackage {
        name: name.to_owned(),
        version: version.to_owned(),
        url: mirror
            .server
            .url(&format!("/debian/pool/{name}_{version}.deb")),
        sha256: sha256(&deb(name)),
    }
}

#[test]
fn what_is_locked_is_taken_while_the_pool_has_it() {
    let mut mirror = Mirror::plain();
    mirror.publish();
    let old = [locked(&mirror, "a", "1.0"), locked(&mirror, "b", "2.0")];
    // The index moves on; the pool keeps the old ones for a while.
    mirror.files.insert(
        "main/binary-amd64/Packages".to_owned(),
        stanza("a", "1.1", "").into_bytes(),
    );
    mirror.files.remove("main/binary-amd64/Packages.xz");
    mirror.publish();
    let client = mirror.client();
    let debs = client.apt.fetch_locked(&old).unwrap();
    assert_eq!(std::fs::read(&debs[1]).unwrap(), deb("b"));
    assert_eq!(mirror.server.requests("InRelease").len(), 0);

    // Another file under the name is not what was locked, and is not kept.
    let pool = |reply| mirror.server.on("/debian/pool/a_1.0.deb", reply);
    pool(Reply::File(deb("x")));
    let fetch = |apt: &Apt| apt.fetch_locked(&old[..1]).unwrap_err();
    let client = mirror.client();
    let error = fetch(&client.apt);
    assert!(
        matches!(&error, AptError::NotAsLocked { package, .. } if package == "a 1.0"),
        "{error}"
    );
    assert_eq!(client.kept("blob"), 0);
    pool(Reply::Status(404));
    let error = fetch(&mirror.client().apt);
    assert!(
        matches!(&error, AptError::LockedPackageGone { package, .. } if package == "a 1.0"),
        "{error}"
    );
}

#[test]
fn a_locked_address_of_debians_own_is_looked_for_on_the_mirrors() {
    let mirror = Mirror::plain();
    mirror.publish();
    let empty = crate::server::Server::start();
    let package = LockedPackage {
        url: "http://ftp.debian.org/debian/pool/a_1.0.deb".to_owned(),
        ..locked(&mirror, "a", "1.0")
    };
    let client = mirror.client();
    let apt = client.apt.with_mirrors(Mirrors {
        // The first does not have it.
        debian: vec![empty.url("/debian"), mirror.server.url("/debian")],
        ..Mirrors::default()
    });
    let debs = apt.fetch_locked(&[package]).unwrap();
    assert_eq!(std::fs::read(&debs[0]).unwrap(), deb("a"));
    assert_eq!(empty.requests("").len(), 1);
}

#[test]
fn who_asks_anew_asks_each_suite_once_and_takes_no_copy() {
    let mirror = Mirror::plain();
    mirror.publish();
    let folder = mirror.client().folder;
    let client = || {
        mirror.client_with(
            Arc::clone(&folder),
            HttpOptions::default(),
            AptOptions::default(),
        )
    };
    client().open().unwrap();
    let anew = client().apt.asking_anew();
    let source = mirror.source("test", false);
    for _ in 0..3 {
        anew.open(&source).unwrap();
    }
    assert_eq!(mirror.server.requests("InRelease").len(), 2);
    mirror.in_release(Reply::Hang);
    let error = client().apt.asking_anew().open(&source).err().unwrap();
    assert!(matches!(error, AptError::Http(_)), "{error}");
}
