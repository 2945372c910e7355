//! The known ways out of a container, each tried.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use runtime::status::Status;
use serde_json::json;

use crate::on_all_kernels;
use crate::rig::{Rig, STRAY_FD, bind, copy_program, push};

on_all_kernels![
    the_runtimes_program_cannot_be_overwritten,
    a_leaked_descriptor_leads_nowhere,
    a_swapped_mount_point_leads_nowhere_outside,
    dots_and_magic_links_lead_nowhere_outside,
    what_masks_is_no_link,
    nothing_of_the_runtime_is_inherited,
    the_machines_channels_are_not_there,
    the_machines_settings_are_not_writable,
];

/// CVE-2019-5736: whoever holds /proc/PID/exe of the runtime can write to it
/// once it has ended.
fn the_runtimes_program_cannot_be_overwritten(rig: &Rig) {
    // A copy, should the test fail.
    let program = rig.outside("runtime");
    copy_program(env!("CARGO_BIN_EXE_runtime").as_ref(), &program);
    let before = fs::read(&program).unwrap();
    fs::write(
        rig.outside("config.json"),
        rig.config(&["probe", "wait", "x"]).to_string(),
    )
    .unwrap();
    let mut command = Command::new(&program);
    command.arg("run").arg("--bundle").arg(rig.outside(""));
    let mut running = rig.start_command(command);
    let mut line = String::new();
    let mut stdout = BufReader::new(running.child.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "waiting\n");
    let held = fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH)
        .open(format!("/proc/{}/exe", running.child.id()))
        .unwrap();
    running.kill();
    let again = format!("/proc/self/fd/{}", held.as_raw_fd());
    let refusal = fs::OpenOptions::new()
        .write(true)
        .open(again)
        .and_then(|mut file| std::io::Write::write_all(&mut file, b"#!/bin/false\n"))
        .unwrap_err();
    let errno = refusal.raw_os_error().unwrap();
    // A sealed copy; a read-only mount, or one that has gone with its namespace.
    assert!([libc::EPERM, libc::EROFS].contains(&errno), "{refusal}");
    assert!(fs::read(&program).unwrap() == before);
}

/// CVE-2024-21626.
fn a_leaked_descriptor_leads_nowhere(rig: &Rig) {
    fs::create_dir(rig.outside("host")).unwrap();
    copy_program(&rig.inside("bin/probe"), &rig.outside("host/probe"));
    let leaked = format!("/proc/self/fd/{STRAY_FD}");
    let mut config = rig.config(&["probe", "report"]);
    config["process"]["cwd"] = json!(leaked);
    let outcome = rig.leaking(&config, &rig.outside("host"));
    assert!(
        matches!(outcome.line.status, Status::Trouble { .. }),
        "{outcome:?}"
    );
    let mut config = rig.config(&[&format!("{leaked}/probe"), "report"]);
    let outcome = rig.leaking(&config, &rig.outside("host"));
    assert!(
        matches!(outcome.line.status, Status::Exec { errno, .. } if errno == libc::ENOENT),
        "{outcome:?}"
    );
    // Every number the runtime itself may have open.
    for number in 3..12 {
        config["process"]["args"] = json!(["probe", "report"]);
        config["process"]["cwd"] = json!(format!("/proc/self/fd/{number}"));
        let outcome = rig.run_config(&config);
        assert!(
            matches!(outcome.line.status, Status::Trouble { .. }),
            "{number}: {outcome:?}"
        );
    }
}

/// CVE-2021-30465: another container on the same volume swaps the mount point
/// for a link while it is mounted on.
fn a_swapped_mount_point_leads_nowhere_outside(rig: &Rig) {
    let (shared, volume, host) = (
        rig.outside("shared"),
        rig.outside("volume"),
        rig.outside("host"),
    );
    for folder in [&shared, &volume, &host, &shared.join("a")] {
        fs::create_dir_all(folder).unwrap();
    }
    fs::write(host.join("secret"), "secret").unwrap();
    fs::write(volume.join("mine"), "here").unwrap();
    let (target, link): (PathBuf, PathBuf) = (shared.join("a"), shared.join("b"));
    symlink(&host, &link).unwrap();
    let mut config = rig.config(&["probe", "list", "/shared/a"]);
    push(&mut config, "mounts", bind(&shared, "/shared", &["bind"]));
    push(
        &mut config,
        "mounts",
        bind(&volume, "/shared/a", &["bind", "ro"]),
    );
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let spare = shared.join("spare");
            while !done.load(Ordering::Relaxed) {
                for (from, to) in [
                    (&target, &spare),
                    (&link, &target),
                    (&target, &link),
                    (&spare, &target),
                ] {
                    let _ = fs::rename(from, to);
                }
            }
        });
        for _ in 0..12 {
            let outcome = rig.run_config(&config);
            assert!(!outcome.stdout.contains("secret"), "{outcome:?}");
        }
        done.store(true, Ordering::Relaxed);
    });
    let left: Vec<_> = fs::read_dir(&host).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

fn entries(folder: &std::path::Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    names
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect()
}

/// Destinations that climb, and links of the image's through the /proc that is
/// mounted before them: /proc/self/root is the machine's own root while the
/// container is made.
fn dots_and_magic_links_lead_nowhere_outside(rig: &Rig) {
    let (host, volume) = (rig.outside("host"), rig.outside("volume"));
    for folder in [&host, &volume] {
        fs::create_dir(folder).unwrap();
    }
    fs::write(volume.join("mine"), "here").unwrap();
    for (name, target) in [
        ("root", "/proc/self/root"),
        ("one", "/proc/1/root"),
        ("cwd", "/proc/self/cwd"),
        ("fd", "/proc/self/fd/3"),
    ] {
        symlink(target, rig.inside(name)).unwrap();
    }
    let up = "/..".repeat(20);
    for start in [
        up.as_str(),
        "/bin/../../../../..",
        "/root",
        "/one",
        "/cwd",
        "/fd",
        "/proc/self/root",
        "/proc/1/cwd",
    ] {
        for (end, source) in [("new", &volume), ("file", &volume.join("mine"))] {
            let destination = format!("{start}{}/{end}", host.display());
            let mut config = rig.config(&["probe", "exit", "0"]);
            push(&mut config, "mounts", bind(source, &destination, &["bind"]));
            let outcome = rig.run_config(&config);
            assert_eq!(entries(&host), [""; 0], "{destination}: {outcome:?}");
            let fine = match outcome.line.status {
                Status::Exited { code } => code == 0,
                // Refused, or nothing that can be mounted on.
                Status::Trouble { .. } => !start.contains(".."),
                _ => false,
            };
            assert!(fine, "{destination}: {:?}", outcome.line.status);
        }
        // The same for the working directory, once it is inside.
        let mut config = rig.config(&["probe", "report"]);
        config["process"]["cwd"] = json!(format!("{start}/made-for-it"));
        let _ = rig.run_config(&config);
        assert!(!std::path::Path::new("/made-for-it").exists(), "{start}");
    }
}

/// CVE-2025-31133: /dev/null, which masks files, is the image's or a volume's link
/// to what is to be masked or written to.
fn what_masks_is_no_link(rig: &Rig) {
    let dev = rig.outside("dev");
    fs::create_dir(&dev).unwrap();
    fs::create_dir(rig.inside("etc")).unwrap();
    fs::write(rig.inside("etc/secret"), "told").unwrap();
    symlink("/proc/sys/kernel/core_pattern", dev.join("null")).unwrap();
    let mut config = rig.config(&["probe", "read", "/etc/secret"]);
    if let Some(mounts) = config["mounts"].as_array_mut() {
        mounts.retain(|mount| {
            let place = mount["destination"].as_str().unwrap();
            !place.starts_with("/dev")
        });
    }
    push(&mut config, "mounts", bind(&dev, "/dev", &["bind"]));
    push(&mut config["linux"], "maskedPaths", json!("/etc/secret"));
    let outcome = rig.run_config(&config);
    assert!(!outcome.stdout.contains("told"), "{outcome:?}");
    let told = format!("{:?}", outcome.line.status);
    assert!(told.contains("mask with /dev/null"), "{told}");
}

fn nothing_of_the_runtime_is_inherited(rig: &Rig) {
    let mut config = rig.config(&["probe", "report"]);
    let inherited = |config: &serde_json::Value| {
        let outcome = rig.leaking(config, &rig.outside(""));
        let said = outcome.value("descriptors");
        said.iter()
            .map(|list| list.trim_end().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(inherited(&config), ["0 1 2"]);
    config["process"]["terminal"] = json!(true);
    assert_eq!(inherited(&config), ["0 1 2"]);
    let output = crate::docker::run(rig, &["--init"], &["probe", "report"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.lines().any(|line| line == "descriptors 0 1 2"),
        "{said}"
    );
}

/// Not even to a container with every capability and nothing masked is there a
/// node of what leads to the machine: its log, its console, the harness's port.
fn the_machines_channels_are_not_there(rig: &Rig) {
    let mut config = rig.config(&["probe", "list", "/dev"]);
    let every: Vec<_> = [
        "SYS_ADMIN",
        "SYS_RAWIO",
        "MKNOD",
        "SYSLOG",
        "SYS_TTY_CONFIG",
        "DAC_OVERRIDE",
    ]
    .iter()
    .map(|name| json!(format!("CAP_{name}")))
    .collect();
    for set in ["bounding", "effective", "permitted"] {
        config["process"]["capabilities"][set] = json!(every);
    }
    config["linux"]["maskedPaths"] = json!([]);
    config["linux"]["readonlyPaths"] = json!([]);
    let outcome = rig.run_config(&config);
    for node in outcome.said().lines() {
        let harmless = [
            "core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr",
            "stdin", "stdout", "tty", "urandom", "zero",
        ];
        assert!(harmless.contains(&node), "{node}");
    }
    for node in [
        "/dev/kmsg",
        "/dev/console",
        "/dev/ttyS0",
        "/dev/vport0p1",
        "/dev/mem",
    ] {
        config["process"]["args"] = json!(["probe", "look", node]);
        assert_eq!(rig.run_config(&config).said(), "ENOENT", "{node}");
    }
    // Its terminals are none of the machine's either: a session of its own, and
    // no controlling terminal to push keys into.
    config["process"]["args"] = json!(["probe", "read", "/dev/tty"]);
    assert_eq!(rig.run_config(&config).said(), "ENXIO");
}

fn the_machines_settings_are_not_writable(rig: &Rig) {
    let mut paths = vec!["/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe"];
    paths.extend([
        "/proc/sys/kernel/hotplug",
        "/proc/sysrq-trigger",
        "/proc/irq/default_smp_affinity",
    ]);
    paths.extend([
        "/sys/kernel/uevent_helper",
        "/sys/kernel/mm/ksm/run",
        "/sys/fs/cgroup/release_agent",
    ]);
    for path in paths {
        let outcome = rig.run(&["probe", "write", path]);
        // Where the kernel has no such file, the folder refuses one.
        let refused = ["EROFS", "ENOENT", "EACCES", "ENOTDIR"];
        assert!(refused.contains(&outcome.said()), "{path}: {outcome:?}");
    }
}
