//! One page about one cell, or about an image on a kernel, that a person can act
//! on: what ran, what happened, the evidence, where the line is, what to try.

use std::fmt::Write as _;

use verdict::Verdict;

use crate::{
    Attempt, Cell, KernelColumn, Run, SeccompProfile,
    diff::between,
    shown::{duration, one_line},
};

/// Lines of output and kernel log that are shown, the last ones.
const LINES: usize = 12;

/// Facts shown of two kernels between which the outcome changes.
const FACTS: usize = 14;

/// Explains the cells of an image on a kernel: one check, or all that are no pass.
/// None where the run has no such cell.
pub fn page(run: &Run, kernel: &str, image: &str, check: Option<&str>) -> Option<String> {
    let cells: Vec<&Cell> = run
        .cells
        .iter()
        .filter(|cell| cell.kernel == kernel && cell.image == image)
        .filter(|cell| check.is_none_or(|check| cell.check == check))
        .collect();
    if cells.is_empty() {
        return None;
    }
    let mut page = String::new();
    if check.is_none() {
        let passes = cells
            .iter()
            .filter(|cell| cell.outcome.is_pass() && cell.verdict == Verdict::Expected)
            .count();
        let _ = writeln!(
            page,
            "{image} on {kernel}: {passes} of {} checks pass as expected",
            cells.len()
        );
    }
    let mut told = cells
        .into_iter()
        .filter(|cell| {
            check.is_some() || !cell.outcome.is_pass() || cell.verdict != Verdict::Expected
        })
        .peekable();
    while let Some(cell) = told.next() {
        if !page.is_empty() {
            page.push('\n');
        }
        explain(&mut page, run, cell);
        if told.peek().is_some() {
            page.push('\n');
        }
    }
    Some(page)
}

fn explain(page: &mut String, run: &Run, cell: &Cell) {
    let _ = writeln!(page, "{}", one_line(&cell.id().to_string()));
    what_happened(page, cell);
    what_ran(page, run, cell);
    evidence(page, cell);
    elsewhere(page, run, cell);
    to_try(page, run, cell);
}

fn what_happened(page: &mut String, cell: &Cell) {
    let mut outcome = cell.outcome.label().into_owned();
    if let Some(detail) = cell.outcome.detail() {
        outcome.push_str(&format!(" ({detail})"));
    }
    row(
        page,
        "outcome",
        &format!("{outcome}, {}", cell.verdict.label()),
    );
    if let Some(expected) = &cell.expected {
        let because = cell
            .because
            .as_deref()
            .map_or(String::new(), |because| format!(": {because}"));
        row(page, "expected", &format!("{expected}{because}"));
    }
    match &cell.cause {
        Some(cause) => {
            row(
                page,
                "cause",
                &format!("{}: {}", cause.name, cause.explanation),
            );
        }
        None if cell.outcome.is_result() && !cell.outcome.is_pass() => {
            row(page, "cause", "unknown: no rule knows what was seen");
            for looked in last(cell).iter().flat_map(|attempt| &attempt.examined) {
                row(page, "", looked);
            }
        }
        None => {}
    }
    for noticed in last(cell).iter().flat_map(|attempt| &attempt.noticed) {
        row(page, "noticed", &noticed.what);
    }
}

fn what_ran(page: &mut String, run: &Run, cell: &Cell) {
    let command = run
        .image(&cell.image)
        .and_then(|image| image.checks.iter().find(|check| check.name == cell.check))
        .map(|check| words(&check.command));
    if let Some(command) = command {
        row(page, "command", &command);
    }
    match cell.seccomp {
        SeccompProfile::None => {}
        SeccompProfile::Eperm => row(
            page,
            "seccomp",
            "eperm: a profile that answers calls newer than Linux 5.2 with EPERM",
        ),
        SeccompProfile::Enosys => row(
            page,
            "seccomp",
            "enosys: a profile that answers calls newer than Linux 5.2 with ENOSYS",
        ),
    }
    if !cell.capabilities.is_empty() {
        let added = cell.capabilities.join(", ");
        row(page, "capabilities", &format!("docker's 14 and {added}"));
    }
    if let Some(image) = run.image(&cell.image) {
        let source: Vec<String> = image
            .source
            .iter()
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        row(
            page,
            "image",
            &format!("{} ({})", image.id, source.join(", ")),
        );
        if let Some(digest) = &image.digest {
            row(page, "", digest);
        }
    }
    if let Some(kernel) = run.kernel(&cell.kernel) {
        let release = kernel.release.as_deref().unwrap_or("never came up");
        row(page, "kernel", &format!("{} ({release})", kernel.id));
        let package: Vec<&str> = ["name", "version", "path", "oci", "archive", "image"]
            .iter()
            .filter_map(|key| kernel.package.get(*key))
            .map(String::as_str)
            .collect();
        if !package.is_empty() {
            row(page, "", &package.join(" "));
        }
        if let Some(signature) = kernel.package.get("signature") {
            row(page, "", &format!("signature: {signature}"));
        }
        if let Some(line) = &kernel.command_line {
            row(page, "booted with", line);
        }
    }
    for (number, attempt) in cell.attempts.iter().enumerate() {
        let alone = if attempt.alone { ", alone" } else { "" };
        row(
            page,
            if number == 0 { "attempts" } else { "" },
            &format!(
                "{}: {} after {} ({} start, boot {}{alone})",
                number + 1,
                attempt.outcome.label(),
                duration(attempt.duration_ms),
                attempt.start,
                attempt.boot
            ),
        );
    }
}

fn evidence(page: &mut String, cell: &Cell) {
    if let Some(cause) = &cell.cause {
        block(page, "evidence", cause.evidence.iter().map(String::as_str));
    }
    if let Some(last) = last(cell) {
        if let Some(trace) = &last.trace {
            let outcome = format!("again under ptrace: {}", trace.outcome.label());
            block(page, &outcome, trace.steps.iter().map(String::as_str));
        }
        block(page, "stdout", last.stdout.lines());
        block(page, "stderr", last.stderr.lines());
        block(
            page,
            "kernel log",
            last.kernel_log.iter().map(String::as_str),
        );
    }
}

/// The attempt whose outcome is the cell's.
fn last(cell: &Cell) -> Option<&Attempt> {
    let decides = cell.attempts.iter().rfind(|it| it.outcome.is_result());
    decides.or(cell.attempts.last())
}

/// The same check on the other kernels and in the other images.
fn elsewhere(page: &mut String, run: &Run, cell: &Cell) {
    let same = |other: &&Cell| other.image == cell.image && other.check == cell.check;
    let across: Vec<&Cell> = run.cells.iter().filter(same).collect();
    if across.len() > 1 {
        let _ = writeln!(page, "\n  {} of {} on every kernel", cell.check, cell.image);
        for other in &across {
            let here = if other.kernel == cell.kernel {
                " <"
            } else {
                ""
            };
            let facts = run.kernel(&other.kernel).and_then(|it| it.facts.as_ref());
            let facts = facts.map_or(String::new(), |facts| {
                format!(
                    "  vsyscall {}, cgroup {}",
                    facts.vsyscall.name(),
                    facts.cgroup.name()
                )
            });
            let label = other.outcome.label();
            let _ = writeln!(page, "    {:<24} {label:<16}{facts}{here}", other.kernel);
        }
        line_between(page, run, cell, &across);
    }
    let same = |other: &&Cell| other.kernel == cell.kernel && other.check == cell.check;
    let down: Vec<&Cell> = run.cells.iter().filter(same).collect();
    if down.len() > 1 {
        let _ = writeln!(page, "\n  {} on {} in every image", cell.check, cell.kernel);
        for other in down {
            let here = if other.image == cell.image { " <" } else { "" };
            let _ = writeln!(
                page,
                "    {:<24} {}{here}",
                other.image,
                other.outcome.label()
            );
        }
    }
}

/// The nearest kernel with another result, and what is different there.
fn line_between(page: &mut String, run: &Run, cell: &Cell, across: &[&Cell]) {
    let Some(at) = across.iter().position(|other| other.kernel == cell.kernel) else {
        return;
    };
    let nearest = across
        .iter()
        .enumerate()
        .filter(|(_, other)| other.outcome.is_result() && !other.outcome.agrees_with(&cell.outcome))
        .min_by_key(|(index, _)| index.abs_diff(at));
    let Some((_, other)) = nearest else {
        return;
    };
    let (Some(here), Some(there)) = (run.kernel(&cell.kernel), run.kernel(&other.kernel)) else {
        return;
    };
    let _ = writeln!(
        page,
        "\n  the nearest kernel with another result is {} ({}); what differs there",
        other.kernel,
        other.outcome.label()
    );
    differences(page, here, there);
}

fn differences(page: &mut String, here: &KernelColumn, there: &KernelColumn) {
    // Package and release differ between any two kernels and say nothing; the
    // system calls that are missing are told by number only.
    let telling = |name: &str| {
        !(name.starts_with("package.")
            || name.ends_with("release")
            || name == "facts.build"
            || name == "facts.modules")
    };
    let mut changes: Vec<_> = between(here, there)
        .into_iter()
        .filter(|change| telling(&change.name))
        .collect();
    // What was set is likelier to be the reason than what came with it.
    changes.sort_by_key(|change| change.name.starts_with("facts."));
    let more = changes.len().saturating_sub(FACTS);
    for change in changes.into_iter().take(FACTS) {
        let words = format!("{}: {} here, {} there", change.name, change.old, change.new);
        let _ = writeln!(page, "    {}", shortened(&one_line(&words)));
    }
    if more > 0 {
        let _ = writeln!(page, "    and {more} more (matrix show --table facts)");
    }
}

fn to_try(page: &mut String, run: &Run, cell: &Cell) {
    let _ = writeln!(page, "\n  what to try");
    if let Some(remedy) = cell.cause.as_ref().and_then(|cause| cause.remedy.as_ref()) {
        let _ = writeln!(page, "    {}", one_line(remedy));
    }
    let again = format!(
        "matrix run --kernels {} --images {} --checks {}",
        quoted(&format!(
            "{}{}",
            cell.kernel,
            if cell.kernel.contains(['+', '/']) {
                ""
            } else {
                "+"
            }
        )),
        quoted(&cell.image),
        quoted(&cell.check)
    );
    let _ = writeln!(page, "    again: {again}");
    let traced = last(cell).is_some_and(|attempt| attempt.trace.is_some());
    if cell.outcome.is_result() && !cell.outcome.is_pass() && !traced {
        let _ = writeln!(page, "    what it was refused: {again} --trace");
    }
    let good = run.cells.iter().find(|other| {
        other.image == cell.image && other.check == cell.check && other.outcome.is_pass()
    });
    if let Some(good) = good.filter(|_| !cell.outcome.is_pass() && cell.outcome.is_result()) {
        let _ = writeln!(
            page,
            "    where it begins: matrix bisect {} {} --good {} --bad {}",
            quoted(&cell.image),
            quoted(&cell.check),
            quoted(&good.kernel),
            quoted(&cell.kernel)
        );
    }
}

fn row(page: &mut String, name: &str, value: &str) {
    let _ = writeln!(page, "  {name:<12} {}", one_line(value));
}

fn block<'a>(page: &mut String, name: &str, lines: impl Iterator<Item = &'a str>) {
    let lines: Vec<String> = lines
        .map(one_line)
        .filter(|line| !line.is_empty())
        .collect();
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(page, "\n  {name}");
    if lines.len() > LINES {
        let _ = writeln!(page, "    … {} lines before", lines.len() - LINES);
    }
    for line in &lines[lines.len().saturating_sub(LINES)..] {
        let _ = writeln!(page, "    {line}");
    }
}

/// A list of a hundred system calls is no use in a line.
fn shortened(text: &str) -> String {
    const MOST: usize = 160;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn words(command: &[String]) -> String {
    command
        .iter()
        .map(|word| quoted(word))
        .collect::<Vec<_>>()
        .join(" ")
}

/// As a shell would need it.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "@%+=:,./-_".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}
