//! Bars, for a terminal: one per kernel, one per download under way, and a line
//! for all.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use report::{Event, Run};

const KERNEL: &str = "{prefix} {bar:24.cyan/dim} {pos:>3}/{len} {wide_msg}";
const FETCH: &str =
    "{prefix} {bar:24.green/dim} {bytes}/{total_bytes} {binary_bytes_per_sec} {wide_msg}";
const FETCH_UNSIZED: &str = "{prefix} {bytes} {binary_bytes_per_sec} {wide_msg}";
const SPINNER: &str = "{prefix} {spinner} {wide_msg}";

/// What is on the screen.
#[derive(Debug)]
pub(crate) struct Bars {
    all: MultiProgress,
    kernels: BTreeMap<String, ProgressBar>,
    fetches: BTreeMap<String, ProgressBar>,
    images: BTreeMap<String, ProgressBar>,
    width: usize,
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
            .clamp(8, 28);
        let mut bars = Bars {
            all,
            kernels: BTreeMap::new(),
            fetches: BTreeMap::new(),
            images: BTreeMap::new(),
            width,
        };
        for kernel in &run.kernels {
            let cells = run
                .cells
                .iter()
                .filter(|cell| cell.kernel == kernel.id)
                .count();
            let probes = run
                .probes
                .iter()
                .filter(|record| record.kernel == kernel.id)
                .count();
            let bar = bars.add(KERNEL, (cells + probes) as u64, &kernel.id);
            bar.set_message("waiting for its files");
            bars.kernels.insert(kernel.id.clone(), bar);
        }
        for image in &run.images {
            let bar = bars.add(SPINNER, 0, &image.id);
            bar.set_message("being fetched and built");
            bars.images.insert(image.id.clone(), bar);
        }
        bars
    }

    fn add(&self, template: &str, length: u64, prefix: &str) -> ProgressBar {
        let style = ProgressStyle::with_template(template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("━━─");
        let bar = self.all.add(ProgressBar::new(length).with_style(style));
        bar.set_prefix(format!("{prefix:<width$.width$}", width = self.width));
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }

    pub(crate) fn show(&mut self, event: &Event, run: &Run) {
        match event {
            Event::FetchStarted { what, total } => {
                let template = if total.is_some() {
                    FETCH
                } else {
                    FETCH_UNSIZED
                };
                let bar = self.add(template, total.unwrap_or(0), "fetching");
                bar.set_message(what.clone());
                self.fetches.insert(what.clone(), bar);
            }
            Event::FetchProgress { what, done } => {
                if let Some(bar) = self.fetches.get(what) {
                    bar.set_position(*done);
                }
            }
            Event::FetchFinished { what, .. } => {
                if let Some(bar) = self.fetches.remove(what) {
                    bar.finish_and_clear();
                    self.all.remove(&bar);
                }
            }
            Event::ImageReady { image } => self.end_image(&image.id),
            Event::ImageUnavailable { image, .. } => {
                self.end_image(image);
                self.line(event);
            }
            Event::VmStarting { kernel, boot } => {
                let again = if *boot > 1 {
                    format!(" again ({boot})")
                } else {
                    String::new()
                };
                self.message(kernel, format!("booting{again}"));
            }
            Event::VmReady {
                kernel,
                boot_ms,
                column,
                ..
            } => {
                let release = column.release.as_deref().unwrap_or("");
                self.message(kernel, format!("{release} up in {boot_ms} ms"));
            }
            Event::CellStarted { cell } => {
                self.message(&cell.kernel, format!("{} {}", cell.image, cell.check));
            }
            Event::CellFinished { cell, .. } => {
                if let Some(bar) = self.kernels.get(&cell.kernel) {
                    let done = run
                        .cells
                        .iter()
                        .filter(|other| other.kernel == cell.kernel && !other.attempts.is_empty())
                        .count();
                    bar.set_position(done as u64);
                }
            }
            Event::ProbeStarted { kernel, probe } => {
                self.message(kernel, format!("probe {probe}"));
            }
            Event::ProbeFinished { record } => {
                if let Some(bar) = self.kernels.get(&record.kernel) {
                    bar.inc(1);
                }
            }
            Event::KernelFinished { kernel } => {
                if let Some(bar) = self.kernels.get(kernel) {
                    bar.finish_with_message("done");
                }
            }
            Event::KernelUnavailable { kernel, reason } => {
                if let Some(bar) = self.kernels.get(kernel) {
                    bar.abandon_with_message(format!("unavailable: {reason}"));
                }
            }
            Event::Note { .. } | Event::RunFacts { .. } | Event::VmGone { .. } => self.line(event),
            _ => {}
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

    fn message(&self, kernel: &str, message: String) {
        if let Some(bar) = self.kernels.get(kernel) {
            bar.set_message(message);
        }
    }

    fn end_image(&mut self, image: &str) {
        if let Some(bar) = self.images.remove(image) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
    }

    pub(crate) fn close(&mut self) {
        let _ = self.all.clear();
    }
}
