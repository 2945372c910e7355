//! `linux.resources.memory`.

use super::Version;
use super::file::Setting;
use crate::bundle::part;
use crate::failure::Failure;
use crate::node::Node;

const LIMIT: &str = "linux.resources.memory.limit";
const SWAP: &str = "linux.resources.memory.swap";
const RESERVATION: &str = "linux.resources.memory.reservation";
const SWAPPINESS: &str = "linux.resources.memory.swappiness";
const NO_KILLER: &str = "linux.resources.memory.disableOOMKiller";

/// What is missing where a hierarchy has the controller and not its swap files.
pub(super) const NO_SWAP_LIMIT: &str =
    "limit on swap in cgroups (CONFIG_SWAP, CONFIG_MEMCG_SWAP; before Linux 6.1 swapaccount=1)";

/// Bytes; -1 is no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    limit: Option<i64>,
    /// Memory and swap together.
    swap: Option<i64>,
    reservation: Option<i64>,
    /// 0 to 100.
    swappiness: Option<i64>,
    no_killer: bool,
    /// The limit on swap is the runtime's own addition: a kernel that has none
    /// can do without.
    pub(crate) swap_can_be_left_out: bool,
}

impl Memory {
    pub(super) fn parse(config: &Node<'_>) -> Result<Option<Self>, Failure> {
        let bytes = |field: &'static str| match part::<i64>(config, field)? {
            Some(bytes) if bytes < -1 || bytes == 0 => {
                let problem = format!("{bytes} is no size in bytes, nor -1 for no limit");
                Err(Failure::invalid(field, problem))
            }
            bytes => Ok(bytes),
        };
        let memory = Self {
            limit: bytes(LIMIT)?,
            swap: bytes(SWAP)?,
            reservation: bytes(RESERVATION)?,
            swappiness: part(config, SWAPPINESS)?,
            no_killer: part(config, NO_KILLER)? == Some(true),
            swap_can_be_left_out: false,
        };
        match (memory.limit, memory.swap) {
            (None, Some(1..)) => Err(Failure::invalid(SWAP, "needs a limit on memory")),
            (Some(limit @ 1..), Some(swap @ 1..)) if swap < limit => Err(Failure::invalid(
                SWAP,
                format!(
                    "memory and swap together, {swap}, are less than the limit on memory, {limit}"
                ),
            )),
            (Some(-1), Some(1..)) => Err(Failure::invalid(
                SWAP,
                "a limit, and none on memory, which is part of it",
            )),
            _ if memory == Self::default() => Ok(None),
            _ => Ok(Some(memory)),
        }
    }

    /// In the order they can be written in.
    pub(super) fn settings(&self, version: Version) -> Result<Vec<Setting>, Failure> {
        let number = |bytes: i64| match (version, bytes) {
            (Version::V2, -1) => "max".to_owned(),
            (_, bytes) => bytes.to_string(),
        };
        let mut settings = Vec::new();
        let mut set = |field, (v1, v2): (&str, &str), value: String, lacking| {
            settings.push(Setting {
                file: match version {
                    Version::V1 => v1.to_owned(),
                    Version::V2 => v2.to_owned(),
                },
                value,
                lacking,
                field,
            });
        };
        if let Some(bytes) = self.limit {
            let files = ("memory.limit_in_bytes", "memory.max");
            set(LIMIT, files, number(bytes), "limit on memory in cgroups");
        }
        if let Some(bytes) = self.swap {
            let files = ("memory.memsw.limit_in_bytes", "memory.swap.max");
            // Version 2 counts swap alone.
            let memory = self.limit.filter(|limit| *limit > 0).unwrap_or(0);
            let bytes = match version {
                Version::V2 if bytes > 0 => bytes - memory,
                _ => bytes,
            };
            set(SWAP, files, number(bytes), NO_SWAP_LIMIT);
        }
        if let Some(bytes) = self.reservation {
            let files = ("memory.soft_limit_in_bytes", "memory.low");
            let lacking = "soft limit on memory in cgroup v1 (not with CONFIG_PREEMPT_RT)";
            set(RESERVATION, files, number(bytes), lacking);
        }
        if let Some(share) = self.swappiness {
            if version == Version::V2 {
                return Err(only_in_v1("memory.swappiness", SWAPPINESS));
            }
            let files = ("memory.swappiness", "");
            set(SWAPPINESS, files, share.to_string(), "memory.swappiness");
        }
        if self.no_killer {
            if version == Version::V2 {
                return Err(only_in_v1("memory.oom_control", NO_KILLER));
            }
            let files = ("memory.oom_control", "");
            set(NO_KILLER, files, "1".to_owned(), "memory.oom_control");
        }
        Ok(settings)
    }

    /// Whether `setting`, whose file the kernel does not have, can be left out.
    pub(super) fn is_dispensable(&self, setting: &Setting) -> bool {
        self.swap_can_be_left_out && setting.field == SWAP
    }
}

fn only_in_v1(file: &str, field: &str) -> Failure {
    Failure::Unsupported {
        what: format!("{file} in cgroup v2, where its memory controller is ({field})"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(memory: Value) -> Result<Option<Memory>, Failure> {
        Memory::parse(&Node::of(
            &json!({"linux": {"resources": {"memory": memory}}}),
        ))
    }

    fn written(memory: Value, version: Version) -> Vec<(String, String)> {
        parse(memory)
            .unwrap()
            .unwrap()
            .settings(version)
            .unwrap()
            .into_iter()
            .map(|setting| (setting.file, setting.value))
            .collect()
    }

    fn pairs<const COUNT: usize>(pairs: [(&str, &str); COUNT]) -> Vec<(String, String)> {
        pairs
            .map(|(file, value)| (file.to_owned(), value.to_owned()))
            .to_vec()
    }

    #[test]
    fn the_two_versions_count_swap_differently() {
        let memory = json!({"limit": 100, "swap": 250, "reservation": 50});
        assert_eq!(
            written(memory.clone(), Version::V1),
            pairs([
                ("memory.limit_in_bytes", "100"),
                ("memory.memsw.limit_in_bytes", "250"),
                ("memory.soft_limit_in_bytes", "50"),
            ])
        );
        assert_eq!(
            written(memory, Version::V2),
            pairs([
                ("memory.max", "100"),
                ("memory.swap.max", "150"),
                ("memory.low", "50"),
            ])
        );
        let unlimited = json!({"limit": 100, "swap": -1});
        assert_eq!(
            written(unlimited.clone(), Version::V1)[1].1,
            "-1",
            "{unlimited}"
        );
        assert_eq!(written(unlimited, Version::V2)[1].1, "max");
        let equal = json!({"limit": 100, "swap": 100});
        assert_eq!(written(equal, Version::V2)[1].1, "0");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (memory, place) in [
            (json!({"limit": 0}), LIMIT),
            (json!({"limit": -2}), LIMIT),
            (json!({"limit": "1g"}), LIMIT),
            (json!({"swap": 9}), SWAP),
            (json!({"limit": 10, "swap": 9}), SWAP),
            (json!({"limit": -1, "swap": 9}), SWAP),
        ] {
            let message = parse(memory).unwrap_err().to_string();
            assert!(message.starts_with(place), "{message}");
        }
        assert_eq!(parse(json!({})).unwrap(), None);
        assert_eq!(parse(json!({"disableOOMKiller": false})).unwrap(), None);
    }

    #[test]
    fn what_only_version_1_has_is_unsupported_in_version_2() {
        for memory in [
            json!({"swappiness": 10}),
            json!({"limit": 5, "disableOOMKiller": true}),
        ] {
            let memory = parse(memory).unwrap().unwrap();
            assert!(memory.settings(Version::V1).is_ok());
            assert!(matches!(
                memory.settings(Version::V2),
                Err(Failure::Unsupported { .. })
            ));
        }
    }
}
