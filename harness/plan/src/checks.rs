//! images/checks.toml, and the checks an image brings of its own.

use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Located, SourceFile};
use crate::document::{Reader, Refusal, Table, Value};
use crate::name::name;
use crate::{Check, CheckEntry};
use verdict::judge::Children;
use verdict::{AddedCapabilities, Capability, Seccomp};

/// What images/checks.toml says, and what is wrong in it. A check with mistakes
/// is left out of the first list, its name is still in the second.
pub(crate) struct ChecksFile {
    pub(crate) checks: Vec<CheckEntry>,
    pub(crate) names: Vec<Located<String>>,
    /// The file could be read at all, so a name that is not in it is unknown.
    pub(crate) readable: bool,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// Reads images/checks.toml.
pub(crate) fn parse(file: &Arc<SourceFile>) -> ChecksFile {
    let reader = Reader::new(Arc::clone(file));
    let mut checks = Vec::new();
    let mut names = Vec::new();
    let document = reader.parse(&file.text);
    if let Some(document) = &document {
        let root = reader.root(document, "checks.toml");
        if let Some(value) = root.value("check") {
            checks = read_checks(&value, &mut names);
        }
        root.finish();
    }
    ChecksFile {
        checks,
        names,
        readable: document.is_some(),
        diagnostics: reader.finish(),
    }
}

/// Reads `[[check]]` tables; every name in them, also of those with mistakes, is
/// added to `names`.
///
/// A check that names several profiles for system calls is a check of each.
pub(crate) fn read_checks(value: &Value<'_>, names: &mut Vec<Located<String>>) -> Vec<CheckEntry> {
    value
        .tables("a check")
        .into_iter()
        .filter_map(|table| read_check(table, names))
        .flatten()
        .collect()
}

fn read_check(table: Table<'_>, names: &mut Vec<Located<String>>) -> Option<Vec<CheckEntry>> {
    let named = table.required("name", "\"bash\"");
    let name = named.as_ref().and_then(|value| value.parsed(name));
    let mut unique = true;
    if let (Some(name), Some(value)) = (&name, &named) {
        let place = value.place();
        if let Some(other) = names.iter().find(|other| other.value == *name) {
            unique = false;
            table.report(
                Diagnostic::new(
                    format!("two checks are called `{name}`"),
                    &place,
                    "the second",
                )
                .related(&other.place, "the first"),
            );
        } else {
            names.push(Located {
                value: name.clone(),
                place,
            });
        }
    }
    let command = table
        .required("command", "[\"bash\", \"-c\", \"true\"]")
        .and_then(|value| command(&value));
    let stdout = table.value("stdout");
    let stdout = stdout.map(|value| value.parsed(expression));
    let timeout = table
        .value("timeout")
        .map(|value| value.amount("s", duration));
    let children = table.value("children").map(|value| value.parsed(children));
    let entrypoint = table.boolean("entrypoint").unwrap_or(false);
    let default = table.boolean("default").unwrap_or(true);
    let profiles = match table.value("seccomp") {
        Some(value) => profiles(&value),
        None => Some(Profiles::One(Seccomp::None)),
    };
    let added = match table.value("capabilities") {
        Some(value) => capabilities(&value),
        None => Some(AddedCapabilities::default()),
    };
    let notes = table.string("notes").map(|notes| notes.value);
    table.finish();
    let check = Check {
        name: name.filter(|_| unique)?,
        command: command?,
        // Given but wrong is not the same as not given.
        stdout: stdout.map_or(Some(None), |given| given.map(Some))?,
        timeout: timeout.map_or(Some(None), |given| given.map(Some))?,
        children: children.map_or(Some(Children::default()), |given| given)?,
        entrypoint,
        seccomp: Seccomp::None,
        capabilities: added?,
    };
    let checks = match profiles? {
        Profiles::One(seccomp) => vec![Check { seccomp, ..check }],
        Profiles::Each(profiles) => profiles.into_iter().map(|one| check.under(one)).collect(),
    };
    let entry = |check| CheckEntry {
        check,
        default,
        notes: notes.clone(),
    };
    Some(checks.into_iter().map(entry).collect())
}

fn children(text: &str) -> Result<Children, Refusal> {
    Children::named(text).ok_or_else(|| {
        Refusal::new(format!("`{text}` is not what a child's death can mean"))
            .hint("\"noticed\", as without the key, or \"fail\": the check is no pass")
    })
}

/// What `seccomp` says.
enum Profiles {
    /// A word: the check runs under it.
    One(Seccomp),
    /// A list: there is a check for each.
    Each(Vec<Seccomp>),
}

fn profiles(value: &Value<'_>) -> Option<Profiles> {
    if !value.is_array() {
        return value.parsed(profile).map(Profiles::One);
    }
    let mut each: Vec<Seccomp> = Vec::new();
    let elements = value.elements("an array of profiles")?;
    if elements.is_empty() {
        value.refuse(Refusal::new("a check under no profile").hint(
            "leave `seccomp` out for a container without one, or write \"none\" among others",
        ));
        return None;
    }
    let mut sound = true;
    for element in &elements {
        match element.parsed(profile) {
            None => sound = false,
            Some(one) if each.contains(&one) => {
                element.refuse(Refusal::new(format!("`{}` is there twice", one.name())));
                sound = false;
            }
            Some(one) => each.push(one),
        }
    }
    sound.then_some(Profiles::Each(each))
}

fn profile(text: &str) -> Result<Seccomp, Refusal> {
    Seccomp::named(text)
        .ok_or_else(|| Refusal::unknown("profile", text, &Seccomp::ALL.map(Seccomp::name)))
}

/// What `capabilities` can name.
#[derive(PartialEq, Eq)]
enum Added {
    All,
    One(Capability),
}

fn capabilities(value: &Value<'_>) -> Option<AddedCapabilities> {
    let elements = value.elements("an array of strings")?;
    if elements.is_empty() {
        value.refuse(
            Refusal::new("no capabilities to add")
                .hint("leave `capabilities` out for a container with docker's 14"),
        );
        return None;
    }
    let mut named: Vec<Capability> = Vec::new();
    let mut sound = true;
    for element in &elements {
        match element.parsed(capability) {
            None => sound = false,
            Some(Added::All) if elements.len() == 1 => return Some(AddedCapabilities::All),
            Some(Added::All) => {
                element.refuse(
                    Refusal::new("`ALL` beside others").hint("they are in it: leave them out"),
                );
                sound = false;
            }
            Some(Added::One(one)) if named.contains(&one) => {
                element.refuse(Refusal::new(format!("`{}` is there twice", one.name())));
                sound = false;
            }
            Some(Added::One(one)) => named.push(one),
        }
    }
    // The same set is the same check, however it is written.
    named.sort_unstable();
    sound.then_some(AddedCapabilities::Named(named))
}

fn capability(text: &str) -> Result<Added, Refusal> {
    if text.eq_ignore_ascii_case(AddedCapabilities::ALL) {
        return Ok(Added::All);
    }
    match Capability::named(text) {
        None => {
            let others = Capability::every().filter(|one| !one.is_dockers());
            let names: Vec<&str> = others.map(Capability::name).collect();
            let bare = text.trim_start_matches("CAP_");
            Err(Refusal::unknown("capability", bare, &names))
        }
        Some(one) if one.is_dockers() => Err(Refusal::new(format!(
            "`{}` is one of docker's 14",
            one.name()
        ))
        .hint("every container has it: leave it out")),
        Some(one) => Ok(Added::One(one)),
    }
}

fn command(value: &Value<'_>) -> Option<Vec<String>> {
    let words = value.strings()?;
    if words.first().is_none_or(|program| program.value.is_empty()) {
        value.refuse(
            Refusal::new("`command` names no program")
                .hint("a program and its arguments: [\"ls\", \"/\"]"),
        );
        return None;
    }
    Some(words.into_iter().map(|word| word.value).collect())
}

fn expression(text: &str) -> Result<String, Refusal> {
    match verdict::judge::pattern(text, "6.1.0-50-cloud-amd64") {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(Refusal::new(error.to_string()).hint(
            "the syntax is that of Rust's regex crate; `{release}` stands for the kernel's release",
        )),
    }
}

/// Milliseconds.
fn duration(text: &str) -> Result<u64, Refusal> {
    let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];
    let parsed = units.iter().find_map(|(unit, factor)| {
        let number = text.strip_suffix(unit)?.trim_end();
        number.parse::<u64>().ok()?.checked_mul(*factor)
    });
    match parsed {
        Some(0) => Err(Refusal::new("a time limit of nothing")
            .hint("leave `timeout` out for the run's own limit")),
        Some(milliseconds) => Ok(milliseconds),
        None => Err(Refusal::new(format!("`{text}` is not a duration"))
            .hint("a whole number with its unit: 500ms, 30s, 2m, 1h")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let milliseconds = |text| duration(text).map_err(|_| ());
        assert_eq!(milliseconds("30s"), Ok(30_000));
        assert_eq!(milliseconds("500ms"), Ok(500));
        assert_eq!(milliseconds("2 m"), Ok(120_000));
        assert_eq!(milliseconds("1h"), Ok(3_600_000));
        for text in [
            "",
            "30",
            "s",
            "0s",
            "-1s",
            "1d",
            "1.5s",
            "99999999999999999999s",
        ] {
            assert_eq!(milliseconds(text), Err(()), "{text:?}");
        }
    }
}
