//! What images and registries can try, and what becomes of it, through `matrix fetch`
//! with a cache of its own. For each: what is said; that nothing outside of the cache
//! was written; that the cache has no trace of what was refused; how much memory it
//! took. ARCHITECTURE.md has the same table, held to this one.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use supply::oci::Digest;
use supply::{Contents, Place};
use tar::{EntryType, Header};

use crate::desk::{Desk, Fetched, files, oci, say};
use crate::made::{INDEX, Image, MANIFEST, Pack, bytes, descriptor};
use crate::server::{Reply, Server};
use crate::tar_file::{Member, TarFile, record};

/// What becomes of it.
enum End {
    /// It is refused with these words.
    Refused(&'static str),
    /// It is harmless, as the words say and the function sees: given the files of the
    /// image's disk.
    Harmless(&'static str, fn(&Contents, &Trial)),
}
use End::{Harmless, Refused};

/// Where one is tried.
struct Trial {
    server: Server,
    /// A folder of this machine's that nothing may come into.
    outside: PathBuf,
}

struct Row {
    /// What is tried.
    tries: &'static str,
    make: fn(&Trial),
    end: End,
    /// Limits, where other than the defaults.
    environment: &'static [(&'static str, &'static str)],
    /// The most the program may have resident, MiB.
    most: u64,
}

/// An unoptimised build with all its libraries takes some 40 of it.
const USUAL: u64 = 120;

const SMALL: &[(&str, &str)] = &[("MATRIX_IMAGE_MIB", "64"), ("MATRIX_IMAGE_ENTRIES", "1000")];

fn row(tries: &'static str, end: End, make: fn(&Trial)) -> Row {
    Row {
        tries,
        make,
        end,
        environment: &[],
        most: USUAL,
    }
}

fn blob(digest: &str) -> String {
    format!("/v2/a/b/blobs/{digest}")
}

fn manifest(name: &str) -> String {
    format!("/v2/a/b/manifests/{name}")
}

fn digest(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string()
}

impl Trial {
    fn serve(&self, image: &Image) {
        self.put(&image.config);
        for layer in &image.layers {
            self.put(layer);
        }
        self.tagged(&image.manifest_bytes());
    }

    fn put(&self, bytes: &[u8]) {
        self.server
            .on(&blob(&digest(bytes)), Reply::File(bytes.to_vec()));
    }

    fn tagged(&self, bytes: &[u8]) {
        self.document(bytes);
        self.server.on(&manifest("1"), Reply::File(bytes.to_vec()));
    }

    fn document(&self, bytes: &[u8]) {
        self.server
            .on(&manifest(&digest(bytes)), Reply::File(bytes.to_vec()));
    }

    /// An image of one layer.
    fn layer(&self, plain: &[u8]) {
        self.serve(&Image::new("amd64", &[(plain, Pack::Gzip)]));
    }

    /// An image of one layer that comes out of `write`, which nobody will read to its
    /// end.
    fn endless(&self, write: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>) {
        let level = flate2::Compression::fast();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
        write(&mut encoder).unwrap();
        self.kept(encoder.finish().unwrap());
    }

    /// An image of one layer that is kept so.
    fn kept(&self, layer: Vec<u8>) {
        let config = Image::new("amd64", &[(b"", Pack::Plain)]).config;
        let kind = Pack::Gzip.media_type();
        self.serve(&Image::of("amd64", config, vec![layer], [kind].into_iter()));
    }

    /// An image of one layer of these members.
    fn members(&self, members: &[(Member<'_>, &[u8])]) {
        let mut tar = TarFile::new();
        for (member, content) in members {
            tar.add(member, content);
        }
        self.layer(&tar.end());
    }

    fn outside(&self, name: &str) -> String {
        format!("{}/{name}", self.outside.display())
    }
}

fn good() -> Image {
    let mut tar = TarFile::new();
    tar.add(&Member::file("etc/good"), b"good");
    Image::new("amd64", &[(&tar.end(), Pack::Gzip)])
}

/// A file of an image, and its content.
fn has(contents: &Contents, path: &str, content: &[u8]) {
    let Place::File { path, .. } = contents.find(path) else {
        panic!("no file {path}");
    };
    assert_eq!(contents.read(&path).unwrap(), content, "{path}");
}

/// Names and links.
fn names() -> Vec<Row> {
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
            Refused("the path is longer than 4095 bytes"),
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
        row(
            "a hundred paths of 2,000 directories each that no entry names",
            Refused("more than 32 MiB of names that are in no archive"),
            |trial| {
                let mut tar = TarFile::new();
                for top in 0..100 {
                    let name = format!("{top}/{}file", "a/".repeat(2000));
                    tar.add(&Member::file(&name), b"x");
                }
                trial.layer(&tar.end());
            },
        ),
        Row {
            environment: SMALL,
            ..row(
                "a hundred paths of 20 directories each, where a thousand entries are allowed",
                Refused("with the directories it is in the image has more than 1000 entries"),
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

/// Bombs.
fn sizes() -> Vec<Row> {
    vec![
        Row {
            environment: SMALL,
            ..row(
                "a gigabyte of zeros in a megabyte of gzip",
                Refused("more than 64 MiB in its files"),
                |trial| {
                    trial.endless(|out| {
                        let mut head = TarFile::new();
                        let size = Some(1 << 30);
                        head.add(
                            &Member {
                                size,
                                ..Member::file("zeros")
                            },
                            b"",
                        );
                        out.write_all(&head.part())?;
                        zeros(out, 1 << 30)
                    });
                },
            )
        },
        Row {
            environment: SMALL,
            ..row(
                "a gigabyte of zeros behind the archive's end",
                Refused(
                    "it decompresses to more than an image may have (MATRIX_IMAGE_MIB allows more)",
                ),
                |trial| {
                    trial.endless(|out| {
                        let mut tar = TarFile::new();
                        tar.add(&Member::file("a"), b"x");
                        out.write_all(&tar.end())?;
                        zeros(out, 1 << 30)
                    });
                },
            )
        },
        Row {
            environment: SMALL,
            ..row(
                "a file of a terabyte that is all hole",
                Refused("more than 64 MiB in its files"),
                |trial| {
                    let mut tar = TarFile::new();
                    tar.add_pax_sparse("hole", 1 << 40, &[]);
                    trial.layer(&tar.end());
                },
            )
        },
        row(
            "a zstd frame that wants a window of 2 GiB",
            Refused("requires too much memory"),
            |trial| {
                // Magic; no size, no checksum; 2^31; the last block, of one byte 1,000 times.
                let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3];
                frame.extend((1000_u32 << 3 | 1 << 1 | 1).to_le_bytes()[..3].to_vec());
                frame.push(0);
                trial.kept(frame);
            },
        ),
        Row {
            most: 400,
            ..row(
                "a million and one entries",
                Refused("more than 1000000 entries"),
                |trial| {
                    trial.endless(|out| {
                        let mut header = Header::new_gnu();
                        header.set_entry_type(EntryType::Regular);
                        header.set_mode(0o644);
                        header.set_uid(0);
                        header.set_gid(0);
                        header.set_mtime(0);
                        header.set_size(0);
                        for number in 0..=1_000_000 {
                            let name = format!("{:03}/{:04}", number / 1000, number % 1000);
                            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
                            header.set_cksum();
                            out.write_all(header.as_bytes())?;
                        }
                        out.write_all(&[0; 1024])
                    });
                },
            )
        },
        row(
            "a PAX header of 8 MiB",
            Refused("longer than any name or attribute can be"),
            |trial| {
                let mut tar = TarFile::new();
                tar.extension(EntryType::XHeader, &record("comment", &vec![b'x'; 8 << 20]));
                tar.add(&Member::file("a"), b"x");
                trial.layer(&tar.end());
            },
        ),
        row(
            "PAX headers of 1 MiB without end",
            Refused("longer than any name or attribute can be"),
            |trial| {
                trial.endless(|out| {
                    let mut one = TarFile::new();
                    one.extension(EntryType::XHeader, &record("comment", &vec![b'x'; 1 << 20]));
                    let one = one.part();
                    (0..1000).try_for_each(|_| out.write_all(&one))
                });
            },
        ),
        Row {
            most: 200,
            ..row(
                "an attribute of 1 MiB that one header gives to all entries",
                Refused("more than 128 MiB of names and extended attributes"),
                |trial| {
                    let mut tar = TarFile::new();
                    let value = vec![b'x'; 1 << 20];
                    let body = record("SCHILY.xattr.user.large", &value);
                    tar.extension(EntryType::XGlobalHeader, &body);
                    for number in 0..400 {
                        tar.add(&Member::file(&number.to_string()), b"");
                    }
                    trial.layer(&tar.end());
                },
            )
        },
        row(
            "an archive that is cut short",
            Refused("bytes are missing of 2000"),
            |trial| {
                let mut tar = TarFile::new();
                tar.add(&Member::file("a"), &[b'x'; 2000]);
                trial.layer(&tar.end()[..1000]);
            },
        ),
        row(
            "a web page as a layer",
            Refused("not a tar archive"),
            |trial| {
                trial.layer("<!DOCTYPE html><html></html>\n".repeat(100).as_bytes());
            },
        ),
        row(
            "a layer in xz",
            Refused("compressed with xz, which no layer is"),
            |trial| {
                trial.kept([&[0xfd, b'7', b'z', b'X', b'Z', 0][..], &[0; 600]].concat());
            },
        ),
    ]
}

fn zeros(out: &mut dyn std::io::Write, count: usize) -> std::io::Result<()> {
    let piece = vec![0; 1 << 20];
    (0..count >> 20).try_for_each(|_| out.write_all(&piece))
}

/// What a registry says.
fn documents() -> Vec<Row> {
    vec![
        row(
            "a layer longer than its manifest says",
            Refused("were expected"),
            |trial| {
                let mut image = good();
                let size = image.layers[0].len() - 1;
                image.manifest["layers"][0]["size"] = json!(size);
                trial.serve(&image);
            },
        ),
        row(
            "a layer shorter than its manifest says",
            Refused("were expected"),
            |trial| {
                let mut image = good();
                image.manifest["layers"][0]["size"] = json!(image.layers[0].len() + 1);
                trial.serve(&image);
            },
        ),
        row(
            "an answer longer than it announces",
            Refused("were expected"),
            |trial| {
                let image = good();
                trial.serve(&image);
                let longer = [image.layers[0].clone(), vec![0; 1 << 20]].concat();
                let place = blob(&digest(&image.layers[0]));
                trial
                    .server
                    .on(&place, Reply::Unannounced(longer.clone(), longer.len()));
            },
        ),
        row(
            "a layer of another digest",
            Refused("its SHA-256 is"),
            |trial| {
                let image = good();
                trial.serve(&image);
                let mut other = image.layers[0].clone();
                other[20] ^= 0xff;
                trial
                    .server
                    .on(&blob(&digest(&image.layers[0])), Reply::File(other));
            },
        ),
        row(
            "a second layer that is not what its diff_id says",
            Refused("decompressed: its digest is"),
            |trial| {
                let mut tars = ["one", "two", "three"].map(|name| {
                    let mut tar = TarFile::new();
                    tar.add(&Member::file(name), b"x");
                    tar.end()
                });
                let promised =
                    Image::new("amd64", &[(&tars[0], Pack::Gzip), (&tars[1], Pack::Zstd)]);
                tars.swap(1, 2);
                let layers = vec![Pack::Gzip.pack(&tars[0]), Pack::Zstd.pack(&tars[1])];
                let kinds = [Pack::Gzip, Pack::Zstd].map(Pack::media_type);
                trial.serve(&Image::of(
                    "amd64",
                    promised.config,
                    layers,
                    kinds.into_iter(),
                ));
            },
        ),
        row(
            "a manifest of 5 MiB",
            Refused("larger than the 4194304 bytes it may have"),
            |trial| {
                let mut image = good();
                image.manifest["annotations"] = json!({ "x": "x".repeat(5 << 20) });
                trial.serve(&image);
            },
        ),
        row(
            "a configuration of 9 MiB",
            Refused("a configuration of 9"),
            |trial| {
                let mut image = good();
                let padding = " ".repeat(9 << 20);
                image.config.extend(padding.into_bytes());
                let kind = Pack::Gzip.media_type();
                trial.serve(&Image::of(
                    "amd64",
                    image.config,
                    image.layers,
                    [kind].into_iter(),
                ));
            },
        ),
        row(
            "1,025 layers",
            Refused("1025 layers, where at most 1024 are taken"),
            |trial| {
                let mut image = good();
                let layer = image.manifest["layers"][0].clone();
                image.manifest["layers"] = json!(vec![layer; 1025]);
                trial.serve(&image);
            },
        ),
        row(
            "indexes of indexes of indexes",
            Refused("indexes of indexes, more than 3 deep"),
            |trial| {
                let image = good();
                trial.serve(&image);
                let mut inner = image.manifest_bytes();
                let mut kind = MANIFEST;
                for _ in 0..4 {
                    let mut entry = descriptor(kind, &inner);
                    entry["platform"] = json!({ "os": "linux", "architecture": "amd64" });
                    let index =
                        json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [entry] });
                    trial.document(&inner);
                    (inner, kind) = (bytes(&index), INDEX);
                }
                trial.tagged(&inner);
            },
        ),
        row(
            "an index that comes again in place of what it names",
            Refused("its SHA-256 is"),
            |trial| {
                let image = good();
                trial.serve(&image);
                let named = image.manifest_bytes();
                let mut entry = descriptor(MANIFEST, &named);
                entry["platform"] = json!({ "os": "linux", "architecture": "amd64" });
                let index =
                    bytes(&json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [entry] }));
                trial.tagged(&index);
                trial
                    .server
                    .on(&manifest(&digest(&named)), Reply::File(index));
            },
        ),
        row(
            "a digest that is a path",
            Refused("is no SHA-256 digest"),
            |trial| {
                let mut image = good();
                image.manifest["layers"][0]["digest"] = json!("sha256:../../../../tmp/climbed");
                trial.serve(&image);
            },
        ),
        row(
            "a foreign layer, to be had elsewhere",
            Harmless(
                "the registry is asked for it, and nobody else",
                |contents, trial| {
                    has(contents, "/etc/good", b"good");
                    assert!(trial.server.requests("/elsewhere").is_empty());
                },
            ),
            |trial| {
                let mut image = good();
                let layer = &mut image.manifest["layers"][0];
                layer["mediaType"] =
                    json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
                layer["urls"] = json!([trial.server.url("/elsewhere")]);
                trial.serve(&image);
            },
        ),
        row(
            "a manifest that calls itself an index",
            Refused("neither a manifest (config and layers) nor an index (manifests)"),
            |trial| {
                let mut image = good();
                image.manifest["mediaType"] = json!(INDEX);
                trial.serve(&image);
            },
        ),
        row(
            "a manifest that is an index too",
            Refused("neither a manifest (config and layers) nor an index (manifests)"),
            |trial| {
                let mut image = good();
                image.manifest["manifests"] = json!([descriptor(MANIFEST, b"x")]);
                trial.serve(&image);
            },
        ),
        row(
            "a chart in place of an image",
            Refused(
                "no image of a root file system but `application/vnd.cncf.helm.config.v1+json`",
            ),
            |trial| {
                let mut image = good();
                image.manifest["config"]["mediaType"] =
                    json!("application/vnd.cncf.helm.config.v1+json");
                trial.serve(&image);
            },
        ),
        row(
            "a layer of an unknown kind",
            Refused("a layer of type `application/x-encrypted`, which is not read"),
            |trial| {
                let mut image = good();
                image.manifest["layers"][0]["mediaType"] = json!("application/x-encrypted");
                trial.serve(&image);
            },
        ),
        row(
            "a manifest of docker's schema 1",
            Refused("a manifest of docker's schema 1"),
            |trial| {
                trial.tagged(&bytes(&json!({
                    "schemaVersion": 1, "name": "a/b", "tag": "1", "architecture": "amd64",
                    "fsLayers": [{ "blobSum": digest(b"x") }], "history": [], "signatures": [],
                })));
            },
        ),
        row(
            "a configuration with another number of layers",
            Refused("the configuration names 1 layers, the manifest 2"),
            |trial| {
                let mut image = good();
                let layer = image.manifest["layers"][0].clone();
                image.manifest["layers"] = json!([layer, layer]);
                trial.serve(&image);
            },
        ),
        row(
            "a redirect to a file of this machine",
            Refused("the server answered 302"),
            |trial| {
                let image = good();
                trial.serve(&image);
                let to = format!("file://{}", trial.outside("canary"));
                trial
                    .server
                    .on(&blob(&digest(&image.layers[0])), Reply::Redirect(to));
            },
        ),
        row(
            "a redirect in a circle",
            Refused("redirected more than 10 times"),
            |trial| {
                let image = good();
                trial.serve(&image);
                let place = blob(&digest(&image.layers[0]));
                trial
                    .server
                    .on(&place, Reply::Redirect(trial.server.url(&place)));
            },
        ),
        row(
            "a login that all on the way could read",
            Refused("a login over plain http, which all on the way could read"),
            |trial| {
                trial.serve(&good());
                // Of a block for documentation (RFC 5737): nobody is there.
                let challenge = "Bearer realm=\"http://192.0.2.1/token\"".to_owned();
                let headers = vec![("WWW-Authenticate", challenge)];
                trial
                    .server
                    .on(&manifest("1"), Reply::Said(401, headers, b"{}".to_vec()));
            },
        ),
        row(
            "a token with a header in it",
            Refused("the answer to a login has no token in it"),
            |trial| {
                trial.serve(&good());
                let realm = trial.server.url("/token");
                let headers = vec![("WWW-Authenticate", format!("Bearer realm=\"{realm}\""))];
                trial
                    .server
                    .on(&manifest("1"), Reply::Said(401, headers, b"{}".to_vec()));
                let token = json!({ "token": "a\r\nHost: elsewhere" });
                let place = "/token?scope=repository%3Aa%2Fb%3Apull";
                trial.server.on(place, Reply::File(bytes(&token)));
            },
        ),
    ]
}

fn rows() -> Vec<Row> {
    [names(), sizes(), documents()]
        .into_iter()
        .flatten()
        .collect()
}

/// A file's name and length: enough to see that it was touched by what writes.
fn listing(folder: &Path) -> Vec<(PathBuf, u64)> {
    let length = |path: &PathBuf| fs_err::symlink_metadata(folder.join(path)).unwrap().len();
    let all = files(folder).into_iter();
    all.map(|path| (path.clone(), length(&path))).collect()
}

/// What is wrong with how a row ended; none: nothing.
fn tried(row: &Row) -> Result<(), String> {
    let desk = Desk::new();
    let outside = desk.root().join("outside");
    fs_err::create_dir_all(&outside).unwrap();
    fs_err::write(outside.join("canary"), "of this machine").unwrap();
    let trial = Trial {
        server: Server::start(),
        outside,
    };
    (row.make)(&trial);
    let address = trial.server.url("");
    let reference = format!("{}/a/b:1", address.strip_prefix("http://").unwrap());
    desk.image("made", &format!("{{ oci = \"{reference}\" }}"));
    let not_cache = || -> Vec<(PathBuf, u64)> {
        let all = listing(desk.root()).into_iter();
        all.filter(|(path, _)| !path.starts_with("cache")).collect()
    };
    let before = not_cache();
    let Fetched { status, said, peak } = desk.fetch(row.environment);
    let check = |good: bool, what: &str| match good {
        true => Ok(()),
        false => Err(format!("{what}\n{said}")),
    };
    check(
        not_cache() == before,
        "something was written outside of the cache",
    )?;
    check(!Path::new("/tmp/climbed").exists(), "it climbed out")?;
    match &row.end {
        Refused(words) => {
            check(status == Some(3), "it is not refused")?;
            check(said.contains(words), "other words")?;
            let kept = desk.kept();
            check(kept.is_empty(), &format!("the cache has {kept:?}"))?;
        }
        Harmless(_, look) => {
            check(status == Some(0), "it is refused")?;
            let disk = desk.disk(&oci(&reference, "amd64"));
            look(&Contents::open(&disk.path).unwrap(), &trial);
        }
    }
    let peak = peak >> 20;
    say(&format!("{peak:4} MiB  {}", row.tries));
    check(peak > 1, "its memory was not looked at")?;
    check(peak <= row.most, &format!("it took {peak} MiB"))
}

#[test]
fn what_images_try_is_refused_or_harmless_and_leaves_nothing() {
    let rows = rows();
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(what) = tried(row) {
                        let mut wrong = wrong.lock().unwrap();
                        wrong.push(format!("{}: {what}", row.tries));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn architecture_has_the_same_table() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ARCHITECTURE.md");
    let page = fs_err::read_to_string(page).unwrap();
    let table: String = rows()
        .iter()
        .map(|row| match row.end {
            Refused(words) => format!("| {} | refused: *{words}* |\n", row.tries),
            Harmless(words, _) => format!("| {} | {words} |\n", row.tries),
        })
        .collect();
    assert!(
        page.contains(&format!("| --- | --- |\n{table}\n")),
        "ARCHITECTURE.md lacks this table, or has another:\n\n{table}"
    );
}
