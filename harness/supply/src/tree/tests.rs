use std::io::Write as _;
use std::sync::Arc;

use tar::{Builder, EntryType, Header};

use super::*;

mod broken;
mod folder;
mod hostile;

/// A file capability as the kernel stores it, with a newline among its bytes.
const CAPABILITY: &[u8] =
    b"\x01\x00\x00\x02\x00\x0a\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";

fn spool() -> Arc<Spool> {
    Spool::new(&std::env::temp_dir()).unwrap()
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(1000);
    header.set_gid(1001);
    header.set_mtime(1_700_000_000);
    header.set_size(size);
    header
}

/// A member under a name that the tar crate itself would not write.
fn raw(builder: &mut Builder<Vec<u8>>, name: &[u8], link: &[u8], mut header: Header, data: &[u8]) {
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link);
    header.set_cksum();
    builder.append(&header, data).unwrap();
}

fn file(builder: &mut Builder<Vec<u8>>, name: &str, data: &[u8]) {
    raw(
        builder,
        name.as_bytes(),
        b"",
        header(EntryType::Regular, 0o644, data.len() as u64),
        data,
    );
}

fn link(builder: &mut Builder<Vec<u8>>, kind: EntryType, name: &str, target: &str) {
    raw(
        builder,
        name.as_bytes(),
        target.as_bytes(),
        header(kind, 0o777, 0),
        b"",
    );
}

fn finish(builder: Builder<Vec<u8>>) -> Vec<u8> {
    builder.into_inner().unwrap()
}

fn read(bytes: &[u8]) -> Result<Tree, TarError> {
    let mut tree = Tree::new();
    read_tar(bytes, &spool(), &Budget::new(u64::MAX, u64::MAX), &mut tree)?;
    Ok(tree)
}

fn bytes(tree: &Tree, path: &str) -> Vec<u8> {
    match &tree
        .get(path.as_bytes())
        .unwrap_or_else(|| panic!("{path} is there"))
        .kind
    {
        Kind::File(content) => content.to_vec().unwrap(),
        other => panic!("{path}: {other:?}"),
    }
}

fn paths(tree: &Tree) -> Vec<String> {
    tree.entries()
        .map(|entry| String::from_utf8_lossy(entry.path).into_owned())
        .collect()
}

/// Everything a root file system can hold.
fn everything() -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    let mut set = header(EntryType::Regular, 0o4755, 4);
    set.set_uid(0);
    builder
        .append_pax_extensions([
            ("SCHILY.xattr.user.note", &b"plain"[..]),
            ("mtime", b"1700000000.75"),
        ])
        .unwrap();
    raw(&mut builder, b"./bin/su", b"", set, b"\x7fELF");
    link(&mut builder, EntryType::Link, "./bin/su-too", "./bin/su");
    link(&mut builder, EntryType::Symlink, "./bin/sh", "dash");
    let mut null = header(EntryType::Char, 0o666, 0);
    null.set_device_major(1).unwrap();
    null.set_device_minor(3).unwrap();
    raw(&mut builder, b"./dev/null", b"", null, b"");
    let mut disk = header(EntryType::Block, 0o660, 0);
    disk.set_device_major(259).unwrap();
    disk.set_device_minor(1_048_575).unwrap();
    raw(&mut builder, b"./dev/disk", b"", disk, b"");
    raw(
        &mut builder,
        b"./run/pipe",
        b"",
        header(EntryType::Fifo, 0o600, 0),
        b"",
    );
    raw(
        &mut builder,
        b"./tmp/",
        b"",
        header(EntryType::Directory, 0o1777, 0),
        b"",
    );
    raw(
        &mut builder,
        b"./\xff\xfe",
        b"",
        header(EntryType::Regular, 0o644, 1),
        b"x",
    );
    let long = format!("./{}/{}", "d".repeat(120), "n".repeat(200));
    builder
        .append_data(
            &mut header(EntryType::Regular, 0o600, 3),
            &long,
            &b"far"[..],
        )
        .unwrap();
    finish(builder)
}

#[test]
fn a_tar_becomes_a_tree_and_a_tar_again() {
    let first = read(&everything()).unwrap();
    let mut tar = Vec::new();
    write_tar(&first, &mut tar).unwrap();
    let second = read(&tar).unwrap();
    for tree in [&first, &second] {
        let su = tree.get(b"bin/su").unwrap();
        assert_eq!(su.metadata.mode, 0o4755);
        assert_eq!((su.metadata.uid, su.metadata.gid), (0, 1001));
        assert_eq!(su.metadata.mtime, 1_700_000_000);
        assert_eq!(su.metadata.xattrs[&b"user.note".to_vec()], b"plain");
        let number = |path: &[u8]| tree.lookup(path).unwrap().number;
        assert_eq!(number(b"bin/su"), number(b"bin/su-too"));
        assert_eq!(bytes(tree, "bin/su-too"), b"\x7fELF");
        assert!(
            matches!(&tree.get(b"bin/sh").unwrap().kind, Kind::Symlink(target) if target == b"dash")
        );
        let device = |major, minor| Device { major, minor };
        assert!(
            matches!(tree.get(b"dev/null").unwrap().kind, Kind::CharacterDevice(is) if is == device(1, 3))
        );
        assert!(
            matches!(tree.get(b"dev/disk").unwrap().kind, Kind::BlockDevice(is) if is == device(259, 1_048_575))
        );
        assert!(matches!(tree.get(b"run/pipe").unwrap().kind, Kind::Fifo));
        assert_eq!(tree.get(b"tmp").unwrap().metadata.mode, 0o1777);
        assert!(tree.get(b"\xff\xfe").is_some());
        assert_eq!(
            bytes(tree, &format!("{}/{}", "d".repeat(120), "n".repeat(200))),
            b"far"
        );
        // The parents no member told of.
        assert_eq!(tree.get(b"dev").unwrap().metadata.mode, 0o755);
    }
    assert_eq!(digest(&first).unwrap(), digest(&second).unwrap());
}

#[test]
fn binary_attributes_survive() {
    let mut tree = Tree::new();
    let mut ping = Inode::file(0o755, "ping");
    ping.metadata
        .xattrs
        .insert(b"security.capability".to_vec(), CAPABILITY.to_vec());
    ping.metadata.mtime = -5;
    tree.insert(b"usr/bin/ping", ping).unwrap();
    let mut tar = Vec::new();
    write_tar(&tree, &mut tar).unwrap();
    let again = read(&tar).unwrap();
    let metadata = &again.get(b"usr/bin/ping").unwrap().metadata;
    assert_eq!(
        metadata.xattrs[&b"security.capability".to_vec()],
        CAPABILITY
    );
    assert_eq!(metadata.mtime, -5);
}

#[test]
fn every_compression_is_told_by_its_first_bytes() {
    let plain = everything();
    let expected = digest(&read(&plain).unwrap()).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(&plain).unwrap();
    let zstd = zstd::stream::encode_all(plain.as_slice(), 1).unwrap();
    for packed in [gzip.finish().unwrap(), xz.finish().unwrap(), zstd] {
        assert_eq!(digest(&read(&packed).unwrap()).unwrap(), expected);
        let cut = read(&packed[..packed.len() - 20]).unwrap_err();
        assert!(
            matches!(
                cut,
                TarError::Read(_) | TarError::Truncated { .. } | TarError::NoEnd { .. }
            ),
            "{cut}"
        );
    }
    let error = read(b"BZh91AY&SY").unwrap_err();
    assert!(error.to_string().contains("bzip2"), "{error}");
}

#[test]
fn paths_that_climb_out_are_refused() {
    for (name, link_target) in [
        ("../evil", None),
        ("a/../../evil", None),
        ("a/..", None),
        ("/etc/passwd", None),
        ("a", Some("../b")),
        ("a", Some("/etc/passwd")),
    ] {
        let mut builder = Builder::new(Vec::new());
        match link_target {
            None => file(&mut builder, name, b"x"),
            Some(target) => link(&mut builder, EntryType::Link, name, target),
        }
        let error = read(&finish(builder)).unwrap_err();
        assert!(
            matches!(
                error,
                TarError::Tree(TreeError::Path(
                    PathError::Climbs { .. } | PathError::Absolute { .. }
                ))
            ),
            "{name}: {error}"
        );
    }
}

#[test]
fn links_on_the_way_are_followed_inside_the_tree() {
    for (target, place) in [
        ("usr/bin", "usr/bin/ls"),
        ("/usr/bin", "usr/bin/ls"),
        ("../../../usr/bin", "usr/bin/ls"),
        ("../../etc", "etc/ls"),
        ("/", "ls"),
    ] {
        let mut builder = Builder::new(Vec::new());
        link(&mut builder, EntryType::Symlink, "bin", target);
        file(&mut builder, "bin/ls", b"ls");
        let tree = read(&finish(builder)).unwrap();
        assert_eq!(bytes(&tree, place), b"ls", "{target}");
        assert!(matches!(tree.get(b"bin").unwrap().kind, Kind::Symlink(_)));
    }
    let mut builder = Builder::new(Vec::new());
    link(&mut builder, EntryType::Symlink, "a", "b");
    link(&mut builder, EntryType::Symlink, "b", "a");
    file(&mut builder, "a/x", b"x");
    let error = read(&finish(builder)).unwrap_err();
    assert!(
        matches!(
            error,
            TarError::Tree(TreeError::Path(PathError::LinkLoop { .. }))
        ),
        "{error}"
    );

    let mut builder = Builder::new(Vec::new());
    file(&mut builder, "a", b"x");
    file(&mut builder, "a/x", b"x");
    let error = read(&finish(builder)).unwrap_err();
    assert!(
        matches!(
            error,
            TarError::Tree(TreeError::Path(PathError::NotADirectory { .. }))
        ),
        "{error}"
    );
}

#[test]
fn a_later_entry_takes_the_place_of_an_earlier_one() {
    let mut builder = Builder::new(Vec::new());
    file(&mut builder, "a/b/c", b"old");
    link(&mut builder, EntryType::Link, "keep", "a/b/c");
    file(&mut builder, "a/b/c", b"new");
    file(&mut builder, "a-b", b"beside");
    // A directory over a directory changes what it carries only.
    raw(
        &mut builder,
        b"a/",
        b"",
        header(EntryType::Directory, 0o700, 0),
        b"",
    );
    let tree = read(&finish(builder)).unwrap();
    assert_eq!(bytes(&tree, "a/b/c"), b"new");
    assert_eq!(
        bytes(&tree, "keep"),
        b"old",
        "the other name keeps the old file"
    );
    assert_eq!(tree.get(b"a").unwrap().metadata.mode, 0o700);

    let mut tree = tree;
    tree.insert(b"a", Inode::file(0o644, "file")).unwrap();
    assert_eq!(
        paths(&tree),
        ["", "a", "a-b", "keep"],
        "all below is gone, its neighbour is not"
    );
    assert_eq!(tree.size(), 4 + 6 + 3);
}

#[test]
fn a_package_leaves_a_link_to_a_directory_alone() {
    let mut tree = Tree::new();
    tree.insert(b"usr/bin", Inode::directory(0o755)).unwrap();
    tree.insert(b"bin", Inode::symlink("usr/bin")).unwrap();
    tree.insert(b"dangling", Inode::symlink("nowhere")).unwrap();
    tree.insert_keeping_links(b"./bin/", Inode::directory(0o700))
        .unwrap();
    tree.insert_keeping_links(b"./dangling/", Inode::directory(0o700))
        .unwrap();
    assert!(matches!(tree.get(b"bin").unwrap().kind, Kind::Symlink(_)));
    assert_eq!(tree.get(b"usr/bin").unwrap().metadata.mode, 0o755);
    assert!(matches!(
        tree.get(b"dangling").unwrap().kind,
        Kind::Directory
    ));
    tree.insert(b"bin", Inode::directory(0o700)).unwrap();
    assert!(
        matches!(tree.get(b"bin").unwrap().kind, Kind::Directory),
        "a tar would replace it"
    );
}

#[test]
fn hard_links_need_a_file_that_is_there() {
    let mut builder = Builder::new(Vec::new());
    link(&mut builder, EntryType::Link, "a", "missing");
    let error = read(&finish(builder)).unwrap_err();
    assert!(
        matches!(error, TarError::Tree(TreeError::LinkTarget { .. })),
        "{error}"
    );
    let mut tree = Tree::new();
    tree.insert(b"d", Inode::directory(0o755)).unwrap();
    assert!(matches!(
        tree.link(b"a", b"d"),
        Err(TreeError::LinkToDirectory { .. })
    ));
    assert!(matches!(
        tree.insert(b".", Inode::file(0o644, "")),
        Err(TreeError::RootReplaced)
    ));
}

#[test]
fn a_digest_sees_every_difference() {
    let base = |change: &dyn Fn(&mut Tree)| {
        let mut tree = Tree::new();
        tree.insert(b"a", Inode::file(0o644, "x")).unwrap();
        tree.insert(b"b", Inode::file(0o644, "x")).unwrap();
        change(&mut tree);
        digest(&tree).unwrap()
    };
    let same = base(&|_| {});
    assert_eq!(same, base(&|_| {}));
    let changes: [&dyn Fn(&mut Tree); 6] = [
        &|tree| tree.link(b"b", b"a").unwrap(),
        &|tree| tree.insert(b"b", Inode::file(0o600, "x")).unwrap(),
        &|tree| tree.insert(b"b", Inode::file(0o644, "y")).unwrap(),
        &|tree| tree.insert(b"b", Inode::symlink("x")).unwrap(),
        &|tree| tree.insert(b"c", Inode::directory(0o755)).unwrap(),
        &|tree| {
            let mut inode = Inode::file(0o644, "x");
            inode
                .metadata
                .xattrs
                .insert(b"user.a".to_vec(), b"".to_vec());
            tree.insert(b"b", inode).unwrap();
        },
    ];
    let mut seen = std::collections::BTreeSet::from([same]);
    for change in changes {
        assert!(seen.insert(base(change)));
    }
}
