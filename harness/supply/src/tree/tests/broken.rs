//! Archives that lie, end early, or have holes.

use super::*;

#[test]
fn archives_cut_short_or_broken_are_refused() {
    let whole = everything();
    assert!(matches!(
        read(&whole[..512 * 2 + 100]).unwrap_err(),
        TarError::Truncated { .. }
    ));
    // Between two members: no byte is missing but the end is.
    let mut builder = Builder::new(Vec::new());
    file(&mut builder, "a", b"x");
    let one = finish(builder);
    assert!(matches!(
        read(&one[..1024]).unwrap_err(),
        TarError::NoEnd { at: 1024 }
    ));
    assert!(read(&one[..1536]).is_ok(), "one block of zeros will do");
    let mut flipped = one.clone();
    flipped[3] = b'z';
    assert!(matches!(
        read(&flipped).unwrap_err(),
        TarError::Checksum { at: 0 }
    ));
    assert!(matches!(
        read(&b"no tar at all".repeat(100)).unwrap_err(),
        TarError::NotTar
    ));
    assert!(matches!(read(b"").unwrap_err(), TarError::NoEnd { at: 0 }));
    let mut builder = Builder::new(Vec::new());
    raw(
        &mut builder,
        b"label",
        b"",
        header(EntryType::new(b'V'), 0, 0),
        b"",
    );
    assert!(matches!(
        read(&finish(builder)).unwrap_err(),
        TarError::Kind { flag: b'V', .. }
    ));
}

#[test]
fn a_size_beyond_all_bounds_fills_nothing() {
    let mut builder = Builder::new(Vec::new());
    raw(
        &mut builder,
        b"a",
        b"",
        header(EntryType::Regular, 0o644, u64::MAX / 4),
        b"x",
    );
    let error = read(&finish(builder)).unwrap_err();
    assert!(matches!(error, TarError::Content { .. }), "{error}");
}

#[test]
fn holes_of_sparse_files_are_zeros() {
    // GNU's PAX format 1.0, as `tar --sparse --format=posix` writes it.
    let mut data = b"2\n4096\n3\n10000\n2\n".to_vec();
    data.resize(512, 0);
    data.extend_from_slice(b"abcde");
    let mut builder = Builder::new(Vec::new());
    builder
        .append_pax_extensions([
            ("GNU.sparse.major", &b"1"[..]),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", b"disk"),
            ("GNU.sparse.realsize", b"20000"),
        ])
        .unwrap();
    file(&mut builder, "GNUSparseFile.0/disk", &data);
    file(&mut builder, "after", b"after");
    let tree = read(&finish(builder)).unwrap();
    let mut expected = vec![0; 20_000];
    expected[4096..4099].copy_from_slice(b"abc");
    expected[10_000..10_002].copy_from_slice(b"de");
    assert_eq!(bytes(&tree, "disk"), expected);
    assert_eq!(bytes(&tree, "after"), b"after");

    // GNU's own, with more parts than fit in the header.
    let mut sparse = header(EntryType::GNUSparse, 0o644, 6);
    let gnu = sparse.as_gnu_mut().unwrap();
    for (at, part) in gnu.sparse.iter_mut().enumerate() {
        part.set_offset(at as u64 * 1024);
        part.set_length(1);
    }
    gnu.set_is_extended(true);
    gnu.set_real_size(9000);
    sparse.as_old_mut().name[..3].copy_from_slice(b"gnu");
    sparse.set_cksum();
    let mut more = tar::GnuExtSparseHeader::new();
    more.sparse_mut()[0].set_offset(4 * 1024);
    more.sparse_mut()[0].set_length(2);
    let mut archive = sparse.as_bytes().to_vec();
    archive.extend_from_slice(more.as_bytes());
    archive.extend_from_slice(b"abcdef");
    archive.resize(512 * 3, 0);
    let mut builder = Builder::new(Vec::new());
    file(&mut builder, "after", b"after");
    archive.extend(finish(builder));
    let tree = read(&archive).unwrap();
    let mut expected = vec![0; 9000];
    for (at, byte) in b"abcd".iter().enumerate() {
        expected[at * 1024] = *byte;
    }
    expected[4096..4098].copy_from_slice(b"ef");
    assert_eq!(bytes(&tree, "gnu"), expected);
    assert_eq!(bytes(&tree, "after"), b"after");
}

#[test]
fn lying_sparse_files_are_refused() {
    for (map, size) in [
        (&b"1\n0\n9\n"[..], "100"),
        (b"1\n99\n5\n", "100"),
        (b"2\n50\n3\n10\n2\n", "100"),
        (b"1\nx\n5\n", "100"),
        (b"1\n0\n5\n", "x"),
    ] {
        let mut data = map.to_vec();
        data.resize(512, 0);
        data.extend_from_slice(b"abcde");
        let mut builder = Builder::new(Vec::new());
        builder
            .append_pax_extensions([
                ("GNU.sparse.major", &b"1"[..]),
                ("GNU.sparse.realsize", size.as_bytes()),
            ])
            .unwrap();
        file(&mut builder, "x", &data);
        let error = read(&finish(builder)).unwrap_err();
        assert!(
            matches!(error, TarError::Sparse { .. }),
            "{}: {error}",
            String::from_utf8_lossy(map)
        );
    }
}

#[test]
fn what_stands_before_a_member_is_bounded_all_together() {
    let mebibyte = vec![b'x'; 1 << 20];
    let with = |headers: usize| {
        let mut builder = Builder::new(Vec::new());
        for _ in 0..headers {
            builder
                .append_pax_extensions([("comment", &mebibyte[..])])
                .unwrap();
        }
        file(&mut builder, "a", b"x");
        finish(builder)
    };
    assert_eq!(bytes(&read(&with(3)).unwrap(), "a"), b"x");
    let error = read(&with(4)).unwrap_err();
    assert!(matches!(error, TarError::Extension { .. }), "{error}");
}

#[test]
fn the_later_of_two_global_headers_counts() {
    let mut archive = Vec::new();
    for value in ["first", "second"] {
        let mut body = Vec::new();
        pax::append(&mut body, b"path", value.as_bytes());
        let mut global = header(EntryType::XGlobalHeader, 0o644, body.len() as u64);
        global.set_cksum();
        archive.extend_from_slice(global.as_bytes());
        archive.extend_from_slice(&body);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    let mut builder = Builder::new(Vec::new());
    file(&mut builder, "its own", b"x");
    archive.extend(finish(builder));
    assert_eq!(bytes(&read(&archive).unwrap(), "second"), b"x");
}

#[test]
fn paths_and_links_longer_than_linux_takes_are_refused() {
    let long = |length: usize| "a/".repeat(length / 2) + "f";
    let mut tree = Tree::new();
    tree.insert(long(4094).as_bytes(), Inode::file(0o644, "x"))
        .unwrap();
    for (path, inode) in [
        (long(4096), Inode::file(0o644, "x")),
        ("link".to_owned(), Inode::symlink(long(4096))),
        ("link".to_owned(), Inode::symlink("a\0b")),
    ] {
        let error = tree.insert(path.as_bytes(), inode).unwrap_err();
        let refused = matches!(
            error,
            TreeError::Path(PathError::TooLong { .. }) | TreeError::SymlinkTarget { .. }
        );
        assert!(refused, "{error}");
    }
    // Short as it stands, long with the link on the way followed.
    tree.insert(b"deep", Inode::symlink(long(4000))).unwrap();
    let error = tree.insert(
        format!("deep/{}", long(200)).as_bytes(),
        Inode::file(0o644, "x"),
    );
    assert!(
        matches!(error, Err(TreeError::Path(PathError::TooLong { .. }))),
        "{error:?}"
    );
}

#[test]
fn a_tar_is_held_to_a_budget() {
    let mut builder = Builder::new(Vec::new());
    file(&mut builder, "a/b/c/d", b"x");
    file(&mut builder, "e", b"x");
    let archive = finish(builder);
    let within = |bytes, entries| {
        let budget = Budget::new(bytes, entries);
        let mut tree = Tree::bounded(entries);
        read_tar(&archive[..], &spool(), &budget, &mut tree)
    };
    within(2, 5).unwrap();
    let error = within(1, 5).unwrap_err();
    assert!(matches!(error, TarError::Budget { .. }), "{error}");
    // Two members, and the three folders that no member is.
    let error = within(2, 3).unwrap_err();
    let names = matches!(error, TarError::Tree(TreeError::Names { .. }));
    assert!(names, "{error}");
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(mut bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..2048), at in 0_usize..3000) {
        // Random bytes are no tar; a byte changed in a real one gets further.
        let _ = read(&bytes);
        let mut whole = everything();
        let at = at % whole.len();
        let byte = bytes.pop().unwrap_or(0);
        whole[at] = byte;
        if let Ok(tree) = read(&whole) {
            for entry in tree.entries() {
                proptest::prop_assert!(!entry.path.split(|byte| *byte == b'/').any(|name| name == b".."));
            }
        }
    }
}
