//! What the kernels of a run are, side by side: their facts, or their system
//! calls; rows that are the same everywhere told in one line, as they explain no
//! difference.

use std::collections::{BTreeMap, BTreeSet};

use unicode_width::UnicodeWidthStr;

use crate::shown::one_line;
use crate::syscalls;
use crate::{FactsRecord, Run};

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// What each kernel is and can do.
    Facts,
    /// Which system calls it has.
    Syscalls,
}

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Markup {
    /// Aligned columns.
    Text,
    /// A Markdown table.
    Markdown,
}

/// What is not known of a kernel.
const UNKNOWN: &str = "?";

/// The table. With `all`, rows that are the same everywhere are rows as well.
#[must_use]
pub fn render(run: &Run, subject: Subject, markup: Markup, all: bool) -> String {
    let known: Vec<(&str, &FactsRecord)> = run
        .kernels
        .iter()
        .filter_map(|kernel| Some((kernel.id.as_str(), kernel.facts.as_ref()?)))
        .collect();
    if known.is_empty() {
        return "no kernel of this run came up, so nothing is known of any\n".to_owned();
    }
    let columns: Vec<Vec<(String, String)>> = known
        .iter()
        .map(|(_, facts)| match subject {
            Subject::Facts => fact_values(facts),
            Subject::Syscalls => syscall_values(facts),
        })
        .collect();
    let (rows, same) = rows(&columns, all);
    let head: Vec<String> = known.iter().map(|(id, _)| one_line(id)).collect();
    let title = match subject {
        Subject::Facts => "fact",
        Subject::Syscalls => "system call",
    };
    let mut page = match (rows.is_empty(), markup) {
        (true, _) => String::new(),
        (false, Markup::Text) => text(title, &head, &rows),
        (false, Markup::Markdown) => markdown(title, &head, &rows),
    };
    page += &same_everywhere(subject, &same, head.len());
    let silent: Vec<String> = run
        .kernels
        .iter()
        .filter(|kernel| kernel.facts.is_none())
        .map(|kernel| one_line(&kernel.id))
        .collect();
    if !silent.is_empty() {
        page += &format!("\nNothing is known of {}.\n", silent.join(", "));
    }
    page
}

/// The facts in which two kernels differ: name, the first's value, the second's.
#[must_use]
pub fn differences(first: &FactsRecord, second: &FactsRecord) -> Vec<(String, String, String)> {
    let columns: Vec<_> = [first, second]
        .into_iter()
        .map(|facts| {
            let mut values = fact_values(facts);
            values.extend(syscall_values(facts));
            values
        })
        .collect();
    rows(&columns, false)
        .0
        .into_iter()
        .map(|(name, values)| (name, values[0].clone(), values[1].clone()))
        .collect()
}

type Row = (String, Vec<String>);

/// Rows in the order in which their names are first met, and those apart in which
/// all columns say the same.
fn rows(columns: &[Vec<(String, String)>], all: bool) -> (Vec<Row>, Vec<(String, String)>) {
    let maps: Vec<BTreeMap<&str, &str>> = columns
        .iter()
        .map(|values| {
            values
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect()
        })
        .collect();
    let (mut seen, mut differing, mut same) = (BTreeSet::new(), Vec::new(), Vec::new());
    for (name, _) in columns.iter().flatten() {
        if !seen.insert(name.as_str()) {
            continue;
        }
        let values: Vec<String> = maps
            .iter()
            .map(|map| map.get(name.as_str()).copied().unwrap_or("-").to_owned())
            .collect();
        if !all && values.windows(2).all(|pair| pair[0] == pair[1]) {
            same.push((name.clone(), values[0].clone()));
        } else {
            differing.push((name.clone(), values));
        }
    }
    (differing, same)
}

fn fact_values(facts: &FactsRecord) -> Vec<(String, String)> {
    let list = |values: &[String]| values.join(" ");
    let yes = |value: bool| (if value { "yes" } else { "no" }).to_owned();
    let mut values: Vec<(String, String)> = [
        ("release", facts.release.clone()),
        ("flavour", facts.flavour.clone()),
        ("vsyscall", facts.vsyscall.name().to_owned()),
        ("cgroup", facts.cgroup.name().to_owned()),
        ("cgroup_controllers", list(&facts.cgroup_controllers)),
        ("overlayfs", yes(facts.overlayfs)),
        ("namespaces", list(&facts.namespaces)),
        ("user_namespaces", yes(facts.user_namespaces)),
        ("seccomp", yes(facts.seccomp)),
        ("seccomp_actions", list(&facts.seccomp_actions)),
        ("lsm", list(&facts.lsm)),
        ("ia32", yes(facts.ia32)),
        ("cpu_level", facts.cpu_level.to_string()),
        ("cpus", facts.cpus.to_string()),
        ("filesystems", list(&facts.filesystems)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    for (prefix, map) in [
        ("lsm ", &facts.lsm_modes),
        ("", &facts.sysctls),
        ("CONFIG_", &facts.config),
    ] {
        let named = |(name, value): (&String, &String)| (format!("{prefix}{name}"), value.clone());
        values.extend(map.iter().map(named));
    }
    for (_, value) in &mut values {
        *value = one_line(value);
        if value.is_empty() {
            "-".clone_into(value);
        }
    }
    values
}

fn syscall_values(facts: &FactsRecord) -> Vec<(String, String)> {
    let missing: BTreeSet<&str> = facts.syscalls_missing.iter().map(String::as_str).collect();
    let value = |name: &str| match (facts.syscalls_tried, missing.contains(name)) {
        (false, _) => UNKNOWN,
        (true, true) => "ENOSYS",
        (true, false) => "yes",
    };
    let mut values: Vec<_> = syscalls::names()
        .map(|name| (name.to_owned(), value(name).to_owned()))
        .collect();
    for number in &facts.syscalls_unnamed {
        values.push((format!("number {}", one_line(number)), "yes".to_owned()));
    }
    values
}

fn same_everywhere(subject: Subject, same: &[(String, String)], kernels: usize) -> String {
    if same.is_empty() {
        return String::new();
    }
    let on = if kernels == 1 {
        "this kernel"
    } else {
        "every kernel"
    };
    match subject {
        Subject::Facts => {
            let pairs: Vec<String> = same
                .iter()
                .map(|(name, value)| format!("{name} {value}"))
                .collect();
            format!("\nThe same on {on}: {}.\n", pairs.join("; "))
        }
        Subject::Syscalls => {
            let names = |wanted: &str| -> Vec<&str> {
                same.iter()
                    .filter(|(_, value)| value == wanted)
                    .map(|(name, _)| name.as_str())
                    .collect()
            };
            let mut said = format!("\n{} are there on {on}", names("yes").len());
            let (none, unknown) = (names("ENOSYS"), names(UNKNOWN));
            if !none.is_empty() {
                said += &format!("; not on any ({}): {}", none.len(), none.join(" "));
            }
            if !unknown.is_empty() {
                said += &format!("; not tried ({})", unknown.len());
            }
            said + ".\n"
        }
    }
}

fn text(title: &str, head: &[String], rows: &[Row]) -> String {
    let mut lines = vec![(title.to_owned(), head.to_vec())];
    lines.extend(rows.iter().cloned());
    let first = lines
        .iter()
        .map(|(name, _)| name.width())
        .max()
        .unwrap_or(0);
    let widths: Vec<usize> = (0..head.len())
        .map(|column| {
            let of = lines.iter().map(|(_, values)| values[column].width());
            of.max().unwrap_or(0)
        })
        .collect();
    let mut page = String::new();
    for (name, values) in lines {
        let mut line = name.clone() + &" ".repeat(first - name.width());
        for (value, width) in values.iter().zip(&widths) {
            line += "  ";
            line += value;
            line += &" ".repeat(width - value.width());
        }
        page += line.trim_end();
        page.push('\n');
    }
    page
}

fn markdown(title: &str, head: &[String], rows: &[Row]) -> String {
    let cell = |text: &str| text.replace('|', "\\|");
    let line = |first: &str, values: &[String]| {
        let values: Vec<String> = values.iter().map(|value| cell(value)).collect();
        format!("| {} | {} |\n", cell(first), values.join(" | "))
    };
    let mut page = line(title, head);
    page += &line("---", &vec!["---".to_owned(); head.len()]);
    for (name, values) in rows {
        page += &line(&format!("`{name}`"), values);
    }
    page
}
