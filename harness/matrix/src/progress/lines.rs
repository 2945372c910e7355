//! Plain lines, for a pipe or a CI log.

use report::Event;

/// Prints a line per event that people care for.
#[derive(Debug)]
pub(crate) struct Lines {
    verbose: u8,
}

impl Lines {
    pub(crate) fn new(verbose: u8) -> Self {
        Lines { verbose }
    }

    pub(crate) fn show(&mut self, event: &Event) {
        // A cell's start is told by its end; only a hung one makes it worth a line.
        let detail = matches!(
            event,
            Event::CellStarted { .. } | Event::ProbeStarted { .. } | Event::FetchProgress { .. }
        );
        if detail && self.verbose == 0 {
            return;
        }
        if let Some(line) = report::plain_line(event) {
            super::write_stderr(&format!("{line}\n"));
        }
    }
}
