//! Writing steps down, those that repeat themselves once.

use std::fs::File;
use std::io::Write;

use super::{Step, What};

/// Where steps go.
#[derive(Debug)]
pub(super) struct Steps<W = File> {
    to: Option<W>,
    /// Not written yet: it may come again.
    held: Option<Step>,
}

impl<W: Write> Steps<W> {
    pub(super) fn new(to: W) -> Self {
        Self {
            to: Some(to),
            held: None,
        }
    }

    /// Keeps a step.
    pub(super) fn add(&mut self, process: i32, what: What) {
        match &mut self.held {
            Some(held) if held.process == process && held.what == what => held.times += 1,
            _ => {
                self.flush();
                self.held = Some(Step {
                    process,
                    what,
                    times: 1,
                });
            }
        }
    }

    /// Writes what is held. A reader that is gone is told nothing any more: the
    /// trace is for its sake alone.
    pub(super) fn flush(&mut self) {
        let (Some(step), Some(to)) = (self.held.take(), &mut self.to) else {
            return;
        };
        let written = serde_json::to_vec(&step)
            .map_err(std::io::Error::from)
            .and_then(|mut line| {
                line.push(b'\n');
                to.write_all(&line)
            });
        if written.is_err() {
            self.to = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_itself_is_written_once() {
        let mut written = Vec::new();
        let mut steps = Steps::new(&mut written);
        let failed = |errno| What::Failed {
            call: "read".into(),
            arguments: "0x0, 0x1, 0x2".into(),
            errno,
        };
        for _ in 0..3 {
            steps.add(7, failed(11));
        }
        steps.add(7, failed(9));
        steps.add(8, failed(9));
        steps.flush();
        steps.flush();
        let text = String::from_utf8(written).unwrap();
        let steps: Vec<Step> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let told: Vec<(i32, u64)> = steps
            .iter()
            .map(|step| (step.process, step.times))
            .collect();
        assert_eq!(told, [(7, 3), (7, 1), (8, 1)]);
        assert_eq!(steps[0].what, failed(11));
    }
}
