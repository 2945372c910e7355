//! Bars, for a terminal: a line per kernel and per image that is not ready, each
//! telling what it is at, with bytes and speed while it is fetched; and one per
//! tool that is fetched.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use report::shown::duration;
use report::{CellId, Event, Run};

use super::transfers::{Transfer, Transfers};
use super::{image_purpose, kernel_purpose};

/// Cells of a kernel.
const CELLS: &str = "{prefix} {bar:24.cyan/dim} {pos:>3}/{len} {wide_msg}";
/// Bytes of a download; the message tells them.
const BYTES: &str = "{prefix} {bar:24.green/dim} {wide_msg}";
/// Something whose size nobody knows.
const SPINNER: &str = "{prefix} {spinner} {wide_msg}";

/// What lasts longer than this tells for how long.
const LONG: Duration = Duration::from_secs(3);

/// How often times and speeds are drawn anew.
const TICK: Duration = Duration::from_millis(500);

/// What is on the screen.
#[derive(Debug)]
pub(crate) struct Bars {
    all: MultiProgress,
    kernels: BTreeMap<String, KernelBar>,
    /// Those that are not ready, by what a download for them is said to be for.
    images: BTreeMap<String, ProgressBar>,
    /// What else is fetched at the moment: tools.
    tools: BTreeMap<String, ProgressBar>,
    transfers: Transfers,
    width: usize,
    drawn: Instant,
}

/// A kernel's line.
#[derive(Debug)]
struct KernelBar {
    bar: ProgressBar,
    /// Cells and probes.
    cells: u64,
    done: BTreeSet<CellId>,
    /// Names of the probes that are done.
    probes_done: BTreeSet<String>,
    /// What it is at, and since when; none when it is fetched, or done.
    state: Option<(String, Instant)>,
}

impl Bars {
    pub(crate) fn new(run: &Run) -> Self {
        let all = MultiProgress::new();
        let width = run
            .kernels
            .iter()
            .map(|kernel| kernel.id.chars().count())
            .chain(run.images.iter().map(|image| image.id.chars().count()))
            .max()
            .unwrap_or(0)
            .clamp(10, 28);
        let mut bars = Bars {
            all,
            kernels: BTreeMap::new(),
            images: BTreeMap::new(),
            tools: BTreeMap::new(),
            transfers: Transfers::default(),
            width,
            drawn: Instant::now(),
        };
        for kernel in &run.kernels {
            let cells = || run.cells.iter().filter(|cell| cell.kernel == kernel.id);
            // Of a run that is gone on with.
            let done: BTreeSet<CellId> = cells()
                .filter(|cell| cell.outcome.is_result())
                .map(report::Cell::id)
                .collect();
            let probes = || {
                let all = run.probes.iter();
                all.filter(|record| record.kernel == kernel.id)
            };
            let probes_done: BTreeSet<String> = probes()
                .filter(|record| record.outcome.is_result())
                .map(|record| record.probe.clone())
                .collect();
            let bar = KernelBar {
                bar: bars.add(CELLS, &kernel.id),
                cells: (cells().count() + probes().count()) as u64,
                done,
                probes_done,
                state: None,
            };
            bar.show_cells();
            if bar.position() == bar.cells {
                bar.bar.finish_with_message("done");
            } else {
                bar.bar.set_message("waiting for its turn");
            }
            bars.kernels.insert(kernel.id.clone(), bar);
        }
        for image in &run.images {
            let needed = run
                .cells
                .iter()
                .any(|cell| cell.image == image.id && !cell.outcome.is_result());
            if needed {
                let bar = bars.add(SPINNER, &image.id);
                bar.set_message("waiting for its turn");
                bars.images.insert(image_purpose(&image.id), bar);
            }
        }
        bars
    }

    fn add(&self, template: &str, prefix: &str) -> ProgressBar {
        let bar = self
            .all
            .add(ProgressBar::new(0).with_style(style(template)));
        bar.set_prefix(format!("{prefix:<width$.width$}", width = self.width));
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }

    pub(crate) fn show(&mut self, event: &Event) {
        let now = Instant::now();
        if let Some(purpose) = self.transfers.apply(event, now) {
            self.show_transfer(&purpose, now);
        }
        match event {
            Event::ImageReady { image } => self.end_image(&image.id),
            Event::ImageUnavailable { image, .. } => {
                self.end_image(image);
                self.line(event);
            }
            Event::KernelReady { kernel } => {
                self.at(kernel, "waiting for images or a machine".to_owned(), now);
            }
            Event::VmStarting { kernel, boot } => {
                let again = if *boot > 1 {
                    format!(" again ({boot})")
                } else {
                    String::new()
                };
                self.at(kernel, format!("booting{again}"), now);
            }
            Event::VmReady {
                kernel,
                boot_ms,
                column,
                ..
            } => {
                let release = column.release.as_deref().unwrap_or("");
                let up = format!("{release} up after {}", duration(*boot_ms));
                self.at(kernel, up, now);
            }
            Event::CellStarted { cell } => {
                self.at(&cell.kernel, format!("{} {}", cell.image, cell.check), now);
            }
            Event::CellFinished { cell, attempt } => {
                if let Some(kernel) = self.kernels.get_mut(&cell.kernel)
                    && attempt.outcome.is_result()
                {
                    kernel.done.insert(cell.clone());
                    kernel.show_cells();
                }
                if attempt.verdict.is_unexpected() {
                    self.line(event);
                }
            }
            Event::ProbeStarted { kernel, probe } => {
                self.at(kernel, format!("probe {probe}"), now);
            }
            Event::ProbeFinished { record } => {
                if let Some(kernel) = self.kernels.get_mut(&record.kernel) {
                    kernel.probes_done.insert(record.probe.clone());
                    kernel.show_cells();
                }
                if matches!(record.outcome, report::ProbeOutcome::Failed { .. }) {
                    self.line(event);
                }
            }
            Event::KernelFinished { kernel } => {
                if let Some(kernel) = self.kernels.get_mut(kernel) {
                    kernel.state = None;
                    kernel.bar.finish_with_message("done");
                }
            }
            Event::KernelUnavailable { kernel, reason } => {
                if let Some(kernel) = self.kernels.get_mut(kernel) {
                    kernel.state = None;
                    kernel.show_cells();
                    let first = reason.lines().next().unwrap_or_default();
                    let message = format!("unavailable: {first}");
                    kernel.bar.abandon_with_message(message);
                }
                self.line(event);
            }
            Event::Note { .. } | Event::RunFacts { .. } | Event::VmGone { .. } => self.line(event),
            _ => {}
        }
    }

    /// Draws times and speeds anew.
    pub(crate) fn tick(&mut self) {
        let now = Instant::now();
        if now.duration_since(self.drawn) < TICK {
            return;
        }
        self.drawn = now;
        for kernel in self.kernels.values() {
            kernel.tell_state(now);
        }
        let under_way: Vec<String> = self
            .transfers
            .under_way()
            .map(|(purpose, _)| purpose.to_owned())
            .collect();
        for purpose in under_way {
            self.show_transfer(&purpose, now);
        }
    }

    fn show_transfer(&mut self, purpose: &str, now: Instant) {
        let Some(transfer) = self.transfers.of(purpose) else {
            return;
        };
        let idle = transfer.under_way == 0 && transfer.files_done >= transfer.files;
        let kernel = self
            .kernels
            .iter()
            .find(|(id, _)| kernel_purpose(id) == purpose);
        if let Some((_, kernel)) = kernel {
            if kernel.state.is_some() {
                return;
            }
            if idle {
                kernel.show_cells();
                kernel.bar.set_message("being made ready");
            } else {
                show_bytes(&kernel.bar, transfer, now);
            }
        } else if let Some(bar) = self.images.get(purpose) {
            if idle {
                bar.set_style(style(SPINNER));
                bar.set_message("unpacking and building");
            } else {
                show_bytes(bar, transfer, now);
            }
        } else if idle {
            if let Some(bar) = self.tools.remove(purpose) {
                self.clear(&bar);
            }
        } else {
            if !self.tools.contains_key(purpose) {
                let bar = self.add(SPINNER, purpose);
                self.tools.insert(purpose.to_owned(), bar);
            }
            if let Some(bar) = self.tools.get(purpose) {
                show_bytes(bar, transfer, now);
            }
        }
    }

    /// A line above the bars.
    fn line(&self, event: &Event) {
        if let Some(line) = report::plain_line(event) {
            // Bars are drawn to a terminal that was there a moment ago; when it is
            // gone, nobody reads the line.
            let _ = self.all.println(line);
        }
    }

    /// Tells what a kernel is at.
    fn at(&mut self, kernel: &str, what: String, now: Instant) {
        if let Some(kernel) = self.kernels.get_mut(kernel) {
            if kernel.state.is_none() {
                kernel.show_cells();
            }
            kernel.state = Some((what, now));
            kernel.tell_state(now);
        }
    }

    fn end_image(&mut self, image: &str) {
        if let Some(bar) = self.images.remove(&image_purpose(image)) {
            self.clear(&bar);
        }
    }

    fn clear(&self, bar: &ProgressBar) {
        bar.finish_and_clear();
        self.all.remove(bar);
    }

    pub(crate) fn close(&mut self) {
        let _ = self.all.clear();
    }
}

impl KernelBar {
    fn position(&self) -> u64 {
        (self.done.len() + self.probes_done.len()) as u64
    }

    fn show_cells(&self) {
        self.bar.set_style(style(CELLS));
        self.bar.set_length(self.cells);
        self.bar.set_position(self.position());
    }

    fn tell_state(&self, now: Instant) {
        if let Some((what, since)) = &self.state {
            let time = now.duration_since(*since);
            self.bar.set_message(if time >= LONG {
                format!("{what} for {} s", time.as_secs())
            } else {
                what.clone()
            });
        }
    }
}

fn show_bytes(bar: &ProgressBar, transfer: &Transfer, now: Instant) {
    let known = transfer.total > 0;
    bar.set_style(style(if known { BYTES } else { SPINNER }));
    bar.set_length(transfer.total);
    bar.set_position(transfer.done);
    bar.set_message(transfer.words(now));
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━━─")
}
