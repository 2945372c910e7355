//! Plain lines, for a pipe or a CI log: few of them, and never a long silence.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use report::Event;

use super::awaited::Awaited;

/// A file of more bytes than this is told by itself; a smaller one is part of what
/// awaits it.
const BIG: u64 = 8 << 20;

/// After so long a silence it is told what is awaited.
const SILENCE: Duration = Duration::from_secs(10);

/// Prints a line per event that people care for.
#[derive(Debug)]
pub(crate) struct Lines {
    verbose: u8,
    awaited: Awaited,
    spoke: Instant,
    /// Files under way that were told by themselves.
    told: BTreeMap<String, Instant>,
}

impl Lines {
    pub(crate) fn new(verbose: u8) -> Self {
        Lines {
            verbose,
            awaited: Awaited::default(),
            spoke: Instant::now(),
            told: BTreeMap::new(),
        }
    }

    pub(crate) fn show(&mut self, event: &Event, now: Instant) {
        self.awaited.apply(event, now);
        if let Some(line) = self.line(event, now) {
            self.say(&line, now);
        }
    }

    /// Told about once a second.
    pub(crate) fn tick(&mut self, now: Instant) {
        if let Some(line) = self.after_silence(now) {
            self.say(&line, now);
        }
    }

    fn say(&mut self, line: &str, now: Instant) {
        self.spoke = now;
        super::write_stderr(&format!("{line}\n"));
    }

    fn after_silence(&self, now: Instant) -> Option<String> {
        if now.duration_since(self.spoke) < SILENCE {
            return None;
        }
        self.awaited.line(now)
    }

    fn line(&mut self, event: &Event, now: Instant) -> Option<String> {
        if self.verbose > 0 {
            return report::plain_line(event);
        }
        match event {
            Event::FetchPlanned { files, bytes, .. } if *files == 1 && *bytes > BIG => None,
            Event::FetchStarted { what, total, .. } => {
                if total.is_none_or(|total| total <= BIG) {
                    return None;
                }
                self.told.insert(what.clone(), now);
                report::plain_line(event)
            }
            Event::FetchFinished { what, error, .. } => {
                let told = self.told.remove(what).is_some();
                // A failure is always worth its line.
                (told || error.is_some())
                    .then(|| report::plain_line(event))
                    .flatten()
            }
            // A cell's start is told by its end, or by a silence.
            Event::CellStarted { .. }
            | Event::ProbeStarted { .. }
            | Event::FetchProgress { .. } => None,
            _ => report::plain_line(event),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(lines: &mut Lines, event: &Event) -> Option<String> {
        lines.awaited.apply(event, lines.spoke);
        lines.line(event, lines.spoke)
    }

    fn fetch(lines: &mut Lines, what: &str, bytes: u64, error: Option<&str>) -> Vec<String> {
        let what = what.to_owned();
        let events = [
            Event::FetchStarted {
                what: what.clone(),
                total: Some(bytes),
                purpose: Some("image debian:12".to_owned()),
            },
            Event::FetchProgress {
                what: what.clone(),
                done: bytes / 2,
            },
            Event::FetchFinished {
                what,
                bytes,
                error: error.map(str::to_owned),
            },
        ];
        events
            .iter()
            .filter_map(|event| said(lines, event))
            .collect()
    }

    #[test]
    fn a_hundred_packages_are_one_line_and_a_big_one_has_its_own() {
        let mut lines = Lines::new(0);
        let plan = Event::FetchPlanned {
            purpose: "image debian:12".to_owned(),
            files: 104,
            noun: "package".to_owned(),
            bytes: 32_925_286,
        };
        assert_eq!(
            said(&mut lines, &plan).as_deref(),
            Some("image debian:12: 104 packages to fetch, 31.3 MiB")
        );
        for number in 0..104 {
            assert_eq!(
                fetch(&mut lines, &format!("package {number}"), 300_000, None),
                [""; 0]
            );
        }
        assert_eq!(
            fetch(&mut lines, "linux-image", 27_000_000, None),
            [
                "fetching linux-image (25.7 MiB)",
                "fetched linux-image (25.7 MiB)"
            ]
        );
        assert_eq!(
            fetch(&mut lines, "small", 3, Some("no connection")),
            ["failed to fetch small: no connection"]
        );
    }

    #[test]
    fn a_silence_is_broken_by_what_is_awaited() {
        let mut lines = Lines::new(0);
        let begun = lines.spoke;
        let event = Event::FetchStarted {
            what: "small".to_owned(),
            total: Some(100),
            purpose: None,
        };
        lines.awaited.apply(&event, begun);
        assert_eq!(lines.after_silence(begun + SILENCE / 2), None);
        assert_eq!(
            lines.after_silence(begun + SILENCE).as_deref(),
            Some("waiting: small: 0 bytes of 100 bytes, 0 bytes/s")
        );
        // A line was said: silence is counted from there.
        lines.spoke = begun + SILENCE;
        assert_eq!(lines.after_silence(begun + SILENCE + SILENCE / 2), None);
    }

    #[test]
    fn with_verbose_every_file_is_told() {
        let mut lines = Lines::new(1);
        assert_eq!(fetch(&mut lines, "small", 3, None).len(), 2);
    }
}
