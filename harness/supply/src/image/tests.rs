use std::cell::Cell;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::progress::Silent;
use crate::tree::Kind;

/// A cache, and a mksquashfs that keeps the tar it gets; counts how often it is
/// asked for.
struct Shop {
    folder: tempfile::TempDir,
    cache: Cache,
    asked: Cell<usize>,
}

impl Shop {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("mksquashfs");
        fs::write(&script, "cat > \"$2\"\n").unwrap();
        fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
        let cache = Cache::open(&folder.path().join("cache")).unwrap();
        Self {
            folder,
            cache,
            asked: Cell::new(0),
        }
    }

    fn make(
        &self,
        make: impl FnOnce(&Maker<'_>) -> Result<ImageDisk, ImageError>,
    ) -> Result<ImageDisk, ImageError> {
        let tool = || {
            self.asked.set(self.asked.get() + 1);
            Ok(Tool {
                program: "/bin/sh".into(),
                prefix_arguments: vec![self.folder.path().join("mksquashfs").into()],
                version: "4.5.1".to_owned(),
                origin: "test".to_owned(),
            })
        };
        make(&Maker {
            cache: &self.cache,
            progress: &Silent,
            mksquashfs: &tool,
        })
    }
}

fn tree_of(disk: &ImageDisk) -> Tree {
    let mut tree = Tree::new();
    let spool = Spool::new(&std::env::temp_dir()).unwrap();
    let budget = Budget::new(1 << 30, 1000);
    let tar = fs::File::open(&disk.path).unwrap();
    tree::read_tar(tar, &spool, &budget, &mut tree).unwrap();
    tree
}

#[test]
fn a_program_is_alone_in_its_root() {
    let shop = Shop::new();
    let programs = BTreeMap::from([("vsyscall".to_owned(), &b"\x7fELF"[..])]);
    let disk = shop
        .make(|maker| maker.program("vsyscall", &programs))
        .unwrap();
    let tree = tree_of(&disk);
    let paths: Vec<&[u8]> = tree.entries().map(|entry| entry.path).collect();
    assert_eq!(
        paths,
        [
            &b""[..],
            b"dev",
            b"etc",
            b"proc",
            b"sys",
            b"tmp",
            b"vsyscall"
        ]
    );
    assert_eq!(tree.get(b"vsyscall").unwrap().metadata.mode, 0o755);
    assert!(
        disk.digest.starts_with("sha256:") && disk.digest.len() == 71,
        "{}",
        disk.digest
    );
    assert_eq!(
        disk,
        shop.make(|maker| maker.program("vsyscall", &programs))
            .unwrap()
    );
    assert_eq!(shop.asked.get(), 1, "the second time it is in the cache");

    let other = BTreeMap::from([("vsyscall".to_owned(), &b"\x7fELF 2"[..])]);
    let changed = shop
        .make(|maker| maker.program("vsyscall", &other))
        .unwrap();
    assert_ne!((changed.path, changed.digest), (disk.path, disk.digest));

    let error = shop
        .make(|maker| maker.program("vsycall", &programs))
        .unwrap_err();
    assert!(error.to_string().contains("there is vsyscall"), "{error}");
}

#[test]
fn a_folder_is_made_again_only_when_it_changed() {
    let shop = Shop::new();
    let root = shop.folder.path().join("root");
    fs::create_dir_all(root.join("bin")).unwrap();
    fs::write(root.join("bin/sh"), "one").unwrap();
    let first = shop.make(|maker| maker.directory(&root)).unwrap();
    assert_eq!(first, shop.make(|maker| maker.directory(&root)).unwrap());
    assert_eq!(shop.asked.get(), 1);
    assert_eq!(first.source["directory"], root.display().to_string());
    fs::write(root.join("bin/sh"), "two").unwrap();
    let second = shop.make(|maker| maker.directory(&root)).unwrap();
    assert_ne!(first.digest, second.digest);
    let tree = tree_of(&second);
    assert!(
        matches!(&tree.get(b"bin/sh").unwrap().kind, Kind::File(content) if content.to_vec().unwrap() == b"two")
    );
    assert!(
        shop.make(|maker| maker.directory(&root.join("nowhere")))
            .is_err()
    );
}

#[test]
fn a_tarball_is_known_by_its_content() {
    let shop = Shop::new();
    let path = shop.folder.path().join("root.tar.zst");
    let tar = crate::deb::tests::tar_of(&[("bin/sh", ::tar::EntryType::Regular, 0o755, b"sh")]);
    fs::write(&path, zstd::stream::encode_all(tar.as_slice(), 1).unwrap()).unwrap();
    let disk = shop
        .make(|maker| maker.tarball(&path, Limits::default()))
        .unwrap();
    assert_eq!(disk.digest, format!("sha256:{}", sha256_of(&path).unwrap()));
    assert!(tree_of(&disk).get(b"bin/sh").is_some());

    let evil = crate::deb::tests::tar_of(&[("../sh", ::tar::EntryType::Regular, 0o755, b"sh")]);
    fs::write(&path, evil).unwrap();
    let error = shop
        .make(|maker| maker.tarball(&path, Limits::default()))
        .unwrap_err();
    assert!(
        error.to_string().contains("root.tar.zst") && error.to_string().contains("climbs"),
        "{error}"
    );
    assert_eq!(shop.asked.get(), 1, "no tool is needed for what is refused");
}

#[test]
fn packages_make_a_disk_once() {
    let shop = Shop::new();
    let deb = shop.folder.path().join("dash.deb");
    let control = b"Package: dash\nVersion: 1\nArchitecture: amd64\n";
    crate::deb::tests::package(
        &deb,
        &[
            ("debian-binary", b"2.0\n".to_vec()),
            (
                "control.tar",
                crate::deb::tests::tar_of(&[(
                    "./control",
                    ::tar::EntryType::Regular,
                    0o644,
                    control,
                )]),
            ),
            (
                "data.tar",
                crate::deb::tests::tar_of(&[(
                    "./bin/dash",
                    ::tar::EntryType::Regular,
                    0o755,
                    b"dash",
                )]),
            ),
        ],
    );
    let packages = [Packaged {
        name: "dash".to_owned(),
        version: "1".to_owned(),
        url: "http://example.org/dash.deb".to_owned(),
        sha256: sha256_of(&deb).unwrap(),
    }];
    let source = BTreeMap::from([("apt".to_owned(), "debian bookworm".to_owned())]);
    let fetched = Cell::new(0);
    let get = || {
        shop.make(|maker| {
            maker.packages(&packages, source.clone(), || {
                fetched.set(fetched.get() + 1);
                Ok(vec![deb.clone()])
            })
        })
        .unwrap()
    };
    let disk = get();
    assert_eq!(disk, get());
    assert_eq!(fetched.get(), 1);
    assert_eq!(disk.source, source);
    let tree = tree_of(&disk);
    assert!(tree.lookup(b"bin/sh").is_some());
    assert!(tree.get(b"var/lib/dpkg/status").is_some());
}
