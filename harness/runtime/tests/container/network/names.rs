//! docker's door to the network, and the names it gives a container.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::world::World;
use crate::on_all_kernels;
use crate::rig::{Rig, give, skip};

on_all_kernels![dockers_door_gives_names,];

/// /etc of the image is not its own affair alone: a link in it stays inside.
fn dockers_door_gives_names(rig: &Rig) {
    let Some(world) = World::new() else { return };
    fs::create_dir_all(rig.inside("etc")).unwrap();
    fs::create_dir_all(rig.inside("run")).unwrap();
    std::os::unix::fs::symlink("/run/resolver", rig.inside("etc/resolv.conf")).unwrap();
    fs::write(rig.inside("etc/hosts"), "the image's\n").unwrap();
    let volume = rig.outside("name");
    fs::write(&volume, "given\n").unwrap();
    let read = |options: &[&str], path: &str| {
        let mut runtime = Command::new(env!("CARGO_BIN_EXE_runtime"));
        runtime.arg("run").arg("--rootfs").arg(rig.inside(""));
        runtime.args(options).args(["--hostname", "named"]);
        runtime.args(["--", "probe", "read", path]);
        let mut lacks = rig.kernel.lacks().finished();
        // SAFETY: prctl is async-signal-safe.
        unsafe { runtime.pre_exec(move || lacks.enter()) };
        let output = runtime.output().unwrap();
        assert!(output.status.success(), "{options:?}: {output:?}");
        assert_eq!(output.stderr, b"", "{options:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let hosts = read(&["--network", "bridge"], "/etc/hosts");
    assert!(hosts.ends_with("\n10.213.0.2\tnamed\n"), "{hosts}");
    assert!(hosts.contains("127.0.0.1\tlocalhost\n"), "{hosts}");
    // A port asks for the bridge, too.
    let name = read(&["-p", "8080:80"], "/etc/hostname");
    assert_eq!(name, "6 bytes\nnamed\n");
    assert!(read(&["-p", "8080:80"], "/etc/resolv.conf").contains("bytes\n"));
    assert!(rig.inside("run/resolver").is_file());
    let given = format!("{}:/etc/hostname", volume.display());
    let name = read(&["-p", "8080:80", "-v", &given], "/etc/hostname");
    assert_eq!(name, "6 bytes\ngiven\n");
    // Somebody else is root there, and may read them as well.
    if let Some(what) = rig.lacks_user_namespaces() {
        skip(&what);
    } else {
        give(&rig.inside(""), 100_000);
        let name = read(&["-p", "8080:80", "--userns"], "/etc/hostname");
        assert_eq!(name, "6 bytes\nnamed\n");
    }
    let hosts = read(&["--network", "none"], "/etc/hosts");
    assert_eq!(hosts, "12 bytes\nthe image's\n");
    world.assert_untouched();
    let left = fs::read_dir("/run").unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        let name = name.to_string_lossy();
        name.strip_prefix("matrix-network-")
            .is_some_and(|pid| !fs::exists(format!("/proc/{pid}")).unwrap())
    });
    assert_eq!(left.count(), 0);
}
