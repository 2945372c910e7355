//! From the runtime's lines of a trace to what the harness is sent.

use runtime::trace::{Step, What};
use wire::{Captured, Trace, Traced};

/// Steps that are kept, the last ones.
const STEPS: usize = 200;

/// The steps in the end of a trace. Its first line may be cut, and is dropped then,
/// as is a last one that a killed runtime did not finish.
pub(super) fn of(written: &Captured) -> Trace {
    let text = String::from_utf8_lossy(&written.bytes);
    let lines: Vec<&str> = text.lines().collect();
    let mut dropped = written.dropped;
    let mut steps: Vec<wire::Step> = Vec::new();
    for line in lines {
        match serde_json::from_str::<Step>(line) {
            Ok(step) => steps.push(wire::Step {
                process: step.process,
                what: traced(step.what),
                times: step.times,
            }),
            Err(_) => dropped += line.len() as u64,
        }
    }
    let surplus = steps.len().saturating_sub(STEPS);
    for step in steps.drain(..surplus) {
        // What it took as a line, about.
        dropped += serde_json::to_string(&step).map_or(0, |line| line.len() as u64);
    }
    Trace { steps, dropped }
}

fn traced(what: What) -> Traced {
    match what {
        What::Failed {
            call,
            arguments,
            errno,
        } => Traced::Failed {
            call,
            arguments,
            errno,
        },
        What::Started { program } => Traced::Started { program },
        What::Signal {
            signal,
            code,
            address,
            instruction,
            call,
        } => Traced::Signal {
            signal,
            code,
            address,
            instruction,
            call,
        },
        What::Waits { call, arguments } => Traced::Waits { call, arguments },
        What::Exited { code } => Traced::Exited { code },
        What::Killed { signal } => Traced::Killed { signal },
        What::Refused { errno } => Traced::Refused { errno },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(process: i32) -> String {
        let step = Step {
            process,
            what: What::Exited { code: 1 },
            times: 1,
        };
        serde_json::to_string(&step).unwrap() + "\n"
    }

    #[test]
    fn cut_lines_are_dropped_and_counted() {
        let text = format!("cess\":1}}\n{}{}{{\"proc", line(7), line(8));
        let trace = of(&Captured {
            bytes: text.into_bytes(),
            dropped: 100,
        });
        let told: Vec<i32> = trace.steps.iter().map(|step| step.process).collect();
        assert_eq!(told, [7, 8]);
        assert_eq!(trace.dropped, 100 + 8 + 6);
    }

    #[test]
    fn the_last_steps_are_kept() {
        let text: String = (0..300).map(line).collect();
        let trace = of(&Captured {
            bytes: text.into_bytes(),
            dropped: 0,
        });
        assert_eq!(trace.steps.len(), STEPS);
        assert_eq!(trace.steps.last().unwrap().process, 299);
        assert!(trace.dropped > 0);
    }
}
