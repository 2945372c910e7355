//! What an image's files are on the host, they are in the guest.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::project::{Project, cell};

/// Prints what lstat and the file capability say of each argument.
const INSPECT: &str = r#"
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
int main(int count, char **names) {
    for (int i = 1; i < count; i++) {
        struct stat s;
        if (lstat(names[i], &s)) { printf("%s missing\n", names[i]); continue; }
        unsigned char value[64];
        long size = lgetxattr(names[i], "security.capability", value, sizeof value);
        printf("%s %o %u:%u links=%lu dev=%u,%u cap=", names[i], s.st_mode, s.st_uid, s.st_gid,
               (unsigned long)s.st_nlink, major(s.st_rdev), minor(s.st_rdev));
        for (long j = 0; j < size; j++) printf("%02x", value[j]);
        printf("\n");
    }
    return 0;
}
"#;

/// cap_net_raw+ep, as `setcap` writes it (VFS_CAP_REVISION_2, effective bit).
const CAPABILITY: [u8; 20] = [
    1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

fn inspect_program(folder: &Path) -> Vec<u8> {
    let source = folder.join("inspect.c");
    let program = folder.join("inspect");
    fs_err::write(&source, INSPECT).unwrap();
    let status = Command::new("cc")
        .args(["-static", "-Os", "-o"])
        .arg(&program)
        .arg(&source)
        .status()
        .unwrap();
    assert!(status.success(), "cc -static failed");
    fs_err::read(program).unwrap()
}

#[test]
fn owners_modes_links_devices_and_capabilities_reach_the_guest() {
    let project = Project::new();
    let program = inspect_program(project.root());

    let mut tar = tar::Builder::new(Vec::new());
    let header = |kind: tar::EntryType, mode: u32, uid: u64, gid: u64, size: u64| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(uid);
        header.set_gid(gid);
        header.set_size(size);
        header
    };
    let size = program.len() as u64;
    let mut file = header(tar::EntryType::Regular, 0o755, 0, 0, size);
    tar.append_data(&mut file, "inspect", program.as_slice())
        .unwrap();
    tar.append_data(
        &mut header(tar::EntryType::Regular, 0o4751, 1000, 2000, 2),
        "setuid",
        &b"hi"[..],
    )
    .unwrap();
    tar.append_link(
        &mut header(tar::EntryType::Link, 0o4751, 1000, 2000, 0),
        "linked",
        "setuid",
    )
    .unwrap();
    tar.append_data(
        &mut header(tar::EntryType::Directory, 0o1777, 3, 4, 0),
        "sticky",
        &b""[..],
    )
    .unwrap();
    let mut device = header(tar::EntryType::Char, 0o640, 5, 6, 0);
    device.set_device_major(1).unwrap();
    device.set_device_minor(7).unwrap();
    tar.append_data(&mut device, "full", &b""[..]).unwrap();
    tar.append_pax_extensions([("SCHILY.xattr.security.capability", &CAPABILITY[..])])
        .unwrap();
    tar.append_data(
        &mut header(tar::EntryType::Regular, 0o755, 0, 0, 2),
        "capable",
        &b"hi"[..],
    )
    .unwrap();
    project.file("tree.tar", tar.into_inner().unwrap());

    project.file(
        "images/tree.toml",
        r#"
name = "tree"
source = { tarball = "tree.tar" }
[[check]]
name = "inspect"
command = ["/inspect", "/setuid", "/linked", "/sticky", "/full", "/capable"]
"#,
    );
    project.file("images/checks.toml", "");

    let run = project.run(0, &["--kernels", "6.1"]);
    let stdout = &cell(&run, "6.1", "tree", "inspect").attempts[0].stdout;
    assert_eq!(
        stdout.lines().collect::<Vec<_>>(),
        [
            "/setuid 104751 1000:2000 links=2 dev=0,0 cap=",
            "/linked 104751 1000:2000 links=2 dev=0,0 cap=",
            "/sticky 41777 3:4 links=2 dev=0,0 cap=",
            "/full 20640 5:6 links=1 dev=1,7 cap=",
            "/capable 100755 0:0 links=1 dev=0,0 cap=0100000200200000000000000000000000000000",
        ]
    );
}

#[test]
fn a_folder_of_this_machine_is_an_image() {
    let project = Project::new();
    let program = inspect_program(project.root());
    project.file("root/bin/inspect", program);
    let path = project.root().join("root/bin/inspect");
    fs_err::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    fs_err::hard_link(&path, project.root().join("root/bin/again")).unwrap();
    project.file(
        "images/folder.toml",
        r#"
name = "folder"
source = { directory = "root" }
[[check]]
name = "inspect"
command = ["inspect", "/bin/again", "/nothing"]
stdout = "^/bin/again 100755 .* links=2 .*\n/nothing missing$"
"#,
    );
    project.file("images/checks.toml", "");
    project.run(0, &["--kernels", "6.1"]);
}

#[test]
fn the_machines_channel_is_out_of_a_containers_reach() {
    let project = Project::new();
    // docker's capabilities have CAP_MKNOD: a node can be made of any device. The port
    // is PID 1's, and opens for nobody else.
    project.debian(
        r#"
[[check]]
name = "channel"
command = ["sh", "-c", "set -- $(cat /sys/class/virtio-ports/*/dev | tr ':' ' '); mknod /dev/port c $1 $2 && (exec 3<>/dev/port) 2>&1 || true"]
stdout = "Device or resource busy"
[[check]]
name = "nodes"
command = ["sh", "-c", "ls /dev | grep -E 'vport|hvc|ttyS|kmsg' || echo none"]
stdout = "^none$"
"#,
    );
    project.run(0, &["--kernels", "6.1+"]);
}

#[test]
fn a_kernel_given_as_a_path_boots_with_the_modules_beside_it() {
    let project = Project::new();
    project.repository_image("vsyscall.toml");
    project.file("images/checks.toml", "");
    let run = project.run(0, &["--kernels", "6.1+"]);
    let release = run.kernels[0].release.clone().unwrap();
    // The kernel that the run fetched, laid out as an installed one is.
    let (kernel, modules) = cached_kernel(&release);
    let installed = project.root().join(format!("root/boot/vmlinuz-{release}"));
    fs_err::create_dir_all(installed.parent().unwrap()).unwrap();
    fs_err::copy(kernel, &installed).unwrap();
    fs_err::create_dir_all(project.root().join("root/lib/modules")).unwrap();
    let beside = project.root().join("root/lib/modules").join(&release);
    fs_err::os::unix::fs::symlink(modules, beside).unwrap();

    let by_path = project.run(0, &["--kernels", installed.to_str().unwrap()]);
    assert_eq!(
        by_path.kernels[0].release.as_deref(),
        Some(release.as_str())
    );
    for (one, other) in run.cells.iter().zip(&by_path.cells) {
        assert_eq!(
            (&one.image, &one.check, &one.outcome),
            (&other.image, &other.check, &other.outcome)
        );
    }
}

#[test]
fn a_machine_without_qemu_runs_one_unpacked_from_the_mirror() {
    let project = Project::new();
    project.repository_image("vsyscall.toml");
    project.file("images/checks.toml", "");
    let nothing = project.root().join("nothing");
    fs_err::create_dir_all(&nothing).unwrap();
    let output = project
        .command(&["run", "--kernels", "6.1+"])
        .env("PATH", &nothing)
        .output()
        .unwrap();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        crate::project::stderr(&output)
    );
    let run = report::Run::load(&project.newest_run().unwrap()).unwrap();
    let version = run.run.qemu.expect("which QEMU is recorded");
    assert!(version.starts_with("10."), "trixie's QEMU: {version}");
}

#[test]
fn what_is_cached_runs_without_a_network_and_what_is_not_says_so() {
    let project = Project::new();
    project.repository_image("vsyscall.toml");
    project.file("images/checks.toml", "");
    project.run(0, &["--kernels", "6.1+"]);
    let offline = project
        .command(&["run", "--kernels", "6.1+", "--offline"])
        // A proxy that nobody listens at: any request would fail.
        .envs([
            ("http_proxy", "http://127.0.0.1:9"),
            ("https_proxy", "http://127.0.0.1:9"),
        ])
        .output()
        .unwrap();
    assert_eq!(
        offline.status.code(),
        Some(0),
        "{}",
        crate::project::stderr(&offline)
    );

    let empty = project.root().join("empty-cache");
    let output = project
        .command(&[
            "run",
            "--kernels",
            "6.1+",
            "--offline",
            "--cache",
            empty.to_str().unwrap(),
        ])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "nothing ran, nothing failed");
    let run = report::Run::load(&project.newest_run().unwrap()).unwrap();
    let reason = run.kernels[0].reason.clone().unwrap();
    assert!(reason.contains("offline"), "{reason}");
    assert!(run.cells.iter().all(|cell| !cell.outcome.is_result()));
}

/// The bootable file and the modules of the cached kernel of this release.
fn cached_kernel(release: &str) -> (PathBuf, PathBuf) {
    let root = match std::env::var_os("MATRIX_CACHE") {
        Some(root) => root.into(),
        None => supply::Cache::default_root().unwrap(),
    };
    for entry in fs_err::read_dir(root.join("kernel")).unwrap() {
        let (image, modules) = {
            let folder = entry.unwrap().path();
            (folder.join("vmlinuz"), folder.join("modules"))
        };
        if image.is_file()
            && qemu_runner::release(&fs_err::read(&image).unwrap()).as_deref() == Some(release)
        {
            return (image, modules);
        }
    }
    panic!("no kernel {release} in {}", root.display());
}
