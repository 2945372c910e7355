//! The history on disk: `history/YYYY-MM.jsonl`.

use std::path::{Path, PathBuf};

use fs_err as fs;

use super::Line;

/// Why the history cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// A file could not be read or written; the message has its path.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A line is no line of the history.
    #[error("{}, line {line}: {problem}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A run has no month.
    #[error("the run {run} began at `{started}`, which is no time")]
    Started {
        /// Its id.
        run: String,
        /// As recorded.
        started: String,
    },
    /// A run has more different outcomes than a line can tell apart.
    #[error(
        "the run {run} has more than {most} different outcomes, which a line cannot tell apart"
    )]
    TooManyOutcomes {
        /// Its id.
        run: String,
        /// How many a line can.
        most: usize,
    },
}

/// All past runs, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// In order of their beginning.
    pub lines: Vec<Line>,
}

impl History {
    /// Reads every month in `folder`; a folder that is not there is an empty
    /// history.
    ///
    /// # Errors
    /// [`HistoryError`], with file and line.
    pub fn load(folder: &Path) -> Result<Self, HistoryError> {
        let mut history = Self::default();
        if !folder.is_dir() {
            return Ok(history);
        }
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "jsonl")
            {
                history.lines.extend(read(&path)?);
            }
        }
        history.sort();
        Ok(history)
    }

    /// The runs before the one named, oldest first.
    pub fn before(&self, run: &str) -> &[Line] {
        let end = self
            .lines
            .iter()
            .position(|line| line.run == run)
            .unwrap_or(self.lines.len());
        &self.lines[..end]
    }

    /// Puts a run in, in place of a line it may have already.
    pub fn put(&mut self, line: Line) {
        self.lines.retain(|known| known.run != line.run);
        self.lines.push(line);
        self.sort();
    }

    /// The months with their content: `2026-11.jsonl`.
    ///
    /// # Errors
    /// When a run's beginning is no time.
    pub fn months(&self) -> Result<Vec<(String, String)>, HistoryError> {
        let mut months: Vec<(String, String)> = Vec::new();
        for line in &self.lines {
            let month = line
                .started
                .get(..7)
                .filter(|month| is_month(month))
                .ok_or_else(|| HistoryError::Started {
                    run: line.run.clone(),
                    started: line.started.clone(),
                })?;
            let name = format!("{month}.jsonl");
            let text = serde_json::to_string(line).map_err(std::io::Error::from)?;
            match months.last_mut().filter(|(last, _)| *last == name) {
                Some((_, content)) => content.push_str(&format!("{text}\n")),
                None => months.push((name, format!("{text}\n"))),
            }
        }
        Ok(months)
    }

    fn sort(&mut self) {
        self.lines
            .sort_by(|a, b| (&a.started, &a.run).cmp(&(&b.started, &b.run)));
    }
}

/// `2026-11`.
fn is_month(text: &str) -> bool {
    text.bytes().enumerate().all(|(index, byte)| match index {
        4 => byte == b'-',
        _ => byte.is_ascii_digit(),
    })
}

fn read(path: &Path) -> Result<Vec<Line>, HistoryError> {
    let text = fs::read_to_string(path)?;
    text.lines()
        .enumerate()
        .map(|(index, text)| {
            let wrong = |problem: String| HistoryError::Line {
                path: path.to_owned(),
                line: index + 1,
                problem,
            };
            let line: Line =
                serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
            line.check().map_err(wrong)?;
            Ok(line)
        })
        .collect()
}
