//! What people see: progress on stderr, the result on stdout.
//!
//! A terminal gets bars, a pipe or a CI log plain lines, `--json` the events as
//! they are. All three are fed by the one stream of events.

mod awaited;
mod bars;
mod lines;
mod transfers;

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::Instant;

use report::{Event, Run};

use crate::error::Failure;
use bars::Bars;
use lines::Lines;

/// What a download for an image is said to be for.
pub(crate) fn image_purpose(name: &str) -> String {
    format!("image {name}")
}

/// What a download for a kernel is said to be for.
pub(crate) fn kernel_purpose(id: &str) -> String {
    format!("kernel {id}")
}

/// How a run is shown while it goes on.
#[derive(Debug)]
pub(crate) struct Display {
    kind: Kind,
    json: bool,
    /// The table is printed at the end.
    table: bool,
}

#[derive(Debug)]
enum Kind {
    Bars(Box<Bars>),
    Lines(Lines),
    Quiet,
}

impl Display {
    /// Bars where a person watches, plain lines elsewhere; with `--json` the
    /// events on stdout and nothing on stderr.
    pub(crate) fn choose(json: bool, verbose: u8, run: &Run) -> Self {
        let watched = io::stderr().is_terminal() && std::env::var_os("CI").is_none();
        let kind = match (json, watched) {
            (true, _) => Kind::Quiet,
            (false, true) => Kind::Bars(Box::new(Bars::new(run))),
            (false, false) => Kind::Lines(Lines::new(verbose)),
        };
        Display {
            kind,
            json,
            table: !json,
        }
    }

    /// Plain lines and the table, wherever they go.
    pub(crate) fn lines() -> Self {
        Display {
            kind: Kind::Lines(Lines::new(0)),
            json: false,
            table: true,
        }
    }

    /// Bars where a person watches, and else nothing at all: for one command, whose
    /// output is the result.
    pub(crate) fn unobtrusive(run: &Run) -> Self {
        let kind = if io::stderr().is_terminal() && std::env::var_os("CI").is_none() {
            Kind::Bars(Box::new(Bars::new(run)))
        } else {
            Kind::Quiet
        };
        Display {
            kind,
            json: false,
            table: false,
        }
    }

    /// As [`Display::choose`], for what is done as a run is and is none: without its
    /// beginning, its end, and its table.
    pub(crate) fn of_no_run(verbose: u8, run: &Run) -> Self {
        Display {
            table: false,
            ..Display::choose(false, verbose, run)
        }
    }

    /// Shows one event.
    pub(crate) fn show(&mut self, event: &Event) {
        if self.json {
            match serde_json::to_string(event) {
                Ok(line) => write_stdout(&format!("{line}\n")),
                Err(error) => write_stderr(&format!("an event could not be written: {error}\n")),
            }
        }
        let frame = matches!(event, Event::RunStarted { .. } | Event::RunFinished { .. });
        match &mut self.kind {
            _ if frame && !self.table && !self.json => {}
            Kind::Bars(bars) => bars.show(event),
            Kind::Lines(lines) => lines.show(event, Instant::now()),
            Kind::Quiet => {}
        }
    }

    /// Called about once a second, whether or not anything happened.
    pub(crate) fn tick(&mut self) {
        match &mut self.kind {
            Kind::Bars(bars) => bars.tick(),
            Kind::Lines(lines) => lines.tick(Instant::now()),
            Kind::Quiet => {}
        }
    }

    /// Takes the bars off the screen.
    pub(crate) fn close(&mut self) {
        if let Kind::Bars(bars) = &mut self.kind {
            bars.close();
        }
    }

    /// Prints the result.
    pub(crate) fn finish(mut self, run: &Run, folder: &Path) -> Result<(), Failure> {
        self.close();
        if self.table {
            print(&terminal_text(run))?;
        }
        if self.table || self.json {
            print_recorded(folder);
            crate::github::tell(run, self.json);
        }
        Ok(())
    }
}

/// Tells where a run's record is.
pub(crate) fn print_recorded(folder: &Path) {
    write_stderr(&format!("recorded in {}\n", folder.display()));
}

/// The tables as this terminal can show them.
pub(crate) fn terminal_text(run: &Run) -> String {
    report::text::render(run, terminal_options())
}

/// What this terminal can show.
pub(crate) fn terminal_options() -> report::text::Options {
    let stdout = io::stdout();
    let terminal = stdout.is_terminal();
    // A pipe has no width: one wide table, for grep and less -S.
    let width = if terminal {
        rustix::termios::tcgetwinsize(&stdout)
            .ok()
            .map(|size| usize::from(size.ws_col))
    } else {
        None
    };
    let colour = anstream::AutoStream::choice(&stdout) != anstream::ColorChoice::Never;
    let width = width.filter(|width| *width > 0);
    report::text::Options { width, colour }
}

/// Prints a result to stdout. A reader that has seen enough (`| head`) is no
/// error.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// One line of progress on stderr, outside of any run.
pub(crate) fn note(text: &str) {
    write_stderr(&format!("{text}\n"));
}

/// Tells why the program ends without having done what it was asked.
pub(crate) fn print_failure(failure: &Failure) {
    let text = failure.to_string();
    // The plan's diagnostics bring their own headline.
    if matches!(failure, Failure::Plan(_)) {
        write_stderr(&format!("{}\n", text.trim_end()));
    } else {
        write_stderr(&format!("error: {text}\n"));
    }
}

fn write_stdout(text: &str) {
    let mut stdout = io::stdout().lock();
    // A closed reader of --json must not end a run whose record goes on.
    let _ = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
}

pub(crate) fn write_stderr(text: &str) {
    // Nobody is left to tell when stderr is gone.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
