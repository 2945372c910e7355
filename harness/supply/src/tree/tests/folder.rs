//! Folders of the host.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

#[test]
fn a_folder_of_the_host_becomes_a_tree() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs_err::create_dir_all(root.join("bin")).unwrap();
    fs_err::write(root.join("bin/su"), "su").unwrap();
    fs_err::set_permissions(root.join("bin/su"), PermissionsExt::from_mode(0o4755)).unwrap();
    fs_err::hard_link(root.join("bin/su"), root.join("bin/too")).unwrap();
    symlink("../bin/su", root.join("bin/link")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    // Not every file system has user attributes.
    let attribute = rustix::fs::setxattr(
        root.join("bin/su"),
        "user.note",
        b"\x00\x0a\xff",
        rustix::fs::XattrFlags::empty(),
    )
    .is_ok();
    let before = fingerprint(root).unwrap();
    let walk = read_directory(root).unwrap();
    assert_eq!(
        paths(&walk.tree),
        ["", "bin", "bin/link", "bin/su", "bin/too"]
    );
    assert_eq!(walk.notes.len(), 1);
    assert!(walk.notes[0].contains("socket"), "{:?}", walk.notes);
    let su = walk.tree.lookup(b"bin/su").unwrap();
    assert_eq!(su.number, walk.tree.lookup(b"bin/too").unwrap().number);
    assert_eq!(su.inode.metadata.mode, 0o4755);
    assert_eq!(bytes(&walk.tree, "bin/su"), b"su");
    if attribute {
        assert_eq!(
            su.inode.metadata.xattrs[&b"user.note".to_vec()],
            b"\x00\x0a\xff"
        );
    }
    assert_eq!(before, fingerprint(root).unwrap());

    // The same length, another content: only the times tell.
    fs_err::write(root.join("bin/su"), "SU").unwrap();
    assert_ne!(before, fingerprint(root).unwrap());
    fs_err::write(root.join("bin/su"), "longer").unwrap();
    let mut sink = Vec::new();
    let error = write_tar(&walk.tree, &mut sink).unwrap_err();
    assert!(
        error.to_string().contains("changed while it was read"),
        "{error}"
    );
    let error = read_directory(&root.join("bin/su")).unwrap_err();
    assert!(
        matches!(error, DirectoryError::NotADirectory { .. }),
        "{error}"
    );
}

#[test]
fn a_file_that_may_not_be_read_is_named() {
    if rustix::process::geteuid().is_root() {
        // Root may read everything: nothing to see.
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join("secret"), "x").unwrap();
    fs_err::set_permissions(
        folder.path().join("secret"),
        PermissionsExt::from_mode(0o000),
    )
    .unwrap();
    let error = read_directory(folder.path()).unwrap_err();
    assert!(
        matches!(&error, DirectoryError::Unreadable { path, .. } if path.ends_with("secret")),
        "{error}"
    );
}
