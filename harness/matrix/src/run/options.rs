//! `run`'s arguments, resolved once: nothing deeper sees a default unfilled.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use qemu_runner::Acceleration;

use report::StartKind;

use crate::cli::{AccelerationChoice, Isolation, RunArguments};
use crate::memory;

/// How a run is carried out.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Machines at once.
    pub(crate) jobs: usize,
    /// What was asked for; `Auto` is settled by the first boot.
    pub(crate) acceleration: AccelerationChoice,
    /// A cell's limit on a guest as fast as the host.
    pub(crate) timeout: Duration,
    /// A boot's limit, where one was given.
    boot_timeout: Option<Duration>,
    /// How often a cell that is not as expected is run again.
    pub(crate) retries: u32,
    /// Touch no network.
    pub(crate) offline: bool,
    /// The QEMU asked for.
    pub(crate) qemu: Option<PathBuf>,
    /// Check the runtime itself on each kernel as well.
    pub(crate) probes: bool,
    /// Every cell that is no pass runs once more under ptrace; otherwise those of
    /// unknown cause.
    pub(crate) trace: bool,
    /// Machines begin where a template was kept.
    pub(crate) start: StartKind,
    /// What shares a machine.
    isolation: Option<Isolation>,
    /// One of so many cells that are as expected after a warm start is run after a
    /// cold boot as well; 0 for none.
    pub(crate) sample: u32,
    /// SHA-256 of the lock file that is held to, where one is.
    pub(crate) lock: Option<String>,
    /// Kernels are booted; without, all is fetched and built and that is it.
    pub(crate) boots: bool,
    /// What all templates together may take on the disk, bytes.
    pub(crate) template_space: u64,
}

impl Options {
    pub(crate) fn resolve(arguments: &RunArguments) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Options {
            jobs: arguments
                .jobs
                .map_or_else(|| memory::machines(cores, memory::available()), usize::from),
            acceleration: arguments.accel,
            timeout: arguments.timeout.unwrap_or(DEFAULT_TIMEOUT),
            boot_timeout: arguments.boot_timeout,
            retries: arguments.retries,
            offline: arguments.offline,
            qemu: arguments.qemu.clone(),
            probes: arguments.probes || arguments.only_probes,
            trace: arguments.trace,
            start: match arguments.cold {
                true => StartKind::Cold,
                false => StartKind::Warm,
            },
            isolation: arguments.isolate,
            sample: arguments.sample,
            lock: None,
            boots: true,
            template_space: arguments.template_space << 20,
        }
    }

    /// What shares a machine. A boot is dear and a warm start cheap, so that each
    /// image gets one of its own where it can.
    pub(crate) fn isolation(&self, start: StartKind) -> Isolation {
        self.isolation.unwrap_or(match start {
            StartKind::Cold => Isolation::Kernel,
            StartKind::Warm => Isolation::Image,
        })
    }

    /// How long a kernel may take to come up. Emulated old kernels calibrate
    /// their delay loop for a minute; a machine that works does not need a
    /// tenth of it.
    pub(crate) fn boot_timeout(&self, acceleration: Acceleration) -> Duration {
        self.boot_timeout.unwrap_or(match acceleration {
            Acceleration::Kvm => Duration::from_secs(30),
            Acceleration::Tcg => Duration::from_secs(180),
        })
    }

    /// What results.json says of how containers were run.
    pub(crate) fn recorded(&self) -> BTreeMap<String, String> {
        BTreeMap::from(
            [
                (
                    "capabilities",
                    "docker's 14, and what a check adds".to_owned(),
                ),
                ("seccomp", "none where a check has no other".to_owned()),
                ("network", "none".to_owned()),
                (TIMEOUT_SETTING, self.timeout.as_millis().to_string()),
                ("output_limit", OUTPUT_LIMIT.to_string()),
                ("jobs", self.jobs.to_string()),
                (
                    "start",
                    match self.start {
                        StartKind::Cold => "cold".to_owned(),
                        StartKind::Warm => "warm where a template can be kept".to_owned(),
                    },
                ),
                ("isolate", self.isolation(self.start).name().to_owned()),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        )
    }
}

/// A cell's limit where none is given.
pub(super) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(20);

/// Under what name a run's settings have a cell's limit, milliseconds.
pub(super) const TIMEOUT_SETTING: &str = "timeout_ms";

/// Under what name a run's settings have the digest of the lock it was held to.
pub(crate) const LOCK_SETTING: &str = "lock";

/// SHA-256 over what a lock says, in whatever order and with whatever comments.
pub(super) fn digest_of(lock: &plan::Lock) -> String {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(lock.to_text().as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Bytes kept of each of a cell's stdout and stderr.
pub(crate) const OUTPUT_LIMIT: u64 = 64 << 10;
