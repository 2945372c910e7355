//! One cell: a container of an image, watched from its start to its last trace.

mod account;
mod bundle;
mod capabilities;
mod capture;
mod end;
mod networks;
mod processes;
mod rooted;
mod runtime_process;
mod spawn;
mod stock;
mod supervised;
mod trace;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use wire::{Captured, CellRequest, CellResult, Cgroup, End, FrameError, FromGuest, Trace};

use crate::boot::Channel;
use crate::cgroup::CellCgroup;
use crate::disk::Disks;
use crate::error::Result;
use crate::kernel_log::{self, KernelLog};
use account::Account;
use bundle::Bundle;
use networks::Networks;
use processes::PidOne;
use runtime_process::RuntimeProcess;
use stock::Stock;
pub(crate) use supervised::supervise;
use watch::Watched;

/// How long the kernel's last words about a death are waited for. It logs a
/// fatal signal before the process is reaped, but the out-of-memory reaper
/// speaks after it.
const SETTLE: Duration = Duration::from_millis(5);

/// What lives across cells.
#[derive(Debug)]
pub(crate) struct Cells {
    layout: Cgroup,
    /// With the number of the cell that had it; of those made ahead 0.
    cgroups: Stock<(u64, CellCgroup)>,
    /// How many were made.
    made: u64,
    log: KernelLog,
    disks: Disks,
    networks: Networks,
    /// Who a cell runs as, by its disk and what is asked for: an image does not change.
    accounts: BTreeMap<(String, String), Account>,
    /// Second ways the runtime had to take, told once each.
    fallbacks: BTreeSet<String>,
}

/// A cell up to where its container has gone.
struct Ran {
    end: End,
    stdout: Captured,
    stderr: Captured,
    survivors: Vec<String>,
    trace: Option<Trace>,
}

impl Ran {
    /// Nothing ran.
    fn trouble(message: String) -> Self {
        Self {
            end: End::Trouble { message },
            stdout: Captured::default(),
            stderr: Captured::default(),
            survivors: Vec::new(),
            trace: None,
        }
    }
}

impl Cells {
    /// `log` stands where the boot log ended.
    pub(crate) fn new(layout: Cgroup, log: KernelLog) -> Self {
        Self {
            layout,
            cgroups: Stock::new(),
            made: 0,
            log,
            disks: Disks::default(),
            networks: Networks::new(),
            accounts: BTreeMap::new(),
            fallbacks: BTreeSet::new(),
        }
    }

    /// Makes what the next cells need and nothing of which is theirs yet.
    ///
    /// # Errors
    /// As [`Networks::make_ahead`], and when a cgroup cannot be made.
    pub(crate) fn make_ahead(&mut self) -> Result<()> {
        self.networks.make_ahead()?;
        let (layout, made) = (self.layout, &mut self.made);
        self.cgroups
            .fill(|| Ok(Some((0, make_cgroup(layout, made)?))))
    }

    /// What probes share with cells: the disks, the kernel's log.
    pub(crate) fn shared(&mut self) -> (&mut Disks, &mut KernelLog) {
        (&mut self.disks, &mut self.log)
    }

    /// Runs one cell. Trouble with the cell is its result's end.
    ///
    /// # Errors
    /// When the harness went away meanwhile or the machine is of no more use:
    /// the kernel's log cannot be read, processes cannot be waited for.
    pub(crate) fn run(
        &mut self,
        request: &CellRequest,
        channel: &mut Channel,
    ) -> Result<CellResult> {
        if let Some(what) = capabilities::unknown(&request.command.capabilities) {
            return Ok(CellResult::unsupported(request.id, what));
        }
        // Before the cell begins: what a disk's first use logs and takes is not its.
        let root = self.disks.root(&request.disk).map(Path::to_owned);
        let network = self.networks.next()?;
        // Nor is what cells long before it had.
        self.networks.trim();
        for (owner, cgroup) in self.cgroups.surplus() {
            if let Err(error) = cgroup.remove() {
                kernel_log::note(&format!("after cell {owner}: {error}"));
            }
        }
        // What came between two cells belongs to neither.
        let between = self.log.read()?;
        if !between.is_empty() {
            channel.send(&FromGuest::Log(between))?;
        }
        let started = Instant::now();
        let (ran, ended) = match root.and_then(|root| self.prepare(&root, request, network)) {
            Ok((bundle, cgroup)) => {
                let ran = self.run_prepared(request, &bundle, &cgroup, channel);
                let ended = Instant::now();
                self.cgroups.keep((request.id, cgroup));
                if let Err(error) = bundle.remove() {
                    kernel_log::note(&format!("after cell {}: {error}", request.id));
                }
                (ran?, ended)
            }
            Err(error) => (Ran::trouble(error.to_string()), Instant::now()),
        };
        if !matches!(ran.end, End::Exited(_)) {
            std::thread::sleep(SETTLE);
        }
        let kernel_log = self.log.read()?;
        Ok(CellResult {
            id: request.id,
            end: ran.end,
            stdout: ran.stdout,
            stderr: ran.stderr,
            kernel_log,
            duration: u64::try_from(ended.duration_since(started).as_micros()).unwrap_or(u64::MAX),
            survivors: ran.survivors,
            trace: ran.trace,
        })
    }

    /// Everything up to the runtime's start.
    fn prepare(
        &mut self,
        root: &Path,
        request: &CellRequest,
        network: Option<PathBuf>,
    ) -> Result<(Bundle, CellCgroup)> {
        let account = self.account(root, request)?;
        let bundle = Bundle::make(root, request, account, network)?;
        self.tell(bundle.fallback());
        let cgroup = match self.cgroups.take() {
            Some((_, cgroup)) => Ok(cgroup),
            None => make_cgroup(self.layout, &mut self.made),
        };
        match cgroup {
            Ok(cgroup) => Ok((bundle, cgroup)),
            Err(error) => {
                if let Err(error) = bundle.remove() {
                    kernel_log::note(&format!("after cell {}: {error}", request.id));
                }
                Err(error)
            }
        }
    }

    fn account(&mut self, root: &Path, request: &CellRequest) -> Result<Account> {
        let key = (request.disk.clone(), request.command.user.clone());
        if let Some(known) = self.accounts.get(&key) {
            return Ok(known.clone());
        }
        let account = Account::resolve(root, &key.1)?;
        self.accounts.insert(key, account.clone());
        Ok(account)
    }

    /// From the runtime's start to the last process's end.
    fn run_prepared(
        &mut self,
        request: &CellRequest,
        bundle: &Bundle,
        cgroup: &CellCgroup,
        channel: &Channel,
    ) -> Result<Ran> {
        let process = match RuntimeProcess::start(bundle, cgroup, request.id, request.trace) {
            Ok(process) => process,
            Err(error) => return Ok(Ran::trouble(error.to_string())),
        };
        let watched = watch::watch(process, request.limits, Some(channel.as_fd()), &PidOne)?;
        let Watched::Ended(watched) = watched else {
            return Err(FrameError::Closed.into());
        };
        let mut survivors = watched.survivors.clone();
        survivors.extend(processes::end_survivors()?);
        let (end, fallbacks) = end::of(&watched);
        self.tell(fallbacks);
        Ok(Ran {
            end,
            stdout: watched.stdout,
            stderr: watched.stderr,
            survivors,
            trace: request.trace.then(|| trace::of(&watched.trace)),
        })
    }

    /// Writes second ways into the kernel's log, each once per machine: they
    /// are the same for every cell.
    fn tell(&mut self, fallbacks: impl IntoIterator<Item = String>) {
        for fallback in fallbacks {
            if !self.fallbacks.contains(&fallback) {
                kernel_log::note(&fallback);
                self.fallbacks.insert(fallback);
            }
        }
    }
}

fn make_cgroup(layout: Cgroup, made: &mut u64) -> Result<CellCgroup> {
    *made += 1;
    CellCgroup::make(layout, *made)
}
