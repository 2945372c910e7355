//! docker's dialect.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

use crate::rig::{Rig, skip};
use crate::{cgroups, on_all_kernels};

on_all_kernels![
    options_are_done,
    exit_codes_are_dockers,
    init_waits_for_orphans,
    what_is_not_done_is_named,
    limits_are_in_force,
];

pub(crate) fn run(rig: &Rig, options: &[&str], command: &[&str]) -> Output {
    let mut lacks = rig.kernel.lacks().finished();
    let mut runtime = Command::new(env!("CARGO_BIN_EXE_runtime"));
    runtime.arg("run").arg("--rootfs").arg(rig.inside(""));
    if !cgroups::serve_devices(rig.kernel) && !options.contains(&"--cgroups") {
        runtime.args(["--cgroups", "disabled"]);
    }
    runtime.args(options).arg("--").args(command);
    // SAFETY: prctl is async-signal-safe.
    unsafe { runtime.pre_exec(move || lacks.enter()) };
    runtime.output().unwrap()
}

fn said(rig: &Rig, options: &[&str], command: &[&str]) -> String {
    let output = run(rig, options, command);
    assert!(output.status.success(), "{options:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn options_are_done(rig: &Rig) {
    let volume = rig.outside("volume");
    fs::create_dir(&volume).unwrap();
    let volume = volume.to_str().unwrap();
    let options = [
        "-e",
        "A=b",
        "-w",
        "/made",
        "-u",
        "7:8",
        "--hostname",
        "named",
        "--security-opt",
        "no-new-privileges",
        "--cap-drop",
        "ALL",
        "--cap-add",
        "net_admin",
    ];
    let report = said(rig, &options, &["probe", "report"]);
    for line in [
        "uid 7 7",
        "gid 8 8",
        "hostname named",
        "cwd /made",
        "env A=b",
        "env HOSTNAME=named",
        "env HOME=/",
        "CapBnd:\t0000000000001000",
        "CapEff:\t0000000000000000",
    ] {
        assert!(report.lines().any(|have| have == line), "{line}: {report}");
    }
    let (rw, ro) = (format!("{volume}:/v"), format!("{volume}:/v:ro"));
    let write = ["probe", "write", "/v/x"];
    assert_eq!(said(rig, &["-v", &ro], &write), "EROFS\n");
    assert_eq!(said(rig, &["-v", &rw], &write), "written\n");
    let write = ["probe", "write", "/t/x"];
    assert_eq!(said(rig, &["--read-only"], &write), "ENOENT\n");
    assert_eq!(said(rig, &["--tmpfs", "/t:size=1m"], &write), "written\n");
    assert_eq!(said(rig, &["--read-only"], &write), "EROFS\n");
    // The project's profile unless it is switched off.
    let keyctl = libc::SYS_keyctl.to_string();
    let call = ["probe", "call", keyctl.as_str()];
    assert_eq!(said(rig, &[], &call), "EPERM\n");
    assert_ne!(
        said(rig, &["--security-opt", "seccomp=unconfined"], &call),
        "EPERM\n"
    );
    let file = rig.outside("profile.json");
    fs::write(&file, r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["keyctl"], "action": "SCMP_ACT_ERRNO", "errnoRet": 18, "includes": {"arches": ["amd64"]}}]}"#)
        .unwrap();
    let option = format!("seccomp={}", file.display());
    assert_eq!(said(rig, &["--security-opt", &option], &call), "EXDEV\n");
}

fn exit_codes_are_dockers(rig: &Rig) {
    fs::write(rig.inside("bin/denied"), "").unwrap();
    for (command, code) in [
        (&["probe", "exit", "3"][..], 3),
        (&["probe", "fault"], 139),
        (&["absent"], 127),
        (&["/bin/denied"], 126),
    ] {
        assert_eq!(
            run(rig, &[], command).status.code(),
            Some(code),
            "{command:?}"
        );
        let with_init = run(rig, &["--init"], command).status.code();
        assert_eq!(with_init, Some(code), "--init {command:?}");
    }
    assert_eq!(
        run(rig, &["-v", "/no/such/folder:/x"], &["probe"])
            .status
            .code(),
        Some(125)
    );
}

fn init_waits_for_orphans(rig: &Rig) {
    assert_eq!(said(rig, &["--init"], &["probe", "orphan"]), "reaped\n");
    assert_eq!(said(rig, &[], &["probe", "orphan"]), "zombie\n");
    // What it was started with is not the container's to know.
    let environment = ["probe", "read", "/proc/1/environ"];
    assert_eq!(said(rig, &["--init"], &environment), "EACCES\n");
    assert_eq!(
        run(rig, &["--init"], &["probe", "daemonise", "x"])
            .status
            .code(),
        Some(5)
    );
}

fn what_is_not_done_is_named(rig: &Rig) {
    for (options, place) in [
        (&["--gpus", "all"][..], "--gpus"),
        (&["--privileged"], "--privileged"),
    ] {
        let output = run(rig, options, &["probe", "exit", "0"]);
        assert_eq!(output.status.code(), Some(125), "{options:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains(place), "{options:?}: {stderr}");
    }
}

fn limits_are_in_force(rig: &Rig) {
    if !cgroups::serve_devices(rig.kernel) {
        return skip("no controller for devices");
    }
    // Any node can be made, and those of docker's list opened.
    let null = ["probe", "device", "/null", "1", "3"];
    assert_eq!(said(rig, &[], &null), "opened\n");
    // Without a driver: what is allowed finds nothing there.
    let local = ["probe", "device", "/local", "240", "0"];
    assert_eq!(said(rig, &[], &local), "EPERM\n");
    assert_eq!(said(rig, &["--cgroups", "disabled"], &local), "ENXIO\n");
    if cgroups::served_by("pids").is_some() {
        let fork = ["probe", "fork", "20"];
        assert_eq!(
            said(rig, &["--pids-limit", "5"], &fork),
            "4 and then EAGAIN\n"
        );
        assert_eq!(
            said(rig, &["--pids-limit", "0"], &fork),
            "20 and then enough\n"
        );
    }
    if cgroups::served_by("memory").is_some() {
        let killed = run(rig, &["-m", "24m"], &["probe", "allocate", "200"]);
        assert_eq!(killed.status.code(), Some(137), "{killed:?}");
    }
    if cgroups::served_by("cpu").is_some() {
        let spun = said(rig, &["--cpus", "0.2"], &["probe", "spin", "300"]);
        assert_eq!(spun, "spinning\n");
    }
}
