//! A cgroup's files: small texts that are read and written whole.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use rustix::io::Errno;

use crate::descriptor::errno_of;
use crate::failure::{Failure, Step};

/// Writes `value` at once, into a file that is there: one that is made by
/// opening it would be EPERM here, which says nothing.
pub(super) fn write(path: &Path, value: &str) -> Result<(), Errno> {
    OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|mut file| file.write_all(value.as_bytes()))
        .map_err(errno_of)
}

/// What the file says, without the newline at its end.
pub(super) fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path)
        .map(|text| text.trim_end().to_owned())
        .map_err(errno_of)
        .on("read", path)
}

/// The number after a word of a file like memory.events.
pub(super) fn counter(text: &str, name: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .and_then(|number| number.trim().parse().ok())
}

/// A file to write in a container's group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) file: String,
    pub(super) value: String,
    /// What the kernel lacks where there is no such file.
    pub(super) lacking: &'static str,
    /// The place in config.json that asks for it.
    pub(super) field: &'static str,
}

impl Setting {
    /// Writes it in `folder`.
    pub(super) fn apply(&self, folder: &Path) -> Result<(), Failure> {
        let path = folder.join(&self.file);
        match write(&path, &self.value) {
            Err(Errno::NOENT) if folder.is_dir() => Err(Failure::Unsupported {
                what: self.lacking.to_owned(),
            }),
            answer => answer.step(|| {
                format!(
                    "write {} to {} ({})",
                    self.value,
                    path.display(),
                    self.field
                )
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_whole_words() {
        let text = "low 0\nhigh 0\noom 3\noom_kill 2\n";
        assert_eq!(counter(text, "oom"), Some(3));
        assert_eq!(counter(text, "oom_kill"), Some(2));
        assert_eq!(counter(text, "oom_group_kill"), None);
    }

    #[test]
    fn a_file_that_is_not_there_is_the_kernels_lack() {
        let folder = tempfile::tempdir().unwrap();
        let setting = Setting {
            file: "pids.max".to_owned(),
            value: "7".to_owned(),
            lacking: "cgroup controller pids",
            field: "linux.resources.pids.limit",
        };
        let refused = setting.apply(folder.path()).unwrap_err().to_string();
        assert_eq!(refused, "this kernel has no cgroup controller pids");
        let elsewhere = setting.apply(&folder.path().join("x")).unwrap_err();
        assert!(matches!(elsewhere, Failure::System { .. }), "{elsewhere}");
        fs::write(folder.path().join("pids.max"), "max").unwrap();
        setting.apply(folder.path()).unwrap();
    }
}
