//! What archives say that no file system can hold, or that costs far more here than
//! there.

use super::*;

fn extended(builder: &mut Builder<Vec<u8>>, records: &[(&str, &[u8])]) {
    builder
        .append_pax_extensions(records.iter().copied())
        .unwrap();
}

#[test]
fn the_root_stays_a_directory() {
    let mut builder = Builder::new(Vec::new());
    file(&mut builder, "a", b"x");
    link(&mut builder, EntryType::Link, "./", "a");
    let error = read(&finish(builder)).unwrap_err();
    assert!(
        matches!(error, TarError::Tree(TreeError::RootReplaced)),
        "{error}"
    );
}

#[test]
fn symbolic_links_that_no_system_makes_are_refused() {
    let long = vec![b'x'; LONGEST_TARGET + 1];
    for target in [&b""[..], b"a\0b", &long] {
        let error = Tree::new()
            .insert(b"a", Inode::symlink(target))
            .unwrap_err();
        assert!(matches!(error, TreeError::SymlinkTarget { .. }), "{error}");
    }
    Tree::new()
        .insert(b"a", Inode::symlink(&long[1..]))
        .unwrap();
}

#[test]
fn paths_that_no_system_takes_are_refused() {
    let path = "a/".repeat(2047) + "b";
    assert_eq!(path.len(), 4095);
    let mut tree = Tree::new();
    tree.insert(path.as_bytes(), Inode::file(0o644, ""))
        .unwrap();
    let longer = path.clone() + "c";
    let error = tree.insert(longer.as_bytes(), Inode::file(0o644, ""));
    let error = error.unwrap_err();
    assert!(
        matches!(&error, TreeError::Path(PathError::TooLong { .. })),
        "{error}"
    );
    assert!(error.to_string().len() < 200, "{error}");

    // It is long only where it leads.
    let deep = "a/".repeat(2000);
    let mut tree = Tree::new();
    tree.insert(b"link", Inode::symlink(deep.as_bytes()))
        .unwrap();
    let path = "b/".repeat(100);
    let error = tree
        .insert(format!("link/{path}").as_bytes(), Inode::directory(0o755))
        .unwrap_err();
    assert!(
        matches!(error, TreeError::Path(PathError::TooLong { .. })),
        "{error}"
    );
}

#[test]
fn folders_that_are_not_listed_count() {
    let mut tree = Tree::bounded(10);
    tree.insert(b"1/2/3/4/5/6/7/8", Inode::directory(0o755))
        .unwrap();
    tree.insert(b"1/2/x", Inode::directory(0o755)).unwrap();
    tree.link(b"root", b"1").unwrap_err();
    tree.insert(b"1/2", Inode::directory(0o700)).unwrap();
    tree.insert(b"9", Inode::file(0o644, "")).unwrap();
    for (path, target) in [("10", None), ("10", Some("9"))] {
        let error = match target {
            None => tree.insert(path.as_bytes(), Inode::directory(0o755)),
            Some(target) => tree.link(path.as_bytes(), target.as_bytes()),
        };
        let error = error.unwrap_err();
        assert!(
            matches!(error, TreeError::Names { most: 10, .. }),
            "{error}"
        );
    }

    // Few entries, but each makes four megabytes of names.
    let deep = "a/".repeat(2000);
    let mut tree = Tree::bounded(1_000_000);
    tree.room.bytes = 6 << 20;
    tree.insert(format!("1/{deep}").as_bytes(), Inode::directory(0o755))
        .unwrap();
    let error = tree.insert(format!("2/{deep}").as_bytes(), Inode::directory(0o755));
    let error = error.unwrap_err();
    assert!(matches!(error, TreeError::NameBytes { .. }), "{error}");
}

#[test]
fn many_extension_headers_of_one_member_are_as_one() {
    let value = vec![b'x'; 1 << 20];
    let mut builder = Builder::new(Vec::new());
    for number in 0..4 {
        let key = format!("SCHILY.xattr.user.{number}");
        extended(&mut builder, &[(&key, &value)]);
    }
    file(&mut builder, "a", b"x");
    let error = read(&finish(builder)).unwrap_err();
    assert!(matches!(error, TarError::Extension { .. }), "{error}");

    // One for each of many members is what archives have.
    let mut builder = Builder::new(Vec::new());
    for number in 0..6 {
        extended(&mut builder, &[("SCHILY.xattr.user.x", &value)]);
        file(&mut builder, &format!("{number}"), b"x");
    }
    assert_eq!(paths(&read(&finish(builder)).unwrap()).len(), 7);
}

#[test]
fn an_empty_record_leaves_the_headers_own_field() {
    let mut builder = Builder::new(Vec::new());
    extended(
        &mut builder,
        &[("path", b""), ("uid", b""), ("mtime", b""), ("size", b"")],
    );
    file(&mut builder, "a", b"x");
    let tree = read(&finish(builder)).unwrap();
    assert_eq!(bytes(&tree, "a"), b"x");
    let metadata = &tree.get(b"a").unwrap().metadata;
    assert_eq!((metadata.uid, metadata.mtime), (1000, 1_700_000_000));
}

#[test]
fn no_data_follows_a_hard_link_whatever_its_size_says() {
    let mut builder = Builder::new(Vec::new());
    file(&mut builder, "a", b"x");
    let mut sized = header(EntryType::Link, 0o644, 1024);
    sized.as_old_mut().name[..1].copy_from_slice(b"b");
    sized.as_old_mut().linkname[..1].copy_from_slice(b"a");
    sized.set_cksum();
    // The builder would write data for it.
    let mut archive = builder.get_ref().clone();
    archive.extend_from_slice(sized.as_bytes());
    let mut builder = Builder::new(Vec::new());
    file(&mut builder, "after", b"after");
    archive.extend(finish(builder));
    let tree = read(&archive).unwrap();
    assert_eq!(paths(&tree), ["", "a", "after", "b"]);
}

#[test]
fn fields_that_nobody_filled_in_are_zeros() {
    let mut bare = Header::new_ustar();
    bare.set_size(1);
    let mut builder = Builder::new(Vec::new());
    raw(&mut builder, b"a", b"", bare, b"x");
    let tree = read(&finish(builder)).unwrap();
    assert_eq!(tree.get(b"a").unwrap().metadata, Metadata::default());
}
