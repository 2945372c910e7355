//! What only a kernel can answer, on this machine's own hierarchies: version 2's
//! programs for devices, both versions' freezers, and version 1's notices of
//! kills for memory, whichever of them would be taken for a container here.

use std::ffi::CString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::devices::rules::Rules;
use super::freezer::Freezer;
use super::hierarchy::{self, Hierarchy};
use super::oom::Watch;
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
    fn wait(&self) -> libc::c_int {
        let mut status = 0;
        // SAFETY: the child is this process's and has not been waited for.
        let ended = unsafe { libc::waitpid(self.child, &raw mut status, 0) };
        assert_eq!(ended, self.child);
        match libc::WIFSIGNALED(status) {
            true => 128 + libc::WTERMSIG(status),
            false => libc::WEXITSTATUS(status),
        }
    }

    fn remove(self) {
        remove_all(&[self.folder]).unwrap();
    }

    /// Both.
    fn end(self) -> libc::c_int {
        let code = self.wait();
        self.remove();
        code
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
    let rules = Rules::parse(&crate::node::Node::of(&rules))
        .unwrap()
        .unwrap();
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

/// As before Linux 4.13, on a kernel that has the counter as well.
#[test]
fn notices_tell_of_a_kill_for_memory() {
    let Some(memory) = find(|hierarchy| hierarchy.has("memory")) else {
        return;
    };
    for (name, megabytes, code, killed) in [("more", 64, 137, true), ("less", 4, 0, false)] {
        let (reader, writer) = std::io::pipe().unwrap();
        let descriptor = std::os::fd::AsRawFd::as_raw_fd(&reader);
        let group = Group::new(&memory, name, || {
            let mut byte = 0_u8;
            let size = megabytes << 20;
            // SAFETY: reads one byte into one; the memory is private and as large
            // as what is written of it.
            unsafe {
                libc::read(descriptor, (&raw mut byte).cast(), 1);
                let memory = libc::mmap(
                    std::ptr::null_mut(),
                    size,
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                    -1,
                    0,
                );
                if memory == libc::MAP_FAILED {
                    return 201;
                }
                libc::memset(memory, 1, size);
            }
            0
        });
        let Some(group) = group else { return };
        let limit = (16_u64 << 20).to_string();
        super::file::write(&group.folder.join("memory.limit_in_bytes"), &limit).unwrap();
        let memsw = group.folder.join("memory.memsw.limit_in_bytes");
        if memsw.exists() {
            super::file::write(&memsw, &limit).unwrap();
        }
        let mut watch = match Watch::by_notices(&group.folder) {
            // Not with CONFIG_PREEMPT_RT.
            Err(refused) if !group.folder.join("cgroup.event_control").exists() => {
                drop(writer);
                group.end();
                return skip(&refused.to_string());
            }
            answer => answer.unwrap(),
        };
        assert_eq!(watch.kills().unwrap(), 0);
        std::io::Write::write_all(&mut &writer, b"g").unwrap();
        let pid = rustix::process::Pid::from_raw(group.child).unwrap();
        assert_eq!(group.wait(), code);
        let kills = watch.kills().unwrap();
        assert_eq!(kills > 0, killed, "{name}: {kills}");
        assert_eq!(watch.killed(pid, kills), killed, "{name}");
        // Somebody else's end is not this one's, where the log says whose.
        if killed && watch.reads_the_log() {
            let other = rustix::process::Pid::from_raw(1).unwrap();
            assert!(!watch.killed(other, kills));
        }
        group.remove();
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
