//! How containers end, and how that is told.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use runtime::fallback::Fallback;
use runtime::status::Status;
use serde_json::{Value, json};

use crate::kernel::Kernel;
use crate::on_all_kernels;
use crate::rig::{Rig, copy_program, processes};

on_all_kernels![
    exit_codes_are_passed_on,
    faults_are_told_from_signals_sent,
    what_cannot_be_executed_is_told_apart,
    without_a_status_descriptor_the_exit_code_tells,
    nothing_survives_the_first_process,
    nothing_survives_the_runtime,
    signals_are_passed_on,
    what_is_not_done_is_refused,
    the_fallbacks_are_told,
];

fn exit_codes_are_passed_on(rig: &Rig) {
    for code in [0_u8, 3, 125, 255] {
        let outcome = rig.run(&["probe", "exit", &code.to_string()]);
        assert_eq!(outcome.line.status, Status::Exited { code }, "{outcome:?}");
        assert_eq!(outcome.code, i32::from(code));
        assert_eq!(outcome.stderr, "");
    }
}

/// PID 1 does not hear a signal it sends itself; it dies of a fault.
fn faults_are_told_from_signals_sent(rig: &Rig) {
    for word in ["fault", "abort"] {
        let outcome = rig.run(&["probe", word]);
        assert!(
            matches!(outcome.line.status, Status::Signaled { signal: 11, .. }),
            "{word}: {outcome:?}"
        );
        assert_eq!(outcome.code, 139);
    }
    for signal in [libc::SIGSEGV, libc::SIGKILL, libc::SIGTERM] {
        let outcome = rig.run(&["probe", "signal-self", &signal.to_string()]);
        assert_eq!(outcome.line.status, Status::Exited { code: 42 });
    }
}

fn file(rig: &Rig, path: &str, content: &str, mode: u32) {
    let path = rig.inside(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let written = rig.outside("written");
    fs::write(&written, content).unwrap();
    fs::set_permissions(&written, fs::Permissions::from_mode(mode)).unwrap();
    copy_program(&written, &path);
}

fn what_cannot_be_executed_is_told_apart(rig: &Rig) {
    file(rig, "bin/text", "no program\n", 0o755);
    file(rig, "bin/denied", "", 0o644);
    file(rig, "bin/script", "#!/no/such/shell\n", 0o755);
    file(rig, "sbin/probe", "", 0o644);
    for (word, errno, path, code) in [
        ("absent", libc::ENOENT, "absent", 127),
        ("/bin/absent", libc::ENOENT, "/bin/absent", 127),
        ("text", libc::ENOEXEC, "/bin/text", 126),
        ("denied", libc::EACCES, "/bin/denied", 126),
        ("/bin/denied", libc::EACCES, "/bin/denied", 126),
        ("/bin", libc::EACCES, "/bin", 126),
        ("script", libc::ENOENT, "/bin/script", 127),
        ("/bin/probe/x", libc::ENOTDIR, "/bin/probe/x", 126),
    ] {
        let outcome = rig.run(&[word]);
        let path = path.to_owned();
        assert_eq!(outcome.line.status, Status::Exec { errno, path }, "{word}");
        assert_eq!(outcome.code, code, "{word}");
    }
    // Longer than a pipe is deep: nobody waits for somebody to read it.
    let path = format!("/{}", "n".repeat(100_000));
    let errno = libc::ENAMETOOLONG;
    assert_eq!(rig.run(&[&path]).line.status, Status::Exec { errno, path });
    // A refusal in /sbin does not end the search.
    assert_eq!(
        rig.run(&["probe", "exit", "4"]).line.status,
        Status::Exited { code: 4 }
    );
}

fn without_a_status_descriptor_the_exit_code_tells(rig: &Rig) {
    for (words, code, message) in [
        (&["probe", "exit", "3"][..], 3, ""),
        (&["probe", "fault"], 139, ""),
        (
            &["absent"],
            127,
            "runtime: container c: execve absent: No such file",
        ),
    ] {
        fs::write(rig.outside("config.json"), rig.config(words).to_string()).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_runtime"))
            .args(["run", "--bundle"])
            .arg(rig.outside(""))
            .arg("c")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(code), "{words:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.starts_with(message), "{stderr}");
        assert_eq!(stderr.is_empty(), message.is_empty(), "{stderr}");
    }
}

fn token(name: &str, kernel: Kernel) -> String {
    format!("{name}-{kernel:?}-{}", std::process::id())
}

fn nothing_survives_the_first_process(rig: &Rig) {
    let token = token("daemon", rig.kernel);
    let outcome = rig.run(&["probe", "daemonise", &token]);
    assert_eq!(
        outcome.line.status,
        Status::Exited { code: 5 },
        "{outcome:?}"
    );
    assert_eq!(processes(&token, 0), 0);
}

fn nothing_survives_the_runtime(rig: &Rig) {
    let token = token("orphan", rig.kernel);
    let mut container = rig.container(&["probe", "wait", &token]);
    // A change of ids takes the parent death signal away.
    container.uid = 1000;
    let running = rig.start(&serde_json::to_value(container.spec()).unwrap());
    assert_eq!(processes(&token, 1), 1);
    running.kill();
    assert_eq!(processes(&token, 0), 0);
}

fn signals_are_passed_on(rig: &Rig) {
    let mut running = rig.start(&rig.config(&["probe", "wait-for-term"]));
    let mut line = String::new();
    let mut stdout = BufReader::new(running.child.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "waiting\n");
    // SAFETY: the runtime is a child that has not been waited for.
    unsafe { libc::kill(running.child.id().cast_signed(), libc::SIGTERM) };
    assert_eq!(running.finish().line.status, Status::Exited { code: 7 });
}

fn what_is_not_done_is_refused(rig: &Rig) {
    for (pointer, value, field) in [
        (
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/x"}),
            "linux.seccomp.listenerPath",
        ),
        ("/hooks", json!({"prestart": [{"path": "/x"}]}), "hooks"),
        (
            "/linux/resources",
            json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 7}]}),
            "linux.resources.hugepageLimits",
        ),
        (
            "/process/ioPriority",
            json!({"class": "IOPRIO_CLASS_IDLE"}),
            "process.ioPriority",
        ),
        (
            "/linux/namespaces",
            json!([{"type": "mount"}]),
            "linux.namespaces",
        ),
        ("/mounts/0/type", json!("nfs"), "mounts[0].type"),
    ] {
        let mut config = rig.config(&["probe", "exit", "0"]);
        let (above, name) = pointer.rsplit_once('/').unwrap();
        let place = match above {
            "" => &mut config,
            above => config.pointer_mut(above).unwrap(),
        };
        place[name] = value;
        let outcome = rig.run_config(&config);
        match outcome.line.status {
            Status::Trouble { message, .. } => assert!(message.starts_with(field), "{message}"),
            other => panic!("{field}: {other:?}"),
        }
        assert_eq!(outcome.code, 125);
    }
    let outcome = rig.run_config(&Value::from(3));
    assert!(
        matches!(outcome.line.status, Status::Trouble { .. }),
        "{outcome:?}"
    );
}

/// A second way is tested only where it was taken.
fn the_fallbacks_are_told(rig: &Rig) {
    let mut config = rig.config(&["probe", "report"]);
    config["process"]["user"]["uid"] = json!(1000);
    for set in ["ambient", "inheritable"] {
        config["process"]["capabilities"][set] = json!(["CAP_NET_BIND_SERVICE"]);
    }
    let outcome = rig.run_config(&config);
    let old = [
        Fallback::Openat2,
        Fallback::CloseRange,
        Fallback::CgroupNamespace,
        Fallback::AmbientCapabilities,
        Fallback::MemfdCreate,
    ];
    let ambient = match rig.kernel {
        Kernel::Old => {
            for fallback in old {
                assert!(outcome.line.fallbacks.contains(&fallback), "{fallback:?}");
            }
            "0000000000000000"
        }
        Kernel::This | Kernel::Linux4_9 | Kernel::Linux4_19 | Kernel::Linux5_10
            if outcome
                .line
                .fallbacks
                .contains(&Fallback::AmbientCapabilities) =>
        {
            return;
        }
        Kernel::This | Kernel::Linux4_9 | Kernel::Linux4_19 | Kernel::Linux5_10 => {
            "0000000000000400"
        }
    };
    assert_eq!(outcome.value("CapAmb"), [ambient]);
    assert_eq!(outcome.value("CapEff"), [ambient]);
    assert_eq!(outcome.value("CapInh"), ["0000000000000400"]);
}
