//! How much memory there is for machines: what the host has left, and what the
//! control group this program is in may still take, as in a container of a CI system.

use std::path::{Path, PathBuf};

/// Bytes that a machine needs at the least to be worth starting beside others: a
/// guest of the default size touches about this much of its memory while it runs
/// small checks.
const OF_A_MACHINE: u64 = 512 << 20;

/// Bytes; none where the system does not tell.
pub(crate) fn available() -> Option<u64> {
    let host = of_the_host(&std::fs::read_to_string("/proc/meminfo").ok()?)?;
    let group = std::fs::read_to_string("/proc/self/cgroup")
        .ok()
        .and_then(|text| of_the_group(Path::new("/sys/fs/cgroup"), &text));
    Some(group.map_or(host, |group| group.min(host)))
}

/// How many machines fit at once, of `wanted`; one always has its chance.
pub(crate) fn machines(wanted: usize, available: Option<u64>) -> usize {
    match available {
        None => wanted,
        Some(bytes) => {
            let fit = usize::try_from(bytes / OF_A_MACHINE).unwrap_or(usize::MAX);
            wanted.min(fit.max(1))
        }
    }
}

/// MemAvailable of /proc/meminfo.
fn of_the_host(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes << 10)
}

/// What the groups of /proc/self/cgroup leave, from this process's up to the root:
/// the least of them. In a container the group's path can be one of the host's; then
/// what is mounted at the root is the container's own.
fn of_the_group(mounted: &Path, groups: &str) -> Option<u64> {
    let mut least = None;
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let (root, limit, usage) = match controllers {
            "" => (mounted.to_path_buf(), "memory.max", "memory.current"),
            list if list.split(',').any(|controller| controller == "memory") => (
                mounted.join("memory"),
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
            ),
            _ => continue,
        };
        let mut folder = root.join(path.trim_start_matches('/'));
        loop {
            if let Some(left) = left(&folder, limit, usage) {
                least = Some(least.map_or(left, |before: u64| before.min(left)));
            }
            if folder == root || !folder.pop() {
                break;
            }
        }
    }
    least
}

fn left(folder: &Path, limit: &str, usage: &str) -> Option<u64> {
    let read = |name: &str| -> Option<u64> {
        let path: PathBuf = folder.join(name);
        // `max` is no number: no limit.
        std::fs::read_to_string(path).ok()?.trim().parse().ok()
    };
    Some(read(limit)?.saturating_sub(read(usage)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_tells() {
        let meminfo =
            "MemTotal:       24547840 kB\nMemFree:        100 kB\nMemAvailable:   2048 kB\n";
        assert_eq!(of_the_host(meminfo), Some(2 << 20));
        assert_eq!(of_the_host("MemTotal: 1 kB\n"), None);
        assert!(available().is_some());
    }

    #[test]
    fn the_narrowest_group_counts() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, content: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        };
        write("memory.max", "max\n");
        write("memory.current", "9\n");
        write("ci/memory.max", "1000\n");
        write("ci/memory.current", "400\n");
        write("ci/job/memory.max", "5000\n");
        write("ci/job/memory.current", "100\n");
        assert_eq!(of_the_group(folder.path(), "0::/ci/job\n"), Some(600));
        assert_eq!(of_the_group(folder.path(), "0::/\n"), None);
        write("memory/memory.limit_in_bytes", "300\n");
        write("memory/memory.usage_in_bytes", "100\n");
        // Of version 1, in a container that sees only its own group.
        assert_eq!(
            of_the_group(folder.path(), "4:memory:/docker/3f\n1:name=systemd:/\n"),
            Some(200)
        );
    }

    #[test]
    fn one_machine_has_its_chance() {
        assert_eq!(machines(4, None), 4);
        assert_eq!(machines(4, Some(8 << 30)), 4);
        assert_eq!(machines(4, Some(1100 << 20)), 2);
        assert_eq!(machines(4, Some(1)), 1);
    }
}
