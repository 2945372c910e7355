//! What is being fetched, put together by what awaits it: an image of a hundred
//! packages is one line with its bytes and its speed.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use report::Event;
use report::shown::bytes;

/// The speed is that of the last so many seconds.
const WINDOW: Duration = Duration::from_secs(5);

/// Less time than this makes no speed.
const LEAST: Duration = Duration::from_millis(500);

/// All downloads, by what awaits them.
#[derive(Debug, Default)]
pub(crate) struct Transfers {
    awaited: BTreeMap<String, Transfer>,
    /// File under way → what awaits it and the bytes it has.
    files: BTreeMap<String, (String, u64)>,
}

/// What one thing fetches.
#[derive(Debug, Default)]
pub(crate) struct Transfer {
    /// Bytes so far.
    pub(crate) done: u64,
    /// Bytes in all as far as is known now; 0: unknown.
    pub(crate) total: u64,
    /// Files that have come.
    pub(crate) files_done: u64,
    /// Files in all as far as is known now.
    pub(crate) files: u64,
    /// Files under way.
    pub(crate) under_way: u64,
    /// Of what was planned, what has not begun: counted already.
    planned: (u64, u64),
    /// Times and bytes done then, oldest first.
    samples: VecDeque<(Instant, u64)>,
}

impl Transfers {
    /// Takes in an event; gives what awaits the file it speaks of.
    pub(crate) fn apply(&mut self, event: &Event, now: Instant) -> Option<String> {
        match event {
            Event::FetchPlanned {
                purpose,
                files,
                bytes,
                ..
            } => {
                let transfer = self.awaited.entry(purpose.clone()).or_default();
                transfer.files += files;
                transfer.total += bytes;
                transfer.planned.0 += files;
                transfer.planned.1 += bytes;
                Some(purpose.clone())
            }
            Event::FetchStarted {
                what,
                total,
                purpose,
            } => {
                let purpose = purpose.as_ref().unwrap_or(what);
                let transfer = self.awaited.entry(purpose.clone()).or_default();
                transfer.begin(total.unwrap_or(0), now);
                self.files.insert(what.clone(), (purpose.clone(), 0));
                Some(purpose.clone())
            }
            Event::FetchProgress { what, done } => {
                let (purpose, before) = self.files.get_mut(what)?;
                let transfer = self.awaited.get_mut(purpose)?;
                // A transfer that begins anew takes back what it had.
                transfer.done = (transfer.done + done).saturating_sub(*before);
                *before = *done;
                transfer.sample(now);
                Some(purpose.clone())
            }
            Event::FetchFinished { what, bytes, .. } => {
                let (purpose, before) = self.files.remove(what)?;
                let transfer = self.awaited.get_mut(&purpose)?;
                transfer.done = (transfer.done + bytes).saturating_sub(before);
                transfer.files_done += 1;
                transfer.under_way = transfer.under_way.saturating_sub(1);
                transfer.sample(now);
                Some(purpose)
            }
            _ => None,
        }
    }

    /// What this awaits; none where it fetched nothing yet.
    pub(crate) fn of(&self, purpose: &str) -> Option<&Transfer> {
        self.awaited.get(purpose)
    }

    /// All that have a file under way.
    pub(crate) fn under_way(&self) -> impl Iterator<Item = (&str, &Transfer)> {
        self.awaited
            .iter()
            .filter(|(_, transfer)| transfer.under_way > 0)
            .map(|(purpose, transfer)| (purpose.as_str(), transfer))
    }
}

impl Transfer {
    fn begin(&mut self, size: u64, now: Instant) {
        self.under_way += 1;
        if self.planned.0 > 0 && self.planned.1 >= size {
            self.planned.0 -= 1;
            self.planned.1 -= size;
        } else {
            self.files += 1;
            self.total += size;
        }
        if self.under_way == 1 {
            // What passed while nothing was fetched is no slowness.
            self.samples.clear();
        }
        self.sample(now);
    }

    fn sample(&mut self, now: Instant) {
        self.samples.push_back((now, self.done));
        while self.samples.len() > 2 && now.duration_since(self.samples[1].0) >= WINDOW {
            self.samples.pop_front();
        }
    }

    /// Bytes a second of late; none while it is too early to tell.
    pub(crate) fn speed(&self, now: Instant) -> Option<u64> {
        let (since, before) = *self.samples.front()?;
        let time = now.duration_since(since);
        if time < LEAST {
            return None;
        }
        Some((self.done.saturating_sub(before) as f64 / time.as_secs_f64()) as u64)
    }

    /// `12.3 of 31.4 MiB, 2.1 MiB/s, 40 of 104 files`.
    pub(crate) fn words(&self, now: Instant) -> String {
        let mut words = bytes(self.done);
        if self.total > 0 {
            words += &format!(" of {}", bytes(self.total));
        }
        if let Some(speed) = self.speed(now) {
            words += &format!(", {}/s", bytes(speed));
        }
        if self.files > 1 {
            words += &format!(", {} of {} files", self.files_done, self.files);
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn started(what: &str, total: Option<u64>, purpose: Option<&str>) -> Event {
        Event::FetchStarted {
            what: what.to_owned(),
            total,
            purpose: purpose.map(str::to_owned),
        }
    }

    fn finished(what: &str, bytes: u64) -> Event {
        Event::FetchFinished {
            what: what.to_owned(),
            bytes,
            error: None,
        }
    }

    #[test]
    fn an_image_of_many_packages_is_one_thing() {
        let mut transfers = Transfers::default();
        let begun = Instant::now();
        let at = |seconds: u64| begun + Duration::from_secs(seconds);
        let image = Some("image debian:12");
        // The index comes before the plan, the packages after it.
        transfers.apply(&started("Packages", Some(8 * MIB), image), at(0));
        transfers.apply(&finished("Packages", 8 * MIB), at(1));
        let plan = Event::FetchPlanned {
            purpose: "image debian:12".to_owned(),
            files: 2,
            noun: "package".to_owned(),
            bytes: 4 * MIB,
        };
        transfers.apply(&plan, at(1));
        transfers.apply(&started("a", Some(MIB), image), at(2));
        transfers.apply(&started("b", Some(3 * MIB), image), at(2));
        transfers.apply(&finished("a", MIB), at(3));
        let half = Event::FetchProgress {
            what: "b".to_owned(),
            done: MIB,
        };
        assert_eq!(
            transfers.apply(&half, at(4)).as_deref(),
            Some("image debian:12")
        );
        let of = transfers.of("image debian:12").unwrap();
        assert_eq!((of.done, of.total), (10 * MIB, 12 * MIB));
        assert_eq!((of.files_done, of.files, of.under_way), (2, 3, 1));
        // Two of the last seconds' mebibytes in two seconds.
        assert_eq!(
            of.words(at(4)),
            "10.0 MiB of 12.0 MiB, 1.0 MiB/s, 2 of 3 files"
        );
        transfers.apply(&finished("b", 3 * MIB), at(5));
        assert_eq!(transfers.under_way().count(), 0);
    }

    #[test]
    fn a_transfer_that_begins_anew_takes_back_what_it_had() {
        let mut transfers = Transfers::default();
        let now = Instant::now();
        transfers.apply(&started("a", None, None), now);
        for done in [3 * MIB, MIB] {
            let what = "a".to_owned();
            transfers.apply(&Event::FetchProgress { what, done }, now);
        }
        let a = transfers.of("a").unwrap();
        assert_eq!((a.done, a.total), (MIB, 0));
        assert_eq!(a.words(now), "1.0 MiB");
    }
}
