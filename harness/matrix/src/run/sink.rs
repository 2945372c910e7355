//! Where events go from any thread: one queue, read by the thread that records
//! and shows them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryIter, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use report::Event;

use super::phases::{Phase, Phases};

/// What the recording thread is told.
#[derive(Debug)]
pub(crate) enum Message {
    /// Something happened.
    Event(Box<Event>),
    /// A signal asks the program to end: [`Messages::signal`] tells which.
    Signal,
    /// All work is done; nothing follows.
    Done,
    /// The work ended by a panic, which has been printed; nothing follows.
    Failed,
}

/// How many messages may wait to be recorded; whoever tells more waits himself, as
/// on a disk that is slower than the machines.
const WAITING: usize = 1024;

/// A handle for telling. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Sink {
    messages: SyncSender<Message>,
    signal: Arc<AtomicU8>,
}

/// Where they come out. Once it is gone, by a failure, telling is in vain and waits
/// for nobody.
#[derive(Debug)]
pub(crate) struct Messages {
    receiver: Receiver<Message>,
    signal: Arc<AtomicU8>,
}

impl Messages {
    /// A signal goes before all that waits.
    pub(crate) fn next(&self, patience: Duration) -> Result<Message, RecvTimeoutError> {
        if self.signal.load(Ordering::Relaxed) != 0 {
            return Ok(Message::Signal);
        }
        self.receiver.recv_timeout(patience)
    }

    /// What waits already.
    pub(crate) fn waiting(&self) -> TryIter<'_, Message> {
        self.receiver.try_iter()
    }

    /// The number of the signal, once.
    pub(crate) fn signal(&self) -> Option<u8> {
        Some(self.signal.swap(0, Ordering::Relaxed)).filter(|number| *number != 0)
    }
}

impl Sink {
    pub(crate) fn new() -> (Sink, Messages) {
        let (messages, receiver) = sync_channel(WAITING);
        let signal = Arc::new(AtomicU8::new(0));
        let sink = Sink {
            messages,
            signal: Arc::clone(&signal),
        };
        (sink, Messages { receiver, signal })
    }

    pub(crate) fn tell(&self, event: Event) {
        self.send(Message::Event(Box::new(event)));
    }

    pub(crate) fn note(&self, message: impl Into<String>) {
        self.tell(Event::Note {
            message: message.into(),
        });
    }

    /// Tells the end of all work when it is dropped, by a panic too: the recording
    /// thread waits for nothing else.
    pub(crate) fn end_of_work(&self) -> EndOfWork {
        EndOfWork(self.clone())
    }

    /// Asks the program to end. Waits for nothing, however many messages wait.
    pub(crate) fn ask_to_end(&self, signal: u8) {
        self.signal.store(signal, Ordering::Relaxed);
        // Who is about to look finds the number; who waits is woken.
        let _ = self.messages.try_send(Message::Signal);
    }

    fn send(&self, message: Message) {
        // The receiver lives as long as the run. It is gone only when recording
        // failed, which ends the run with that error: nobody is left to tell.
        let _ = self.messages.send(message);
    }
}

/// See [`Sink::end_of_work`].
#[derive(Debug)]
pub(crate) struct EndOfWork(Sink);

impl Drop for EndOfWork {
    fn drop(&mut self) {
        self.0.send(if std::thread::panicking() {
            Message::Failed
        } else {
            Message::Done
        });
    }
}

/// How often progress of one download becomes an event.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// Turns what supply tells into events, and times the network.
#[derive(Debug)]
pub(crate) struct Fetches {
    sink: Sink,
    phases: Arc<Phases>,
    told: Mutex<BTreeMap<String, Instant>>,
}

impl Fetches {
    pub(crate) fn new(sink: Sink, phases: Arc<Phases>) -> Self {
        Fetches {
            sink,
            phases,
            told: Mutex::default(),
        }
    }
}

impl supply::Progress for Fetches {
    fn started(&self, what: &str, total: Option<u64>) {
        self.phases.start(Phase::Fetch);
        self.sink.tell(Event::FetchStarted {
            what: what.to_owned(),
            total,
            purpose: supply::purpose::current().map(|purpose| (*purpose).to_owned()),
        });
    }

    fn planned(&self, files: usize, noun: &'static str, bytes: u64) {
        if let Some(purpose) = supply::purpose::current() {
            self.sink.tell(Event::FetchPlanned {
                purpose: (*purpose).to_owned(),
                files: files as u64,
                noun: noun.to_owned(),
                bytes,
            });
        }
    }

    fn advanced(&self, what: &str, done: u64) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if told
            .get(what)
            .is_some_and(|last| now.duration_since(*last) < PROGRESS_INTERVAL)
        {
            return;
        }
        told.insert(what.to_owned(), now);
        drop(told);
        self.sink.tell(Event::FetchProgress {
            what: what.to_owned(),
            done,
        });
    }

    fn finished(&self, what: &str, bytes: u64, error: Option<&str>) {
        self.phases.stop(Phase::Fetch);
        self.told
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(what);
        self.sink.tell(Event::FetchFinished {
            what: what.to_owned(),
            bytes,
            error: error.map(str::to_owned),
        });
    }

    fn note(&self, message: &str) {
        self.sink.note(message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_waits_for_nothing_and_goes_before_what_does() {
        let (sink, messages) = Sink::new();
        for _ in 0..WAITING {
            sink.note("");
        }
        sink.ask_to_end(15);
        assert!(matches!(messages.next(Duration::ZERO), Ok(Message::Signal)));
        assert_eq!(messages.signal(), Some(15));
        assert_eq!(messages.signal(), None);
        assert!(matches!(
            messages.next(Duration::ZERO),
            Ok(Message::Event(_))
        ));
    }

    #[test]
    fn who_waits_is_told_of_a_signal() {
        let (sink, messages) = Sink::new();
        let asks = std::thread::spawn(move || sink.ask_to_end(2));
        assert!(matches!(
            messages.next(Duration::from_secs(3600)),
            Ok(Message::Signal)
        ));
        assert_eq!(messages.signal(), Some(2));
        asks.join().unwrap();
    }

    #[test]
    fn nobody_waits_for_a_reader_that_is_gone() {
        let (sink, messages) = Sink::new();
        let tells = std::thread::spawn(move || {
            for _ in 0..3 * WAITING {
                sink.note("");
            }
        });
        assert!(messages.next(Duration::from_secs(3600)).is_ok());
        drop(messages);
        tells.join().unwrap();
    }
}
