//! How a kernel is started: `cmdline`, `cpu`, `memory`, `cgroup`, `sysctl`, of an
//! entry or of a variant of it.

use std::collections::BTreeMap;

use crate::document::{Refusal, Table, Value};
use crate::{Cgroup, Settings, Version};

/// Below this no distribution kernel gets as far as its first process.
const LEAST_MEMORY: u32 = 64;

/// More than any machine emulates with profit, and what QEMU's firmware tells each
/// kernel of.
const MOST_CPUS: u32 = 16;

/// What an entry or a variant says; what it does not say is inherited.
#[derive(Debug, Default)]
pub(crate) struct SettingsPart {
    command_line: Vec<String>,
    cpu: Option<String>,
    memory: Option<u32>,
    cpus: Option<u32>,
    cgroup: Option<Cgroup>,
    sysctl: BTreeMap<String, String>,
}

impl SettingsPart {
    pub(crate) fn read(table: &Table<'_>) -> SettingsPart {
        SettingsPart {
            command_line: table
                .value("cmdline")
                .and_then(|value| value.parsed(command_line))
                .unwrap_or_default(),
            cpu: table.value("cpu").and_then(|value| value.parsed(cpu)),
            memory: table
                .value("memory")
                .and_then(|value| value.amount("MiB", memory)),
            cpus: table.value("cpus").and_then(|value| cpus(&value)),
            cgroup: table.value("cgroup").and_then(|value| value.parsed(cgroup)),
            sysctl: sysctl(table),
        }
    }

    /// Put on top of `base`: words are appended, switches added, the rest replaced.
    pub(crate) fn over(self, mut base: Settings) -> Settings {
        base.command_line.extend(self.command_line);
        base.sysctl.extend(self.sysctl);
        Settings {
            cpu: self.cpu.unwrap_or(base.cpu),
            memory: self.memory.unwrap_or(base.memory),
            cpus: self.cpus.unwrap_or(base.cpus),
            cgroup: self.cgroup.unwrap_or(base.cgroup),
            ..base
        }
    }
}

/// What a kernel is started with where nothing is said; a kernel of unknown
/// version is taken for a new one.
pub(crate) fn defaults(version: Option<&Version>) -> Settings {
    Settings {
        command_line: Vec::new(),
        cpu: "max".into(),
        memory: 1024,
        cpus: 1,
        cgroup: match version {
            Some(version) if version.major() < 5 => Cgroup::V1,
            _ => Cgroup::V2,
        },
        sysctl: BTreeMap::new(),
    }
}

/// Words between spaces; double quotes hold a word together and stay, as the
/// kernel's own parser takes them off.
fn command_line(text: &str) -> Result<Vec<String>, Refusal> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for character in text.chars() {
        if character == '"' {
            quoted = !quoted;
        }
        if character.is_whitespace() && !quoted {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
        } else {
            word.push(character);
        }
    }
    if quoted {
        return Err(Refusal::new("a quote in `cmdline` is not closed"));
    }
    if !word.is_empty() {
        words.push(word);
    }
    Ok(words)
}

/// A model, perhaps with flags behind commas, as QEMU's `-cpu` takes it.
fn cpu(text: &str) -> Result<String, Refusal> {
    if text.is_empty() || text.contains(char::is_whitespace) {
        return Err(Refusal::new(format!("`{text}` is not a CPU model")).hint(
            "a model as QEMU's -cpu takes it (max, Nehalem, Haswell-noTSX), or a level: x86-64-v2",
        ));
    }
    Ok(text.to_owned())
}

/// MiB. A unit is demanded: a bare number reads as bytes, KiB or MiB, depending
/// on who reads it.
fn memory(text: &str) -> Result<u32, Refusal> {
    let units = [("MiB", 1), ("GiB", 1024)];
    let parsed = units.iter().find_map(|(unit, factor)| {
        let number = text.strip_suffix(unit)?.trim_end();
        number.parse::<u32>().ok()?.checked_mul(*factor)
    });
    match parsed {
        Some(memory) if memory >= LEAST_MEMORY => Ok(memory),
        Some(_) => Err(Refusal::new(format!("`{text}` of memory is too little"))
            .hint(format!("at least {LEAST_MEMORY}MiB"))),
        None => Err(Refusal::new(format!("`{text}` is not an amount of memory"))
            .hint("a whole number with its unit: 512MiB, 2GiB")),
    }
}

/// A whole number of processors.
fn cpus(value: &Value<'_>) -> Option<u32> {
    let text = value.scalar()?.value;
    match text.parse() {
        Ok(cpus) if (1..=MOST_CPUS).contains(&cpus) => Some(cpus),
        _ => {
            value.refuse(
                Refusal::new(format!("`{text}` is not a number of processors"))
                    .hint(format!("a whole number from 1 to {MOST_CPUS}: cpus = 2")),
            );
            None
        }
    }
}

fn cgroup(text: &str) -> Result<Cgroup, Refusal> {
    match text {
        "v1" => Ok(Cgroup::V1),
        "v2" => Ok(Cgroup::V2),
        "hybrid" => Ok(Cgroup::Hybrid),
        _ => Err(Refusal::unknown(
            "cgroup layout",
            text,
            &["v1", "v2", "hybrid"],
        )),
    }
}

/// `sysctl = { "user.max_user_namespaces" = 1000 }`; without the quotes TOML makes
/// tables of it, which mean the same.
fn sysctl(table: &Table<'_>) -> BTreeMap<String, String> {
    let mut switches = BTreeMap::new();
    let nested = table
        .value("sysctl")
        .and_then(|value| value.table("a table of sysctl switches"));
    if let Some(nested) = nested {
        read_switches(&nested, "", &mut switches);
    }
    switches
}

fn read_switches(table: &Table<'_>, prefix: &str, switches: &mut BTreeMap<String, String>) {
    for (key, value) in table.entries() {
        let name = format!("{prefix}{}", key.value);
        if value.is_table() {
            if let Some(nested) = value.table("a table of sysctl switches") {
                read_switches(&nested, &format!("{name}."), switches);
            }
        } else if let Some(text) = value.scalar() {
            switches.insert(name, text.value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_split_at_spaces_outside_quotes() {
        let words = |text| command_line(text).map_err(|_| ());
        assert_eq!(
            words(" a=1  dyndbg=\"file x +p\" b"),
            Ok(vec![
                "a=1".into(),
                "dyndbg=\"file x +p\"".into(),
                "b".into()
            ])
        );
        assert_eq!(words(""), Ok(vec![]));
        assert_eq!(words("a=\"b"), Err(()));
    }

    #[test]
    fn memory_is_a_number_with_a_unit() {
        let amount = |text| memory(text).map_err(|_| ());
        assert_eq!(amount("512MiB"), Ok(512));
        assert_eq!(amount("2 GiB"), Ok(2048));
        for text in [
            "512",
            "512M",
            "-1MiB",
            "1.5GiB",
            "63MiB",
            "0GiB",
            "9999999GiB",
            "MiB",
        ] {
            assert_eq!(amount(text), Err(()), "{text}");
        }
    }

    #[test]
    fn cgroup_v2_is_the_default_from_5_on() {
        let layout = |text: &str| {
            let version: Version = text.parse().unwrap();
            defaults(Some(&version)).cgroup
        };
        assert_eq!(layout("4.19"), Cgroup::V1);
        assert_eq!(layout("5.0"), Cgroup::V2);
        assert_eq!(defaults(None).cgroup, Cgroup::V2);
    }
}
