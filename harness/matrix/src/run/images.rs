//! The images of a run: each built once, in the background, awaited by every
//! kernel that runs it.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, PoisonError};

use plan::Image;
use report::Event;
use supply::{ImageDisk, Supply};

use super::panic;
use super::phases::{Phase, Phases};
use super::record;
use super::sink::Sink;
use crate::{programs, progress};

/// What became of each image, by name.
#[derive(Debug, Default)]
pub(crate) struct Images {
    /// None: it cannot be had, which has been told.
    ready: Mutex<BTreeMap<String, Option<ImageDisk>>>,
    changed: Condvar,
}

impl Images {
    /// Builds one image and tells what came of it. `before` is the digest that a
    /// run to go on with has for it: two userlands must not share a row.
    pub(crate) fn build(
        &self,
        image: &Image,
        before: Option<&str>,
        supply: &Supply,
        sink: &Sink,
        phases: &Phases,
    ) {
        // Whatever comes of it, those who wait must be told.
        let built = panic::caught(|| {
            let _phase = phases.enter(Phase::Build);
            let _for = supply::purpose::begin(&progress::image_purpose(&image.name));
            let programs = BTreeMap::from([("vsyscall".to_owned(), programs::VSYSCALL)]);
            supply
                .image(&image.sources, &programs)
                .map_err(|error| error.to_string())
        });
        let unavailable = |reason: String| {
            sink.tell(Event::ImageUnavailable {
                image: image.name.clone(),
                reason,
            });
        };
        let disk = match built {
            Ok(disk) if before.is_some_and(|before| before != disk.digest) => {
                unavailable(
                    "its files are not those the run began with\nhint: start a new run".to_owned(),
                );
                None
            }
            Ok(disk) => {
                sink.tell(Event::ImageReady {
                    image: record::image_row(image, Some(&disk)),
                });
                Some(disk)
            }
            Err(reason) => {
                unavailable(reason);
                None
            }
        };
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        ready.insert(image.name.clone(), disk);
        self.changed.notify_all();
    }

    /// Waits until the image is built; none when it cannot be had.
    pub(crate) fn wait(&self, name: &str) -> Option<ImageDisk> {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(disk) = ready.get(name) {
                return disk.clone();
            }
            ready = self
                .changed
                .wait(ready)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}
