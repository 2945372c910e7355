//! `matrix doctor`: what this machine has for a run, and what it lacks.
//!
//! Nothing is fetched but the mirrors' Release files, nothing is changed.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use supply::{Silent, Supply};

use crate::cli::{DoctorArguments, Global};
use crate::error::{Failure, Status};
use crate::memory;
use crate::progress::print;

/// A run of the default matrix leaves about this much in an empty cache.
const DISK_WANTED: u64 = 3 << 30;

/// Of one machine with its image attached; a guest has 1 GiB, rarely all of it.
const MEMORY_OF_A_MACHINE: u64 = 1 << 30;

/// How a finding bears on a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weight {
    /// As it should be.
    Good,
    /// A run will do, but slower or with less.
    Note,
    /// A run will not do.
    Bad,
}

impl Weight {
    fn word(self) -> &'static str {
        match self {
            Weight::Good => "ok  ",
            Weight::Note => "note",
            Weight::Bad => "FAIL",
        }
    }
}

/// One line, and what to do about it.
#[derive(Debug)]
struct Finding {
    weight: Weight,
    what: &'static str,
    said: String,
    hint: Option<&'static str>,
}

/// `matrix doctor`: exit status 0 when a run can be made, 3 when it cannot.
pub(crate) fn command(global: &Global, arguments: &DoctorArguments) -> Result<Status, Failure> {
    let supply = |offline: bool| {
        Supply::new(supply::Options {
            cache_root: global.cache.clone(),
            offline,
            qemu: arguments.qemu.clone(),
            progress: Arc::new(Silent),
        })
    };
    let cached = supply(true)?;
    let mut findings = vec![qemu(&cached), acceleration(&cached)];
    findings.extend(processor_and_memory());
    findings.push(disk(cached.cache().root()));
    findings.extend(mirrors(&supply(false)?));

    let mut text = String::new();
    for finding in &findings {
        let said = finding.said.replace('\n', "\n                   ");
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{}  {:<12} {said}",
            finding.weight.word(),
            finding.what
        );
        if let Some(hint) = finding.hint {
            let _ = writeln!(text, "                   hint: {hint}");
        }
    }
    print(&text)?;
    let fit = findings.iter().all(|finding| finding.weight != Weight::Bad);
    Ok(if fit {
        Status::Done
    } else {
        Status::Incomplete
    })
}

fn good(what: &'static str, said: impl Into<String>) -> Finding {
    Finding {
        weight: Weight::Good,
        what,
        said: said.into(),
        hint: None,
    }
}

fn note(what: &'static str, said: impl Into<String>, hint: &'static str) -> Finding {
    Finding {
        weight: Weight::Note,
        what,
        said: said.into(),
        hint: Some(hint),
    }
}

fn bad(what: &'static str, said: impl Into<String>, hint: &'static str) -> Finding {
    Finding {
        weight: Weight::Bad,
        what,
        said: said.into(),
        hint: Some(hint),
    }
}

fn qemu(cached: &Supply) -> Finding {
    match cached.qemu() {
        Ok(tool) => good("qemu", format!("{} ({})", tool.version, tool.origin)),
        Err(error) if cached.asked_for_qemu() => bad(
            "qemu",
            error.to_string(),
            "name another with --qemu, or none",
        ),
        Err(_) => note(
            "qemu",
            "none of this machine's own, none in the cache",
            "the first run unpacks one from the Debian mirror into the cache; nothing is installed",
        ),
    }
}

/// What an earlier run found; only a boot tells, and doctor boots nothing.
fn acceleration(cached: &Supply) -> Finding {
    if let Err(error) = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/kvm")
    {
        return note(
            "acceleration",
            format!("tcg: /dev/kvm: {error}"),
            "emulation works, slower; /dev/kvm must be there and open to this user (group kvm)",
        );
    }
    match crate::run::remembered_acceleration(cached) {
        Some(Ok(())) => good("acceleration", "kvm: a boot proved it"),
        Some(Err(reason)) => note(
            "acceleration",
            format!("tcg: {reason}"),
            "emulation works, slower; the proof is made again after a reboot of this machine",
        ),
        None => good(
            "acceleration",
            "/dev/kvm is there; the first run tries it by a boot",
        ),
    }
}

fn processor_and_memory() -> Vec<Finding> {
    let mut findings = Vec::new();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    findings.push(good(
        "processors",
        format!("{cores}: as many machines at once"),
    ));
    let needed = MEMORY_OF_A_MACHINE.saturating_mul(cores as u64);
    match memory::available() {
        Some(available) if available < needed => findings.push(note(
            "memory",
            format!("{} available", gibibytes(available)),
            "a run starts fewer machines at once by itself",
        )),
        Some(available) => findings.push(good(
            "memory",
            format!("{} available", gibibytes(available)),
        )),
        None => findings.push(note(
            "memory",
            "/proc/meminfo does not say",
            "is /proc mounted?",
        )),
    }
    findings
}

fn disk(cache: &Path) -> Finding {
    let said = |free| {
        format!(
            "{} free for the cache, {}",
            gibibytes(free),
            cache.display()
        )
    };
    match free_space(cache) {
        Some(free) if free < DISK_WANTED => note(
            "disk",
            said(free),
            "another place: --cache DIR or MATRIX_CACHE",
        ),
        Some(free) => good("disk", said(free)),
        None => bad(
            "disk",
            format!("{} cannot be looked at", cache.display()),
            "another place: --cache DIR or MATRIX_CACHE",
        ),
    }
}

/// Bytes an unprivileged user may still write.
fn free_space(path: &Path) -> Option<u64> {
    let answer = rustix::fs::statvfs(path).ok()?;
    Some(answer.f_bavail.saturating_mul(answer.f_frsize))
}

fn mirrors(supply: &Supply) -> Vec<Finding> {
    let suites = [
        (plan::Archive::Debian, "trixie"),
        (plan::Archive::Debian, "bookworm"),
        (plan::Archive::DebianSecurity, "bookworm-security"),
    ];
    suites
        .into_iter()
        .map(|(archive, suite)| {
            let source = plan::AptSource {
                suites: vec![plan::AptSuite {
                    archive,
                    suite: suite.to_owned(),
                    allow_expired: false,
                }],
                packages: Vec::new(),
                architecture: "amd64".to_owned(),
                pinned: Vec::new(),
            };
            match supply.reach(&source) {
                Ok(suites) => good("mirror", suites.join(", ")),
                Err(error) => bad(
                    "mirror",
                    error.to_string(),
                    "name a reachable one: MATRIX_DEBIAN_MIRROR, MATRIX_DEBIAN_SECURITY_MIRROR; \
                     what is cached still runs with --offline",
                ),
            }
        })
        .collect()
}

fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}
