//! The work of a run: images and kernels side by side, each kernel's cells in
//! order, and what is doubtful once more with the host to itself.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::thread;

use plan::{Check, Image, Kernel, Plan};
use qemu_runner::{Disk, Spawner};
use report::{CellId, Event, Run};
use supply::Supply;

use super::boot::{Bootery, Prepared};
use super::images::Images;
use super::options::Options;
use super::panic;
use super::phases::{Phase, Phases};
use super::probes::{self, ProbeTask};
use super::session::{Mode, Session, Task};
use super::sink::Sink;
use super::slots::Slots;
use crate::progress;

/// Everything the working threads share.
#[derive(Debug)]
pub(super) struct Worker<'a> {
    pub(super) plan: &'a Plan,
    pub(super) options: &'a Options,
    /// Cells that have a result already.
    pub(super) done: &'a BTreeSet<CellId>,
    /// The record as it stood when work began.
    pub(super) run: &'a Run,
    pub(super) supply: &'a Supply,
    pub(super) spawner: &'a Spawner,
    pub(super) sink: Sink,
    pub(super) phases: &'a Phases,
    pub(super) folder: &'a Path,
}

impl Worker<'_> {
    pub(super) fn work(&self) {
        let images = Images::default();
        let bootery = Bootery::new(
            self.supply,
            self.spawner,
            self.options,
            &self.sink,
            self.folder,
        );
        let machines = Slots::new(self.options.jobs);
        // Unpacking and building are bound by the processor, not by machines.
        let builders = Slots::new(
            thread::available_parallelism()
                .map_or(1, usize::from)
                .max(2),
        );

        let doubtful: Vec<Doubtful<'_>> = thread::scope(|scope| {
            for image in self
                .plan
                .images
                .iter()
                .filter(|image| self.is_needed(image))
            {
                let (images, builders) = (&images, &builders);
                scope.spawn(move || {
                    let _slot = builders.take();
                    let before = self.run.image(&image.name);
                    let digest = before.and_then(|row| row.digest.as_deref());
                    images.build(image, digest, self.supply, &self.sink, self.phases);
                });
            }
            let kernels: Vec<_> = self
                .plan
                .kernels
                .iter()
                .map(|kernel| {
                    let (images, bootery) = (&images, &bootery);
                    let (builders, machines) = (&builders, &machines);
                    scope.spawn(move || {
                        // A mistake met by one column must not take the others along.
                        panic::caught(|| {
                            Ok(self.kernel(kernel, images, bootery, builders, machines))
                        })
                        .unwrap_or_else(|reason| {
                            self.unavailable(kernel, reason);
                            None
                        })
                    })
                })
                .collect();
            kernels
                .into_iter()
                .filter_map(|thread| match thread.join() {
                    Ok(doubtful) => doubtful,
                    Err(panic) => std::panic::resume_unwind(panic),
                })
                .collect()
        });

        // Nothing else runs now: no download, no build, no other machine.
        for Doubtful {
            kernel,
            prepared,
            disks,
            boots,
            tasks,
        } in doubtful
        {
            self.sink.note(format!(
                "{}: {} to confirm with the machine to itself",
                kernel.id,
                count(tasks.len(), "cell")
            ));
            let mut session = Session::new(&bootery, self.phases, kernel, &prepared, disks);
            session.mode = Mode::Alone;
            session.boots = boots;
            session.run(tasks);
        }
    }

    /// Some cell of the image has no result yet.
    fn is_needed(&self, image: &Image) -> bool {
        self.plan.kernels.iter().any(|kernel| {
            image
                .checks
                .iter()
                .any(|check| !self.done.contains(&cell_id(kernel, image, check)))
        })
    }

    /// The kernel's probes that have no result yet.
    fn probes_left(&self, kernel: &Kernel) -> VecDeque<ProbeTask> {
        self.run
            .probes
            .iter()
            .filter(|record| record.kernel == kernel.id && !record.outcome.is_result())
            .filter_map(|record| wire::Probe::named(&record.probe))
            .map(ProbeTask::new)
            .collect()
    }

    /// One kernel from its source to its last cell. Gives back what must be
    /// confirmed.
    fn kernel<'p>(
        &'p self,
        kernel: &'p Kernel,
        images: &Images,
        bootery: &Bootery<'_>,
        builders: &Slots,
        machines: &Slots,
    ) -> Option<Doubtful<'p>> {
        let mut probes = self.probes_left(kernel);
        let left =
            |image: &Image, check: &Check| !self.done.contains(&cell_id(kernel, image, check));
        if self
            .plan
            .images
            .iter()
            .all(|image| !image.checks.iter().any(|check| left(image, check)))
            && probes.is_empty()
        {
            return None;
        }
        let prepared = {
            // An uncompressed kernel is 60 MB in memory: not all of them at once.
            let _slot = builders.take();
            let _phase = self.phases.enter(Phase::Build);
            let _for = supply::purpose::begin(&progress::kernel_purpose(&kernel.id));
            bootery.prepare(kernel)
        };
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                self.unavailable(kernel, error.to_string());
                return None;
            }
        };
        // Two kernels must not share a column.
        if let Some(column) = self.run.kernel(&kernel.id)
            && !column.package.is_empty()
            && column.package != *prepared.package()
        {
            let reason = format!(
                "the run began with {}, and this source now gives {}\nhint: start a new run",
                package_words(&column.package),
                package_words(prepared.package())
            );
            self.unavailable(kernel, reason);
            return None;
        }
        self.sink.tell(Event::KernelReady {
            kernel: kernel.id.clone(),
        });
        if !self.options.boots {
            return None;
        }
        let mut disks = Vec::new();
        let mut tasks = Vec::new();
        for (index, image) in self.plan.images.iter().enumerate() {
            let checks: Vec<&Check> = image
                .checks
                .iter()
                .filter(|check| left(image, check))
                .collect();
            if checks.is_empty() {
                continue;
            }
            // One that cannot be had has been told, and its cells stay not run.
            let Some(disk) = images.wait(&image.name) else {
                continue;
            };
            let serial = format!("image{index}");
            disks.push(Disk {
                path: disk.path.clone(),
                serial: serial.clone(),
            });
            tasks.extend(
                checks
                    .into_iter()
                    .map(|check| Task::new(image, check, serial.clone(), &disk.config)),
            );
        }
        if !probes.is_empty() {
            match probes::disk(self.supply) {
                Ok(disk) => disks.push(disk),
                Err(error) => {
                    let message = format!("the program for inside: {error}");
                    for task in probes.drain(..) {
                        self.sink.tell(task.trouble(&kernel.id, &message));
                    }
                }
            }
        }
        if tasks.is_empty() && probes.is_empty() {
            return None;
        }
        let _slot = machines.take();
        let mut session = Session::new(bootery, self.phases, kernel, &prepared, disks.clone());
        session.probes = probes;
        let tasks = session.run(tasks);
        let boots = session.boots;
        self.sink.tell(Event::KernelFinished {
            kernel: kernel.id.clone(),
        });
        (!tasks.is_empty()).then_some(Doubtful {
            kernel,
            prepared,
            disks,
            boots,
            tasks,
        })
    }

    fn unavailable(&self, kernel: &Kernel, reason: String) {
        self.sink.tell(Event::KernelUnavailable {
            kernel: kernel.id.clone(),
            reason,
        });
    }
}

/// What must be confirmed with the host to itself before it counts.
#[derive(Debug)]
struct Doubtful<'a> {
    kernel: &'a Kernel,
    prepared: Prepared,
    disks: Vec<Disk>,
    boots: u32,
    tasks: Vec<Task<'a>>,
}

fn cell_id(kernel: &Kernel, image: &Image, check: &Check) -> CellId {
    CellId {
        kernel: kernel.id.clone(),
        image: image.name.clone(),
        check: check.name.clone(),
    }
}

/// `linux-image-6.1.0-50-cloud-amd64 6.1.170-1`, or the path.
fn package_words(package: &BTreeMap<String, String>) -> String {
    ["name", "version", "path", "oci", "archive", "image"]
        .iter()
        .filter_map(|key| package.get(*key))
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(" ")
}

/// `1 cell`, `2 cells`.
fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
