//! The thread that records and shows: it reads events until the work is done, or
//! a signal ends it.

use std::path::Path;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use report::{Counts, Event, RecordError, Recorder, Run};

use super::phases::Phases;
use super::sink::{Message, Messages};
use crate::error::{Failure, Status};
use crate::progress::Display;

/// How long nothing may be heard before the display is told that time passes.
const TICK: Duration = Duration::from_secs(1);

/// How many events are recorded before any of them is shown, at most.
const AT_ONCE: usize = 64;

/// What the record says of a run that ended by a mistake in this program.
const FAILED: &str = "matrix failed; its standard error says where";

/// Reads events until the work is done, or a signal ends it. Nobody who tells waits
/// for a reader that is gone: the messages end with this.
#[expect(clippy::needless_pass_by_value, reason = "they end with it")]
pub(super) fn follow(
    messages: Messages,
    mut recorder: Recorder,
    mut display: Display,
    phases: &Phases,
    folder: &Path,
) -> Result<Status, Failure> {
    let mut signal = None;
    let mut ended = false;
    while !ended {
        let first = match messages.next(TICK) {
            Err(RecvTimeoutError::Timeout) => {
                display.tick();
                continue;
            }
            Ok(message) => message,
            // The senders are gone only after Done.
            Err(RecvTimeoutError::Disconnected) => Message::Done,
        };
        // What waits already is recorded at once.
        let mut events = Vec::new();
        for message in std::iter::once(first)
            .chain(messages.waiting())
            .take(AT_ONCE)
        {
            let interrupted = match message {
                Message::Event(event) => {
                    events.push(*event);
                    continue;
                }
                Message::Signal => {
                    // Seen already, and this is what should have woken us.
                    let Some(number) = messages.signal() else {
                        continue;
                    };
                    signal = Some(number);
                    Some(format!("ended by signal {number}"))
                }
                Message::Failed => Some(FAILED.to_owned()),
                Message::Done => None,
            };
            events.push(finished(phases, interrupted));
            ended = true;
            break;
        }
        if let Err(error) = recorder.record_all(&events) {
            display.close();
            crate::progress::print_failure(&error.into());
            std::process::exit(3);
        }
        for event in &events {
            display.show(event);
        }
        // Events that show nothing may come thick and fast.
        display.tick();
    }
    let Some(run) = recorder.run() else {
        // The first event carries the run.
        return Err(RecordError::NotStarted.into());
    };
    let finished = display.finish(run, folder);
    if let Some(number) = signal {
        // A terminal that is gone asked for the end, perhaps.
        if let Err(error) = finished {
            crate::progress::print_failure(&error);
        }
        // Threads may be deep in a download or a wait; nothing they hold outlives
        // the process: machines die with it, the cache is made of renames.
        std::process::exit(128 + i32::from(number));
    }
    finished?;
    Ok(status(run))
}

/// The last event.
fn finished(phases: &Phases, interrupted: Option<String>) -> Event {
    Event::RunFinished {
        finished: report::timestamp(),
        timings: phases.timings(),
        interrupted,
    }
}

fn status(run: &Run) -> Status {
    Status::of_run(&Counts::of(run))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use report::RunHead;

    use super::super::sink::Sink;
    use super::*;

    fn empty_run() -> Run {
        let head = RunHead {
            id: "test".to_owned(),
            started: report::timestamp(),
            finished: None,
            interrupted: None,
            matrix: "test".to_owned(),
            qemu: None,
            acceleration: None,
            acceleration_reason: None,
            host: BTreeMap::new(),
            settings: BTreeMap::new(),
            timings: BTreeMap::new(),
            shard: None,
        };
        Run::planned(head, Vec::new(), Vec::new(), "bundled")
    }

    #[test]
    fn work_that_panics_ends_the_run_and_closes_its_record() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("run");
        let run = empty_run();
        let mut recorder = Recorder::create(&folder).unwrap();
        recorder
            .record(&Event::RunStarted {
                run: Box::new(run.clone()),
            })
            .unwrap();
        let (sink, messages) = Sink::new();
        // As the signals' thread does, this end stays: only a message ends the run.
        let kept = sink.clone();
        let worker = std::thread::spawn(move || {
            let _end = sink.end_of_work();
            panic!("a mistake");
        });
        let display = Display::choose(true, 0, &run);
        follow(messages, recorder, display, &Phases::begin(), &folder).unwrap();
        drop(kept);
        assert!(worker.join().is_err());
        let run = Run::load(&folder).unwrap();
        assert_eq!(run.run.interrupted.as_deref(), Some(FAILED));
    }
}
