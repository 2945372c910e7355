//! What a kernel logs outside of cells: from its boot to the facts, and between
//! two cells. It is no cell's, so it is kept beside the machine's console.

use std::io::{self, Write as _};
use std::path::PathBuf;

use wire::KernelLine;

/// The file of one machine.
#[derive(Debug)]
pub(crate) struct KernelLog {
    path: PathBuf,
}

impl KernelLog {
    /// Begins the file with these lines.
    pub(crate) fn create(path: PathBuf, lines: &[KernelLine]) -> io::Result<KernelLog> {
        fs_err::write(&path, text(lines))?;
        Ok(KernelLog { path })
    }

    /// Keeps more of them.
    pub(crate) fn append(&self, lines: &[KernelLine]) -> io::Result<()> {
        fs_err::OpenOptions::new()
            .append(true)
            .open(&self.path)?
            .write_all(text(lines).as_bytes())
    }
}

/// As `dmesg --raw` prints them.
fn text(lines: &[KernelLine]) -> String {
    lines
        .iter()
        .map(|line| {
            let (seconds, micros) = (line.time / 1_000_000, line.time % 1_000_000);
            format!("<{}>[{seconds:5}.{micros:06}] {}\n", line.level, line.text)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_between_cells_follow_those_of_the_boot() {
        let line = |time, text: &str| KernelLine {
            level: 4,
            time,
            text: text.to_owned(),
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("6.1-1.kmsg.log");
        let log = KernelLog::create(path.clone(), &[line(1_234_567, "boot")]).unwrap();
        log.append(&[line(70_000_000, "between")]).unwrap();
        log.append(&[]).unwrap();
        assert_eq!(
            std::fs::read_to_string(path).unwrap(),
            "<4>[    1.234567] boot\n<4>[   70.000000] between\n"
        );
    }
}
