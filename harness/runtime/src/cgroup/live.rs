//! What only a kernel can answer, on this machine's own hierarchies: version 2's
//! programs for devices and both versions' freezers, whichever of them would be
//! taken for a container here.

use std::ffi::CString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::devices::rules::Rules;
use super::freezer::Freezer;
use super::hierarchy::{self, Hierarchy};
use super::{Version, devices, remove_all};
use crate::failure::Failure;

/// A group in one hierarchy, with one process in it.
struct Group {
    folder: PathBuf,
    child: libc::pid_t,
}

impl Group {
    /// `None`, and a message, where there can be none.
    fn new(hierarchy: &Hierarchy, name: &str, child: impl FnOnce() -> libc::c_int) -> Option<Self> {
        let name = format!("matrix-unit-{name}-{}", std::process::id());
        let folder = hierarchy.mount_point.join(name);
        if let Err(error) = fs::create_dir(&folder) {
            skip(&format!("{}: {error}", folder.display()));
            return None;
        }
        let door = CString::new(folder.join("cgroup.procs").to_str().unwrap()).unwrap();
        // SAFETY: between fork and _exit the child makes system calls only.
        let child = unsafe {
            match libc::fork() {
                0 => {
                    let door = libc::open(door.as_ptr(), libc::O_WRONLY);
                    let code = match libc::write(door, c"0".as_ptr().cast(), 1) {
                        1 => child(),
                        _ => 200,
                    };
                    libc::_exit(code)
                }
                pid => pid,
            }
        };
        assert!(child > 0);
        let procs = folder.join("cgroup.procs");
        while fs::read_to_string(&procs).unwrap().is_empty() {
            std::thread::sleep(Duration::from_millis(1));
        }
        Some(Self { folder, child })
    }

    /// Its exit code, or the number of its signal and 128.
    fn end(self) -> libc::c_int {
        let mut status = 0;
        // SAFETY: the child is this process's and has not been waited for.
        let ended = unsafe { libc::waitpid(self.child, &raw mut status, 0) };
        assert_eq!(ended, self.child);
        remove_all(&[self.folder]).unwrap();
        match libc::WIFSIGNALED(status) {
            true => 128 + libc::WTERMSIG(status),
            false => libc::WEXITSTATUS(status),
        }
    }
}

#[expect(clippy::print_stderr, reason = "a test has nothing else to tell it by")]
fn skip(reason: &str) {
    eprintln!("skipped: {reason}");
}

fn find(wanted: impl Fn(&Hierarchy) -> bool) -> Option<Hierarchy> {
    // SAFETY: geteuid cannot fail.
    let found = match unsafe { libc::geteuid() } {
        0 => hierarchy::mounted().unwrap().into_iter().find(wanted),
        _ => None,
    };
    if found.is_none() {
        skip("not root, or no such hierarchy here");
    }
    found
}

/// 0, or the errno of opening a node.
fn open(path: &'static std::ffi::CStr) -> libc::c_int {
    // SAFETY: the path ends in a zero; errno is this thread's.
    unsafe {
        match libc::open(path.as_ptr(), libc::O_RDWR) {
            -1 => *libc::__errno_location(),
            _ => 0,
        }
    }
}

#[test]
fn a_program_denies_and_allows_devices() {
    let Some(unified) = find(|hierarchy| hierarchy.version() == Version::V2) else {
        return;
    };
    let rules = json!({"linux": {"resources": {"devices": [
        {"allow": false},
        {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rw"},
        {"allow": true, "type": "c", "major": 1, "minor": 5, "access": "r"},
    ]}}});
    let rules = Rules::parse(&rules).unwrap().unwrap();
    for (name, path, answer) in [
        ("null", c"/dev/null", 0),
        ("zero", c"/dev/zero", libc::EPERM),
        ("full", c"/dev/full", libc::EPERM),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        let descriptor = std::os::fd::AsRawFd::as_raw_fd(&reader);
        let group = Group::new(&unified, name, || {
            let mut byte = 0_u8;
            // SAFETY: reads one byte into one.
            unsafe { libc::read(descriptor, (&raw mut byte).cast(), 1) };
            open(path)
        });
        let Some(group) = group else { return };
        match devices::apply_v2(&rules, &group.folder) {
            // Before 4.15, or without CONFIG_CGROUP_BPF.
            Err(Failure::Unsupported { what }) => {
                drop(writer);
                group.end();
                return skip(&what);
            }
            answer => answer.unwrap(),
        }
        std::io::Write::write_all(&mut &writer, b"g").unwrap();
        assert_eq!(group.end(), answer, "{}", path.to_string_lossy());
        assert_eq!(open(path), 0, "{path:?} is open to all others");
    }
}

/// Clock ticks a process has used.
fn ticks(pid: libc::pid_t) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Whether a busy process gets on; a machine with much to do is given time.
fn runs(pid: libc::pid_t) -> bool {
    let before = ticks(pid);
    (0..500).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        ticks(pid) > before
    })
}

/// Whether it does not, for a while.
fn stands(pid: libc::pid_t) -> bool {
    let before = ticks(pid);
    std::thread::sleep(Duration::from_millis(300));
    ticks(pid) == before
}

fn freezes(hierarchy: &Hierarchy) {
    let spin = || loop {
        std::hint::spin_loop();
    };
    let Some(group) = Group::new(hierarchy, "freezer", spin) else {
        return;
    };
    let freezer = Freezer {
        version: hierarchy.version(),
        folder: group.folder.clone(),
    };
    let child = group.child;
    let mut seen = vec![runs(child)];
    let answer = freezer.freeze();
    if answer.is_ok() {
        seen.push(stands(child));
        freezer.thaw().unwrap();
        seen.push(runs(child));
    }
    // SAFETY: the child is this process's.
    unsafe { libc::kill(child, libc::SIGKILL) };
    assert_eq!(group.end(), 137);
    match answer {
        Err(Failure::Unsupported { what }) => skip(&what),
        answer => {
            answer.unwrap();
            assert_eq!(seen, [true; 3], "runs, stands, runs again");
        }
    }
}

#[test]
fn version_1_freezes_and_thaws() {
    if let Some(freezer) = find(|hierarchy| hierarchy.has("freezer")) {
        freezes(&freezer);
    }
}

#[test]
fn version_2_freezes_and_thaws() {
    if let Some(unified) = find(|hierarchy| hierarchy.version() == Version::V2) {
        assert!(Path::new(&unified.mount_point).is_dir());
        freezes(&unified);
    }
}
