//! The facts that differ between two runs: what may have brought a change about.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use crate::{KernelColumn, Run};

/// A fact that is not what it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FactChange {
    /// Of what: `run`, `kernel 6.1`, `image debian:12`.
    pub subject: String,
    /// Which: `package.version`, `facts.vsyscall`.
    pub name: String,
    /// Then; of a list, what is gone from it.
    pub old: String,
    /// Now; of a list, what is new in it.
    pub new: String,
}

/// Facts of one boot, not of a kernel: they differ from run to run.
const PASSING: [&str; 2] = ["facts.memory_kib", "slowdown_permille"];

type Flat = BTreeMap<String, Value>;

pub(super) fn changes(old: &Run, new: &Run) -> Vec<FactChange> {
    let mut changes = compare("run".to_owned(), &head(old), &head(new));
    for now in &new.kernels {
        if let Some(before) = old.kernel(&now.id) {
            let subject = format!("kernel {}", now.id);
            changes.extend(compare(subject, &kernel(before), &kernel(now)));
        }
    }
    for now in &new.images {
        if let Some(before) = old.image(&now.id) {
            let subject = format!("image {}", now.id);
            let flat = |image: &crate::ImageRow| {
                let mut flat = Flat::new();
                flatten("digest", &serde_json::json!(image.digest), &mut flat);
                flatten("source", &serde_json::json!(image.source), &mut flat);
                for check in &image.checks {
                    flatten(
                        &format!("check.{}", check.name),
                        &serde_json::json!(check),
                        &mut flat,
                    );
                }
                flat
            };
            changes.extend(compare(subject, &flat(before), &flat(now)));
        }
    }
    changes
}

fn head(run: &Run) -> Flat {
    let head = &run.run;
    let mut flat = Flat::new();
    for (name, value) in [
        ("matrix", serde_json::json!(head.matrix)),
        ("qemu", serde_json::json!(head.qemu)),
        ("acceleration", serde_json::json!(head.acceleration)),
        ("settings", serde_json::json!(head.settings)),
        ("host", serde_json::json!(head.host)),
        (
            "runtime",
            serde_json::json!(run.cells.first().map(|cell| &cell.runtime)),
        ),
    ] {
        flatten(name, &value, &mut flat);
    }
    flat
}

/// Two columns of one run, or of two: what differs, without what only one boot
/// says. For showing where the line between two outcomes may be.
pub(crate) fn between(one: &KernelColumn, other: &KernelColumn) -> Vec<FactChange> {
    compare(other.id.clone(), &kernel(one), &kernel(other))
}

fn kernel(column: &KernelColumn) -> Flat {
    let mut flat = Flat::new();
    for (name, value) in [
        ("release", serde_json::json!(column.release)),
        ("package", serde_json::json!(column.package)),
        ("command_line", serde_json::json!(column.command_line)),
        ("settings", serde_json::json!(column.settings)),
        ("facts", serde_json::json!(column.facts)),
    ] {
        flatten(name, &value, &mut flat);
    }
    flat.retain(|name, _| !PASSING.contains(&name.as_str()));
    flat
}

fn flatten(name: &str, value: &Value, flat: &mut Flat) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                flatten(&format!("{name}.{key}"), member, flat);
            }
        }
        other => {
            flat.insert(name.to_owned(), other.clone());
        }
    }
}

fn compare(subject: String, old: &Flat, new: &Flat) -> Vec<FactChange> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    names
        .into_iter()
        .filter_map(|name| {
            let (before, now) = (old.get(name), new.get(name));
            if before == now {
                return None;
            }
            // Nothing is known of one that never came up: no change to tell.
            let unknown = |value: Option<&Value>| value.is_none_or(Value::is_null);
            if unknown(before) && unknown(now) {
                return None;
            }
            let (old, new) = match (before, now) {
                (Some(Value::Array(before)), Some(Value::Array(now))) => {
                    (missing_from(now, before), missing_from(before, now))
                }
                (before, now) => (words(before), words(now)),
            };
            Some(FactChange {
                subject: subject.clone(),
                name: name.clone(),
                old,
                new,
            })
        })
        .collect()
}

/// What of `list` is not in `other`.
fn missing_from(other: &[Value], list: &[Value]) -> String {
    let rest: Vec<String> = list
        .iter()
        .filter(|value| !other.contains(value))
        .map(|value| words(Some(value)))
        .collect();
    if rest.is_empty() {
        "-".to_owned()
    } else {
        rest.join(" ")
    }
}

fn words(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(list)) => list
            .iter()
            .map(|value| words(Some(value)))
            .collect::<Vec<_>>()
            .join(" "),
        Some(other) => other.to_string(),
    }
}
