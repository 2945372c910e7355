//! Probes: whether the runtime does on this kernel what it is asked, seen from
//! both sides.
//!
//! PID 1 starts its own program again for each probe ([`main`]): a process in a
//! mount and a network namespace of its own, which plays the machine outside.
//! It makes a bundle, starts the runtime on it, asks the program inside
//! (`probe-inside`, a list of verbs) what it sees, looks at the same thing from
//! outside, and writes each line of evidence as it comes. What wedges is killed
//! at its time limit and keeps the evidence it had; what it mounted, bridged and
//! filtered goes with its namespaces.
//!
//! Each probe is a file here, and [`Probe`] is the list of them. What they are
//! made with is in [`rig`].

mod capabilities;
mod cpu_limit;
mod devices;
mod freezer;
mod image_root;
mod mapped_ownership;
mod masked_paths;
mod memory_limit;
mod network_namespace;
mod no_new_privileges;
mod outbound_nat;
mod overlayfs;
mod pid_namespace;
mod pids_limit;
mod pty;
mod readonly_root;
mod readonly_volume;
mod reaping;
mod rig;
mod seccomp;
mod tcp_port;
mod tmpfs;
mod udp_port;
mod user_namespace;
mod volume;

use std::fs::{self, File};
use std::os::fd::FromRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::system::init_module;
use wire::{Limits, Probe, ProbeOutcome, ProbeRequest, ProbeResult};

use crate::boot::Channel;
use crate::cell::supervise;
use crate::disk::Disks;
use crate::error::Result;
use crate::kernel_log::KernelLog;
use rig::Rig;
use rig::report::{Line, Reporter};

/// How long the kernel's last words are waited for; the out-of-memory reaper
/// speaks after the death.
const SETTLE: Duration = Duration::from_millis(5);

/// Carries a probe out. Trouble with it is its outcome.
///
/// # Errors
/// When the harness went away meanwhile or the machine is of no more use.
pub(crate) fn run(
    request: &ProbeRequest,
    disks: &mut Disks,
    log: &mut KernelLog,
    channel: &Channel,
) -> Result<ProbeResult> {
    log.read()?;
    let started = Instant::now();
    let mut observed = load(request);
    let outcome = match disks.root(&request.disk) {
        Err(error) => trouble(error.to_string()),
        Ok(image) => {
            let limits = Limits {
                time: request.time,
                output: 4096,
            };
            let ended = supervise(|fd| command(request.probe, image, fd), limits, channel)?;
            let (lines, outcome) = rig::report::read(&ended.report);
            observed.extend(lines);
            let left = ended.survivors.join(", ");
            if !left.is_empty() {
                observed.push(format!("outside: left behind, and killed: {left}"));
            }
            match (ended.timed_out, ended.stuck, outcome) {
                (true, ..) => ProbeOutcome::TimedOut,
                (false, Some(stuck), _) => trouble(stuck),
                (false, None, Some(ProbeOutcome::Passed)) if !left.is_empty() => {
                    ProbeOutcome::Failed {
                        how: format!("processes outlived their container: {left}"),
                    }
                }
                (false, None, Some(outcome)) => outcome,
                (false, None, None) => trouble(format!(
                    "the probe said nothing of how it ended; it {}; its stderr: {}",
                    ended.end,
                    ended.stderr.trim()
                )),
            }
        }
    };
    std::thread::sleep(SETTLE);
    Ok(ProbeResult {
        id: request.id,
        outcome,
        observed,
        kernel_log: log.read()?,
        duration: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
    })
}

fn trouble(message: String) -> ProbeOutcome {
    ProbeOutcome::Trouble { message }
}

/// Loads the modules that came with the request; what could not be loaded, in
/// words. Whether it matters shows when what they provide is asked for.
fn load(request: &ProbeRequest) -> Vec<String> {
    let mut refused = Vec::new();
    for module in &request.modules {
        match init_module(&module.content, c"") {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(errno) => refused.push(format!("outside: module {}: {errno}", module.name)),
        }
    }
    refused
}

/// This program, as the machine outside of one probe.
fn command(probe: Probe, image: &Path, report: i32) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("probe")
        .arg(probe.name())
        .arg(image)
        .arg(report.to_string());
    command
}

/// The process of one probe: `probe NAME IMAGE REPORT-FD`.
pub(crate) fn main() -> libc::c_int {
    // The standard library's own start, which has the arguments, is passed over;
    // /proc has them under any C library.
    let line = fs::read("/proc/self/cmdline").unwrap_or_default();
    let words: Vec<String> = line
        .split(|byte| *byte == 0)
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    let [_, name, image, report, ..] = words.as_slice() else {
        return 2;
    };
    let (Some(probe), Ok(report)) = (Probe::named(name), report.parse()) else {
        return 2;
    };
    // SAFETY: PID 1 gave this process the descriptor, for this alone.
    let reporter = Reporter::new(unsafe { File::from_raw_fd(report) });
    let outcome = match Rig::new(probe, PathBuf::from(image), reporter.clone()) {
        Ok(rig) => match carry_out(probe, &rig) {
            Ok(()) => ProbeOutcome::Passed,
            Err(stop) => stop.into(),
        },
        Err(stop) => stop.into(),
    };
    reporter.write(&Line::Outcome(outcome));
    0
}

/// The probe itself.
fn carry_out(probe: Probe, rig: &Rig) -> rig::Probing {
    match probe {
        Probe::ImageRoot => image_root::probe(rig),
        Probe::ReadonlyRoot => readonly_root::probe(rig),
        Probe::Volume => volume::probe(rig),
        Probe::ReadonlyVolume => readonly_volume::probe(rig),
        Probe::PidNamespace => pid_namespace::probe(rig),
        Probe::Reaping => reaping::probe(rig),
        Probe::UserNamespace => user_namespace::probe(rig),
        Probe::MappedOwnership => mapped_ownership::probe(rig),
        Probe::NetworkNamespace => network_namespace::probe(rig),
        Probe::OutboundNat => outbound_nat::probe(rig),
        Probe::TcpPort => tcp_port::probe(rig),
        Probe::UdpPort => udp_port::probe(rig),
        Probe::MemoryLimit => memory_limit::probe(rig),
        Probe::PidsLimit => pids_limit::probe(rig),
        Probe::CpuLimit => cpu_limit::probe(rig),
        Probe::Devices => devices::probe(rig),
        Probe::Freezer => freezer::probe(rig),
        Probe::Seccomp => seccomp::probe(rig),
        Probe::Capabilities => capabilities::probe(rig),
        Probe::MaskedPaths => masked_paths::probe(rig),
        Probe::Overlayfs => overlayfs::probe(rig),
        Probe::Tmpfs => tmpfs::probe(rig),
        Probe::Pty => pty::probe(rig),
        Probe::NoNewPrivileges => no_new_privileges::probe(rig),
    }
}
