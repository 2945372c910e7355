//! Names, links and kinds of entries.

use supply::Place;
use tar::EntryType;

use super::End::{Harmless, Refused};
use super::{Row, SMALL, has, row};
use crate::tar_file::{Member, TarFile};

pub(super) fn rows() -> Vec<Row> {
    vec![
        row(
            "an absolute path",
            Harmless(
                "it is taken from the image's own root",
                |contents, trial| {
                    has(contents, &trial.outside("absolute"), b"x");
                },
            ),
            |trial| {
                let name = trial.outside("absolute");
                trial.members(&[(Member::file(&name), b"x")]);
            },
        ),
        row(
            "a path with `..`",
            Refused("the path climbs out of its tree"),
            |trial| {
                trial.members(&[(Member::file("a/../../../../tmp/climbed"), b"x")]);
            },
        ),
        row(
            "a file through a symbolic link that leads out",
            Harmless(
                "the link is followed with the image's root as `/`",
                |contents, trial| {
                    has(contents, &trial.outside("through"), b"x");
                    has(contents, "/up/through", b"y");
                },
            ),
            |trial| {
                let outside = trial.outside.display().to_string();
                trial.members(&[
                    (Member::symlink("link", &outside), b""),
                    (Member::file("link/through"), b"x"),
                    (Member::symlink("climb", "../../../../../../up"), b""),
                    (Member::file("climb/through"), b"y"),
                ]);
            },
        ),
        row(
            "a hard link to a file of this machine",
            Refused("which is not in the tree"),
            |trial| {
                let target = trial.outside("canary");
                trial.members(&[(Member::link("stolen", &target), b"")]);
            },
        ),
        row(
            "a hard link with `..`",
            Refused("the path climbs out of its tree"),
            |trial| {
                trial.members(&[(Member::link("stolen", "../../etc/passwd"), b"")]);
            },
        ),
        row(
            "a hard link to a directory",
            Refused("which is a directory"),
            |trial| {
                trial.members(&[(Member::folder("a/"), b""), (Member::link("b", "a"), b"")]);
            },
        ),
        row(
            "a hard link to itself",
            Refused("which is not in the tree"),
            |trial| {
                trial.members(&[(Member::link("a", "a"), b"")]);
            },
        ),
        row(
            "symbolic links in a circle, and a file behind them",
            Refused("the path leads through more than 40 symbolic links"),
            |trial| {
                trial.members(&[
                    (Member::symlink("a", "b"), b""),
                    (Member::symlink("b", "a"), b""),
                    (Member::file("a/file"), b"x"),
                ]);
            },
        ),
        row(
            "a symbolic link of 5,000 bytes",
            Refused("a symbolic link whose target is longer than 4095 bytes"),
            |trial| {
                trial.members(&[(Member::symlink("a", &"a/".repeat(2500)), b"")]);
            },
        ),
        row(
            "two entries of one name",
            Harmless("the later one counts", |contents, _| {
                has(contents, "/twice", b"second");
            }),
            |trial| {
                trial.members(&[
                    (Member::file("twice"), b"first"),
                    (Member::file("./twice"), b"second"),
                ]);
            },
        ),
        row(
            "a file that others are in",
            Refused("on the way is not a directory"),
            |trial| {
                trial.members(&[(Member::file("a"), b"x"), (Member::file("a/b"), b"x")]);
            },
        ),
        row(
            "a file in place of the root",
            Refused("in place of the root itself"),
            |trial| {
                trial.members(&[(Member::file("."), b"x")]);
            },
        ),
        row(
            "a whiteout of `..`",
            Refused("a whiteout of no name"),
            |trial| {
                trial.members(&[(Member::file("a/.wh..."), b"")]);
            },
        ),
        row(
            "a NUL in a name",
            Refused("the path has a NUL byte"),
            |trial| {
                let records: [(&str, &[u8]); 1] = [("path", b"a\0b")];
                trial.members(&[(
                    Member {
                        records: &records,
                        ..Member::file("a")
                    },
                    b"x",
                )]);
            },
        ),
        row(
            "a name of 256 bytes",
            Refused("longer than 255 bytes"),
            |trial| {
                trial.members(&[(Member::file(&"a".repeat(256)), b"x")]);
            },
        ),
        row(
            "a path of 100,000 directories",
            Refused("the path is longer than 4095 bytes"),
            |trial| trial.members(&[(Member::file(&("a/".repeat(100_000) + "f")), b"x")]),
        ),
        Row {
            most: 200,
            ..row(
                "a hundred paths of 2,000 directories each that no entry names",
                Refused("more than 64 MiB of names, folders that were not listed counted"),
                |trial| {
                    let mut tar = TarFile::new();
                    for top in 0..100 {
                        let name = format!("{top}/{}file", "a/".repeat(2000));
                        tar.add(&Member::file(&name), b"x");
                    }
                    trial.layer(&tar.end());
                },
            )
        },
        Row {
            environment: SMALL,
            ..row(
                "a hundred paths of 20 directories each, where a thousand entries are allowed",
                Refused(
                    "with it there are more than 1000 entries, folders that were not listed counted",
                ),
                |trial| {
                    let mut tar = TarFile::new();
                    for top in 0..100 {
                        let name = format!("{top}/{}file", "a/".repeat(20));
                        tar.add(&Member::file(&name), b"x");
                    }
                    trial.layer(&tar.end());
                },
            )
        },
        row(
            "device nodes",
            Harmless(
                "they are in the disk; none is made on this machine",
                |contents, _| {
                    assert_eq!(contents.find("/dev/mem"), Place::Other);
                    assert_eq!(contents.find("/sda"), Place::Other);
                },
            ),
            |trial| {
                let device = |name, kind, device| Member {
                    kind,
                    device,
                    ..Member::file(name)
                };
                trial.members(&[
                    (device("dev/mem", EntryType::Char, (1, 1)), b""),
                    (device("sda", EntryType::Block, (8, 0)), b""),
                ]);
            },
        ),
        row(
            "an owner beyond 32 bits",
            Refused("an owner or group beyond 32 bits"),
            |trial| {
                let records: [(&str, &[u8]); 1] = [("uid", b"4294967296")];
                trial.members(&[(
                    Member {
                        records: &records,
                        ..Member::file("a")
                    },
                    b"x",
                )]);
            },
        ),
        row(
            "an entry of a kind no file system has",
            Refused("a member of type 'V'"),
            |trial| {
                let kind = EntryType::new(b'V');
                trial.members(&[(
                    Member {
                        kind,
                        ..Member::file("a")
                    },
                    b"",
                )]);
            },
        ),
    ]
}
