//! Verbs on the process itself and on the system.

use std::fs;
use std::hint::black_box;
use std::io;
use std::time::{Duration, Instant};

use rustix::mount::{MountFlags, mount};
use rustix::time::{ClockId, clock_gettime};

/// `uid=0 euid=0 gid=0`.
pub(crate) fn id() -> String {
    use rustix::process::{getegid, geteuid, getgid, getuid};
    format!(
        "uid={} euid={} gid={} egid={}",
        getuid().as_raw(),
        geteuid().as_raw(),
        getgid().as_raw(),
        getegid().as_raw()
    )
}

/// A field of /proc/self/status.
pub(crate) fn status(field: &str) -> io::Result<String> {
    let text = fs::read_to_string("/proc/self/status")?;
    text.lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
        .map(|value| value.trim().to_owned())
        .ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Writes to every page of so much memory.
pub(crate) fn allocate(mebibytes: usize) -> io::Result<String> {
    let mut memory: Vec<u8> = Vec::new();
    memory
        .try_reserve_exact(mebibytes << 20)
        .map_err(|_| io::Error::from_raw_os_error(libc::ENOMEM))?;
    memory.resize(mebibytes << 20, 1);
    black_box(&memory);
    Ok("ok".to_owned())
}

/// Is busy for so long: `used=200 wall=1003`, milliseconds of CPU and of time.
pub(crate) fn spin(milliseconds: u64) -> io::Result<String> {
    let used = || {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        Duration::new(
            time.tv_sec.unsigned_abs(),
            u32::try_from(time.tv_nsec).unwrap_or(0),
        )
    };
    let (begun, before) = (Instant::now(), used());
    let mut state = 1_u64;
    while begun.elapsed() < Duration::from_millis(milliseconds) {
        for _ in 0..10_000 {
            state = black_box(state.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 1);
        }
    }
    Ok(format!(
        "used={} wall={}",
        (used() - before).as_millis(),
        begun.elapsed().as_millis()
    ))
}

pub(crate) fn sethostname(name: &str) -> io::Result<String> {
    rustix::system::sethostname(name.as_bytes())?;
    Ok("ok".to_owned())
}

pub(crate) fn mount_tmpfs(path: &str) -> io::Result<String> {
    mount("tmpfs", path, "tmpfs", MountFlags::empty(), None)?;
    Ok("ok".to_owned())
}

/// A system call by its name, with arguments under which it succeeds.
pub(crate) fn call(name: &str) -> io::Result<String> {
    let mut room = [0_u8; 512];
    let pointer = room.as_mut_ptr();
    // SAFETY: each call writes less than `room` into it, or takes no pointer.
    let result = unsafe {
        match name {
            "getpriority" => libc::syscall(libc::SYS_getpriority, 0, 0),
            "getcpu" => libc::syscall(libc::SYS_getcpu, pointer, 0, 0),
            "sysinfo" => libc::syscall(libc::SYS_sysinfo, pointer),
            _ => return Err(io::ErrorKind::Unsupported.into()),
        }
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok("ok".to_owned())
    }
}
