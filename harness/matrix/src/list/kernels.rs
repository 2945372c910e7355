//! `matrix list kernels`: what each selector means, which version its source comes
//! to, what of it is in the cache, and whether the source answers.

use std::fmt::Write as _;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use plan::{Kernel, KernelEntry, KernelSource, Listing, Project, Row};
use serde::Serialize;
use supply::{Reach, Silent, Standing, Stored, Supply};

use crate::cli::{Global, ListArguments};
use crate::error::Failure;

/// How long all sources together have to answer.
const DEADLINE: Duration = Duration::from_secs(8);

/// A kernel as `--json` prints it.
#[derive(Debug, Serialize)]
struct Line {
    /// What selects it.
    kernel: String,
    /// The entry's version.
    version: Option<String>,
    /// It runs where no kernel is asked for.
    default: bool,
    /// A run in which it cannot be had counts as complete.
    optional: bool,
    /// Where it comes from, best first.
    sources: Vec<String>,
    /// How it is started.
    settings: String,
    notes: Option<String>,
    /// The package its source comes to, as far as is known.
    package: Option<String>,
    package_version: Option<String>,
    /// `nothing`, `fetched` or `unpacked`.
    cached: &'static str,
    /// Whether one of its sources answers; null: not asked.
    reachable: Option<bool>,
    /// Why none does.
    reason: Option<String>,
}

/// What a source said.
type Answer = Result<Reach, String>;

/// The listing as text or JSON.
pub(super) fn list(
    global: &Global,
    arguments: &ListArguments,
    project: &Project,
) -> Result<String, Failure> {
    let options = |offline| supply::Options {
        cache_root: global.cache.clone(),
        offline,
        progress: Arc::new(Silent),
        qemu: None,
    };
    let answers = if arguments.offline {
        None
    } else {
        let supply = Arc::new(Supply::in_a_hurry(options(false))?);
        Some(ask_all(&supply, &sources(project)))
    };
    let cached = Supply::new(options(true))?;
    let mut lines = Vec::new();
    for entry in &project.kernels {
        let standing = cached.standing(&entry.kernel.sources);
        let (reachable, reason) = reached(&entry.kernel, answers.as_deref());
        lines.push(line(entry, None, &standing, reachable, reason.clone()));
        for variant in 0..entry.variants.len() {
            lines.push(line(
                entry,
                Some(variant),
                &standing,
                reachable,
                reason.clone(),
            ));
        }
    }
    if arguments.json {
        let mut json = serde_json::to_string_pretty(&lines).map_err(std::io::Error::from)?;
        json.push('\n');
        return Ok(json);
    }
    Ok(table(&lines, answers.is_some()) + &meanings(project))
}

/// Every source of every kernel, each once.
fn sources(project: &Project) -> Vec<KernelSource> {
    let mut all: Vec<KernelSource> = Vec::new();
    for source in project.kernels.iter().flat_map(|it| &it.kernel.sources) {
        if !all.contains(source) {
            all.push(source.clone());
        }
    }
    all
}

/// Asks all side by side. Who has not answered by the deadline is left behind with a
/// thread of its own, which ends with the program.
fn ask_all(supply: &Arc<Supply>, sources: &[KernelSource]) -> Vec<(KernelSource, Answer)> {
    let (tell, told) = mpsc::channel();
    for (at, source) in sources.iter().cloned().enumerate() {
        let (supply, tell) = (Arc::clone(supply), tell.clone());
        std::thread::spawn(move || {
            let answer = supply.probe(&source).map_err(|error| error.to_string());
            // Nobody waits for it any more after the deadline.
            let _ = tell.send((at, answer));
        });
    }
    drop(tell);
    let mut answers: Vec<Option<Answer>> = vec![None; sources.len()];
    let end = Instant::now() + DEADLINE;
    while let Ok((at, answer)) = told.recv_timeout(end.saturating_duration_since(Instant::now())) {
        answers[at] = Some(answer);
    }
    let late = || Err(format!("no answer within {} s", DEADLINE.as_secs()));
    sources
        .iter()
        .cloned()
        .zip(
            answers
                .into_iter()
                .map(|answer| answer.unwrap_or_else(late)),
        )
        .collect()
}

/// Whether one of a kernel's sources answers, and why none does. One that was not asked
/// leaves that open.
fn reached(
    kernel: &Kernel,
    answers: Option<&[(KernelSource, Answer)]>,
) -> (Option<bool>, Option<String>) {
    let Some(answers) = answers else {
        return (None, None);
    };
    let (mut reasons, mut open) = (Vec::new(), false);
    for source in &kernel.sources {
        match answers.iter().find(|(other, _)| other == source) {
            Some((_, Ok(Reach::Answers))) => return (Some(true), None),
            Some((_, Ok(Reach::NotAsked))) => open = true,
            Some((_, Err(reason))) => reasons.push(first_line(reason).to_owned()),
            None => {}
        }
    }
    let reason = (!reasons.is_empty()).then(|| reasons.join("; "));
    ((!open).then_some(false), reason)
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

fn line(
    entry: &KernelEntry,
    variant: Option<usize>,
    standing: &Standing,
    reachable: Option<bool>,
    reason: Option<String>,
) -> Line {
    let variant = variant.map(|at| &entry.variants[at]);
    let kernel = variant.map_or(&entry.kernel, |variant| &variant.kernel);
    let package = standing.package.clone();
    Line {
        kernel: kernel.id.clone(),
        version: kernel.version.clone(),
        default: entry.default && variant.is_none_or(|variant| variant.default),
        optional: kernel.optional,
        sources: kernel.sources.iter().map(ToString::to_string).collect(),
        settings: kernel.settings.to_string(),
        notes: kernel
            .notes
            .clone()
            // The entry's are said with the entry.
            .filter(|_| variant.is_none() || kernel.notes != entry.kernel.notes),
        package: package.as_ref().map(|(name, _)| name.clone()),
        package_version: package.map(|(_, version)| version),
        cached: match standing.stored {
            Stored::Nothing => "nothing",
            Stored::Fetched => "fetched",
            Stored::Unpacked => "unpacked",
        },
        reachable,
        reason,
    }
}

fn table(lines: &[Line], asked: bool) -> String {
    let mut headings = vec!["KERNEL", "DEFAULT", "PACKAGE", "CACHED"];
    if asked {
        headings.push("REACHED");
    }
    headings.extend(["SOURCE", "SETTINGS"]);
    let rows = lines.iter().map(|line| {
        let variant = line.kernel.contains('+');
        // What is the entry's is said in its row.
        let of_entry = |text: &str| {
            if variant {
                String::new()
            } else {
                text.to_owned()
            }
        };
        let mut cells = vec![
            line.kernel.clone(),
            match (line.default, line.optional) {
                (true, _) => "yes".to_owned(),
                (false, true) => of_entry("optional"),
                (false, false) => String::new(),
            },
            of_entry(line.package_version.as_deref().unwrap_or("?")),
            of_entry(match line.cached {
                "nothing" => "no",
                other => other,
            }),
        ];
        if asked {
            cells.push(of_entry(match line.reachable {
                Some(true) => "yes",
                Some(false) => "no",
                None => "not asked",
            }));
        }
        cells.push(of_entry(&line.sources.join(", else ")));
        cells.push(line.settings.clone());
        let mut notes: Vec<String> = line.notes.clone().into_iter().collect();
        if let Some(reason) = line.reason.as_ref().filter(|_| !variant) {
            notes.push(format!("Not reached: {reason}"));
        }
        Row {
            cells,
            notes: (!notes.is_empty()).then(|| notes.join(". ")),
        }
    });
    Listing {
        headings,
        rows: rows.collect(),
    }
    .to_string()
}

/// What the selectors that name no entry select here.
fn meanings(project: &Project) -> String {
    let mut page = "\n".to_owned();
    let mut row = |selector: &str| {
        let selected = plan::select_kernels(project, &[selector.to_owned()], &project.root);
        if let Ok(kernels) = selected {
            let ids: Vec<&str> = kernels.iter().map(|kernel| kernel.id.as_str()).collect();
            // Writing to a String cannot fail.
            let _ = writeln!(page, "{selector:<8} {}", ids.join(", "));
        }
    };
    let mut majors: Vec<u32> = project
        .kernels
        .iter()
        .map(|entry| entry.version.major())
        .collect();
    majors.sort_unstable();
    majors.dedup();
    for major in majors {
        row(&format!("{major}.x"));
        row(&format!("{major}.*"));
    }
    page + "\nNAME@VERSION is an entry at one version of its package, NAME@20260101T000000Z as Debian's\narchive had it then, >=6.1 and 5.10..6.1 are ranges; a path is a kernel without an entry.\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_that_answers_is_enough_and_else_all_reasons_are_told() {
        let path = |name: &str| KernelSource::Path {
            kernel: name.into(),
            modules: None,
        };
        let settings = plan::Settings {
            command_line: Vec::new(),
            cpu: "max".to_owned(),
            memory: 1024,
            cpus: 1,
            cgroup: plan::Cgroup::V2,
            sysctl: std::collections::BTreeMap::new(),
        };
        let kernel = Kernel {
            id: "k".to_owned(),
            version: None,
            sources: vec![path("a"), path("b")],
            settings,
            optional: false,
            notes: None,
        };
        let failed = |text: &str| Err(format!("{text}\nhint: no"));
        let answers = [(path("b"), failed("gone")), (path("a"), failed("away"))];
        assert_eq!(
            reached(&kernel, Some(&answers)),
            (Some(false), Some("away; gone".to_owned()))
        );
        let answers = [(path("a"), failed("away")), (path("b"), Ok(Reach::Answers))];
        assert_eq!(reached(&kernel, Some(&answers)), (Some(true), None));
        let answers = [
            (path("a"), Ok(Reach::NotAsked)),
            (path("b"), Ok(Reach::NotAsked)),
        ];
        assert_eq!(reached(&kernel, Some(&answers)), (None, None));
        let answers = [
            (path("a"), Ok(Reach::NotAsked)),
            (path("b"), failed("gone")),
        ];
        assert_eq!(
            reached(&kernel, Some(&answers)),
            (None, Some("gone".to_owned()))
        );
        assert_eq!(reached(&kernel, None), (None, None));
    }
}
