//! Userlands of a few files, each made to meet one kind of trouble.

pub(crate) mod module;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use plan::{AptSource, AptSuite, Archive, ImageSource};
use supply::{Contents, Place};

use crate::causes::supply;
use crate::project::Project;

/// The program that meets every kind of trouble, static, in `folder`.
pub(crate) fn trouble(project: &Project, folder: &str) -> PathBuf {
    let to = format!("{folder}/trouble");
    compiled(project, "trouble.c", &to, &["-static"])
}

/// A 32-bit program that counts time in 64 bits.
pub(crate) fn narrow(project: &Project, folder: &str) {
    let alone = [
        "-m32",
        "-static",
        "-nostdlib",
        "-ffreestanding",
        "-fno-pic",
        "-no-pie",
        "-fno-stack-protector",
    ];
    compiled(project, "narrow.c", &format!("{folder}/narrow"), &alone);
}

/// A program that gives its library a bad pointer, with that library and a loader.
pub(crate) fn list(project: &Project, folder: &str) {
    list_library(project, folder, None);
    list_program(project, folder);
}

/// The same with a library that is older than the one it was linked with.
pub(crate) fn list_of_later(project: &Project, folder: &str) {
    list_library(project, folder, Some("LIST_2"));
    list_program(project, folder);
    list_library(project, folder, Some("LIST_1"));
}

fn list_library(project: &Project, folder: &str, version: Option<&str>) {
    let mut flags: Vec<String> = ["-DLIBRARY", "-shared", "-nostdlib", "-fPIC"]
        .map(str::to_owned)
        .to_vec();
    flags.push("-Wl,-soname,liblist.so.1".to_owned());
    if let Some(version) = version {
        let script = project.file(version, format!("{version} {{ global: count_nodes; }};"));
        flags.push(format!("-Wl,--version-script={}", script.display()));
    }
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let to = format!("{folder}/lib/liblist.so.1");
    compiled(project, "list.c", &to, &flags);
}

fn list_program(project: &Project, folder: &str) {
    let library = project.root().join(format!("{folder}/lib/liblist.so.1"));
    let flags = [
        "-nostdlib",
        "-fno-stack-protector",
        "-Wl,-rpath,/lib",
        "-Wl,-dynamic-linker,/lib64/ld-linux-x86-64.so.2",
        library.to_str().unwrap(),
    ];
    compiled(project, "list.c", &format!("{folder}/list"), &flags);
    dash(project, "bookworm", folder, |name, _| {
        name.contains("ld-linux")
    });
}

/// The C compiler that building this program takes makes one of the programs that the
/// corpus of causes was recorded with.
fn compiled(project: &Project, source: &str, to: &str, flags: &[&str]) -> PathBuf {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../verdict/tests/programs");
    let program = project.root().join(to);
    fs_err::create_dir_all(program.parent().unwrap()).unwrap();
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    // A library among the flags stands behind what wants it.
    let status = Command::new(compiler)
        .args(["-O1", "-o"])
        .args([&program, &sources.join(source)])
        .args(flags)
        .status()
        .unwrap();
    assert!(status.success(), "{source}");
    program
}

/// An executable file.
pub(crate) fn executable(project: &Project, name: &str, bytes: &[u8]) {
    let path = project.file(name, bytes);
    fs_err::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
}

/// dash of a Debian suite with its loader and C library; `change` changes a file, or
/// says that it is left out.
pub(crate) fn dash(
    project: &Project,
    suite: &str,
    folder: &str,
    change: impl Fn(&str, &mut Vec<u8>) -> bool,
) {
    let files = [
        "/bin/dash",
        "/lib64/ld-linux-x86-64.so.2",
        "/lib/x86_64-linux-gnu/libc.so.6",
    ];
    taken(project, suite, "dash", &files, folder, change);
}

/// A static program of Debian 11's C library, the last whose start looks at the
/// kernel's version: ld.so asks the vDSO, a static program asks uname(2).
pub(crate) fn fossil(project: &Project, folder: &str) {
    let files = ["/bin/busybox"];
    taken(
        project,
        "bullseye",
        "busybox-static",
        &files,
        folder,
        |_, _| true,
    );
}

/// Files of a Debian package and what it depends on.
fn taken(
    project: &Project,
    suite: &str,
    package: &str,
    names: &[&str],
    folder: &str,
    change: impl Fn(&str, &mut Vec<u8>) -> bool,
) {
    let source = ImageSource::Apt(AptSource {
        suites: vec![AptSuite {
            archive: Archive::Debian,
            suite: suite.to_owned(),
            allow_expired: false,
        }],
        packages: vec![package.to_owned()],
        architecture: "amd64".to_owned(),
        pinned: Vec::new(),
    });
    let disk = supply().image(&[source], &BTreeMap::new()).unwrap();
    let files = Contents::open(&disk.path).unwrap();
    for name in names {
        let Place::File { path, .. } = files.find(name) else {
            panic!("no {name} in {suite}")
        };
        let mut bytes = files.read(&path).unwrap();
        if change(name, &mut bytes) {
            executable(project, &format!("{folder}{name}"), &bytes);
        }
    }
}

/// The same whose C library's ABI note asks for Linux 99: loaders from 2.36 on do not
/// look at it, so it is Debian 11's.
pub(crate) fn of_linux_99(project: &Project, folder: &str) {
    dash(project, "bullseye", folder, |name, bytes| {
        if name.ends_with("libc.so.6") {
            // Name size, description size, type 1, "GNU", and Linux as the system.
            let note = b"\x04\0\0\0\x10\0\0\0\x01\0\0\0GNU\0\0\0\0\0";
            let at = place_of(bytes, note);
            bytes[at + note.len()] = 99;
        }
        true
    });
}

/// The same whose program's ISA note asks for x86-64-v3; loaders look at it from 2.33
/// on, so it is Debian 12's.
pub(crate) fn of_level_3(project: &Project, folder: &str) {
    dash(project, "bookworm", folder, |name, bytes| {
        if name == "/bin/dash" {
            // GNU_PROPERTY_X86_ISA_1_NEEDED, four bytes long, with the bit of the
            // baseline; v3 has the third.
            let property = b"\x02\x80\0\xc0\x04\0\0\0";
            let at = place_of(bytes, property);
            bytes[at + property.len()] = 1 << 2;
        }
        true
    });
}

fn place_of(bytes: &[u8], wanted: &[u8]) -> usize {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
        .unwrap()
}
