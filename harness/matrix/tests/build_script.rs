//! What the build script says where a machine lacks what it needs. The script
//! itself cannot be tested; its module can.

#[path = "../build/static_libc.rs"]
mod static_libc;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use static_libc::{Missing, NoCompiler, has_static_libc, hint, no_compiler, no_static_libc};

/// A compiler that does as this script says.
fn compiler(folder: &Path, script: &str) -> String {
    let path = folder.join("cc");
    let written = folder.join("written");
    std::fs::write(&written, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&written, PermissionsExt::from_mode(0o755)).unwrap();
    // By another process: what this one has open for writing is busy (ETXTBSY) as
    // long as a child that another test just forked has it open too.
    let mut copy = std::process::Command::new("cp");
    copy.arg("-p").args([&written, &path]);
    assert!(copy.status().unwrap().success());
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_static_library_is_there_only_when_the_compiler_names_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("libc.a");
    let named = format!(
        "[ \"$1\" = -print-file-name=libc.a ] && echo {}",
        library.display()
    );
    // As gcc says where it finds none.
    let bare = compiler(folder.path(), "echo libc.a");
    assert_eq!(has_static_libc(&bare), Ok(false));
    let dangling = compiler(folder.path(), &named);
    assert_eq!(has_static_libc(&dangling), Ok(false));
    std::fs::write(&library, "!<arch>\n").unwrap();
    assert_eq!(has_static_libc(&compiler(folder.path(), &named)), Ok(true));
}

#[test]
fn a_compiler_that_is_missing_or_fails_is_told() {
    let missing = has_static_libc("/no/such/cc").unwrap_err();
    let said = no_compiler(&missing, "ID=alpine\n");
    assert!(
        said.starts_with("failed to run the C compiler `/no/such/cc`: "),
        "{said}"
    );
    assert!(
        said.ends_with("\nhint: apk add gcc musl-dev; or CC names another"),
        "{said}"
    );
    let folder = tempfile::tempdir().unwrap();
    let failing = compiler(folder.path(), "echo unknown option >&2; exit 1");
    let fault = has_static_libc(&failing).unwrap_err();
    let stderr = "unknown option".to_owned();
    let compiler = failing;
    assert_eq!(fault, NoCompiler::Failed { compiler, stderr });
}

#[test]
fn the_package_is_named_for_the_distribution_at_hand() {
    // The lines that matter of real os-release files.
    for (os_release, package) in [
        (
            "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n",
            "apt install libc6-dev",
        ),
        (
            "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n",
            "apt install libc6-dev",
        ),
        (
            "NAME=\"Fedora Linux\"\nID=fedora\n",
            "dnf install glibc-static",
        ),
        (
            "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n",
            "dnf install glibc-static",
        ),
        ("NAME=\"Alpine Linux\"\nID=alpine\n", "apk add musl-dev"),
    ] {
        let said = no_static_libc(os_release);
        assert!(said.contains("(libc.a)"), "{said}");
        let line = format!("\nhint: {package}, or `rustup target add");
        assert!(said.contains(&line), "{said}");
    }
}

#[test]
fn an_unknown_distribution_is_told_all_of_them() {
    let said = hint(Missing::Libc, "ID=plan9\n");
    for package in [
        "apt install libc6-dev",
        "dnf install glibc-static",
        "apk add musl-dev",
    ] {
        assert!(said.contains(package), "{said}");
    }
}
