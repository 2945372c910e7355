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
use crate::rig::{Rig, STRAY_FD, bind, push};

on_all_kernels![
    the_runtimes_program_cannot_be_overwritten,
    a_leaked_descriptor_leads_nowhere,
    a_swapped_mount_point_leads_nowhere_outside,
];

/// CVE-2019-5736: whoever holds /proc/PID/exe of the runtime can write to it
/// once it has ended.
fn the_runtimes_program_cannot_be_overwritten(rig: &Rig) {
    // A copy, should the test fail.
    let program = rig.outside("runtime");
    fs::copy(env!("CARGO_BIN_EXE_runtime"), &program).unwrap();
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
    fs::copy(rig.inside("bin/probe"), rig.outside("host/probe")).unwrap();
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
