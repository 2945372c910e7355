//! User namespaces: who is root inside is somebody without rights outside.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use runtime::fallback::Fallback;
use runtime::status::Status;
use serde_json::{Value, json};

use crate::docker;
use crate::kernel::Kernel;
use crate::on_all_kernels;
use crate::rig::{NOBODY, Outcome, Rig, bind, give, map_users, processes, push, skip};

on_all_kernels![
    root_inside_is_somebody_outside,
    owners_are_mapped_both_ways,
    rights_end_at_the_namespace,
    devices_are_the_machines,
    volumes_in_private_folders_are_found,
    locked_flags_stay,
    the_machines_sysfs_is_a_second_way,
    a_caller_without_rights_maps_itself,
    without_a_user_namespace_rights_are_needed,
    mappings_nobody_may_have_are_refused,
    dockers_option_maps_too,
    a_refusal_names_its_switch,
];

const FIRST: u32 = 100_000;

/// Docker's defaults with 65,536 ids mapped, the root given to them.
fn mapped(rig: &Rig, words: &[&str]) -> Value {
    give(&rig.inside(""), FIRST);
    let mut config = rig.config(words);
    map_users(&mut config, FIRST, 65_536);
    config
}

/// False, and a message, where the machine lets nobody have one.
fn possible(outcome: &Outcome) -> bool {
    match &outcome.line.status {
        Status::Unsupported { what } => {
            skip(what);
            false
        }
        _ => true,
    }
}

fn root_inside_is_somebody_outside(rig: &Rig) {
    let mut config = mapped(rig, &["probe", "report"]);
    config["process"]["oomScoreAdj"] = json!(123);
    let outcome = rig.run_config(&config);
    if !possible(&outcome) {
        return;
    }
    for (key, value) in [
        ("pid ", "1"),
        ("uid", "0 0"),
        ("gid", "0 0"),
        ("groups", ""),
        ("hostname", "box"),
        ("descriptors", "0 1 2"),
        ("CapEff", "00000000a80425fb"),
        ("CapBnd", "00000000a80425fb"),
    ] {
        assert_eq!(outcome.value(key), [value], "{key}");
    }
    let map = outcome.said().lines().next_back().unwrap();
    let map: Vec<&str> = map.split_whitespace().collect();
    assert_eq!(map, ["0", "100000", "65536"]);
    config["process"]["args"] = json!(["probe", "read", "/proc/self/oom_score_adj"]);
    assert_eq!(rig.run_config(&config).said(), "4 bytes\n123");
    // Seen from outside.
    let token = format!("mapped-{:?}-{}", rig.kernel, std::process::id());
    config["process"]["args"] = json!(["probe", "wait", token]);
    let running = rig.start(&config);
    assert_eq!(processes(&token, 1), 1);
    let owner = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let path = entry.unwrap().path();
            let line = fs::read(path.join("cmdline")).ok()?;
            let ours = line
                .split(|byte| *byte == 0)
                .any(|word| word == token.as_bytes());
            ours.then(|| fs::read_to_string(path.join("status")).unwrap())
        })
        .next()
        .unwrap();
    let ids = owner.lines().find(|line| line.starts_with("Uid:")).unwrap();
    assert_eq!(ids, "Uid:\t100000\t100000\t100000\t100000");
    running.kill();
    assert_eq!(processes(&token, 0), 0);
}

fn owners_are_mapped_both_ways(rig: &Rig) {
    let mut config = mapped(rig, &["probe", "write", "/made"]);
    let volume = rig.outside("volume");
    fs::create_dir(&volume).unwrap();
    fs::write(volume.join("roots"), "").unwrap();
    give(&volume, FIRST + 7);
    push(
        &mut config,
        "mounts",
        bind(&volume, "/volume", &["rbind", "rw"]),
    );
    let said = rig.run_config(&config);
    if !possible(&said) {
        return;
    }
    assert_eq!(said.said(), "written");
    let owner = |path: &str| {
        let status = fs::metadata(rig.outside(path)).unwrap();
        (status.uid(), status.gid())
    };
    assert_eq!(owner("rootfs/made"), (FIRST, FIRST));
    config["process"]["args"] = json!(["probe", "chown", "/made", "12"]);
    assert_eq!(rig.run_config(&config).said(), "given");
    assert_eq!(owner("rootfs/made"), (FIRST + 12, FIRST + 12));
    // Mount points made for it are its own, not the caller's.
    assert_eq!(owner("rootfs/volume"), (FIRST, FIRST));
    config["process"]["args"] = json!(["probe", "write", "/volume/new"]);
    config["process"]["user"] = json!({"uid": 7, "gid": 7, "additionalGids": [9]});
    assert_eq!(rig.run_config(&config).said(), "written");
    assert_eq!(owner("volume/new"), (FIRST + 7, FIRST + 7));
    config["process"]["args"] = json!(["probe", "report"]);
    assert_eq!(rig.run_config(&config).value("groups"), ["9"]);
    // What belongs to nobody inside cannot be taken.
    fs::write(rig.inside("foreign"), "").unwrap();
    config["process"]["user"] = json!({"uid": 0, "gid": 0});
    config["process"]["args"] = json!(["probe", "chown", "/foreign", "0"]);
    assert_eq!(rig.run_config(&config).said(), "EPERM");
    config["process"]["args"] = json!(["probe", "chown", "/made", "65536"]);
    assert_eq!(rig.run_config(&config).said(), "EINVAL");
}

fn rights_end_at_the_namespace(rig: &Rig) {
    let mut config = mapped(rig, &["probe", "mknod", "/node"]);
    let every: Vec<Value> = ["SYS_ADMIN", "MKNOD", "SYS_RAWIO", "SYS_BOOT", "SYS_MODULE"]
        .iter()
        .map(|name| json!(format!("CAP_{name}")))
        .collect();
    for set in ["bounding", "effective", "permitted"] {
        config["process"]["capabilities"][set] = json!(every);
    }
    let said = rig.run_config(&config);
    if !possible(&said) {
        return;
    }
    // Linux 4.18 to 4.20 make a node that cannot be opened, on a file system of
    // the namespace's own; this one is not.
    assert_eq!(said.said(), "EPERM");
    config["process"]["args"] = json!(["probe", "mount", "/bin"]);
    assert_eq!(rig.run_config(&config).said(), "mounted");
    for path in ["/proc/sys/kernel/printk", "/proc/sys/vm/swappiness"] {
        config["process"]["args"] = json!(["probe", "write", path]);
        let answer = rig.run_config(&config);
        assert!(["EROFS", "EACCES"].contains(&answer.said()), "{answer:?}");
    }
    let call = libc::SYS_sethostname.to_string();
    config["process"]["args"] = json!(["probe", "call", call]);
    assert_eq!(rig.run_config(&config).said(), "0");
}

fn devices_are_the_machines(rig: &Rig) {
    let mut config = mapped(rig, &["probe", "look", "/dev/null"]);
    let said = rig.run_config(&config);
    if !possible(&said) {
        return;
    }
    assert_eq!(said.said(), "char 666 1:3");
    for (words, said) in [
        (["probe", "write", "/dev/null"], "written"),
        (["probe", "write", "/dev/full"], "ENOSPC"),
        (["probe", "write", "/dev/shm/x"], "written"),
        (["probe", "look", "/dev/ptmx"], "link pts/ptmx"),
        (["probe", "look", "/dev/pts/ptmx"], "char 666 5:2"),
        (["probe", "loopback", ""], "connected"),
    ] {
        config["process"]["args"] = json!(words);
        assert_eq!(rig.run_config(&config).said(), said, "{words:?}");
    }
    // One the machine does not have.
    let absent = json!({"path": "/dev/absent", "type": "c", "major": 4095, "minor": 1});
    push(&mut config["linux"], "devices", absent);
    let told = format!("{:?}", rig.run_config(&config).line.status);
    assert!(told.contains("bind the machine's /dev/absent"), "{told}");
}

/// The rig's own folder is private to the caller, as the volume's is here.
fn volumes_in_private_folders_are_found(rig: &Rig) {
    let mut config = mapped(rig, &["probe", "read", "/volume/mine"]);
    let private = rig.outside("private");
    fs::create_dir_all(private.join("volume")).unwrap();
    fs::write(private.join("volume/mine"), "here").unwrap();
    give(&private.join("volume"), FIRST);
    fs::set_permissions(&private, fs::Permissions::from_mode(0o700)).unwrap();
    push(
        &mut config,
        "mounts",
        bind(&private.join("volume"), "/volume", &["bind", "ro"]),
    );
    let said = rig.run_config(&config);
    if !possible(&said) {
        return;
    }
    assert_eq!(said.said(), "4 bytes\nhere");
    config["process"]["args"] = json!(["probe", "write", "/volume/mine"]);
    assert_eq!(rig.run_config(&config).said(), "EROFS");
}

/// A flag the machine's mount has cannot be taken away in a user namespace, and
/// is not lost when others are set.
fn locked_flags_stay(rig: &Rig) {
    let mut config = mapped(rig, &["probe", "exit", "0"]);
    let volume = rig.outside("volume");
    let _mounted = crate::volumes::mount_tmpfs_with(&volume, libc::MS_NODEV | libc::MS_NOEXEC);
    push(
        &mut config,
        "mounts",
        bind(&volume, "/volume", &["rbind", "ro", "nosuid"]),
    );
    let said = rig.run_config(&config);
    if !possible(&said) {
        return;
    }
    assert_eq!(said.line.status, Status::Exited { code: 0 }, "{said:?}");
    config["process"]["args"] = json!(["probe", "read", "/proc/self/mountinfo"]);
    let mounts = rig.run_config(&config);
    let line = mounts
        .said()
        .lines()
        .find(|line| line.contains(" /volume "));
    let flags = line.unwrap().split(' ').nth(5).unwrap();
    for flag in ["ro", "nosuid", "nodev", "noexec", "relatime"] {
        assert!(flags.split(',').any(|have| have == flag), "{flag}: {flags}");
    }
    let options = &mut config["mounts"].as_array_mut().unwrap().last_mut().unwrap()["options"];
    *options = json!(["rbind", "exec"]);
    let told = format!("{:?}", rig.run_config(&config).line.status);
    assert!(told.contains("set the flags of /volume"), "{told}");
}

/// Without a network namespace of its own.
fn the_machines_sysfs_is_a_second_way(rig: &Rig) {
    let mut config = mapped(rig, &["probe", "write", "/sys/kernel/profiling"]);
    if let Some(list) = config["linux"]["namespaces"].as_array_mut() {
        list.retain(|namespace| namespace["type"] != json!("network"));
    }
    let said = rig.run_config(&config);
    if !possible(&said) {
        return;
    }
    assert!(["EROFS", "EACCES"].contains(&said.said()), "{said:?}");
    assert!(said.line.fallbacks.contains(&Fallback::BoundSysfs));
    config["process"]["args"] = json!(["probe", "list", "/sys"]);
    assert!(rig.run_config(&config).said().contains("kernel"));
    // Read-only with all that is mounted below it.
    config["process"]["args"] = json!(["probe", "read", "/proc/self/mountinfo"]);
    let outcome = rig.run_config(&config);
    let mounts: Vec<(&str, &str)> = outcome
        .said()
        .lines()
        .filter_map(|line| {
            let mut columns = line.split(' ').skip(4);
            Some((columns.next()?, columns.next()?))
        })
        .filter(|(place, _)| Path::new(place).starts_with("/sys"))
        .collect();
    assert!(
        mounts.iter().any(|(place, _)| *place == "/sys"),
        "{outcome:?}"
    );
    for (place, options) in mounts {
        assert!(
            options.split(',').any(|option| option == "ro"),
            "{place} {options}"
        );
    }
}

fn a_caller_without_rights_maps_itself(rig: &Rig) {
    let mut config = rig.config(&["probe", "report"]);
    map_users(&mut config, NOBODY, 1);
    // tty is nobody there.
    for mount in config["mounts"].as_array_mut().unwrap() {
        if let Some(options) = mount["options"].as_array_mut() {
            options.retain(|option| option != "gid=5");
        }
    }
    let outcome = rig.run_by_nobody(&config);
    if !possible(&outcome) {
        return;
    }
    assert_eq!(outcome.value("uid"), ["0 0"]);
    assert_eq!(outcome.value("CapEff"), ["00000000a80425fb"]);
    let copied = outcome.line.fallbacks.contains(&Fallback::MemfdCreate);
    assert_eq!(copied, rig.kernel == Kernel::Old);
    config["process"]["args"] = json!(["probe", "write", "/made"]);
    assert_eq!(rig.run_by_nobody(&config).said(), "written");
    assert_eq!(fs::metadata(rig.inside("made")).unwrap().uid(), NOBODY);
    // On Linux before 3.19 it could.
    config["process"]["user"]["additionalGids"] = json!([0]);
    let told = format!("{:?}", rig.run_by_nobody(&config).line.status);
    assert!(told.contains("process.user.additionalGids"), "{told}");
}

fn without_a_user_namespace_rights_are_needed(rig: &Rig) {
    let outcome = rig.run_by_nobody(&rig.config(&["probe", "exit", "0"]));
    let told = format!("{:?}", outcome.line.status);
    assert!(told.contains("--userns"), "{told}");
    assert_eq!(outcome.code, 125);
}

fn mappings_nobody_may_have_are_refused(rig: &Rig) {
    let mut config = rig.config(&["probe", "exit", "0"]);
    map_users(&mut config, FIRST, 65_536);
    let outcome = rig.run_by_nobody(&config);
    if !possible(&outcome) {
        return;
    }
    let told = format!("{:?}", outcome.line.status);
    assert!(
        told.contains("/gid_map, which the caller may not map"),
        "{told}"
    );
    config["process"]["user"]["uid"] = json!(70_000);
    let told = format!("{:?}", rig.run_config(&config).line.status);
    assert!(
        told.contains("process.user.uid: 70000 is not among linux.uidMappings"),
        "{told}"
    );
}

fn dockers_option_maps_too(rig: &Rig) {
    let run = |option: &str| {
        let output = docker::run(rig, &[option], &["probe", "write", "/made"]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), stderr)
    };
    let (code, stderr) = run("--userns");
    assert_eq!(code, 125);
    assert!(
        stderr.contains("is of user 0, who is nobody in the container"),
        "{stderr}"
    );
    for (option, owner) in [("--userns", FIRST), ("--userns=5000:1000", 5000)] {
        give(&rig.inside(""), owner);
        let (code, stderr) = run(option);
        if stderr.contains("this kernel has no") {
            return skip(&stderr);
        }
        assert_eq!(code, 0, "{option}: {stderr}");
        assert_eq!(fs::metadata(rig.inside("made")).unwrap().uid(), owner);
    }
}

fn a_refusal_names_its_switch(rig: &Rig) {
    let config = mapped(rig, &["probe", "exit", "0"]);
    let with = |errno: i32| {
        let lacks = rig
            .lacks
            .clone()
            .bits(libc::SYS_clone, 0, libc::CLONE_NEWUSER as u32, errno);
        let mut lacks = lacks.finished();
        fs::write(rig.outside("config.json"), config.to_string()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_runtime"));
        command
            .args(["run", "--bundle"])
            .arg(rig.outside(""))
            .arg("c");
        // SAFETY: prctl is async-signal-safe.
        unsafe {
            std::os::unix::process::CommandExt::pre_exec(&mut command, move || lacks.enter())
        };
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(125));
        String::from_utf8(output.stderr).unwrap()
    };
    let enable = "/sys/module/user_namespace/parameters/enable";
    let switch = if fs::exists(enable).unwrap() {
        "EINVAL: user_namespace.enable"
    } else {
        "EINVAL: CONFIG_USER_NS"
    };
    assert!(with(libc::EINVAL).contains(switch));
    if fs::exists("/proc/sys/user/max_user_namespaces").unwrap() {
        let told = with(libc::ENOSPC);
        assert!(
            told.contains("no user namespace for this container (ENOSPC: user.max_user_namespaces"),
            "{told}"
        );
    }
    assert!(with(libc::EPERM).contains("no user namespace for this caller (EPERM"));
}
