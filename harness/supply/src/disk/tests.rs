use std::ffi::OsString;
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
        environment: vec![("GREETING".to_owned(), OsString::from("hello"))],
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
        "echo \"$GREETING $* $SOURCE_DATE_EPOCH\" > '{}'; cat > \"$2\"",
        log.display()
    );
    write(&tree, &tool(folder.path(), &script), &output).unwrap();
    let arguments = fs_err::read_to_string(&log).unwrap();
    for part in [
        "hello - ",
        "-tar",
        "-root-mode 711",
        "-root-time 0",
        "-noD",
        " 1700000000",
    ] {
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
