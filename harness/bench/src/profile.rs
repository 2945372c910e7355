//! `bench profile`: what a machine does with its time under emulation, seen from
//! QEMU's side: how much of it the processor stands still, is in the kernel, in the
//! guest's and the runtime's own code, in the image's programs, and how many blocks of
//! code are translated.
//!
//! The program is run as always, with a QEMU that has a monitor besides. What the
//! processor is at is asked there every few milliseconds ([`monitor`]), and the
//! program's events cut the answers into phases: a boot until its first process, from
//! there to where the guest is ready, a warm start, the first cell after it, and a cell
//! when many have gone before. Asking costs time itself: what counts are shares and
//! blocks, not seconds.

mod monitor;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use report::{Event, StartKind};
use serde::Serialize;
use supply::{Silent, Supply, Tool};

use crate::arguments::Arguments;
use crate::bed::{BenchError, beside};
use crate::table::{self, Host};
use monitor::{State, Watch, Watched};

/// Cells of one kind in one machine; of the last ones it is said how they are.
const CELLS: usize = 60;
/// How many are let pass before that.
const PASSED: usize = 20;

const IMAGE: &str = r#"
name = "profile"
source = { apt = "debian", suite = "bookworm", packages = ["bash", "coreutils"] }
checks = []
"#;

/// What came of it.
#[derive(Debug, Serialize)]
struct Report {
    machine: Host,
    /// The load of the last minute before it began.
    load: String,
    phases: Vec<Phase>,
}

/// One span of one machine.
#[derive(Debug, Serialize)]
struct Phase {
    kernel: String,
    phase: &'static str,
    /// Of one cell where it is of many.
    seconds: f64,
    /// Answers it rests on.
    samples: usize,
    /// Shares of the answers, together 1.
    halted: f64,
    in_kernel: f64,
    /// Below 16 MiB: where the guest's programs are linked to, and no image's.
    in_own: f64,
    in_image: f64,
    /// Blocks of code translated; of one cell where it is of many.
    blocks: f64,
}

struct Profile {
    matrix: PathBuf,
    folder: tempfile::TempDir,
    qemu: PathBuf,
    socket: PathBuf,
}

/// Measures, prints, writes.
pub(crate) fn measure(arguments: &Arguments) -> Result<(), BenchError> {
    let matrix = match &arguments.matrix {
        Some(path) => fs_err::canonicalize(path)?,
        None => beside("matrix")?,
    };
    let supply = Supply::new(supply::Options {
        cache_root: None,
        offline: false,
        qemu: None,
        progress: Arc::new(Silent),
    })?;
    let qemu = supply.qemu()?;
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("monitor");
    let profile = Profile {
        matrix,
        qemu: with_monitor(&qemu, folder.path(), &socket)?,
        socket,
        folder,
    };
    profile.write_project(&arguments.project)?;
    let load = fs_err::read_to_string("/proc/loadavg")?;
    let mut report = Report {
        machine: Host::here(&qemu.version),
        load: load.split(' ').next().unwrap_or_default().to_owned(),
        phases: Vec::new(),
    };
    for kernel in &arguments.kernels {
        table::say(&format!("{kernel}, cold"));
        report.phases.extend(profile.run(kernel, true)?);
        table::say(&format!("{kernel}, warm"));
        // The first keeps the machine, under this QEMU, that the second starts from.
        profile.run(kernel, false)?;
        report.phases.extend(profile.run(kernel, false)?);
    }
    table::print_text(&markdown(&report));
    if let Some(folder) = &arguments.output {
        table::write_named(&report, &markdown(&report), folder, "profile")?;
    }
    Ok(())
}

/// A program that is this QEMU with a monitor on `socket`.
fn with_monitor(qemu: &Tool, folder: &Path, socket: &Path) -> Result<PathBuf, BenchError> {
    let path = folder.join("qemu");
    let mut script = format!("#!/bin/sh\nexec '{}'", qemu.program.display());
    for argument in &qemu.prefix_arguments {
        // Writing to a String cannot fail.
        let _ = write!(script, " '{}'", argument.display());
    }
    let _ = writeln!(
        script,
        " \"$@\" -monitor 'unix:{},server=on,wait=off'",
        socket.display()
    );
    fs_err::write(&path, script)?;
    fs_err::set_permissions(&path, PermissionsExt::from_mode(0o755))?;
    Ok(path)
}

impl Profile {
    fn write_project(&self, project: &Path) -> Result<(), BenchError> {
        let images = self.folder.path().join("images");
        fs_err::create_dir(&images)?;
        fs_err::copy(
            project.join("kernels.toml"),
            self.folder.path().join("kernels.toml"),
        )?;
        fs_err::write(images.join("checks.toml"), "")?;
        let mut image = IMAGE.to_owned();
        for number in 0..CELLS {
            let _ = writeln!(
                image,
                "[[check]]\nname = \"uname-{number}\"\ncommand = [\"uname\", \"-r\"]"
            );
        }
        Ok(fs_err::write(images.join("profile.toml"), image)?)
    }

    /// All cells in one machine of a kernel.
    fn run(&self, kernel: &str, cold: bool) -> Result<Vec<Phase>, BenchError> {
        let what = || format!("machine of {kernel}");
        let watch = Watch::begin(&self.socket);
        let begun = Instant::now();
        let said = self.folder.path().join("stderr");
        let mut command = Command::new(&self.matrix);
        command
            .arg("-C")
            .arg(self.folder.path())
            .args(["run", "--json", "--accel", "tcg", "--isolate", "kernel"])
            .args(["--sample", "0", "--kernels", kernel, "--qemu"])
            .arg(&self.qemu)
            .arg("--output")
            .arg(self.folder.path().join("results"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs_err::File::create(&said)?.into_parts().0);
        if cold {
            command.arg("--cold");
        }
        let mut child = command
            .spawn()
            .map_err(|source| BenchError::start(what(), source))?;
        let mut marks = Marks::default();
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).lines() {
                let line = line?;
                let event = serde_json::from_str(&line).map_err(|error| {
                    // What it would still say is of no use, and so is it.
                    let _ = child.kill();
                    BenchError::prepare(what(), format!("{line}: {error}"))
                })?;
                marks.take(&event, &watch);
            }
        }
        let status = child
            .wait()
            .map_err(|source| BenchError::start(what(), source))?;
        let watched = watch.end();
        let (Some(start), Some(ready), true) = (marks.start, marks.ready, status.success()) else {
            return Err(BenchError::NotDone {
                what: what(),
                said: format!(
                    "{status} after {:?}\n{}",
                    begun.elapsed(),
                    fs_err::read_to_string(&said)?
                ),
            });
        };
        let kernel = kernel.trim_end_matches('+');
        let span = |phase, from, to, cells| {
            Phase::of(kernel, phase, &watched, [from, to], cells).ok_or_else(|| {
                BenchError::NotDone {
                    what: what(),
                    said: format!("nothing was answered in \"{phase}\""),
                }
            })
        };
        let mut phases = Vec::new();
        if cold {
            let process =
                watched
                    .first_process(start, ready)
                    .ok_or_else(|| BenchError::NotDone {
                        what: what(),
                        said: "no process was seen before the guest was ready".to_owned(),
                    })?;
            phases.push(span("boot to the first process", start, process, 1)?);
            phases.push(span("from there to ready", process, ready, 1)?);
            return Ok(phases);
        }
        phases.push(span("warm start to ready", start, ready, 1)?);
        if let [first, .., last] = marks.finished[..]
            && let Some(&passed) = marks.finished.get(PASSED)
        {
            phases.push(span("first cell", ready, first, 1)?);
            phases.push(span("a later cell", passed, last, CELLS - PASSED - 1)?);
        }
        Ok(phases)
    }
}

/// When what happened.
#[derive(Default)]
struct Marks {
    start: Option<Instant>,
    ready: Option<Instant>,
    finished: Vec<Instant>,
}

impl Marks {
    fn take(&mut self, event: &Event, watch: &Watch) {
        let now = Instant::now();
        match event {
            Event::VmStarting { .. } => {
                self.start.get_or_insert(now);
            }
            Event::VmReady { .. } => {
                self.ready.get_or_insert(now);
            }
            Event::CellFinished { attempt, .. } if attempt.start == StartKind::Warm => {
                self.finished.push(now);
            }
            _ => return,
        }
        watch.count_blocks();
    }
}

impl Phase {
    /// None where nothing was answered in it.
    fn of(
        kernel: &str,
        phase: &'static str,
        watched: &Watched,
        [from, to]: [Instant; 2],
        cells: usize,
    ) -> Option<Self> {
        let states: Vec<State> = watched.states(from, to).collect();
        let share = |wanted: State| {
            let count = states.iter().filter(|state| **state == wanted).count();
            count as f64 / states.len() as f64
        };
        let blocks = watched.blocks(to)?.checked_sub(watched.blocks(from)?)?;
        (!states.is_empty()).then(|| Self {
            kernel: kernel.to_owned(),
            phase,
            seconds: (to - from).as_secs_f64() / cells as f64,
            samples: states.len(),
            halted: share(State::Halted),
            in_kernel: share(State::Kernel),
            in_own: share(State::Own),
            in_image: share(State::Image),
            blocks: blocks as f64 / cells as f64,
        })
    }
}

fn markdown(report: &Report) -> String {
    let mut text = format!(
        "# What a machine does with its time\n\n\
         `bench profile`: the processor's state as QEMU's monitor tells it every few milliseconds, \
         and the blocks of code it has translated. Seconds are longer than without being asked. \
         {} cores of {}, Linux {}; QEMU {}, {}; load before it began {}.\n\n\
         | kernel | phase | seconds | still | in the kernel | guest and runtime | image's programs \
         | blocks translated | answers |\n\
         | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
        report.machine.cores,
        report.machine.cpu,
        report.machine.kernel,
        report.machine.qemu,
        report.machine.acceleration,
        report.load,
    );
    for phase in &report.phases {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {:.3} | {:.0} % | {:.0} % | {:.0} % | {:.0} % | {:.0} | {} |",
            phase.kernel,
            phase.phase,
            phase.seconds,
            phase.halted * 100.0,
            phase.in_kernel * 100.0,
            phase.in_own * 100.0,
            phase.in_image * 100.0,
            phase.blocks,
            phase.samples,
        );
    }
    text
}
