//! What was found out, for a terminal, as Markdown and as JSON.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use serde::Serialize;

use crate::bed::BenchError;
use crate::goals::Goal;
use crate::rounds::Report;

/// The machine that was measured on.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Host {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_mib: u64,
    pub(crate) kernel: String,
    pub(crate) qemu: String,
    pub(crate) acceleration: &'static str,
}

impl Host {
    pub(crate) fn here(qemu: &str) -> Self {
        let field = |file: &str, name: &str| {
            std::fs::read_to_string(file).ok().and_then(|text| {
                text.lines()
                    .find_map(|line| line.strip_prefix(name))
                    .map(|rest| rest.trim_start_matches([' ', '\t', ':']).to_owned())
            })
        };
        let memory = field("/proc/meminfo", "MemTotal")
            .and_then(|text| text.strip_suffix(" kB")?.parse::<u64>().ok());
        Host {
            cpu: field("/proc/cpuinfo", "model name").unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: memory.unwrap_or(0) >> 10,
            kernel: rustix::system::uname()
                .release()
                .to_string_lossy()
                .into_owned(),
            qemu: qemu.to_owned(),
            acceleration: "tcg",
        }
    }
}

/// A line of progress.
pub(crate) fn say(text: &str) {
    // Nobody is left to tell when stderr is gone.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// To stdout.
pub(crate) fn print(report: &Report) {
    let _ = std::io::stdout()
        .lock()
        .write_all(markdown(report).as_bytes());
}

/// The same of what is a page already.
pub(crate) fn print_text(page: &str) {
    let _ = std::io::stdout().lock().write_all(page.as_bytes());
}

/// bench.json and README.md.
pub(crate) fn write(report: &Report, folder: &Path) -> Result<(), BenchError> {
    write_json(report, folder, "bench.json")?;
    Ok(fs_err::write(folder.join("README.md"), markdown(report))?)
}

/// NAME.json and NAME.md.
pub(crate) fn write_named(
    report: &impl Serialize,
    page: &str,
    folder: &Path,
    name: &str,
) -> Result<(), BenchError> {
    write_json(report, folder, &format!("{name}.json"))?;
    Ok(fs_err::write(folder.join(format!("{name}.md")), page)?)
}

fn write_json(report: &impl Serialize, folder: &Path, name: &str) -> Result<(), BenchError> {
    fs_err::create_dir_all(folder)?;
    let mut json =
        serde_json::to_string_pretty(report).map_err(|error| BenchError::prepare(name, error))?;
    json.push('\n');
    Ok(fs_err::write(folder.join(name), json)?)
}

fn markdown(report: &Report) -> String {
    let mut text = String::from("# How fast it is\n\n");
    let host = &report.machine;
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "Medians of {} rounds, everything measured in turn in each of them, everything cached, \
         nothing downloaded.\nMachine: {} cores of {}, {} MiB, Linux {}; QEMU {}, {}.\n\n\
         The whole matrix: kernels {}; images {}; checks {}: {} cells.\n\n\
         | seconds | median | least | most |\n| --- | ---: | ---: | ---: |\n",
        report.rounds,
        host.cores,
        host.cpu,
        host.memory_mib,
        host.kernel,
        host.qemu,
        host.acceleration,
        report.matrix_kernels.join(", "),
        report.images.join(", "),
        report.checks.join(", "),
        report.cells
    );
    for measured in &report.measured {
        if let (Some(median), Some((least, most))) =
            (measured.series.median(), measured.series.range())
        {
            let _ = writeln!(
                text,
                "| {} | {median:.3} | {least:.3} | {most:.3} |",
                measured.name
            );
        }
    }
    for absent in &report.absent {
        let _ = writeln!(text, "\nNot measured, as it is not installed: {absent}.");
    }
    text.push_str(
        "\n| most memory, MB | the program | its largest machine |\n| --- | ---: | ---: |\n",
    );
    for (name, peak) in &report.memory {
        let _ = writeln!(
            text,
            "| {name} | {} | {} |",
            peak.program / 1_000_000,
            peak.machine / 1_000_000
        );
    }
    if let Some(scale) = &report.scale {
        let _ = write!(
            text,
            "\n{} cells without machines: planning {:.2} s, events {:.2} s, report {:.2} s, \
             together {:.2} s and {} MB.\n",
            scale.cells,
            scale.planning,
            scale.events,
            scale.report,
            scale.whole,
            scale.memory / 1_000_000
        );
    }
    text.push_str("\n| aim | wanted | found | |\n| --- | ---: | ---: | --- |\n");
    for goal in &report.goals {
        goal_line(&mut text, goal);
    }
    text
}

fn goal_line(text: &mut String, goal: &Goal) {
    let bound = if goal.at_least { "≥" } else { "≤" };
    let found = goal.found.map_or_else(
        || "-".to_owned(),
        |found| format!("{found:.3} {}", goal.unit),
    );
    let met = match goal.met() {
        Some(true) => "met",
        Some(false) => "missed",
        None => "not measured",
    };
    let _ = writeln!(
        text,
        "| {} | {bound} {} {} | {found} | {met} |",
        goal.what, goal.aim, goal.unit
    );
}
