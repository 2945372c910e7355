//! `linux.resources.cpu.cpus` and `.mems`: which CPUs and memory nodes.

use std::path::Path;

use super::file::{self, Setting};
use crate::bundle::part;
use crate::failure::{Failure, Step};
use crate::node::Node;

const CPUS: &str = "linux.resources.cpu.cpus";
const MEMS: &str = "linux.resources.cpu.mems";

/// Lists as the kernel has them: `0-2,7`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cpuset {
    cpus: Option<String>,
    mems: Option<String>,
}

impl Cpuset {
    pub(super) fn parse(config: &Node<'_>) -> Result<Option<Self>, Failure> {
        let list = |field: &'static str| match part::<String>(config, field)? {
            Some(list) if list.is_empty() => Ok(None),
            Some(list) if !is_list(&list) => {
                let problem = format!("{list:?} is no list of numbers: 0-2,7");
                Err(Failure::invalid(field, problem))
            }
            list => Ok(list),
        };
        let cpuset = Self {
            cpus: list(CPUS)?,
            mems: list(MEMS)?,
        };
        Ok((cpuset != Self::default()).then_some(cpuset))
    }

    /// The same in both versions.
    pub(super) fn settings(&self) -> Vec<Setting> {
        let setting = |file: &str, list: &Option<String>, field| {
            list.as_ref().map(|list| Setting {
                file: file.to_owned(),
                value: list.clone(),
                lacking: "choice of CPUs in cgroups",
                field,
            })
        };
        setting("cpuset.cpus", &self.cpus, CPUS)
            .into_iter()
            .chain(setting("cpuset.mems", &self.mems, MEMS))
            .collect()
    }
}

/// `0-2,7`: ranges of numbers.
fn is_list(text: &str) -> bool {
    text.split(',').all(|range| {
        range
            .split('-')
            .all(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
            && range.split('-').count() <= 2
    })
}

/// A new group of version 1 has no CPU and no memory node, and takes no process:
/// it gets those of the group above.
pub(super) fn inherit(folder: &Path) -> Result<(), Failure> {
    let Some(above) = folder.parent() else {
        return Ok(());
    };
    for name in ["cpuset.cpus", "cpuset.mems"] {
        let own = folder.join(name);
        // Full already where cgroup.clone_children is on.
        if file::read(&own)?.is_empty() {
            file::write(&own, &file::read(&above.join(name))?).on("write", &own)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    #[test]
    fn lists_are_read() {
        let parse = |cpus: &str| {
            Cpuset::parse(&Node::of(
                &json!({"linux": {"resources": {"cpu": {"cpus": cpus}}}}),
            ))
        };
        for list in ["0", "0-3", "0-1,3,7-8"] {
            assert_eq!(parse(list).unwrap().unwrap().settings()[0].value, list);
        }
        assert_eq!(parse("").unwrap(), None);
        for list in ["a", "0-", ",", "0-1-2", "0 1", "-1"] {
            let message = parse(list).unwrap_err().to_string();
            assert!(message.starts_with(CPUS), "{message}");
        }
    }

    #[test]
    fn an_empty_group_gets_what_is_above_it() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("own");
        fs::create_dir(&own).unwrap();
        for (place, text) in [
            ("cpuset.cpus", "0-3\n"),
            ("cpuset.mems", "0\n"),
            ("own/cpuset.cpus", "2\n"),
            ("own/cpuset.mems", "\n"),
        ] {
            fs::write(folder.path().join(place), text).unwrap();
        }
        inherit(&own).unwrap();
        let text = |name| fs::read_to_string(own.join(name)).unwrap();
        assert_eq!(
            (text("cpuset.cpus").as_str(), text("cpuset.mems").trim()),
            ("2\n", "0")
        );
    }
}
