use tar::EntryType::{self, Directory, Regular, Symlink};

use super::*;
use crate::deb::tests::{package, tar_of};

type File<'a> = (&'a str, EntryType, u32, &'a [u8]);

/// Packages as Debian has them, small.
fn packages(folder: &Path, list: &[(&str, &str, &[File<'_>])]) -> Vec<PathBuf> {
    list.iter()
        .map(|(name, fields, files)| {
            let control = format!(
                "Package: {name}\nVersion: 1\nArchitecture: amd64\n{fields}Description: x\n\n"
            );
            let path = folder.join(format!("{name}.deb"));
            package(
                &path,
                &[
                    ("debian-binary", b"2.0\n".to_vec()),
                    (
                        "control.tar.gz",
                        tar_of(&[
                            ("./control", Regular, 0o644, control.as_bytes()),
                            ("./md5sums", Regular, 0o644, b"x"),
                        ]),
                    ),
                    ("data.tar.xz", tar_of(files)),
                ],
            );
            path
        })
        .collect()
}

fn root(list: &[(&str, &str, &[File<'_>])]) -> Result<Tree, RootError> {
    let folder = tempfile::tempdir().unwrap();
    let packages = packages(folder.path(), list);
    assemble(&packages, &Spool::new(folder.path()).unwrap())
}

fn text(tree: &Tree, path: &str) -> String {
    match tree.lookup(path.as_bytes()).map(|entry| &entry.inode.kind) {
        Some(Kind::File(content)) => String::from_utf8(content.to_vec().unwrap()).unwrap(),
        other => panic!("{path}: {other:?}"),
    }
}

fn target(tree: &Tree, path: &str) -> String {
    match tree.get(path.as_bytes()).map(|inode| &inode.kind) {
        Some(Kind::Symlink(target)) => String::from_utf8(target.clone()).unwrap(),
        other => panic!("{path}: {other:?}"),
    }
}

#[test]
fn packages_of_both_layouts_land_in_a_merged_usr() {
    let tree = root(&[
        (
            "coreutils",
            "",
            &[
                ("./", Directory, 0o755, b""),
                ("./bin/", Directory, 0o755, b""),
                ("./bin/ls", Regular, 0o755, b"ls"),
                ("./usr/bin/env", Regular, 0o755, b"env"),
                // From a time when they were two places.
                ("./usr/bin/ls", Symlink, 0o777, b"/bin/ls"),
            ],
        ),
        (
            "libc6",
            "Multi-Arch: same\n",
            &[("./lib64/ld-linux-x86-64.so.2", Regular, 0o755, b"ld")],
        ),
    ])
    .unwrap();
    for name in ["bin", "sbin", "lib", "lib64"] {
        assert_eq!(target(&tree, name), format!("usr/{name}"));
    }
    assert!(tree.get(b"lib32").is_none(), "nothing is in it");
    assert_eq!(text(&tree, "usr/bin/ls"), "ls");
    assert_eq!(text(&tree, "bin/env"), "env");
    assert_eq!(text(&tree, "lib64/ld-linux-x86-64.so.2"), "ld");
}

#[test]
fn what_scripts_would_do_is_done() {
    let tree = root(&[
        (
            "base-files",
            "",
            &[
                ("./var/run/", Directory, 0o755, b""),
                ("./tmp/", Directory, 0o1777, b""),
                (
                    "./usr/share/base-files/dot.profile",
                    Regular,
                    0o644,
                    b"profile",
                ),
            ],
        ),
        ("dash", "", &[("./usr/bin/dash", Regular, 0o755, b"dash")]),
        ("mawk", "", &[("./usr/bin/mawk", Regular, 0o755, b"mawk")]),
    ])
    .unwrap();
    assert_eq!(text(&tree, "bin/sh"), "dash");
    assert_eq!(text(&tree, "usr/bin/awk"), "mawk");
    assert_eq!(target(&tree, "usr/bin/awk"), "/etc/alternatives/awk");
    assert!(
        tree.get(b"usr/bin/which").is_none(),
        "no candidate is there"
    );
    assert_eq!(target(&tree, "var/run"), "/run");
    assert_eq!(text(&tree, "root/.profile"), "profile");
    let mode = |path: &[u8]| tree.get(path).unwrap().metadata.mode;
    assert_eq!(
        (mode(b"tmp"), mode(b"root"), mode(b"proc")),
        (0o1777, 0o700, 0o755)
    );
}

#[test]
fn what_a_package_ships_is_not_replaced() {
    let tree = root(&[(
        "busybox",
        "",
        &[
            ("./bin/sh", Symlink, 0o777, b"busybox"),
            ("./bin/busybox", Regular, 0o755, b"busybox"),
            ("./usr/bin/awk", Regular, 0o755, b"own"),
            ("./usr/bin/mawk", Regular, 0o755, b"mawk"),
            ("./usr/bin/dash", Regular, 0o755, b"dash"),
            ("./etc/hosts", Regular, 0o644, b"own"),
            ("./var/run/kept", Regular, 0o644, b"kept"),
        ],
    )])
    .unwrap();
    assert_eq!(text(&tree, "bin/sh"), "busybox");
    assert_eq!(text(&tree, "usr/bin/awk"), "own");
    assert_eq!(text(&tree, "etc/hosts"), "own");
    assert_eq!(text(&tree, "var/run/kept"), "kept");
}

#[test]
fn dpkg_finds_its_database() {
    let tree = root(&[
        (
            "hello",
            "",
            &[
                ("./", Directory, 0o755, b""),
                ("./usr/bin/hello", Regular, 0o755, b"x"),
            ],
        ),
        (
            "libc6",
            "Multi-Arch: same\n",
            &[("./lib/x", Regular, 0o644, b"x")],
        ),
    ])
    .unwrap();
    assert_eq!(
        text(&tree, "var/lib/dpkg/status"),
        "Package: hello\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\nDescription: x\n\n\
         Package: libc6\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\nMulti-Arch: same\nDescription: x\n\n"
    );
    assert_eq!(
        text(&tree, "var/lib/dpkg/info/hello.list"),
        "/.\n/usr/bin/hello\n"
    );
    assert_eq!(
        text(&tree, "var/lib/dpkg/info/libc6:amd64.list"),
        "/lib/x\n"
    );
    assert_eq!(text(&tree, "var/lib/dpkg/info/libc6:amd64.md5sums"), "x");
}

#[test]
fn a_package_that_climbs_out_is_named() {
    let error = root(&[("evil", "", &[("./../x", Regular, 0o644, b"x")])]).unwrap_err();
    assert!(
        error.to_string().contains("evil.deb") && error.to_string().contains("climbs"),
        "{error}"
    );
}
