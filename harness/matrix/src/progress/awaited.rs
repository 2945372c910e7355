//! What a run waits for at a moment: downloads, boots, cells.

use std::collections::BTreeMap;
use std::time::Instant;

use report::Event;
use report::shown::duration;

use super::transfers::Transfers;

/// What began and has not ended.
#[derive(Debug, Default)]
pub(crate) struct Awaited {
    transfers: Transfers,
    /// Kernel → since when its machine boots.
    boots: BTreeMap<String, Instant>,
    /// Kernel → the cell or probe that runs on it, and since when.
    cells: BTreeMap<String, (String, Instant)>,
}

impl Awaited {
    pub(crate) fn apply(&mut self, event: &Event, now: Instant) {
        self.transfers.apply(event, now);
        match event {
            Event::VmStarting { kernel, .. } => {
                self.boots.insert(kernel.clone(), now);
            }
            Event::VmReady { kernel, .. } => {
                self.boots.remove(kernel);
            }
            Event::CellStarted { cell } => {
                let running = (cell.to_string(), now);
                self.cells.insert(cell.kernel.clone(), running);
            }
            Event::CellFinished { cell, .. } => {
                self.cells.remove(&cell.kernel);
            }
            Event::ProbeStarted { kernel, probe } => {
                let running = (format!("{kernel} × {probe}"), now);
                self.cells.insert(kernel.clone(), running);
            }
            Event::ProbeFinished { record } => {
                self.cells.remove(&record.kernel);
            }
            Event::VmGone { kernel, .. }
            | Event::KernelUnavailable { kernel, .. }
            | Event::KernelFinished { kernel } => {
                self.boots.remove(kernel);
                self.cells.remove(kernel);
            }
            _ => {}
        }
    }

    /// One line; none where nothing that is told by events is under way.
    pub(crate) fn line(&self, now: Instant) -> Option<String> {
        let since = |then: &Instant| {
            let time = now.duration_since(*then).as_millis();
            duration(u64::try_from(time).unwrap_or(u64::MAX))
        };
        let transfers = self
            .transfers
            .under_way()
            .map(|(purpose, transfer)| format!("{purpose}: {}", transfer.words(now)));
        let boots = self
            .boots
            .iter()
            .map(|(kernel, then)| format!("kernel {kernel}: booting for {}", since(then)));
        let cells = self
            .cells
            .values()
            .map(|(cell, then)| format!("{cell}: running for {}", since(then)));
        let all: Vec<String> = transfers.chain(boots).chain(cells).collect();
        (!all.is_empty()).then(|| format!("waiting: {}", all.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use report::CellId;

    use super::*;

    #[test]
    fn what_has_begun_is_awaited_until_it_ends() {
        let mut awaited = Awaited::default();
        let begun = Instant::now();
        let later = begun + Duration::from_secs(10);
        assert_eq!(awaited.line(begun), None);
        for event in [
            Event::FetchStarted {
                what: "InRelease".to_owned(),
                total: None,
                purpose: Some("image debian:12".to_owned()),
            },
            Event::VmStarting {
                kernel: "6.1".to_owned(),
                boot: 1,
            },
            Event::CellStarted {
                cell: CellId {
                    kernel: "4.19".to_owned(),
                    image: "debian:12".to_owned(),
                    check: "bash".to_owned(),
                },
            },
        ] {
            awaited.apply(&event, begun);
        }
        assert_eq!(
            awaited.line(later).as_deref(),
            Some(
                "waiting: image debian:12: 0 bytes, 0 bytes/s; kernel 6.1: booting for 10.0 s; \
                 4.19 × debian:12 × bash: running for 10.0 s"
            )
        );
        for event in [
            Event::FetchFinished {
                what: "InRelease".to_owned(),
                bytes: 0,
                error: Some("no connection".to_owned()),
            },
            Event::VmGone {
                kernel: "6.1".to_owned(),
                boot: 1,
                reason: "killed".to_owned(),
            },
            Event::KernelFinished {
                kernel: "4.19".to_owned(),
            },
        ] {
            awaited.apply(&event, later);
        }
        assert_eq!(awaited.line(later), None);
    }
}
