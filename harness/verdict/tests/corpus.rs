//! The rules, held against what kernels and programs really said.
//!
//! A case is a folder of `tests/corpus`: `case.toml` says what ran on which kernel,
//! what it came to, and what the cause is as a person knows it who caused it; beside
//! it stand stdout, stderr and the kernel's log as they were recorded. Programs
//! whose files matter are in `images`. `cause = "unknown"` is what only looks like a
//! cause, or of which nothing can be known: a rule that speaks there is wrong.
//!
//! The cases of `with` were at hand when the rules were written or mended. Those of
//! the other halves were not: each was measured before a rule was mended by what it
//! showed, and the README beside them has what came out. Here precision and recall
//! are held to what they are since.
//!
//! TABLE.md beside them, written by this test, lists which cause was produced on
//! which kernels and by what. `SNAPSHOTS=overwrite cargo test -p verdict --test
//! corpus` writes it anew.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use verdict::userland::{Found, Userland};
use verdict::{Observation, Outcome};

/// `case.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// A rule's name, `unknown`, or `none` of a pass.
    cause: String,
    /// What was run, where it was run for this.
    command: Option<String>,
    /// How the kernel was started, other than as it comes.
    started_with: Option<String>,
    /// Where it is quoted from, of what others reported.
    source: Option<String>,
    /// The release they name.
    reported_on: Option<String>,
    /// Words the explanation must have.
    #[serde(default)]
    contains: Vec<String>,
    /// How many things are to be noticed besides.
    noticed: Option<usize>,
    /// A folder of `images`.
    image: Option<String>,
    program: Option<String>,
    seccomp: Option<String>,
    outcome: Outcome,
    /// Left out where a report does not tell.
    kernel: Option<Kernel>,
}

/// What the column's facts were, of those that rules look at.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kernel {
    release: String,
    vsyscall: wire::Vsyscall,
    cgroup: wire::Cgroup,
    #[serde(default = "yes")]
    ia32: bool,
    #[serde(default = "level")]
    cpu_level: u8,
    #[serde(default = "memory")]
    memory_kib: u64,
    user_namespaces_refusal: Option<String>,
}

/// What reports do not tell of is as most machines have it.
fn yes() -> bool {
    true
}

fn level() -> u8 {
    3
}

fn memory() -> u64 {
    1 << 20
}

impl Kernel {
    fn facts(&self) -> wire::Facts {
        wire::Facts {
            release: self.release.clone(),
            build: String::new(),
            machine: "x86_64".to_owned(),
            command_line: String::new(),
            vsyscall: self.vsyscall,
            cgroup: wire::CgroupFacts {
                layout: self.cgroup,
                controllers: Vec::new(),
            },
            overlayfs: true,
            namespaces: wire::NamespaceFacts {
                kinds: Vec::new(),
                user: self.user_namespaces_refusal.is_none(),
                user_refusal: self.user_namespaces_refusal.clone(),
            },
            seccomp: wire::SeccompFacts {
                filter: true,
                actions: Vec::new(),
            },
            lsms: Vec::new(),
            lsm_modes: BTreeMap::new(),
            sysctls: BTreeMap::new(),
            config: BTreeMap::new(),
            syscalls: wire::SyscallFacts::default(),
            ia32: self.ia32,
            cpu_level: self.cpu_level,
            cpu_model: "QEMU".to_owned(),
            cpus: 1,
            memory: self.memory_kib,
            filesystems: Vec::new(),
            modules: Vec::new(),
        }
    }
}

/// An image that is a folder.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn place(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }
}

impl Userland for Folder {
    fn find(&self, path: &str) -> io::Result<Found> {
        let place = self.place(path);
        Ok(if place.is_file() {
            Found::File {
                path: path.to_owned(),
                executable: true,
            }
        } else if place.exists() {
            Found::Other
        } else {
            Found::Missing
        })
    }

    fn files(&self) -> io::Result<Vec<String>> {
        let mut files = Vec::new();
        let mut folders = vec![self.0.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Ok(inside) = path.strip_prefix(&self.0) {
                    files.push(format!("/{}", inside.display()));
                }
            }
        }
        files.sort();
        Ok(files)
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        std::fs::read(self.place(path))
    }
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

/// What the rules make of a case.
struct Judged {
    name: String,
    cause: String,
    wanted: String,
    /// What is wrong besides the name.
    wrong: Vec<String>,
    line: String,
    /// The kernel and the command, where it was run for this.
    produced: Option<(String, String)>,
    /// Where it is quoted from.
    reported: Option<String>,
}

fn judge(folder: &Path) -> Judged {
    let text = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
    let case: Case = toml::from_str(&text("case.toml"))
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let kernel_log: Vec<String> = text("kernel_log").lines().map(str::to_owned).collect();
    let (stdout, stderr) = (text("stdout"), text("stderr"));
    assert!(
        case.source.is_some() || (case.command.is_some() && case.kernel.is_some()),
        "{}: where is it from?",
        folder.display()
    );
    let facts = case.kernel.as_ref().map(Kernel::facts);
    let image = case
        .image
        .as_ref()
        .map(|name| Folder(corpus().join("images").join(name)));
    let observation = Observation {
        stdout: &stdout,
        stderr: &stderr,
        kernel_log: &kernel_log,
        facts: facts.as_ref(),
        seccomp: case.seccomp.as_deref(),
        program: case.program.as_deref(),
        image: image.as_ref().map(|image| image as &dyn Userland),
        ..Observation::new(&case.outcome)
    };
    let found = verdict::cause(observation);
    let noticed = verdict::noticed(observation, found.as_ref());
    let mut wrong = Vec::new();
    if let Some(wanted) = case.noticed
        && wanted != noticed.len()
    {
        wrong.push(format!("{wanted} were to be noticed, not {noticed:?}"));
    }
    let cause = match (&found, case.outcome.is_pass()) {
        (Some(cause), _) => cause.name.clone(),
        (None, true) => "none".to_owned(),
        (None, false) => "unknown".to_owned(),
    };
    let line = found.map_or(String::new(), |cause| cause.explanation);
    if cause == case.cause {
        for words in &case.contains {
            if !line.contains(words) {
                wrong.push(format!("`{words}` is not in `{line}`"));
            }
        }
    }
    Judged {
        name: folder.file_name().unwrap().to_string_lossy().into_owned(),
        cause,
        wanted: case.cause,
        wrong,
        line,
        produced: case.command.zip(case.kernel).map(|(command, kernel)| {
            let started = case
                .started_with
                .map_or(String::new(), |words| format!(" ({words})"));
            (format!("{}{started}", kernel.release), command)
        }),
        reported: case.source.map(|source| {
            let on = case
                .reported_on
                .map_or(String::new(), |release| format!(" ({release})"));
            format!("{source}{on}")
        }),
    }
}

fn half(name: &str) -> Vec<Judged> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(corpus().join(name))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    folders.iter().map(|folder| judge(folder)).collect()
}

#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    right: usize,
    /// It was said and is not so.
    false_alarms: usize,
    /// It is so and was not said.
    missed: usize,
}

#[test]
fn what_the_rules_were_written_with_they_know() {
    let judged = half("with");
    assert!(judged.len() >= 40, "{}", judged.len());
    let wrong: Vec<String> = judged
        .iter()
        .filter(|case| case.cause != case.wanted || !case.wrong.is_empty())
        .map(|case| {
            format!(
                "{}: {} instead of {}: {} {:?}",
                case.name, case.cause, case.wanted, case.line, case.wrong
            )
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a test tells.
#[expect(clippy::print_stdout, reason = "the table is what the test is for")]
fn say(line: &str) {
    println!("{line}");
}

/// Those that were measured before they were used, and how many cases they have at the
/// least.
const APART: [(&str, usize); 4] = [("apart", 50), ("newer", 50), ("quoted", 50), ("harmed", 28)];

/// `cargo test -p verdict --test corpus -- --nocapture` prints the tables.
#[test]
fn precision_and_recall_over_cases_kept_apart() {
    for (name, cases) in APART {
        let judged = half(name);
        assert!(judged.len() >= cases, "{name}: {}", judged.len());
        let (precision, recall) = measured(name, &judged);
        assert!(precision >= 0.95, "{name}: precision {precision:.3}");
        assert!(recall >= 0.9, "{name}: recall {recall:.3}");
    }
}

/// Prints what is wrong, and the counts of each cause; gives back precision and recall.
fn measured(name: &str, judged: &[Judged]) -> (f64, f64) {
    let mut counts: BTreeMap<&str, Counted> = BTreeMap::new();
    let silent = |name: &str| matches!(name, "unknown" | "none");
    for case in judged {
        if case.cause == case.wanted {
            counts.entry(&case.wanted).or_default().right += 1;
            continue;
        }
        say(&format!(
            "{}: {} instead of {}: {}",
            case.name, case.cause, case.wanted, case.line
        ));
        if !silent(&case.cause) {
            counts.entry(&case.cause).or_default().false_alarms += 1;
        }
        counts.entry(&case.wanted).or_default().missed += 1;
    }
    say("cause                  cases right  false missed");
    let mut sum = Counted::default();
    for (cause, count) in &counts {
        let cases = count.right + count.missed;
        let Counted {
            right,
            false_alarms,
            missed,
        } = count;
        say(&format!(
            "{cause:<22} {cases:>5} {right:>5} {false_alarms:>6} {missed:>6}"
        ));
        if !silent(cause) {
            sum.right += right;
            sum.missed += missed;
        }
        sum.false_alarms += false_alarms;
    }
    let share = |of: usize, all: usize| of as f64 / all.max(1) as f64;
    let precision = share(sum.right, sum.right + sum.false_alarms);
    let recall = share(sum.right, sum.right + sum.missed);
    say(&format!(
        "{name}: {} cases: precision {precision:.3} ({} of {}), recall {recall:.3} ({} of {})",
        judged.len(),
        sum.right,
        sum.right + sum.false_alarms,
        sum.right,
        sum.right + sum.missed,
    ));
    for case in judged.iter().filter(|case| !case.wrong.is_empty()) {
        say(&format!("{}: {:?}", case.name, case.wrong));
    }
    (precision, recall)
}

/// Every cause that a rule gives, on which kernels it was produced, by what, and how
/// often it is quoted from others' reports.
#[test]
fn the_table_of_causes_is_of_the_cases() {
    let apart = APART.iter().map(|(name, _)| name);
    let cases: Vec<Judged> = std::iter::once(&"with")
        .chain(apart)
        .flat_map(|name| half(name))
        .collect();
    let mut names: Vec<&str> = verdict::rules()
        .flat_map(|(names, _)| names)
        .copied()
        .collect();
    names.sort_unstable();
    let mut table = "# Which causes were produced, where, and by what\n\n\
                     Written by `tests/corpus.rs` from the cases beside it, each a cell as it was \
                     recorded. *Reports* are cases quoted from others' bug reports.\n\n\
                     | cause | kernels | commands | reports |\n| --- | --- | --- | --- |\n"
        .to_owned();
    for name in names {
        let of = || cases.iter().filter(|case| case.wanted == name);
        let joined = |set: BTreeSet<String>| Vec::from_iter(set).join(", ");
        let produced = || of().filter_map(|case| case.produced.as_ref());
        let kernels = joined(produced().map(|(kernel, _)| kernel.clone()).collect());
        let commands = joined(produced().map(|(_, command)| quoted(command)).collect());
        let reports = of().filter(|case| case.reported.is_some()).count();
        table += &format!("| {name} | {kernels} | {commands} | {reports} |\n");
    }
    snapbox::assert_data_eq!(table, snapbox::file!["corpus/TABLE.md"].raw());
}

/// In a cell of a table.
fn quoted(command: &str) -> String {
    format!("`{}`", command.replace('|', "\\|"))
}
