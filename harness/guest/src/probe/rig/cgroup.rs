//! A container's cgroup, as outside sees it.

use std::fs;
use std::path::{Path, PathBuf};

use super::process::Process;
use super::{Probing, Stop, trouble};

const ROOT: &str = "/sys/fs/cgroup";

/// The folder of a process in one controller's hierarchy.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::probe) struct Cgroup {
    folder: PathBuf,
    /// The unified hierarchy.
    pub(in crate::probe) unified: bool,
}

impl Cgroup {
    /// Where `process` is for this controller.
    pub(in crate::probe) fn of(process: &Process, controller: &str) -> Probing<Self> {
        let path = process.folder().join("cgroup");
        let table = fs::read_to_string(&path).map_err(trouble(path.display()))?;
        let cgroup = find(&table, controller).ok_or_else(|| {
            Stop::Unsupported(format!("cgroup controller {controller}, in no hierarchy"))
        })?;
        if cgroup.folder == Path::new(ROOT) {
            return Err(Stop::Failed(
                "the container is in the machine's own cgroup".to_owned(),
            ));
        }
        Ok(cgroup)
    }

    /// A file of it, by its name in the unified hierarchy and in version 1.
    pub(in crate::probe) fn file(&self, unified: &str, version_1: &str) -> PathBuf {
        self.folder
            .join(if self.unified { unified } else { version_1 })
    }

    /// What such a file says.
    pub(in crate::probe) fn read(&self, unified: &str, version_1: &str) -> Probing<String> {
        let path = self.file(unified, version_1);
        fs::read_to_string(&path)
            .map(|text| text.trim().to_owned())
            .map_err(trouble(path.display()))
    }
}

/// Lines of /proc/PID/cgroup: `4:cpu,cpuacct:/path`, and `0::/path` for the
/// unified hierarchy.
fn find(table: &str, controller: &str) -> Option<Cgroup> {
    let lines = || {
        table.lines().filter_map(|line| {
            let mut fields = line.splitn(3, ':');
            let _hierarchy = fields.next()?;
            Some((fields.next()?, fields.next()?.trim_start_matches('/')))
        })
    };
    let version_1 = lines()
        .find(|(names, _)| names.split(',').any(|name| name == controller))
        .map(|(_, path)| Cgroup {
            // `cpu` is a link to `cpu,cpuacct`.
            folder: Path::new(ROOT).join(controller).join(path),
            unified: false,
        });
    version_1.or_else(|| {
        let (_, path) = lines().find(|(names, _)| names.is_empty())?;
        let unified = Path::new(ROOT).join("cgroup.controllers").exists();
        unified.then(|| Cgroup {
            folder: match path {
                "" => PathBuf::from(ROOT),
                path => Path::new(ROOT).join(path),
            },
            unified: true,
        })
    })
}

/// The number after a word of a file like cpu.stat.
pub(in crate::probe) fn counter(text: &str, name: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .and_then(|number| number.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_controller_is_found_in_its_hierarchy() {
        let table = "12:pids:/\n4:cpu,cpuacct:/probe\n1:name=systemd:/\n0::/x\n";
        let cgroup = find(table, "cpu").unwrap();
        assert_eq!(cgroup.folder, Path::new("/sys/fs/cgroup/cpu/probe"));
        assert!(!cgroup.unified);
        assert_eq!(find("4:cpu:/\n", "memory"), None);
    }

    #[test]
    fn counters_are_whole_words() {
        let text = "nr_periods 12\nnr_throttled 9\nthrottled_usec 1000\n";
        assert_eq!(counter(text, "nr_throttled"), Some(9));
        assert_eq!(counter(text, "throttled"), None);
    }
}
