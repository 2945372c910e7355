//! The record of a run on disk, kept while it runs.

use std::{
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use fs_err::{self as fs, File};

use crate::{Event, FoldError, Run, markdown};

/// Every event, one JSON object a line.
pub(crate) const EVENTS: &str = "events.jsonl";
/// The model.
pub(crate) const RESULTS: &str = "results.json";
/// The table for people.
pub(crate) const TABLE: &str = "table.md";

/// The time since results.json was last written must be this many times what
/// the writing took before it is written anew: a twentieth of the time at most.
const PATIENCE: u32 = 20;

/// Bytes that go to the operating system at once: a large run has 30 MB.
const BUFFER: usize = 256 * 1024;

/// Why something could not be recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A file could not be written; the error names it.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The folder holds a run already.
    #[error("{0} holds the record of a run already")]
    Taken(PathBuf),
    /// The event does not belong to the run.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// The record of the run to go on with could not be read.
    #[error(transparent)]
    Load(#[from] crate::LoadError),
    /// The first event was another than [`Event::RunStarted`].
    #[error("an event came before the run had started")]
    NotStarted,
    /// An event or the model could not be put into JSON.
    #[error("a record could not be put into JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// Keeps the record of one run in its folder: `events.jsonl`, appended with each
/// event; `results.json` and `table.md`, each written to a temporary name and
/// renamed, at the start, now and then, and at the end.
#[derive(Debug)]
pub struct Recorder {
    folder: PathBuf,
    events: File,
    /// Lines of events.jsonl that are not written yet.
    pending: Vec<u8>,
    run: Option<Run>,
    written: Instant,
    cost: Duration,
}

impl Recorder {
    /// Makes the folder and opens the record; the first event must be
    /// [`Event::RunStarted`].
    ///
    /// # Errors
    /// When the folder cannot be made or holds the record of a run already.
    pub fn create(folder: &Path) -> Result<Self, RecordError> {
        fs::create_dir_all(folder)?;
        let path = folder.join(EVENTS);
        let events = match fs::OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(&path)
        {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(RecordError::Taken(folder.to_owned()));
            }
            opened => opened?,
        };
        Ok(Self {
            folder: folder.to_owned(),
            events,
            pending: Vec::new(),
            run: None,
            written: Instant::now(),
            cost: Duration::ZERO,
        })
    }

    /// Opens the record of a run that was cut short, to go on with it. What of the
    /// last line was torn is cut off.
    ///
    /// # Errors
    /// When there is no such record, or it cannot be written.
    pub fn resume(folder: &Path) -> Result<Self, RecordError> {
        let run = Run::load(folder)?;
        let path = folder.join(EVENTS);
        let text = fs::read(&path)?;
        let whole = text
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |last| last + 1);
        let events = fs::OpenOptions::new().append(true).open(&path)?;
        events.set_len(whole as u64)?;
        let mut recorder = Self {
            folder: folder.to_owned(),
            events,
            pending: Vec::new(),
            run: Some(run),
            written: Instant::now(),
            cost: Duration::ZERO,
        };
        recorder.record(&Event::RunResumed {
            resumed: timestamp(),
        })?;
        Ok(recorder)
    }

    /// Records an event. When this returns, the event is with the operating
    /// system: the program can be killed without losing it.
    ///
    /// # Errors
    /// When it does not belong to the run, or a file cannot be written.
    pub fn record(&mut self, event: &Event) -> Result<(), RecordError> {
        self.record_all([event])
    }

    /// Records events that came together, as [`Recorder::record`] does one.
    ///
    /// # Errors
    /// As there; of those before the one that does not belong to the run nothing is
    /// lost.
    pub fn record_all<'a>(
        &mut self,
        events: impl IntoIterator<Item = &'a Event>,
    ) -> Result<(), RecordError> {
        let mut due = None;
        let folded = events
            .into_iter()
            .try_for_each(|event| -> Result<(), RecordError> {
                self.fold(event)?;
                due = due.max(self.due(event));
                Ok(())
            });
        // One write for all: a line is torn only if the machine goes down.
        let written = self.events.write_all(&self.pending);
        self.pending.clear();
        written?;
        folded?;
        match due {
            Some(Due::Now) => self.write(false),
            Some(Due::Last) => self.write(true),
            None => Ok(()),
        }
    }

    fn fold(&mut self, event: &Event) -> Result<(), RecordError> {
        match (&mut self.run, event) {
            (None, Event::RunStarted { run }) => self.run = Some((**run).clone()),
            (None, _) => return Err(RecordError::NotStarted),
            (Some(run), event) => run.apply(event)?,
        }
        // A download's progress says nothing of the run once it is over, and
        // would be most of the file.
        if !matches!(event, Event::FetchProgress { .. }) {
            let whole = self.pending.len();
            if let Err(error) = serde_json::to_writer(&mut self.pending, event) {
                self.pending.truncate(whole);
                return Err(error.into());
            }
            self.pending.push(b'\n');
        }
        Ok(())
    }

    /// Whether results.json is to be written anew after this event.
    fn due(&self, event: &Event) -> Option<Due> {
        match event {
            Event::RunStarted { .. } | Event::RunResumed { .. } => Some(Due::Now),
            Event::RunFinished { .. } => Some(Due::Last),
            _ if self.written.elapsed() > self.cost * PATIENCE => Some(Due::Now),
            _ => None,
        }
    }

    /// The run so far; none before [`Event::RunStarted`].
    pub fn run(&self) -> Option<&Run> {
        self.run.as_ref()
    }

    /// Where the record is kept.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn write(&mut self, last: bool) -> Result<(), RecordError> {
        let Some(run) = &self.run else {
            return Err(RecordError::NotStarted);
        };
        let start = Instant::now();
        replace(&self.folder.join(RESULTS), last, |file| {
            run.write_json(file)
        })?;
        let table = markdown::render(run);
        replace(&self.folder.join(TABLE), last, |file| {
            file.write_all(table.as_bytes())
        })?;
        self.written = Instant::now();
        self.cost = self.written - start;
        Ok(())
    }
}

/// When results.json is to be written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// With what has come so far.
    Now,
    /// For the last time.
    Last,
}

/// Writes a file so that who reads sees the old or the new one whole, and the new
/// one outlives the machine.
///
/// # Errors
/// When it cannot be written; the error names it.
pub fn write_whole(path: &Path, content: &[u8]) -> std::io::Result<()> {
    replace(path, true, |file| file.write_all(content))
}

/// Writes beside the file and renames: who reads sees the old or the new whole.
fn replace(
    path: &Path,
    durable: bool,
    content: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let beside = PathBuf::from(name);
    let mut file = BufWriter::with_capacity(BUFFER, File::create(&beside)?);
    content(&mut file)?;
    let file = file
        .into_inner()
        .map_err(std::io::IntoInnerError::into_error)?;
    // Only the last needs to outlive the machine: a sync costs more than all else.
    if durable {
        file.sync_all()?;
    }
    drop(file);
    fs::rename(&beside, path)
}

/// The present time as results.json has it: RFC 3339, UTC, whole seconds.
pub fn timestamp() -> String {
    jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}
