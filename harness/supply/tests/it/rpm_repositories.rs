//! Kernels of RPM repositories: whole and split, packed and summed in every way,
//! signed in every way, and refused in every way.

use plan::{KernelSource, Pin, RpmSource};
use rpm::{CompressionWithLevel, FileOptions, PackageBuilder};
use sha2::Digest as _;
use supply::{KernelFiles, KernelVersion, VersionOrder};

use crate::archive::{gzip, xz};
use crate::repository::{
    Asker, Repository, V, bytes, bz_image, listing, package, packed_with, signed,
    without_payload_digest,
};
use crate::server::Reply;
use crate::signer::Signer;

type Pack = fn(&[u8]) -> Vec<u8>;
type Sum = fn(&[u8]) -> String;
type Rewrite = fn(String) -> String;

const EL7: &str = "3.10.0-1160.el7";

fn whole(version: &str, compression: CompressionWithLevel) -> rpm::Package {
    let v = format!("{version}.x86_64");
    package(
        "kernel",
        version,
        &[
            (&format!("/boot/vmlinuz-{v}"), &bz_image(&v)),
            (&format!("/boot/config-{v}"), b"CONFIG_X=y\n"),
            (&format!("/boot/System.map-{v}"), b"0 x"),
            (&format!("/lib/modules/{v}/kernel/a.ko.xz"), b"a"),
            (&format!("/lib/modules/{v}/modules.builtin"), b""),
        ],
        compression,
    )
}

fn plain(bytes: &[u8]) -> Vec<u8> {
    bytes.to_vec()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

fn sha1(bytes: &[u8]) -> String {
    hex(&sha1::Sha1::digest(bytes))
}

fn sha512(bytes: &[u8]) -> String {
    hex(&sha2::Sha512::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// With a key's file.
fn with_key(asker: &Asker, source: RpmSource, signer: &Signer) -> RpmSource {
    RpmSource {
        key: Some(asker.file("key.pgp", &signer.keyring())),
        ..source
    }
}

fn modules(kernel: &KernelFiles) -> Vec<String> {
    listing(kernel.modules.as_ref().unwrap())
}

#[test]
fn a_whole_kernel_comes_in_every_packing_and_once() {
    let packings: [(CompressionWithLevel, Pack); 4] = [
        (CompressionWithLevel::Gzip(1), gzip),
        (CompressionWithLevel::Xz(1), xz),
        (CompressionWithLevel::Zstd(1), zstd),
        (CompressionWithLevel::None, plain),
    ];
    for (payload, pack) in packings {
        let mut repository = Repository::new();
        repository.pack = pack;
        let path = repository.add(&whole(EL7, payload));
        repository.publish();
        let asker = Asker::new();
        let kernel = asker.rpm(repository.source("kernel"));
        let v = format!("{EL7}.x86_64");
        assert_eq!(kernel.release.as_deref(), Some(&*v));
        assert_eq!(std::fs::read(&kernel.image).unwrap(), bz_image(&v));
        assert_eq!(modules(&kernel), ["kernel/a.ko.xz", "modules.builtin"]);
        assert!(kernel.configuration.is_some());
        let word = |name: &str| kernel.package[name].as_str();
        assert_eq!(word("name"), "kernel");
        assert_eq!(word("version"), EL7);
        assert_eq!(word("url"), repository.server.url(&format!("/repo/{path}")));
        assert_eq!(
            word("sha256"),
            crate::archive::sha256(&repository.packages[&path])
        );
        assert_eq!(word("signature"), "none");
        let notes = asker.events.notes.lock().unwrap().clone();
        assert!(notes.iter().any(|note| note.contains("no key is given")));

        assert_eq!(asker.rpm(repository.source("kernel")), kernel);
        for end in ["repomd.xml", "primary.xml.pack", ".rpm"] {
            assert_eq!(repository.server.requests(end).len(), 1, "{end}");
        }
        let offline = asker.supply(true);
        let source = KernelSource::Rpm(repository.source("kernel"));
        assert_eq!(offline.kernel(&[source]).unwrap(), kernel);
    }
}

#[test]
fn a_split_kernel_is_put_together_and_a_version_can_be_named() {
    let mut repository = Repository::new();
    for version in ["5.14.0-427.el9", "5.14.0-503.el9", "5.14.0-70.el9"] {
        repository.add_split(version);
    }
    repository.publish();
    let asker = Asker::new();
    for name in ["kernel", "kernel-core"] {
        let kernel = asker.rpm(repository.source(name));
        assert_eq!(kernel.release.as_deref(), Some(V));
        assert_eq!(
            modules(&kernel),
            ["kernel/a.ko.xz", "kernel/b.ko.xz", "modules.builtin"]
        );
        assert!(kernel.configuration.is_some());
        assert_eq!(kernel.package["name"], "kernel-core");
        assert!(kernel.package.contains_key("kernel-modules.sha256"));
    }
    let named = RpmSource {
        version: Some("5.14.0-427.el9".to_owned()),
        ..repository.source("kernel")
    };
    let kernel = asker.rpm(named);
    assert_eq!(kernel.release.as_deref(), Some("5.14.0-427.el9.x86_64"));
    let error = asker
        .ask(KernelSource::Rpm(RpmSource {
            version: Some("5.14.0-1.el9".to_owned()),
            ..repository.source("kernel")
        }))
        .unwrap_err();
    assert!(
        error.contains("there is 5.14.0-70.el9, 5.14.0-427.el9, 5.14.0-503.el9"),
        "{error}"
    );
    let error = asker.ask(KernelSource::Rpm(repository.source("kernel-ml")));
    assert!(error.unwrap_err().contains("kernel-modules-core"));
}

#[test]
fn a_lock_keeps_the_version_while_the_repository_has_it() {
    let mut repository = Repository::new();
    repository.add_split("5.14.0-427.el9");
    repository.publish();
    let source = KernelSource::Rpm(repository.source("kernel"));
    let sources = [source.clone()];
    let asker = Asker::new();
    let (_, pin) = asker.anew().pin_kernel(&sources).unwrap();
    let Pin::Version { version, digest } = &pin else {
        panic!("{pin:?}");
    };
    assert_eq!(version, "5.14.0-427.el9");
    let locked = KernelSource::Locked {
        source: Box::new(source.clone()),
        pin: pin.clone(),
    };

    // dpkg has this one before the other.
    repository.add_split("5.14.0-427.13.1.el9_4");
    repository.publish();
    let stranger = Asker::new();
    let kernel = stranger.ask(locked.clone()).unwrap();
    assert_eq!(kernel.package["version"], *version);
    assert_eq!(kernel.digest, *digest);
    let newest = stranger.rpm(repository.source("kernel"));
    assert_eq!(newest.package["version"], "5.14.0-427.13.1.el9_4");

    // Built again under the same version, and then gone.
    let v = "5.14.0-427.el9.x86_64";
    let core = package(
        "kernel-core",
        "5.14.0-427.el9",
        &[
            (&format!("/lib/modules/{v}/vmlinuz"), &bz_image(v)),
            (&format!("/lib/modules/{v}/config"), b"CONFIG_Y=y\n"),
        ],
        CompressionWithLevel::Gzip(1),
    );
    let mut other = Repository::new();
    other.add(&core);
    other.publish();
    let only_core = KernelSource::Locked {
        source: Box::new(KernelSource::Rpm(other.source("kernel-core"))),
        pin: pin.clone(),
    };
    let error = Asker::new().ask(only_core).unwrap_err();
    assert!(error.contains(digest), "{error}");
    let mut moved_on = Repository::new();
    std::mem::swap(&mut repository.server, &mut moved_on.server);
    moved_on.add_split("5.14.0-503.el9");
    moved_on.publish();
    let error = Asker::new().ask(locked).unwrap_err();
    assert!(error.contains("there is 5.14.0-503.el9"), "{error}");
}

#[test]
fn asked_anew_a_repository_is_asked_once_and_no_copy_will_do() {
    let mut repository = Repository::new();
    repository.add(&whole("3.10.0-957.el7", CompressionWithLevel::Gzip(1)));
    repository.publish();
    let sources = [KernelSource::Rpm(repository.source("kernel"))];
    let asker = Asker::new();
    let version = |supply: &supply::Supply| {
        let found = supply.kernel_version(&sources);
        found.map(|found| found.unwrap().version)
    };
    assert_eq!(version(&asker.supply(false)).unwrap(), "3.10.0-957.el7");
    repository.add(&whole(EL7, CompressionWithLevel::Gzip(1)));
    repository.publish();
    assert_eq!(version(&asker.supply(false)).unwrap(), "3.10.0-957.el7");
    let before = repository.server.requests("repomd.xml").len();
    let supply = asker.anew();
    assert_eq!(version(&supply).unwrap(), EL7);
    let (_, pin) = supply.pin_kernel(&sources).unwrap();
    assert!(
        matches!(&pin, Pin::Version { version, .. } if version == EL7),
        "{pin:?}"
    );
    assert_eq!(repository.server.requests("repomd.xml").len(), before + 1);

    drop(repository);
    let hurried = asker.hurried();
    assert!(version(&hurried).is_err());
    assert_eq!(version(&asker.supply(false)).unwrap(), EL7);
}

#[test]
fn the_versions_of_a_repository_are_told_without_fetching_a_kernel() {
    let mut repository = Repository::new();
    let versions = ["5.14.0-427.el9", "5.14.0-427.13.1.el9_4", "5.14.0-503.el9"];
    for version in [versions[2], versions[0], versions[1]] {
        repository.add_split(version);
    }
    repository.publish();
    let asker = Asker::new();
    let supply = asker.supply(false);
    // One that has no versions stands aside.
    let sources = [
        KernelSource::Path {
            kernel: "/nowhere".into(),
            modules: None,
        },
        KernelSource::Rpm(repository.source("kernel-core")),
    ];
    assert_eq!(
        supply.kernel_version(&sources).unwrap(),
        Some(KernelVersion {
            version: versions[2].to_owned(),
            package: "kernel-core".to_owned(),
        })
    );
    let all = supply.kernel_versions(&sources).unwrap().unwrap();
    assert_eq!(all.order, VersionOrder::Rpm);
    let names: Vec<&str> = all.versions.iter().map(|it| &*it.version).collect();
    assert_eq!(names, versions);
    for pair in versions.windows(2) {
        assert!(all.order.compare(pair[0], pair[1]).is_lt(), "{pair:?}");
    }
    assert!(VersionOrder::Dpkg.compare(versions[0], versions[1]).is_gt());
    assert_eq!(supply.kernel_versions(&sources[..1]).unwrap(), None);
    assert!(repository.server.requests(".rpm").is_empty());
    let gone = RpmSource {
        version: Some("6.0".to_owned()),
        ..repository.source("kernel-core")
    };
    assert!(supply.kernel_version(&[KernelSource::Rpm(gone)]).is_err());
}

#[test]
fn what_an_expired_key_signed_is_not_kept_for_who_does_not_take_it() {
    let signer = Signer::new(&crate::signer::KeyPlan {
        created: crate::signer::now() - 100 * crate::signer::DAY,
        lifetime: Some(50 * crate::signer::DAY),
        rsa: true,
        ..Default::default()
    });
    let when = crate::signer::now() - 80 * crate::signer::DAY;
    let bare = whole(EL7, CompressionWithLevel::Gzip(1));
    let mut repository = Repository::new();
    repository.add(&signed(&bare, |header| signer.packet_at(header, when)));
    repository.publish();
    let asker = Asker::new();
    let strict = with_key(&asker, repository.source("kernel"), &signer);
    let lenient = RpmSource {
        allow_expired: true,
        ..strict.clone()
    };
    asker.rpm(lenient);
    let error = asker.ask(KernelSource::Rpm(strict)).unwrap_err();
    assert!(error.contains("expired"), "{error}");
}

#[test]
fn a_signed_repository_is_taken_by_its_key_and_by_no_other() {
    let mut repository = Repository::new();
    repository.signs = true;
    repository.add(&whole(EL7, CompressionWithLevel::Gzip(1)));
    repository.publish();
    let asker = Asker::new();
    // What was taken without a key is not taken as verified with one.
    asker.rpm(repository.source("kernel"));
    let asked = with_key(&asker, repository.source("kernel"), &Signer::good());
    let error = asker.ask(KernelSource::Rpm(asked)).unwrap_err();
    assert!(error.contains("it is not signed"), "{error}");
    let kernel = asker.rpm(with_key(
        &asker,
        repository.source("kernel"),
        &repository.signer,
    ));
    assert!(
        kernel.package["signature"].starts_with("repomd.xml by "),
        "{:?}",
        kernel.package
    );
    // Changed after it was signed, at a time when it could have changed.
    let late = Asker::new();
    let primary = repository.primary();
    let other = repository.repomd(primary.as_bytes(), &gzip(primary.as_bytes()));
    repository.file("repodata/repomd.xml", (other + "\n").as_bytes());
    let asked = with_key(&late, repository.source("kernel"), &repository.signer);
    let error = late.refused(KernelSource::Rpm(asked));
    assert!(error.contains("repomd.xml.asc"), "{error}");
    assert_eq!(late.kept("repository"), 0);
    let missing = RpmSource {
        key: Some("/nowhere/key".into()),
        ..repository.source("kernel")
    };
    let error = late.refused(KernelSource::Rpm(missing));
    assert!(error.contains("/nowhere/key"), "{error}");
    let none = RpmSource {
        key: Some(late.file("none", b"no key")),
        ..repository.source("kernel")
    };
    late.refused(KernelSource::Rpm(none));
}

#[test]
fn signed_packages_are_taken_where_the_repository_is_not_signed() {
    let signer = Signer::new(&crate::signer::KeyPlan {
        rsa: true,
        ..Default::default()
    });
    let bare = whole(EL7, CompressionWithLevel::Xz(1));
    let old = without_payload_digest(&bare);
    for (name, package) in [
        ("today's", signed(&bare, |header| signer.packet(header))),
        ("el7's", signed(&old, |header| signer.old_packet(header))),
    ] {
        let mut repository = Repository::new();
        repository.add(&package);
        repository.publish();
        let asker = Asker::new();
        let kernel = asker.rpm(with_key(&asker, repository.source("kernel"), &signer));
        assert!(
            kernel.package["signature"].starts_with("packages by "),
            "{name}: {:?}",
            kernel.package
        );
        let stranger = Asker::new();
        let asked = with_key(&stranger, repository.source("kernel"), &Signer::good());
        let error = stranger.refused(KernelSource::Rpm(asked));
        assert!(error.contains("not known here"), "{name}: {error}");
    }
    // The repository says so itself: only the signature can tell.
    let other = whole("3.10.0-1.el7", CompressionWithLevel::Xz(1));
    let mut replaced = signed(&old, |header| signer.packet(header));
    replaced.payload = other.payload.clone();
    let relabelled = signed(&other, |_| signer.packet(&bare.header_bytes().unwrap()));
    for (what, package, words) in [
        ("payload", replaced, "does not match an RPM file header"),
        ("header", relabelled, "does not fit it"),
        ("unsigned", bare, "it is not signed"),
    ] {
        let mut repository = Repository::new();
        repository.add(&package);
        repository.publish();
        let asker = Asker::new();
        let asked = with_key(&asker, repository.source("kernel"), &signer);
        let error = asker.refused(KernelSource::Rpm(asked));
        assert!(error.contains(words), "{what}: {error}");
    }
}

#[test]
fn a_signature_covers_the_files_by_their_digests_where_the_payload_has_none() {
    let signer = Signer::good();
    let old = without_payload_digest(&whole(EL7, CompressionWithLevel::None));
    let mut changed = signed(&old, |header| signer.packet(header));
    let at = changed
        .payload
        .windows(12)
        .position(|window| window == b"builder@host")
        .unwrap();
    changed.payload[at] ^= 1;
    let mut repository = Repository::new();
    repository.add(&changed);
    repository.publish();
    let asker = Asker::new();
    let asked = with_key(&asker, repository.source("kernel"), &signer);
    let error = asker.refused(KernelSource::Rpm(asked));
    assert!(
        error.contains("it is damaged: its boot/vmlinuz-3.10.0-1160.el7.x86_64"),
        "{error}"
    );
}

#[test]
fn old_checksums_are_taken_and_vouch_for_nothing() {
    let sums: [(&str, Sum); 2] = [("sha", sha1), ("sha512", sha512)];
    for (name, sum) in sums {
        let mut repository = Repository::new();
        repository.sum = (name, sum);
        repository.signs = true;
        repository.add(&whole(EL7, CompressionWithLevel::Gzip(1)));
        repository.publish();
        let asker = Asker::new();
        let kernel = asker.rpm(repository.source("kernel"));
        assert_eq!(kernel.package["sha256"].len(), 64);
        assert_eq!(kernel.package.contains_key("checksum"), name == "sha");
        let signed = Asker::new();
        let asked = with_key(&signed, repository.source("kernel"), &repository.signer);
        match name {
            "sha" => {
                let error = signed.refused(KernelSource::Rpm(asked));
                assert!(error.contains("it is not signed"), "{error}");
            }
            _ => {
                let kernel = signed.rpm(asked);
                assert!(kernel.package["signature"].starts_with("repomd.xml by "));
            }
        }
    }
}

/// A repository with one kernel.
fn one() -> Repository {
    let mut repository = Repository::new();
    repository.add(&whole(EL7, CompressionWithLevel::Gzip(1)));
    repository
}

fn refused(repository: &Repository) -> String {
    let asker = Asker::new();
    let error = asker.refused(KernelSource::Rpm(repository.source("kernel")));
    assert_eq!(asker.kept("resolved"), asker.kept("resolved").min(1));
    error
}

#[test]
fn descriptions_that_lie_are_refused() {
    let laughs = "<!DOCTYPE repomd [<!ENTITY x \"xxxxxxxx\"><!ENTITY y \"&x;&x;\">]>";
    let spoils: [(Rewrite, &str); 6] = [
        (
            |text| text.replace("repodata/primary", "../../primary"),
            "is no path below the repository",
        ),
        (
            |text| text.replace("<repomd ", "<!DOCTYPE repomd [<!ENTITY x \"y\">]><repomd "),
            "declares a document type",
        ),
        (
            |text| text.replace("<revision>1", "<revision>&x;"),
            "uses the entity `&x;`",
        ),
        (|text| text.replace("sha256", "md5"), "md5"),
        (|text| text.replace("</repomd>", ""), "cut short"),
        (
            |text| text.replace("type=\"primary\"", "type=\"other\""),
            "no <data type=\"primary\">",
        ),
    ];
    for (spoil, words) in spoils {
        let mut repository = one();
        repository.spoil = spoil;
        repository.publish();
        let error = refused(&repository);
        assert!(error.contains(words), "{words}: {error}");
    }
    let repository = Repository::new();
    assert!(refused(&repository).contains("it has no repodata/repomd.xml"));
    repository
        .server
        .on("/repo/repodata/repomd.xml", Reply::Page);
    assert!(!refused(&repository).is_empty());

    // The list of packages: an entity's bomb, a climbing package, a cut, and more
    // than the repository says.
    let mut repository = one();
    repository.elements = format!("{laughs}{}", repository.elements);
    repository.publish();
    assert!(refused(&repository).contains("declares a document type"));
    let mut repository = one();
    repository.elements = repository.elements.replace("Packages/", "../../../");
    repository.publish();
    assert!(refused(&repository).contains("is no path below the repository"));
    let mut repository = one();
    repository.pack = |bytes| gzip(&bytes[..bytes.len() / 2]);
    repository.publish();
    assert!(!refused(&repository).is_empty());
    let mut repository = one();
    repository.pack = |bytes| gzip(&[bytes, &vec![b' '; 1 << 20]].concat());
    repository.publish();
    assert!(refused(&repository).contains("it unpacks to more than"));
}

#[test]
fn packages_that_are_not_what_they_should_be_are_refused() {
    type Spoil = fn(&mut Vec<u8>);
    let spoils: [(Spoil, &str); 3] = [
        (|bytes| bytes.push(0), "bytes"),
        (|bytes| bytes.truncate(1000), "bytes"),
        (
            |bytes| {
                let last = bytes.len() - 1;
                bytes[last] ^= 1;
            },
            "its checksum is",
        ),
    ];
    for (spoil, words) in spoils {
        let mut repository = one();
        repository.packages.values_mut().for_each(spoil);
        repository.publish();
        let error = refused(&repository);
        assert!(error.contains(words), "{words}: {error}");
    }
    let mut repository = one();
    repository.packages.clear();
    repository.publish();
    assert!(refused(&repository).contains("the repository lists it"));

    // The same where the repository tells the lie itself.
    let good = whole(EL7, CompressionWithLevel::Gzip(1));
    let whole_bytes = bytes(&good);
    let mut cut = whole_bytes.clone();
    cut.truncate(whole_bytes.len() - 20);
    let mut head = whole_bytes.clone();
    head.truncate(600);
    let mut changed = whole_bytes.clone();
    let last = changed.len() - 9;
    changed[last] ^= 1;
    let mut lying = whole_bytes.clone();
    // The count of the signature header's first entry.
    lying[96 + 16 + 12..96 + 16 + 16].copy_from_slice(&u32::MAX.to_be_bytes());
    let other = bytes(&whole("3.10.0-957.el7", CompressionWithLevel::Gzip(1)));
    for (bytes, words) in [
        (cut, "it is damaged: its payload's SHA-256"),
        (head, "cut short within its headers"),
        (changed, "it is damaged: its payload's SHA-256"),
        (lying, "an entry's data reaches beyond the end"),
        (
            other,
            "it is kernel 3.10.0-957.el7, the repository says kernel 3.10.0-1160.el7",
        ),
        (b"<not html>".repeat(100), "not an RPM package"),
    ] {
        let mut repository = Repository::new();
        repository.add_bytes(&good, bytes);
        repository.publish();
        let error = refused(&repository);
        assert!(error.contains(words), "{words}: {error}");
    }
}

#[test]
fn a_file_of_two_names_is_there_by_the_one_that_counts() {
    let v = format!("{EL7}.x86_64");
    let mut builder = PackageBuilder::new("kernel", "3.10.0", "GPL-2.0", "x86_64", "x");
    builder.release("1160.el7");
    for (path, content, link) in [
        (format!("/boot/vmlinuz-{v}"), bz_image(&v), None),
        (
            format!("/lib/modules/{v}/kernel/a.ko"),
            b"a".to_vec(),
            Some("a"),
        ),
        (
            format!("/lib/modules/{v}/kernel/b.ko"),
            b"a".to_vec(),
            Some("a"),
        ),
        // Of the names of a file the last has the content, and this one is of no kernel.
        ("/usr/share/z/a.ko".to_owned(), b"a".to_vec(), Some("a")),
    ] {
        let options = FileOptions::new(path);
        let options = match link {
            Some(identity) => options.hardlink(identity),
            None => options,
        };
        builder.with_file_contents(content, options).unwrap();
    }
    let mut repository = Repository::new();
    repository.add(&builder.build().unwrap());
    repository.publish();
    let asker = Asker::new();
    let kernel = asker.rpm(repository.source("kernel"));
    assert_eq!(modules(&kernel), ["kernel/a.ko", "kernel/b.ko"]);
    for name in ["kernel/a.ko", "kernel/b.ko"] {
        let module = kernel.modules.as_ref().unwrap().join(name);
        assert_eq!(std::fs::read(module).unwrap(), b"a");
    }
}

#[test]
fn a_payload_that_is_not_read_is_named() {
    for compressor in ["lzma", "bzip2"] {
        let mut repository = Repository::new();
        let package = whole(EL7, CompressionWithLevel::Gzip(1));
        repository.add(&packed_with(&package, compressor));
        repository.publish();
        let error = refused(&repository);
        let words = format!("its payload is compressed with {compressor}, which is not read");
        assert!(error.contains(&words), "{error}");
    }
}

#[test]
fn a_payload_that_climbs_or_has_no_kernel_is_refused() {
    let v = format!("{EL7}.x86_64");
    let image = bz_image(&v);
    let climbing = package(
        "kernel",
        EL7,
        &[
            (&format!("/boot/vmlinuz-{v}"), &image),
            (&format!("/lib/modules/{v}/../../../../../escaped"), b"x"),
        ],
        CompressionWithLevel::Gzip(1),
    );
    let empty = package(
        "kernel",
        EL7,
        &[("/usr/share/doc/kernel/README", b"x")],
        CompressionWithLevel::Gzip(1),
    );
    let arm = {
        let mut arm = vec![0; 100];
        arm[..2].copy_from_slice(b"MZ");
        arm[56..60].copy_from_slice(b"ARM\x64");
        package(
            "kernel",
            EL7,
            &[(&format!("/boot/vmlinuz-{v}"), &arm)],
            CompressionWithLevel::Gzip(1),
        )
    };
    for (package, words) in [
        (climbing, "climbs out of its tree"),
        (empty, "no kernel in kernel"),
        (arm, "a kernel for ARM64"),
    ] {
        let mut repository = Repository::new();
        repository.add(&package);
        repository.publish();
        let error = refused(&repository);
        assert!(error.contains(words), "{words}: {error}");
    }
}
