//! How long a container takes, beside crun and runc, in turn on one bundle: the
//! medians of 20 after one that warms the caches. Two measurements, on this
//! machine and in a virtual one:
//!
//! ```text
//! MATRIX_START_TIME_RUNTIME=target/guest-programs/x86_64-unknown-linux-gnu/guest/runtime \
//! MATRIX_START_TIME_KERNEL=/boot/vmlinuz \
//! MATRIX_START_TIME_QEMU='qemu-system-x86_64 -accel tcg -cpu max' \
//! cargo test -p runtime --test container start_time -- --ignored --nocapture --test-threads=1
//! ```
//!
//! The first variable is the program as it is embedded, which a build of `matrix`
//! leaves there; without it the tests' own build is measured, which is not
//! optimised. Without the other two only this machine is. The virtual one has an
//! initramfs of its own with the three programs, and their first process
//! (`start_time/guest.c`) times them on version 2 cgroups.
//!
//! crun and runc are those in PATH; they make cgroups always, ours only for a
//! limit: both are measured. crun 1.8 refuses a hybrid machine whose unified
//! hierarchy has a controller; there the command is given by
//! `unshare -m sh -c 'umount /sys/fs/cgroup/unified && …'`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::kernel::Kernel;
use crate::rig::{Rig, skip};

const RUNS: usize = 20;
const OTHERS: [&str; 2] = ["crun", "runc"];

fn ours() -> PathBuf {
    let given = std::env::var_os("MATRIX_START_TIME_RUNTIME");
    let program = given.map_or_else(|| env!("CARGO_BIN_EXE_runtime").into(), PathBuf::from);
    match program.is_absolute() {
        true => program,
        // Relative to the workspace, from where the command is given.
        false => Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../..")
            .join(program),
    }
}

/// A program's place in PATH.
fn find(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders)
        .chain(["/usr/sbin".into()])
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

fn time(program: &Path, rig: &Rig, id: &str) -> Duration {
    let started = Instant::now();
    let status = Command::new(program)
        .arg("run")
        .arg("--bundle")
        .arg(rig.outside(""))
        .arg(id)
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{}: {status}", program.display());
    started.elapsed()
}

#[expect(clippy::print_stdout, reason = "the measurement's result")]
fn tell(place: &str, times: &mut BTreeMap<String, Vec<Duration>>) {
    let medians: BTreeMap<&str, Duration> = times
        .iter_mut()
        .map(|(name, times)| {
            assert_eq!(times.len(), RUNS, "{name}");
            times.sort_unstable();
            (name.as_str(), times[RUNS / 2])
        })
        .collect();
    let ours = medians["runtime"];
    println!("{place}: bundled {ours:.2?}");
    for (name, median) in &medians {
        if *name != "runtime" {
            let ratio = median.as_secs_f64() / ours.as_secs_f64();
            println!("{place}: {name} {median:.2?}, {ratio:.2} of ours");
        }
    }
}

fn programs() -> Option<BTreeMap<&'static str, PathBuf>> {
    let mut programs = BTreeMap::from([("runtime", ours())]);
    for name in OTHERS {
        match find(name) {
            Some(path) => programs.insert(name, path),
            None => {
                skip(&format!("no {name}"));
                return None;
            }
        };
    }
    Some(programs)
}

fn here(place: &str, resources: Option<serde_json::Value>) {
    let (Some(rig), Some(programs)) = (Rig::new(Kernel::This), programs()) else {
        return;
    };
    let mut config = rig.config(&["probe", "exit", "0"]);
    if let Some(resources) = resources {
        config["linux"]["resources"] = resources;
    }
    fs::write(rig.outside("config.json"), config.to_string()).unwrap();
    let mut times: BTreeMap<String, Vec<Duration>> = BTreeMap::new();
    // The first turn warms the caches.
    for turn in 0..=RUNS {
        for (name, program) in &programs {
            let id = format!("matrix-{name}-{}-{turn}", std::process::id());
            let took = time(program, &rig, &id);
            if turn > 0 {
                times.entry((*name).to_owned()).or_default().push(took);
            }
        }
    }
    tell(place, &mut times);
}

#[test]
#[ignore = "a measurement, and crun and runc have to be installed"]
fn on_this_machine() {
    here("here", None);
    // With a limit ours makes cgroups, too; the others always do.
    here("here, with a limit", Some(json!({"pids": {"limit": 100}})));
}

#[test]
#[ignore = "a measurement, and a kernel and QEMU have to be given"]
fn in_a_virtual_machine() {
    let (Some(rig), Some(programs)) = (Rig::new(Kernel::This), programs()) else {
        return;
    };
    let variable = |name| std::env::var(name).ok();
    let (Some(kernel), Some(qemu)) = (
        variable("MATRIX_START_TIME_KERNEL"),
        variable("MATRIX_START_TIME_QEMU"),
    ) else {
        return skip("no MATRIX_START_TIME_KERNEL, no MATRIX_START_TIME_QEMU");
    };
    for (place, resources) in [
        ("in a machine", json!(null)),
        (
            "in a machine, with a limit",
            json!({"pids": {"limit": 100}}),
        ),
    ] {
        let mut config = rig.config(&["probe", "exit", "0"]);
        config["linux"]["resources"] = resources;
        let archive = rig.outside("initramfs");
        fs::write(&archive, initramfs(&rig, &programs, &config.to_string())).unwrap();
        let mut words = qemu.split_whitespace();
        let output = Command::new(words.next().unwrap())
            .args(words)
            .args(["-kernel", &kernel, "-initrd"])
            .arg(&archive)
            .args(["-append", "console=ttyS0 quiet loglevel=3 panic=-1"])
            .args(["-m", "1024", "-vga", "none", "-net", "none", "-no-reboot"])
            .args(["-display", "none", "-serial", "stdio", "-monitor", "none"])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            said.lines().any(|line| line.trim() == "done"),
            "{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let mut times: BTreeMap<String, Vec<Duration>> = BTreeMap::new();
        for line in said.lines() {
            assert!(!line.starts_with("failed"), "{said}");
            let words: Vec<&str> = line.split_whitespace().collect();
            if let ["took", name, microseconds] = words.as_slice() {
                let took = Duration::from_micros(microseconds.parse().unwrap());
                times.entry((*name).to_owned()).or_default().push(took);
            }
        }
        tell(place, &mut times);
    }
}

/// The machine's whole file system, as a newc archive: the programs with the
/// libraries they need, the bundle, and the first process.
fn initramfs(rig: &Rig, programs: &BTreeMap<&str, PathBuf>, config: &str) -> Vec<u8> {
    let init = rig.outside("init");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/container/start_time/guest.c");
    let compiled = Command::new("cc")
        .args(["-static", "-O1", "-Wall", "-Werror", "-o"])
        .args([&init, &source])
        .output()
        .unwrap();
    assert!(compiled.status.success(), "{compiled:?}");
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::from([
        ("init".to_owned(), fs::read(&init).unwrap()),
        ("bundle/config.json".to_owned(), config.into()),
        (
            "bundle/rootfs/bin/probe".to_owned(),
            fs::read(rig.inside("bin/probe")).unwrap(),
        ),
    ]);
    for (name, program) in programs {
        files.insert((*name).to_owned(), fs::read(program).unwrap());
        let libraries = Command::new("ldd").arg(program).output().unwrap();
        for word in String::from_utf8_lossy(&libraries.stdout).split_whitespace() {
            if word.starts_with('/') && Path::new(word).is_file() {
                files.insert(word[1..].to_owned(), fs::read(word).unwrap());
            }
        }
    }
    let mut archive = Vec::new();
    let mut made = std::collections::BTreeSet::new();
    for (path, content) in &files {
        let folders: Vec<&Path> = Path::new(path).ancestors().skip(1).collect();
        for folder in folders.into_iter().rev() {
            let name = folder.to_str().unwrap();
            if !name.is_empty() && made.insert(name.to_owned()) {
                append(&mut archive, name, 0o040_755, &[]);
            }
        }
        append(&mut archive, path, 0o100_755, content);
    }
    append(&mut archive, "TRAILER!!!", 0, &[]);
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755)).unwrap();
    archive
}

fn append(archive: &mut Vec<u8>, name: &str, mode: u32, content: &[u8]) {
    let number = |value: usize| format!("{value:08x}");
    let links = 1;
    let fields = [
        archive.len(),
        mode as usize,
        0,
        0,
        links,
        0,
        content.len(),
        0,
        0,
        0,
        0,
        name.len() + 1,
        0,
    ];
    archive.extend(b"070701");
    archive.extend(fields.map(number).concat().into_bytes());
    let pad = |archive: &mut Vec<u8>| archive.resize(archive.len().next_multiple_of(4), 0);
    archive.extend(name.as_bytes());
    archive.push(0);
    pad(archive);
    archive.extend(content);
    pad(archive);
}
