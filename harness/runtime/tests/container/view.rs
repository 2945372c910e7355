//! What a program sees of itself and of its surroundings.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::Path;

use runtime::status::Status;
use serde_json::json;

use crate::on_all_kernels;
use crate::rig::{Rig, push};

on_all_kernels![
    the_process_is_as_configured,
    capabilities_are_dockers,
    a_user_has_no_capabilities,
    limits_and_privileges_are_set,
    devices_are_dockers,
    system_files_are_guarded,
    masked_paths_are_empty,
    a_readonly_root_is,
    loopback_is_up,
    namespaces_are_joined,
    cgroups_are_shown_readonly,
];

fn the_process_is_as_configured(rig: &Rig) {
    let mut container = rig.container(&["probe", "report"]);
    container
        .environment
        .push(("EMPTY".to_owned(), String::new()));
    container.directory = "/made/for it".into();
    (container.uid, container.gid) = (1000, 1001);
    container.groups = vec![5, 44];
    container.hostname = "a-box".to_owned();
    let outcome = rig.run_config(&serde_json::to_value(container.spec()).unwrap());
    for (key, values) in [
        ("pid ", vec!["1"]),
        ("ppid", vec!["0"]),
        ("sid", vec!["1"]),
        ("uid", vec!["1000 1000"]),
        ("gid", vec!["1001 1001"]),
        ("groups", vec!["5 44"]),
        ("hostname", vec!["a-box"]),
        ("cwd", vec!["/made/for it"]),
        ("env", vec!["PATH=/sbin:/bin", "EMPTY="]),
        ("umask", vec!["022"]),
        ("descriptors", vec!["0 1 2"]),
        ("SigIgn", vec!["0000000000000000"]),
        ("SigBlk", vec!["0000000000000000"]),
    ] {
        assert_eq!(outcome.value(key), values, "{key}");
    }
    assert_eq!(
        rig.run(&["probe", "look", "/made"]).said(),
        "folder 755 0:0"
    );
    // The machine's own name is another.
    assert_ne!(
        fs::read_to_string("/proc/sys/kernel/hostname").unwrap(),
        "a-box\n"
    );
}

fn capabilities_are_dockers(rig: &Rig) {
    let outcome = rig.run(&["probe", "report"]);
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(outcome.value(set), ["00000000a80425fb"], "{set}");
    }
    assert_eq!(outcome.value("CapInh"), ["0000000000000000"]);
    assert_eq!(rig.run(&["probe", "mount", "/bin"]).said(), "EPERM");
    assert_eq!(rig.run(&["probe", "mknod", "/node"]).said(), "made");
}

fn a_user_has_no_capabilities(rig: &Rig) {
    let mut container = rig.container(&["probe", "report"]);
    container.uid = 1000;
    let outcome = rig.run_config(&serde_json::to_value(container.spec()).unwrap());
    for (set, value) in [
        ("CapPrm", "0000000000000000"),
        ("CapEff", "0000000000000000"),
        ("CapBnd", "00000000a80425fb"),
    ] {
        assert_eq!(outcome.value(set), [value], "{set}");
    }
}

fn limits_and_privileges_are_set(rig: &Rig) {
    let mut config = rig.config(&["probe", "report"]);
    config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 70, "hard": 80}]);
    config["process"]["noNewPrivileges"] = json!(true);
    config["process"]["user"]["umask"] = json!(0o077);
    let outcome = rig.run_config(&config);
    assert_eq!(outcome.value("nofile"), ["70 80"]);
    assert_eq!(outcome.value("umask"), ["077"]);
    // /proc tells it from Linux 4.10 on.
    for value in outcome.value("NoNewPrivs") {
        assert_eq!(value, "1");
    }
}

fn devices_are_dockers(rig: &Rig) {
    let mut config = rig.config(&["probe", "list", "/dev"]);
    let device = json!({"path": "/dev/sub/fuse", "type": "c", "major": 10, "minor": 229,
        "fileMode": 0o640, "uid": 3, "gid": 4});
    push(&mut config["linux"], "devices", device);
    let names: Vec<String> = rig
        .run_config(&config)
        .said()
        .lines()
        .map(str::to_owned)
        .collect();
    assert_eq!(
        names,
        [
            "core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr",
            "stdin", "stdout", "sub", "tty", "urandom", "zero"
        ]
    );
    for (path, look) in [
        ("/dev/null", "char 666 1:3"),
        ("/dev/zero", "char 666 1:5"),
        ("/dev/full", "char 666 1:7"),
        ("/dev/random", "char 666 1:8"),
        ("/dev/urandom", "char 666 1:9"),
        ("/dev/tty", "char 666 5:0"),
        ("/dev/sub/fuse", "char 640 10:229"),
        ("/dev/pts/ptmx", "char 666 5:2"),
        ("/dev/ptmx", "link pts/ptmx"),
        ("/dev/fd", "link /proc/self/fd"),
        ("/dev/stdin", "link /proc/self/fd/0"),
        ("/dev/shm", "folder 1777 0:0"),
        ("/dev/mqueue", "folder 1777 0:0"),
    ] {
        config["process"]["args"] = json!(["probe", "look", path]);
        assert_eq!(rig.run_config(&config).said(), look, "{path}");
    }
    assert_eq!(rig.run(&["probe", "write", "/dev/null"]).said(), "written");
    assert_eq!(rig.run(&["probe", "write", "/dev/full"]).said(), "ENOSPC");
    assert_eq!(rig.run(&["probe", "write", "/dev/shm/x"]).said(), "written");
    assert!(fs::read_dir(rig.inside("dev")).unwrap().next().is_none());
}

fn system_files_are_guarded(rig: &Rig) {
    let mut paths = vec!["/proc/sys/kernel/hostname", "/sys/kernel/x"];
    if Path::new("/proc/sysrq-trigger").exists() {
        paths.push("/proc/sysrq-trigger");
    }
    for path in paths {
        assert_eq!(rig.run(&["probe", "write", path]).said(), "EROFS", "{path}");
    }
    let processes = rig.run(&["probe", "list", "/proc"]);
    let numbers: Vec<&str> = processes
        .said()
        .lines()
        .filter(|name| name.parse::<u32>().is_ok())
        .collect();
    assert_eq!(numbers, ["1"]);
}

fn masked_paths_are_empty(rig: &Rig) {
    fs::create_dir_all(rig.inside("etc/secrets")).unwrap();
    fs::write(rig.inside("etc/secrets/one"), "told").unwrap();
    fs::write(rig.inside("etc/secret"), "told").unwrap();
    let mut config = rig.config(&["probe", "read", "/etc/secret"]);
    assert_eq!(rig.run_config(&config).said(), "4 bytes\ntold");
    for path in [
        "/etc/secret",
        "/etc/secrets",
        "/etc/absent",
        "/etc/secret/below",
    ] {
        push(&mut config["linux"], "maskedPaths", json!(path));
    }
    assert_eq!(rig.run_config(&config).said(), "0 bytes");
    for (words, said) in [
        (["probe", "list", "/etc/secrets"], ""),
        (["probe", "write", "/etc/secrets/x"], "EROFS"),
        (["probe", "list", "/sys/firmware"], ""),
        (["probe", "look", "/etc/absent"], "ENOENT"),
    ] {
        config["process"]["args"] = json!(words);
        assert_eq!(rig.run_config(&config).said(), said, "{words:?}");
    }
    // /proc/keys is there with CONFIG_KEYS only.
    let keys = rig.run(&["probe", "read", "/proc/keys"]);
    assert!(["0 bytes", "ENOENT"].contains(&keys.said()), "{keys:?}");
}

fn a_readonly_root_is(rig: &Rig) {
    let mut config = rig.config(&["probe", "write", "/file"]);
    assert_eq!(rig.run_config(&config).said(), "written");
    assert_eq!(fs::read_to_string(rig.inside("file")).unwrap(), "x");
    config["root"]["readonly"] = json!(true);
    assert_eq!(rig.run_config(&config).said(), "EROFS");
    config["process"]["args"] = json!(["probe", "write", "/dev/shm/x"]);
    assert_eq!(rig.run_config(&config).said(), "written");
}

fn loopback_is_up(rig: &Rig) {
    assert_eq!(rig.run(&["probe", "loopback"]).said(), "connected");
}

/// As they are: the loopback interface of a new network namespace is down.
fn namespaces_are_joined(rig: &Rig) {
    let [network, name] = namespaces_called("of-another");
    let path = |file: &File| format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
    let mut config = rig.config(&["probe", "loopback"]);
    config["hostname"] = json!(null);
    let mut join = |kind: &str, path: String| {
        let list = config["linux"]["namespaces"].as_array_mut().unwrap();
        let its = list.iter_mut().find(|one| one["type"] == json!(kind));
        its.unwrap()["path"] = json!(path);
        config.clone()
    };
    join("network", path(&network));
    let mut config = join("uts", path(&name));
    assert_eq!(rig.run_config(&config).said(), "ENETUNREACH");
    config["process"]["args"] = json!(["probe", "report"]);
    assert_eq!(rig.run_config(&config).value("hostname"), ["of-another"]);
    for (wrong, message) in [
        (path(&name), "join the namespace for the network at /proc/"),
        ("/proc/1/none".to_owned(), "open /proc/1/none"),
    ] {
        config["linux"]["namespaces"][1] = json!({"type": "network", "path": wrong});
        let ended = rig.run_config(&config);
        match &ended.line.status {
            Status::Trouble { message: told, .. } if told.starts_with(message) => {}
            _ => panic!("{wrong}: {ended:?}"),
        }
    }
}

/// A network namespace, and one for the host's name, which is this.
fn namespaces_called(name: &'static str) -> [File; 2] {
    let made = std::thread::spawn(move || {
        // SAFETY: takes no pointer, and is this thread's own affair.
        assert_eq!(0, unsafe {
            libc::unshare(libc::CLONE_NEWNET | libc::CLONE_NEWUTS)
        });
        // SAFETY: the name is as long as is said.
        assert_eq!(0, unsafe {
            libc::sethostname(name.as_ptr().cast(), name.len())
        });
        ["net", "uts"].map(|kind| File::open(format!("/proc/thread-self/ns/{kind}")).unwrap())
    });
    made.join().unwrap()
}

/// The same hierarchies the machine has, none of them writable.
fn cgroups_are_shown_readonly(rig: &Rig) {
    let seen = rig.run(&["probe", "list", "/sys/fs/cgroup"]);
    let mounted = fs::read_to_string("/proc/self/mountinfo").unwrap();
    if !mounted.contains(" - cgroup") {
        assert!(
            seen.line
                .fallbacks
                .contains(&runtime::fallback::Fallback::NoCgroups)
        );
        return;
    }
    assert_ne!(seen.said(), "");
    assert_eq!(
        rig.run(&["probe", "write", "/sys/fs/cgroup/x"]).said(),
        "EROFS"
    );
    if mounted.contains(" - cgroup ") {
        for name in seen.said().lines() {
            let path = format!("/sys/fs/cgroup/{name}/tasks");
            let answer = rig.run(&["probe", "write", &path]);
            assert!(
                ["EROFS", "ENOENT"].contains(&answer.said()),
                "{path}: {answer:?}"
            );
            if name != "unified" {
                assert_eq!(answer.said(), "EROFS", "{path}");
            }
        }
    }
}
