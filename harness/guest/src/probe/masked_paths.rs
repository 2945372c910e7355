//! `linux.maskedPaths` and `linux.readonlyPaths`, docker's.

use std::fs;
use std::io::Read;
use std::path::Path;

use super::rig::{Probing, Rig, expect};

/// Docker's masked files and folders, those that most kernels have first.
const MASKED: [&str; 9] = [
    "/proc/keys",
    "/proc/timer_list",
    "/proc/kcore",
    "/proc/sched_debug",
    "/proc/latency_stats",
    "/proc/acpi",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

const SYSCTL: &str = "/proc/sys/kernel/domainname";

pub(super) fn probe(rig: &Rig) -> Probing {
    let there: Vec<&str> = MASKED
        .into_iter()
        .filter(|path| holds_something(Path::new(path)))
        .collect();
    rig.outside(format_args!("these hold something: {}", there.join(" ")));
    expect(there.len() >= 2, || {
        "the machine has next to nothing of what is masked".to_owned()
    })?;
    let verb = |path: &str| format!("empty {path}");
    let write = format!("write {SYSCTL} x");
    let mut verbs: Vec<String> = there.iter().map(|path| verb(path)).collect();
    verbs.push(write.clone());
    verbs.push("write /proc/sysrq-trigger x".to_owned());
    let verbs: Vec<&str> = verbs.iter().map(String::as_str).collect();
    let said = rig.run(&rig.bundle("bundle", &verbs)?)?;
    for path in there {
        let answer = said.done(&verb(path))?;
        expect(answer == "empty", || {
            format!("inside, {path} is not masked: {answer}")
        })?;
    }
    said.refused(&write, &["EROFS"])?;
    said.refused("write /proc/sysrq-trigger x", &["EROFS"])?;
    let writable = fs::read(SYSCTL).and_then(|value| fs::write(SYSCTL, value));
    rig.outside(format_args!("can write {SYSCTL}: {}", writable.is_ok()));
    expect(writable.is_ok(), || {
        "outside cannot write it either, so nothing is shown".to_owned()
    })
}

/// A file with a first byte, or a folder with an entry.
fn holds_something(path: &Path) -> bool {
    if path.is_dir() {
        return fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
    }
    let mut byte = [0];
    fs::File::open(path)
        .and_then(|mut file| file.read(&mut byte))
        .is_ok_and(|length| length == 1)
}
