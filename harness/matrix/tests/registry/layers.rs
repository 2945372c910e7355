//! Layers laid over one another, held against what umoci unpacks, entry by entry: type,
//! mode, owner, length, content, link targets, which names are one file, extended
//! attributes, devices and times. The image goes to Debian's docker-registry by skopeo
//! and comes out of the disk that `matrix fetch` made of it.
//!
//! umoci 0.4 reads no zstd: it gets the layers all in gzip. Nor does it read sparse files
//! in GNU's own format (`unknown typeflag`), of which the specification says (layer.md,
//! Additional File Types): "Sparse files SHOULD NOT be used because they lack consistent
//! support across tar implementations." Older builders do write them, so they are read
//! here; umoci gets the same files written out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use supply::Peer;
use tar::EntryType;

use crate::desk::{Desk, done, oci, peer, say};
use crate::made::{Image, Pack, layout};
use crate::registry::{Registry, no_login};
use crate::tar_file::{MOMENT, Member, TarFile};
use crate::unpacked::{Entry, Kind, differences, entries};

/// `cap_net_raw+ep` as the kernel keeps it (VFS_CAP_REVISION_2, effective; permitted
/// 1 << 13; nothing inheritable). Four of its bytes are 0, one is a line feed in others.
const CAPABILITY: [u8; 20] = [
    1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

/// `cap_chown,cap_dac_read_search…`: a capability whose value holds a line feed (0x0a).
const CAPABILITY_WITH_LINE_FEED: [u8; 20] = [
    1, 0, 0, 2, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

/// What of a sparse file has data, and where.
type Parts<'a> = &'a [(u64, &'a [u8])];

fn long(length: usize) -> String {
    let mut name = "long/".to_owned();
    while name.len() < length {
        name += "a-name-of-some-length-";
        if name.len().is_multiple_of(7) {
            name.push('/');
        }
    }
    name.truncate(length - 1);
    name + "z"
}

/// Every kind of entry there is; sparse files in GNU's own format, or written out.
fn first(sparse: bool) -> Vec<u8> {
    let mut tar = TarFile::new();
    let root = Member {
        mode: 0o751,
        owner: (3, 4),
        mtime: MOMENT - 5,
        ..Member::folder("./")
    };
    tar.add(&root, b"");
    for name in [
        "etc/",
        "usr/",
        "usr/lib/",
        "opt/",
        "opt/a/",
        "opt/a/deep/",
        "dev/",
        "gone/",
        "gone/in/",
        "kept/",
        "turns/",
        "long/",
    ] {
        tar.add(&Member::folder(name), b"");
    }
    tar.add(&Member::symlink("lib", "usr/lib"), b"");
    tar.add(&Member::file("usr/lib/one.so"), b"one");
    tar.add(&Member::file("etc/plain"), b"plain\n");
    tar.add(&Member::file("etc/empty"), b"");
    tar.add(&Member::file("etc/block"), &[7; 512]);
    tar.add(&Member::file("etc/large"), &noise(300_001));
    for (name, mode) in [
        ("etc/setuid", 0o4755),
        ("etc/setgid", 0o2711),
        ("etc/none", 0),
    ] {
        tar.add(
            &Member {
                mode,
                ..Member::file(name)
            },
            name.as_bytes(),
        );
    }
    let sticky = Member {
        mode: 0o1777,
        ..Member::folder("tmp/")
    };
    tar.add(&sticky, b"");
    for (name, owner) in [
        ("etc/nobody", (65_534, 65_534)),
        ("etc/far", (2_000_000, 3_000_000)),
    ] {
        tar.add(
            &Member {
                owner,
                ..Member::file(name)
            },
            b"owned",
        );
    }
    // Beyond what the header's octal digits hold: written as base 256.
    let owner = (4_000_000_000, 4_000_000_001);
    tar.add(
        &Member {
            owner,
            ..Member::file("etc/farther")
        },
        b"owned",
    );
    for (name, mtime) in [
        ("etc/epoch", 0),
        ("etc/1901", 1),
        ("etc/2038", 2_200_000_000),
    ] {
        tar.add(
            &Member {
                mtime,
                ..Member::file(name)
            },
            b"timed",
        );
    }
    let records: [(&str, &[u8]); 1] = [("mtime", b"1600000000.987654321")];
    tar.add(
        &Member {
            records: &records,
            ..Member::file("etc/fraction")
        },
        b"timed",
    );

    // Hard links, one through another, and of a symbolic link.
    tar.add(&Member::file("opt/a/first"), b"three names");
    tar.add(&Member::link("opt/a/second", "opt/a/first"), b"");
    tar.add(&Member::link("opt/third", "./opt/a/second"), b"");
    tar.add(&Member::symlink("opt/link", "a/first"), b"");
    tar.add(&Member::link("opt/link-too", "opt/link"), b"");
    tar.add(&Member::file("opt/low"), b"of the lowest layer");
    tar.add(&Member::file("opt/low-2"), b"of the lowest layer, second");
    tar.add(&Member::link("opt/low-2-too", "opt/low-2"), b"");

    // Links that lead nowhere, out, and round.
    for (name, target) in [
        ("opt/nowhere", "/no/such/place"),
        ("opt/out", "../../../../etc/passwd"),
        ("opt/round", "round"),
    ] {
        tar.add(&Member::symlink(name, target), b"");
    }
    for (name, kind, device) in [
        ("dev/null", EntryType::Char, (1, 3)),
        ("dev/high", EntryType::Char, (10, 229)),
        ("dev/disk", EntryType::Block, (8, 17)),
        ("dev/pipe", EntryType::Fifo, (0, 0)),
    ] {
        let member = Member {
            kind,
            device,
            mode: 0o620,
            owner: (0, 5),
            ..Member::file(name)
        };
        tar.add(&member, b"");
    }

    let capability: [(&str, &[u8]); 2] = [
        ("SCHILY.xattr.security.capability", &CAPABILITY),
        ("SCHILY.xattr.user.note", b"a value\nof two lines"),
    ];
    tar.add(
        &Member {
            records: &capability,
            mode: 0o755,
            ..Member::file("etc/ping")
        },
        b"ping",
    );
    let feed: [(&str, &[u8]); 1] = [(
        "SCHILY.xattr.security.capability",
        &CAPABILITY_WITH_LINE_FEED,
    )];
    tar.add(
        &Member {
            records: &feed,
            mode: 0o755,
            ..Member::file("etc/chown")
        },
        b"chown",
    );
    let other: [(&str, &[u8]); 3] = [
        ("SCHILY.xattr.trusted.overlay.none", b"y"),
        // A record without a value takes back what was said (POSIX, pax Extended
        // Header): there is no such attribute.
        ("SCHILY.xattr.user.taken-back", b"said"),
        ("SCHILY.xattr.user.taken-back", b""),
    ];
    tar.add(
        &Member {
            records: &other,
            ..Member::folder("opt/marked/")
        },
        b"",
    );

    let holed: [(&str, u64, Parts<'_>); 2] = [
        (
            "opt/sparse",
            3 << 20,
            &[(4096, b"begin"), (2 << 20, b"end")],
        ),
        ("opt/hole", 1 << 20, &[]),
    ];
    for (name, size, parts) in holed {
        if sparse {
            tar.add_sparse(&Member::file(name), size, parts);
            continue;
        }
        let mut whole = vec![0; size as usize];
        for (offset, bytes) in parts {
            whole[*offset as usize..][..bytes.len()].copy_from_slice(bytes);
        }
        tar.add(&Member::file(name), &whole);
    }
    tar.add_pax_sparse(
        "opt/pax-sparse",
        2 << 20,
        &[(512, b"begin"), (1 << 20, &[9; 700])],
    );

    for length in [99, 100, 101, 155, 256, 300, 900] {
        let name = long(length);
        parents(&mut tar, &name);
        tar.add(&Member::file(&name), name.as_bytes());
    }
    let path = format!("long/{}/ünï-☃", "p".repeat(200));
    parents(&mut tar, &path);
    let records: [(&str, &[u8]); 1] = [("path", path.as_bytes())];
    tar.add(
        &Member {
            records: &records,
            ..Member::file("long/short")
        },
        b"PAX",
    );
    let target = "t".repeat(300);
    tar.add(&Member::symlink("long/link", &target), b"");
    for name in [
        &b"etc/caf\xe9"[..],
        b"etc/\xff\xfe",
        b"etc/line\nfeed",
        b"etc/ spaces ",
    ] {
        tar.add(
            &Member {
                name,
                ..Member::file("")
            },
            name,
        );
    }

    // For the layers above to take out, hide and turn.
    for name in [
        "gone/file",
        "gone/in/file",
        "kept/low",
        "kept/file",
        "turns/file",
        "spared",
    ] {
        tar.add(&Member::file(name), name.as_bytes());
    }
    tar.add(&Member::folder("turns/folder/"), b"");
    tar.add(&Member::file("turns/folder/inside"), b"inside");
    tar.add(&Member::symlink("turns/link", "../etc/plain"), b"");
    tar.add(&Member::folder("opaque/"), b"");
    tar.add(&Member::file("opaque/below"), b"below");
    tar.add(&Member::folder("opaque/folder/"), b"");
    tar.add(&Member::file("opaque/folder/below"), b"below");
    tar.end()
}

/// Folders a layer does not name are made up by its reader, and each makes them up in
/// its own way: what is compared names them.
fn parents(tar: &mut TarFile, path: &str) {
    for (at, _) in path.match_indices('/').skip(1) {
        tar.add(&Member::folder(&path[..=at]), b"");
    }
}

/// Takes out, hides, turns and links.
fn second() -> Vec<u8> {
    let mut tar = TarFile::new();
    tar.add(&Member::folder("gone/"), b"");
    tar.add(&Member::file("gone/.wh.file"), b"");
    tar.add(&Member::file("gone/.wh.in"), b"");
    tar.add(&Member::file("gone/.wh.never-there"), b"");
    // Opaque: what comes before and after the mark is this layer's own.
    tar.add(
        &Member {
            mode: 0o700,
            ..Member::folder("opaque/")
        },
        b"",
    );
    tar.add(&Member::file("opaque/above"), b"above");
    tar.add(&Member::file("opaque/.wh..wh..opq"), b"");
    tar.add(&Member::folder("opaque/folder/"), b"");
    tar.add(&Member::file("opaque/folder/above"), b"above");
    // Names of files of the layer below.
    tar.add(&Member::folder("opt/"), b"");
    tar.add(&Member::link("opt/low-too", "opt/low"), b"");
    tar.add(&Member::file("opt/.wh.low-2"), b"");
    tar.add(&Member::folder("opt/a/"), b"");
    tar.add(&Member::file("opt/a/.wh.second"), b"");
    tar.add(&Member::folder("turns/"), b"");
    tar.add(&Member::folder("turns/file/"), b"");
    tar.add(&Member::file("turns/file/inside"), b"inside");
    tar.add(&Member::file("turns/folder"), b"now a file");
    tar.add(&Member::file("turns/link"), b"no link any more");
    // Through a symbolic link of the layer below.
    tar.add(&Member::file("lib/two.so"), b"two");
    let note: [(&str, &[u8]); 1] = [("SCHILY.xattr.user.note", b"another")];
    tar.add(
        &Member {
            records: &note,
            mode: 0o755,
            ..Member::file("etc/ping")
        },
        b"ping 2",
    );
    tar.end()
}

/// Turns back, takes out what the second brought, and names root anew.
fn third() -> Vec<u8> {
    let mut tar = TarFile::new();
    tar.add(
        &Member {
            mode: 0o755,
            ..Member::folder("./")
        },
        b"",
    );
    tar.add(&Member::folder("turns/"), b"");
    tar.add(&Member::file("turns/file"), b"a file again");
    tar.add(
        &Member {
            mode: 0o711,
            ..Member::folder("turns/folder/")
        },
        b"",
    );
    tar.add(&Member::file("turns/folder/new"), b"new");
    tar.add(&Member::folder("opaque/"), b"");
    tar.add(&Member::file("opaque/.wh.above"), b"");
    tar.add(&Member::folder("opt/"), b"");
    tar.add(&Member::link("opt/low-three", "opt/low-too"), b"");
    tar.add(&Member::file("opt/.wh.low"), b"");
    tar.end()
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    })
    .take(length)
    .collect()
}

/// The 386 half of the index: so small that a mistaken choice shows at once.
fn i386() -> Vec<u8> {
    let mut tar = TarFile::new();
    tar.add(&Member::folder("./"), b"");
    tar.add(&Member::file("only-on-i386"), b"386");
    tar.end()
}

/// By umoci, as root, from a layout of its own.
fn unpacked_by_umoci(folder: &Path, image: &Image) -> PathBuf {
    let layout_folder = folder.join("umoci-layout");
    layout(&layout_folder, &[("it", image)], &[]);
    let bundle = folder.join("bundle");
    done(
        peer(Peer::Umoci)
            .args(["unpack", "--image"])
            .arg(format!("{}:it", layout_folder.display()))
            .arg(&bundle),
    );
    bundle.join("rootfs")
}

/// Out of the disk that `matrix fetch` made.
fn unpacked_by_us(desk: &Desk, reference: &str, architecture: &str) -> PathBuf {
    let disk = desk.disk(&oci(reference, architecture));
    let folder = desk.root().join(format!("unpacked-{architecture}"));
    done(
        peer(Peer::Unsquashfs)
            .args(["-no-progress", "-d"])
            .arg(&folder)
            .arg(&disk.path),
    );
    folder
}

#[test]
fn an_image_of_every_kind_of_entry_is_what_umoci_makes_of_it() {
    if !rustix::process::getuid().is_root() {
        say("LEFT OUT: umoci and unsquashfs need root to make devices, owners and capabilities");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (second, third) = (second(), third());
    let packed = |sparse, packs: [Pack; 3]| {
        let plain = [first(sparse), second.clone(), third.clone()];
        let layers: Vec<(&[u8], Pack)> = plain.iter().map(Vec::as_slice).zip(packs).collect();
        Image::new("amd64", &layers)
    };
    let small = i386();
    let i386 = Image::new("386", &[(&small, Pack::Zstd)]);
    let amd64 = packed(true, [Pack::Gzip, Pack::Zstd, Pack::Plain]);
    let gzip = packed(true, [Pack::Gzip; 3]);
    assert_eq!(amd64.config, gzip.config, "the same image");
    let written_out = packed(false, [Pack::Gzip; 3]);

    let registry = Registry::start(folder.path(), &no_login(), None);
    let layouts = folder.path().join("layout");
    layout(&layouts, &[("gzip", &gzip)], &[("both", &[i386, amd64])]);
    registry.push(&layouts, "both", "all/kinds:oci", &[]);
    registry.push(&layouts, "gzip", "all/kinds:docker", &["--format", "v2s2"]);

    let theirs = entries(&unpacked_by_umoci(folder.path(), &written_out));
    for tag in ["oci", "docker"] {
        let desk = Desk::new();
        let reference = format!("{}/all/kinds:{tag}", registry.address());
        desk.image("amd64", &format!("{{ oci = \"{reference}\" }}"));
        desk.fetched(&[]);
        let ours = entries(&unpacked_by_us(&desk, &reference, "amd64"));
        let different = differences(&ours, &theirs);
        assert!(different.is_empty(), "{tag}: {different:#?}");
        look(&ours);
    }
    let desk = Desk::new();
    let reference = format!("{}/all/kinds:oci", registry.address());
    let source = format!("{{ oci = \"{reference}\", architecture = \"i386\" }}");
    desk.image("i386", &source);
    desk.fetched(&[]);
    let names: Vec<Vec<u8>> = entries(&unpacked_by_us(&desk, &reference, "i386"))
        .into_keys()
        .collect();
    assert_eq!(names, [&b""[..], b"only-on-i386"]);
}

/// That what was compared is what was meant: two readers could agree on nothing.
fn look(all: &BTreeMap<Vec<u8>, Entry>) {
    let at = |name: &str| {
        all.get(name.as_bytes())
            .unwrap_or_else(|| panic!("no {name}"))
    };
    let gone = |name: &str| assert!(!all.contains_key(name.as_bytes()), "{name} is there");
    for name in [
        "gone/file",
        "gone/in",
        "gone/.wh.file",
        "opaque/below",
        "opaque/folder/below",
        "opaque/above",
        "opaque/.wh..wh..opq",
        "opt/low",
        "opt/low-2",
        "opt/a/second",
        "turns/folder/inside",
        "turns/file/inside",
    ] {
        gone(name);
    }
    assert_eq!(at("").mode, 0o755);
    assert_eq!(at("etc/setuid").mode, 0o4755);
    assert_eq!(at("etc/farther").owner, (4_000_000_000, 4_000_000_001));
    assert_eq!(at("etc/fraction").mtime, 1_600_000_000);
    assert_eq!(at("etc/2038").mtime, 2_200_000_000);
    assert_eq!(at("").mtime, i64::try_from(MOMENT).unwrap());
    let marked = BTreeMap::from([(b"trusted.overlay.none".to_vec(), b"y".to_vec())]);
    assert_eq!(at("opt/marked").xattrs, marked);
    assert_eq!(at("opt/third").same_as, b"opt/a/first");
    assert_eq!(at("opt/link-too").same_as, b"opt/link");
    assert_eq!(at("opt/low-too").same_as, b"opt/low-three");
    let Kind::File(length, _) = at("opt/low-2-too").kind else {
        panic!("no file");
    };
    assert_eq!(length, b"of the lowest layer, second".len() as u64);
    assert_eq!(at("opaque").mode, 0o755);
    assert_eq!(at("opaque/folder/above").mode, 0o644);
    assert_eq!(at("dev/disk").kind, Kind::Block(rustix::fs::makedev(8, 17)));
    assert_eq!(
        at("dev/null").kind,
        Kind::Character(rustix::fs::makedev(1, 3))
    );
    let capability = &b"security.capability"[..];
    assert_eq!(
        at("etc/chown").xattrs[capability],
        CAPABILITY_WITH_LINE_FEED
    );
    let note = BTreeMap::from([(b"user.note".to_vec(), b"another".to_vec())]);
    assert_eq!(
        at("etc/ping").xattrs,
        note,
        "the lower file's capability went with it"
    );
    assert!(all.contains_key(&b"etc/caf\xe9"[..]));
    assert!(matches!(at("opt/sparse").kind, Kind::File(length, _) if length == 3 << 20));
    assert_eq!(at("turns/file").mode, 0o644);
    assert!(matches!(at("turns/folder").kind, Kind::Folder));
    assert!(matches!(at("lib").kind, Kind::Symlink(_)));
    assert!(all.contains_key(&b"usr/lib/two.so"[..]));
}
