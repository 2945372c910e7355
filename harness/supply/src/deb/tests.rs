use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::tree::Tree;
use tar::{Builder, EntryType, Header};

/// A package of these parts; a part's name tells how it is packed.
pub(crate) fn package(path: &Path, parts: &[(&str, Vec<u8>)]) {
    let mut builder = ar::Builder::new(fs::File::create(path).unwrap());
    for (name, bytes) in parts {
        let packed = match name.rsplit_once('.') {
            Some((_, "gz")) => {
                let mut gzip =
                    flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                gzip.write_all(bytes).unwrap();
                gzip.finish().unwrap()
            }
            Some((_, "xz")) => {
                let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
                xz.write_all(bytes).unwrap();
                xz.finish().unwrap()
            }
            Some((_, "zst")) => zstd::stream::encode_all(bytes.as_slice(), 1).unwrap(),
            _ => bytes.clone(),
        };
        let header = ar::Header::new(name.as_bytes().to_vec(), packed.len() as u64);
        builder.append(&header, packed.as_slice()).unwrap();
    }
}

/// A tar of files, links (their content is the target) and folders (names that end
/// in a slash), as dpkg-deb writes it: names begin with `./`.
pub(crate) fn tar_of(members: &[(&str, EntryType, u32, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, kind, mode, data) in members {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(*mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_600_000_000);
        let is_link = matches!(kind, EntryType::Symlink | EntryType::Link);
        header.set_size(if is_link { 0 } else { data.len() as u64 });
        let old = header.as_old_mut();
        old.name[..name.len()].copy_from_slice(name.as_bytes());
        if is_link {
            old.linkname[..data.len()].copy_from_slice(data);
        }
        header.set_cksum();
        let content: &[u8] = if is_link { b"" } else { data };
        builder.append(&header, content).unwrap();
    }
    builder.into_inner().unwrap()
}

const CONTROL: &str = "Package: hello\nVersion: 1.0-1\nArchitecture: amd64\nMulti-Arch: same\nDescription: a test\n of it\n";

fn control() -> Vec<u8> {
    tar_of(&[
        ("./", EntryType::Directory, 0o755, b""),
        ("./control", EntryType::Regular, 0o644, CONTROL.as_bytes()),
        ("./postinst", EntryType::Regular, 0o755, b"#!/bin/sh\n"),
    ])
}

fn data() -> Vec<u8> {
    tar_of(&[
        ("./", EntryType::Directory, 0o755, b""),
        ("./usr/", EntryType::Directory, 0o755, b""),
        ("./usr/bin/", EntryType::Directory, 0o755, b""),
        (
            "./usr/bin/hello",
            EntryType::Regular,
            0o4755,
            b"\x7fELF hello",
        ),
        ("./usr/bin/hi", EntryType::Link, 0o755, b"./usr/bin/hello"),
        ("./usr/bin/hey", EntryType::Symlink, 0o777, b"hello"),
    ])
}

fn version(text: &str) -> (&'static str, Vec<u8>) {
    ("debian-binary", text.as_bytes().to_vec())
}

fn read_parts(parts: &[(&str, Vec<u8>)]) -> Result<Deb, DebError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hello.deb");
    package(&path, parts);
    read(&path, &Spool::new(folder.path()).unwrap())
}

#[test]
fn a_package_is_read_whatever_packs_its_parts() {
    for packing in ["", ".gz", ".xz", ".zst"] {
        let (control_name, data_name) = (
            format!("control.tar{packing}"),
            format!("data.tar{packing}"),
        );
        let deb = read_parts(&[
            version("2.0\n"),
            (&control_name, control()),
            (&data_name, data()),
        ])
        .unwrap();
        assert_eq!(deb.control, CONTROL);
        assert_eq!(deb.field("package"), Some("hello"));
        assert_eq!(deb.field("Multi-Arch"), Some("same"));
        assert_eq!(deb.field("Depends"), None);
        assert_eq!(deb.control_files["postinst"].mode, 0o755);
        assert_eq!(deb.control_files.len(), 1);
        let paths: Vec<&[u8]> = deb.members.iter().map(Member::path).collect();
        assert_eq!(paths.len(), 6);
        assert_eq!(paths[3], b"./usr/bin/hello");
    }
}

#[test]
fn what_is_no_sound_package_is_refused() {
    type Case<'a> = (&'a [(&'a str, Vec<u8>)], &'a str);
    let cases: [Case<'_>; 6] = [
        (
            &[("control.tar", control()), ("data.tar", data())],
            "not a Debian package",
        ),
        (&[version("0.939000\n")], "0.939000"),
        (&[version("2.0\n"), ("data.tar", data())], "no control file"),
        (
            &[version("2.0\n"), ("control.tar", control())],
            "no data.tar",
        ),
        (
            &[
                version("2.0\n"),
                ("control.tar", control()),
                ("data.tar.bz2", b"BZh91AY&SY".to_vec()),
            ],
            "bzip2",
        ),
        (
            &[
                version("2.0\n"),
                ("control.tar", control()),
                ("data.tar", data()[..1000].to_vec()),
            ],
            "its data.tar: the archive is cut short",
        ),
    ];
    for (parts, expected) in cases {
        let error = read_parts(parts).unwrap_err().to_string();
        assert!(
            error.contains("hello.deb") && error.contains(expected),
            "{error}: {expected}"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.deb");
    fs::write(&path, "not an ar archive").unwrap();
    let error = read(&path, &Spool::new(folder.path()).unwrap()).unwrap_err();
    assert!(matches!(error.reason, DebReason::NotDeb), "{error}");
}

#[test]
fn a_package_that_climbs_out_stays_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("evil.deb");
    let inside = folder.path().join("inside");
    fs::create_dir(&inside).unwrap();
    let evil = tar_of(&[("./../evil", EntryType::Regular, 0o644, b"evil")]);
    package(
        &path,
        &[
            version("2.0\n"),
            ("control.tar", control()),
            ("data.tar", evil),
        ],
    );
    let error = extract(&path, &inside, &|path| Some(path.to_owned())).unwrap_err();
    assert!(error.to_string().contains("climbs out"), "{error}");
    assert!(!folder.path().join("evil").exists());
    let deb = read(&path, &Spool::new(folder.path()).unwrap()).unwrap();
    let Member::Inode { path, inode } = &deb.members[0] else {
        panic!("{:?}", deb.members);
    };
    assert!(Tree::new().insert(path, inode.clone()).is_err());
}

#[test]
fn only_what_has_a_place_is_written_and_links_are_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hello.deb");
    let to = folder.path().join("to");
    package(
        &path,
        &[
            version("2.0\n"),
            ("control.tar.gz", control()),
            ("data.tar.xz", data()),
        ],
    );
    let links = extract(&path, &to, &|path| {
        path.strip_prefix("usr/bin/")
            .map(|name| format!("bin/{name}"))
    })
    .unwrap();
    assert_eq!(fs::read(to.join("bin/hello")).unwrap(), b"\x7fELF hello");
    let mode = fs::metadata(to.join("bin/hello"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o755, "no set-user-id in the cache");
    assert_eq!(
        links,
        [
            Link::Hard {
                place: "bin/hi".into(),
                target: "bin/hello".into()
            },
            Link::Symbolic {
                place: "bin/hey".into(),
                target: "hello".into()
            },
        ]
    );
    assert!(!to.join("bin/hey").exists() && !to.join("usr").exists());
}
