//! What a configuration asks of cgroups: `linux.cgroupsPath` and
//! `linux.resources`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use super::controller::Controller;
use super::cpu::Cpu;
use super::cpuset::Cpuset;
use super::devices::rules::Rules;
use super::memory::Memory;
use super::pids::Pids;
use crate::bundle::part;
use crate::failure::Failure;
use crate::node::{Node, Text};

const PATH: &str = "linux.cgroupsPath";
const RESOURCES: &str = "linux.resources";
const UNIFIED: &str = "linux.resources.unified";

/// A group of the container's own, and its limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Request {
    /// Absolute: from each hierarchy's top. Relative: from where a group of the
    /// runtime's own choice would be.
    pub(super) path: Option<PathBuf>,
    pub(crate) memory: Option<Memory>,
    pub(super) pids: Option<Pids>,
    pub(super) cpu: Option<Cpu>,
    pub(super) cpuset: Option<Cpuset>,
    pub(super) devices: Option<Rules>,
    /// Files of version 2 and their contents.
    pub(super) unified: BTreeMap<String, String>,
}

impl Request {
    /// `None` where the configuration asks for nothing: the container is then in
    /// the runtime's own groups.
    pub(crate) fn parse(config: &Node<'_>) -> Result<Option<Self>, Failure> {
        if config.at(PATH).is_none() && config.at(RESOURCES).is_none() {
            return Ok(None);
        }
        let request = Self {
            path: match part::<Text<'_>>(config, PATH)?.as_ref().map(AsRef::as_ref) {
                None | Some("") => None,
                Some(text) => Some(path(text)?),
            },
            memory: Memory::parse(config)?,
            pids: Pids::parse(config)?,
            cpu: Cpu::parse(config)?,
            cpuset: Cpuset::parse(config)?,
            devices: Rules::parse(config)?,
            unified: part(config, UNIFIED)?.unwrap_or_default(),
        };
        for name in request.unified.keys() {
            unified(name)?;
        }
        Ok((request != Self::default()).then_some(request))
    }

    /// Whether there are rules for devices.
    pub(crate) fn restricts_devices(&self) -> bool {
        self.devices.is_some()
    }

    /// The controllers its limits need.
    pub(super) fn controllers(&self) -> BTreeSet<Controller> {
        let needed = [
            (Controller::Memory, self.memory.is_some()),
            (Controller::Pids, self.pids.is_some()),
            (Controller::Cpu, self.cpu.is_some()),
            (Controller::Cpuset, self.cpuset.is_some()),
            (Controller::Devices, self.devices.is_some()),
        ];
        let files = self.unified.keys().filter_map(|name| of_file(name));
        needed
            .into_iter()
            .filter_map(|(controller, is_needed)| is_needed.then_some(controller))
            .chain(files)
            .collect()
    }
}

/// The controller of a file: `memory.high`.
pub(super) fn of_file(name: &str) -> Option<Controller> {
    Controller::named(name.split_once('.')?.0)
}

fn unified(name: &str) -> Result<(), Failure> {
    let place = format!("{UNIFIED}[{name:?}]");
    let is_name = |letter: char| letter.is_ascii_lowercase() || "0123456789._".contains(letter);
    if !name.chars().all(is_name) || !name.contains('.') {
        return Err(Failure::invalid(place, "no name of a cgroup's file"));
    }
    match of_file(name) {
        Some(_) => Ok(()),
        None => Err(Failure::NotImplemented { field: place }),
    }
}

fn path(text: &str) -> Result<PathBuf, Failure> {
    // `system.slice:docker:id`: systemd is asked to make such a one.
    if !text.contains('/') && text.split(':').count() == 3 {
        return Err(Failure::NotImplemented {
            field: format!("{PATH} in systemd's form slice:prefix:name ({text:?})"),
        });
    }
    let path = Path::new(text);
    let plain = |component| matches!(component, Component::Normal(_) | Component::RootDir);
    if !path.components().all(plain) || path.file_name().is_none() {
        let problem = format!("{text:?} is no path of a group below the top");
        return Err(Failure::invalid(PATH, problem));
    }
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(linux: Value) -> Result<Option<Request>, Failure> {
        Request::parse(&Node::of(&json!({"linux": linux})))
    }

    #[test]
    fn a_group_is_made_only_for_who_asks() {
        for linux in [
            json!({}),
            json!({"cgroupsPath": ""}),
            json!({"resources": {"memory": {}, "devices": [], "unified": {}}}),
        ] {
            assert_eq!(parse(linux).unwrap(), None);
        }
        let request = parse(json!({"cgroupsPath": "/a/b"})).unwrap().unwrap();
        assert_eq!(request.path.as_deref(), Some(Path::new("/a/b")));
        assert!(request.controllers().is_empty());
        let request =
            parse(json!({"resources": {"pids": {"limit": 7}, "unified": {"memory.high": "1"}}}))
                .unwrap()
                .unwrap();
        assert_eq!(
            request.controllers(),
            [Controller::Memory, Controller::Pids].into()
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (linux, words) in [
            (
                json!({"cgroupsPath": "system.slice:docker:x"}),
                "linux.cgroupsPath in systemd's form slice:prefix:name",
            ),
            (json!({"cgroupsPath": "/"}), "linux.cgroupsPath: "),
            (json!({"cgroupsPath": "/a/../b"}), "linux.cgroupsPath: "),
            (json!({"cgroupsPath": "../b"}), "linux.cgroupsPath: "),
            (
                json!({"resources": {"unified": {"io.weight": "1"}}}),
                "linux.resources.unified[\"io.weight\"] is not implemented",
            ),
            (
                json!({"resources": {"unified": {"memory.high/../x": "1"}}}),
                "linux.resources.unified",
            ),
            (
                json!({"resources": {"unified": {"cgroup.procs": "1"}}}),
                "linux.resources.unified[\"cgroup.procs\"] is not implemented",
            ),
        ] {
            let message = parse(linux).unwrap_err().to_string();
            assert!(message.starts_with(words), "{message}");
        }
        // Not of three parts, or with a slash: a path like any other.
        assert!(parse(json!({"cgroupsPath": "/a:b:c"})).is_ok());
    }
}
