//! From the plan to the record: the run as it stands before anything has run.

use std::collections::BTreeMap;

use jiff::Timestamp;
use plan::{Check, Image, Kernel, Plan};
use report::{
    CheckRow, ColumnStatus, ImageRow, KernelColumn, ProbeRecord, Quarantine, Run, RunHead,
};
use supply::ImageDisk;

use super::options::{LOCK_SETTING, Options};
use crate::programs::VERSION;

/// The name of the one runtime there is yet.
pub(crate) const RUNTIME: &str = "bundled";

/// The run with every planned cell as not run.
pub(crate) fn planned(plan: &Plan, options: &Options, id: String, started: Timestamp) -> Run {
    let mut settings = options.recorded();
    settings.extend(
        options
            .lock
            .clone()
            .map(|lock| (LOCK_SETTING.to_owned(), lock)),
    );
    let head = RunHead {
        id,
        started: seconds(started),
        finished: None,
        interrupted: None,
        matrix: VERSION.to_owned(),
        qemu: None,
        acceleration: None,
        acceleration_reason: None,
        host: host(),
        settings,
        timings: BTreeMap::new(),
        shard: None,
    };
    let images = plan.images.iter().map(|image| image_row(image, None));
    let mut run = Run::planned(
        head,
        plan.kernels.iter().map(column).collect(),
        images.collect(),
        RUNTIME,
    );
    if options.probes {
        run.probes = plan
            .kernels
            .iter()
            .flat_map(|kernel| {
                wire::Probe::ALL
                    .into_iter()
                    .map(|probe| ProbeRecord::planned(&kernel.id, probe))
            })
            .collect();
    }
    run
}

/// RFC 3339 in UTC, to the second.
pub(crate) fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The name of a run's folder: sorts by time; the process id keeps two runs
/// that begin in one second apart.
pub(crate) fn run_id(started: Timestamp) -> String {
    format!(
        "{}-{:x}",
        started.strftime("%Y-%m-%dT%H-%M-%SZ"),
        std::process::id()
    )
}

/// A column of which nothing is known yet.
pub(crate) fn column(kernel: &Kernel) -> KernelColumn {
    let settings = &kernel.settings;
    let mut recorded = BTreeMap::from([
        ("cpu".to_owned(), settings.cpu.clone()),
        ("memory_mib".to_owned(), settings.memory.to_string()),
        ("cgroup".to_owned(), settings.cgroup.to_string()),
        ("cpus".to_owned(), settings.cpus.to_string()),
    ]);
    for (name, value) in &settings.sysctl {
        recorded.insert(format!("sysctl.{name}"), value.clone());
    }
    KernelColumn {
        id: kernel.id.clone(),
        status: ColumnStatus::Pending,
        reason: None,
        optional: kernel.optional,
        release: None,
        package: BTreeMap::new(),
        command_line: None,
        settings: recorded,
        facts: None,
        boots_ms: Vec::new(),
        slowdown_permille: None,
        notes: kernel.notes.clone(),
    }
}

/// The entry's own words, and what has to be said of where its kernel came from.
pub(crate) fn notes(kernel: &Kernel, package: &BTreeMap<String, String>) -> Option<String> {
    let unsigned = package.get("signature").is_some_and(|it| it == "none");
    let warning = unsigned.then_some(
        "No key was given: nothing but the repository's own checksums vouches for this kernel.",
    );
    let words: Vec<&str> = kernel.notes.as_deref().into_iter().chain(warning).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// An image's rows, with its digest once it is built.
pub(crate) fn image_row(image: &Image, disk: Option<&ImageDisk>) -> ImageRow {
    ImageRow {
        id: image.name.clone(),
        digest: disk.map(|disk| disk.digest.clone()),
        source: disk.map(|disk| disk.source.clone()).unwrap_or_default(),
        reason: None,
        optional: image.optional,
        checks: image
            .checks
            .iter()
            .map(|check| check_row(image, check))
            .collect(),
    }
}

/// All that decides what a check's cells come to, and who sees to it.
pub(super) fn check_row(image: &Image, check: &Check) -> CheckRow {
    CheckRow {
        name: check.name.clone(),
        command: check.command.clone(),
        stdout: check.stdout.clone(),
        children: check.children,
        seccomp: check.seccomp.into(),
        capabilities: report::added_names(&check.capabilities),
        timeout_ms: check.timeout,
        entrypoint: check.entrypoint,
        expect: image
            .expectations
            .iter()
            .filter(|expectation| {
                let name = expectation.check.as_deref();
                name.is_none_or(|name| check.is_called(name))
            })
            .map(|expectation| {
                let when = expectation.when.to_string();
                match when.as_str() {
                    "" => expectation.outcome.to_string(),
                    when => format!("{} when {when}", expectation.outcome),
                }
            })
            .collect(),
        quarantine: image
            .quarantines
            .iter()
            .find(|quarantine| check.is_called(&quarantine.check))
            .map(|quarantine| Quarantine {
                owner: quarantine.owner.clone(),
                until: quarantine.until.clone(),
                because: quarantine.because.clone(),
            }),
    }
}

/// The machine this runs on; what cannot be read is left out.
fn host() -> BTreeMap<String, String> {
    let mut host = BTreeMap::new();
    let system = rustix::system::uname();
    host.insert(
        "kernel".to_owned(),
        system.release().to_string_lossy().into_owned(),
    );
    if let Ok(cores) = std::thread::available_parallelism() {
        host.insert("cores".to_owned(), cores.to_string());
    }
    if let Ok(text) = fs_err::read_to_string("/proc/cpuinfo")
        && let Some(model) = text
            .lines()
            .find_map(|line| line.strip_prefix("model name"))
    {
        host.insert(
            "cpu".to_owned(),
            model.trim_start_matches([' ', '\t', ':']).to_owned(),
        );
    }
    host
}
