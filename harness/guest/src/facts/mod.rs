//! What the kernel is and can do: each fact observed, none derived from a
//! version.

mod cpu;
mod fork;
mod ia32;
mod overlay;
mod security;
mod syscalls;
mod sysctl;
mod user_namespace;

use std::fs;

use wire::{CgroupFacts, Facts, NamespaceFacts, Vsyscall};

use crate::error::{Error, Result};

/// Gathers everything; `modules` and `cgroup` are what earlier steps found.
///
/// # Errors
/// When a file every kernel has cannot be read, or a probe could not be carried
/// out (as opposed to answered with no).
pub(crate) fn gather(modules: Vec<String>, cgroup: CgroupFacts) -> Result<Facts> {
    let uname = rustix::system::uname();
    let (user, user_refusal) = user_namespace::probe()?;
    Ok(Facts {
        release: uname.release().to_string_lossy().into_owned(),
        build: uname.version().to_string_lossy().into_owned(),
        machine: uname.machine().to_string_lossy().into_owned(),
        command_line: read("/proc/cmdline")?.trim_end().to_owned(),
        vsyscall: vsyscall(&read("/proc/self/maps")?),
        cgroup,
        overlayfs: overlay::probe()?,
        namespaces: NamespaceFacts {
            kinds: namespaces()?,
            user,
            user_refusal,
        },
        seccomp: security::seccomp()?,
        lsms: security::lsms(),
        lsm_modes: security::modes(),
        sysctls: sysctl::read(),
        config: std::collections::BTreeMap::new(),
        syscalls: syscalls::probe()?,
        ia32: ia32::probe()?,
        cpu_level: cpu::level(cpu::Features::read()),
        cpu_model: cpu::model(),
        cpus: online_cpus(),
        memory: parsed("/proc/meminfo", memory_total)?,
        filesystems: filesystems(&read("/proc/filesystems")?),
        modules,
    })
}

/// A whole file.
fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).map_err(Error::file("read", path))
}

/// A file that must hold what is looked for.
fn parsed<T>(path: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T> {
    let text = read(path)?;
    parse(&text).ok_or_else(|| {
        Error::file("understand", path)(std::io::Error::new(
            std::io::ErrorKind::InvalidData,
            format!("{text:?}"),
        ))
    })
}

/// The mode as the `[vsyscall]` line of a maps file tells it.
fn vsyscall(maps: &str) -> Vsyscall {
    let page = maps
        .lines()
        .find(|line| line.trim_end().ends_with("[vsyscall]"));
    match page.and_then(|line| line.split_whitespace().nth(1)) {
        Some(access) if access.starts_with('r') => Vsyscall::Emulate,
        Some(_) => Vsyscall::Xonly,
        None => Vsyscall::None,
    }
}

/// Names in /proc/self/ns, sorted, without the `_for_children` ones, which are
/// no kinds of their own.
fn namespaces() -> Result<Vec<String>> {
    let path = "/proc/self/ns";
    let mut kinds = Vec::new();
    for entry in fs::read_dir(path).map_err(Error::file("list", path))? {
        let entry = entry.map_err(Error::file("list", path))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.ends_with("_for_children") {
            kinds.push(name);
        }
    }
    kinds.sort();
    Ok(kinds)
}

/// sysconf's count; at least the one this runs on.
fn online_cpus() -> u32 {
    // SAFETY: takes no pointer.
    let count = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    u32::try_from(count)
        .ok()
        .filter(|count| *count > 0)
        .unwrap_or(1)
}

/// MemTotal, KiB.
fn memory_total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find(|line| line.starts_with("MemTotal:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Those that mount a device.
fn filesystems(table: &str) -> Vec<String> {
    table
        .lines()
        .filter(|line| !line.starts_with("nodev"))
        .map(|line| line.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_of_the_page_is_its_access() {
        let before = "7ffd2c3d5000-7ffd2c3d7000 r-xp 00000000 00:00 0                  [vdso]\n";
        for (line, mode) in [
            (
                "ffffffffff600000-ffffffffff601000 r-xp 00000000 00:00 0                  [vsyscall]\n",
                Vsyscall::Emulate,
            ),
            (
                "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n",
                Vsyscall::Xonly,
            ),
            ("", Vsyscall::None),
        ] {
            assert_eq!(vsyscall(&format!("{before}{line}")), mode);
        }
    }

    #[test]
    fn file_systems_that_need_no_device_are_left_out() {
        let table = "nodev\tsysfs\nnodev\ttmpfs\n\text4\n\tsquashfs\nnodev\toverlay\n";
        assert_eq!(filesystems(table), ["ext4", "squashfs"]);
    }

    #[test]
    fn memory_in_kibibytes() {
        assert_eq!(
            memory_total("MemTotal:         484392 kB\nMemFree:          401232 kB\n"),
            Some(484_392)
        );
        assert_eq!(memory_total(""), None);
    }
}
