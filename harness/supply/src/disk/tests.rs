use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::tree::{Inode, Spool};

/// Stands for mksquashfs: a script, told of in `$1` to `$n` as the real one.
fn tool(folder: &Path, script: &str) -> Tool {
    let path = folder.join("mksquashfs");
    fs_err::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs_err::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    Tool {
        // Started by the shell: a file just written can be busy while another test forks.
        program: "/bin/sh".into(),
        prefix_arguments: vec![path.into_os_string()],
        version: "4.5.1".to_owned(),
        origin: "test".to_owned(),
    }
}

fn tree() -> Tree {
    let mut tree = Tree::new();
    tree.insert(b"a/b", Inode::file(0o600, "x".repeat(3_000_000)))
        .unwrap();
    tree
}

#[test]
fn it_gets_the_tree_as_a_tar() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    let mut tree = tree();
    tree.insert(b"", Inode::directory(0o711)).unwrap();
    for (path, mtime) in [(b"old", -1), (b"new", 1_700_000_000)] {
        let mut inode = Inode::file(0o644, "x");
        inode.metadata.mtime = mtime;
        tree.insert(path, inode).unwrap();
    }
    let log = folder.path().join("log");
    let script = format!(
        "echo \"$* $SOURCE_DATE_EPOCH\" > '{}'; cat > \"$2\"",
        log.display()
    );
    write(&tree, &tool(folder.path(), &script), &output).unwrap();
    let arguments = fs_err::read_to_string(&log).unwrap();
    // Of the tar on its standard input.
    assert!(arguments.starts_with("- "), "{arguments}");
    for part in ["-tar", "-root-mode 711", "-noD", " 1700000000"] {
        assert!(arguments.contains(part), "{arguments}: {part}");
    }
    let mut again = Tree::new();
    let spool = Spool::new(folder.path()).unwrap();
    let budget = crate::tree::Budget::new(1 << 30, 1000);
    let tar = fs_err::File::open(&output).unwrap();
    crate::tree::read_tar(tar, &spool, &budget, &mut again).unwrap();
    assert_eq!(
        crate::tree::digest(&again).unwrap(),
        crate::tree::digest(&tree).unwrap()
    );
}

#[test]
fn its_own_words_are_in_the_error() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    // With all read, and with nothing read: the pipe breaks then.
    for script in [
        "cat > /dev/null; echo no space left >&2; exit 1",
        "echo no space left >&2; exit 1",
    ] {
        let error = write(&tree(), &tool(folder.path(), script), &output).unwrap_err();
        assert!(matches!(error, DiskError::Failed { .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.contains("no space left") && text.contains("exit status: 1"),
            "{text}"
        );
    }
    let mut missing = tool(folder.path(), "");
    missing.program = folder.path().join("nowhere");
    let error = write(&tree(), &missing, &output).unwrap_err();
    assert!(matches!(error, DiskError::Start { .. }), "{error}");
}

#[test]
fn a_tree_that_cannot_be_read_is_no_image() {
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join("file"), "four").unwrap();
    let mut tree = tree();
    let content = crate::tree::Content::Host {
        path: folder.path().join("file"),
        length: 5,
    };
    let mut inode = Inode::file(0o644, "");
    inode.kind = crate::tree::Kind::File(content);
    tree.insert(b"file", inode).unwrap();
    let output = folder.path().join("out");
    let error = write(&tree, &tool(folder.path(), "cat > \"$2\""), &output).unwrap_err();
    assert!(matches!(error, DiskError::Tree { .. }), "{error}");
    assert!(
        error.to_string().contains("changed while it was read"),
        "{error}"
    );
}

#[test]
fn the_roots_time_is_written_where_its_inode_lies() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk");
    // A superblock, a block of inodes at 100 with the root's as its second.
    let mut disk = vec![0; 300];
    disk[..4].copy_from_slice(b"hsqs");
    disk[32..40].copy_from_slice(&(50_u64 << 16 | 20).to_le_bytes());
    disk[64..72].copy_from_slice(&100_u64.to_le_bytes());
    fs_err::write(&path, &disk).unwrap();
    root_time(&path, 0x0403_0201).unwrap();
    let at = 100 + 50 + 2 + 20 + 8;
    disk[at..at + 4].copy_from_slice(&[1, 2, 3, 4]);
    assert_eq!(fs_err::read(&path).unwrap(), disk);
    for other in [&b"no disk"[..], &[0; 200]] {
        fs_err::write(&path, other).unwrap();
        root_time(&path, 1).unwrap();
        assert_eq!(fs_err::read(&path).unwrap(), other);
    }
}

#[test]
fn attributes_that_a_squashfs_cannot_hold_are_told() {
    let mut tree = tree();
    assert_eq!(left_out(&tree), None);
    let mut inode = Inode::file(0o600, "x");
    let set = |inode: &mut Inode, name: &str| {
        let xattrs = &mut inode.metadata.xattrs;
        xattrs.insert(name.into(), b"x".to_vec());
    };
    set(&mut inode, "user.note");
    set(&mut inode, "security.capability");
    set(&mut inode, "system.posix_acl_access");
    tree.insert(b"acl", inode.clone()).unwrap();
    let told = left_out(&tree).unwrap();
    assert!(
        told.starts_with("system.posix_acl_access of /acl is left out"),
        "{told}"
    );
    tree.insert(b"acl-2", inode).unwrap();
    let told = left_out(&tree).unwrap();
    assert!(told.contains("and 1 other extended attributes"), "{told}");
}
