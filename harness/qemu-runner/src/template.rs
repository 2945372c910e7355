//! A machine that is kept where its guest waits for work, and started again from
//! there as often as need be.
//!
//! The memory of a template is a file, mapped shared while the kernel boots. What
//! else a machine is (the processor's and the devices' state, 0.3 MB) goes through
//! QEMU's migration into a second file; `x-ignore-shared` (QEMU 4.0) leaves the
//! memory out of it. A clone maps the memory file privately, so that it reads what
//! the template wrote and keeps its own changes to itself, takes in the state, and
//! goes on: 0.06 s under TCG instead of a boot of two seconds.
//!
//! A clone has the template's devices, in number and kind; which file is behind a
//! disk, and its serial, may differ.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::monitor::{Monitor, MonitorError};

/// How long a machine may take to come out of its migration.
const PATIENCE: Duration = Duration::from_secs(20);

/// The name under which QEMU gets the descriptor that the state goes through.
const STATE: &str = "state";

/// Why a machine could not be kept, or not be started from what was kept.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// QEMU did not do what was asked.
    #[error("{0}")]
    Monitor(String),
    /// A file or a pipe failed.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file of the state.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The migration did not end well.
    #[error("QEMU's migration ended as {0:?}")]
    Migration(String),
    /// The machine was not started with a monitor.
    #[error("a machine that boots for itself cannot be kept")]
    NoMonitor,
}

impl From<MonitorError> for TemplateError {
    fn from(error: MonitorError) -> Self {
        TemplateError::Monitor(error.to_string())
    }
}

/// Stops the machine and writes its state. It is of no more use then.
pub(crate) fn keep(monitor: &mut Monitor, state: &Path) -> Result<(), TemplateError> {
    let failed = |source| TemplateError::File {
        path: state.to_owned(),
        source,
    };
    let mut file = File::create(state).map_err(failed)?;
    monitor.execute("stop", None)?;
    ignore_memory(monitor)?;
    // A pipe and not the file itself: QEMU 9.1 and later frown on files there, and
    // those before 8.2 know no other way to one.
    let (mut reader, writer) = io::pipe().map_err(failed)?;
    monitor.give(STATE, writer.as_fd())?;
    drop(writer);
    monitor.execute("migrate", Some(json!({ "uri": format!("fd:{STATE}") })))?;
    // Until QEMU has closed its end.
    io::copy(&mut reader, &mut file).map_err(failed)?;
    let until = Instant::now() + PATIENCE;
    loop {
        let answer = monitor.execute("query-migrate", None)?;
        match answer["status"].as_str().unwrap_or_default() {
            "completed" => return Ok(()),
            "setup" | "active" | "device" | "wait-unplug" if Instant::now() < until => {
                thread::sleep(Duration::from_millis(1));
            }
            other => {
                let why = answer["error-desc"].as_str().unwrap_or(other);
                return Err(TemplateError::Migration(why.to_owned()));
            }
        }
    }
}

/// Takes in the state of a machine that was started to wait for it, and sets it
/// going.
pub(crate) fn restore(monitor: &mut Monitor, state: &Path) -> Result<(), TemplateError> {
    let failed = |source| TemplateError::File {
        path: state.to_owned(),
        source,
    };
    let mut file = File::open(state).map_err(failed)?;
    ignore_memory(monitor)?;
    let (reader, mut writer) = io::pipe().map_err(failed)?;
    monitor.give(STATE, reader.as_fd())?;
    drop(reader);
    let uri = json!({ "uri": format!("fd:{STATE}") });
    monitor.execute("migrate-incoming", Some(uri))?;
    io::copy(&mut file, &mut writer).map_err(failed)?;
    drop(writer);
    let until = Instant::now() + PATIENCE;
    loop {
        let answer = monitor.execute("query-status", None)?;
        match answer["status"].as_str().unwrap_or_default() {
            "inmigrate" if Instant::now() < until => thread::sleep(Duration::from_millis(1)),
            // As the template was when it was kept.
            "paused" => {
                monitor.execute("cont", None)?;
                return Ok(());
            }
            other => return Err(TemplateError::Migration(other.to_owned())),
        }
    }
}

fn ignore_memory(monitor: &mut Monitor) -> Result<(), MonitorError> {
    let capability = json!({ "capability": "x-ignore-shared", "state": true });
    monitor
        .execute(
            "migrate-set-capabilities",
            Some(json!({ "capabilities": [capability] })),
        )
        .map(drop)
}
