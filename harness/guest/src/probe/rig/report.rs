//! What a probe's process tells PID 1: a line of JSON for each piece of evidence
//! as it comes, and one for the outcome.

use std::cell::RefCell;
use std::fs::File;
use std::io::Write;
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use wire::ProbeOutcome;

/// The longest line of evidence kept, bytes.
const LONGEST: usize = 400;

/// One line.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::probe) enum Line {
    Observed(String),
    Outcome(ProbeOutcome),
}

/// The way to PID 1.
#[derive(Clone, Debug)]
pub(in crate::probe) struct Reporter(Rc<RefCell<File>>);

impl Reporter {
    pub(in crate::probe) fn new(file: File) -> Self {
        // The runtime and the container must not hold it open.
        let _ = rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::CLOEXEC);
        Self(Rc::new(RefCell::new(file)))
    }

    /// Writes a line. If PID 1 is gone there is nobody to tell.
    pub(in crate::probe) fn write(&self, line: &Line) {
        if let Ok(mut text) = serde_json::to_vec(line) {
            text.push(b'\n');
            let _ = self.0.borrow_mut().write_all(&text);
        }
    }

    /// Writes a line of evidence.
    pub(in crate::probe) fn observed(&self, text: &str) {
        let mut end = text.len().min(LONGEST);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let more = if end < text.len() { "…" } else { "" };
        self.write(&Line::Observed(format!("{}{more}", &text[..end])));
    }
}

/// The evidence, and the outcome if it came to one.
pub(in crate::probe) fn read(report: &str) -> (Vec<String>, Option<ProbeOutcome>) {
    let mut observed = Vec::new();
    let mut outcome = None;
    for line in report.lines() {
        match serde_json::from_str(line) {
            Ok(Line::Observed(text)) => observed.push(text),
            Ok(Line::Outcome(told)) => outcome = Some(told),
            // Cut off where it was killed.
            Err(_) => observed.push(line.to_owned()),
        }
    }
    (observed, outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_kept_up_to_where_it_was_cut() {
        let outcome = ProbeOutcome::Failed { how: "so".into() };
        let whole = [
            Line::Observed("a".into()),
            Line::Observed("b".into()),
            Line::Outcome(outcome.clone()),
        ]
        .iter()
        .map(|line| serde_json::to_string(line).unwrap() + "\n")
        .collect::<String>();
        let (observed, told) = read(&whole);
        assert_eq!(observed, ["a", "b"]);
        assert_eq!(told, Some(outcome));
        let cut = whole.find("\"b\"").unwrap();
        let (observed, told) = read(&whole[..cut]);
        assert_eq!(observed, ["a", "{\"observed\":"]);
        assert_eq!(told, None, "no outcome is no outcome");
    }
}
