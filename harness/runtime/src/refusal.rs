//! What of a config.json the runtime does, as a list; everything else that asks
//! for something is refused by its name. So nothing is ignored silently, what
//! tomorrow's specification adds included.

use crate::failure::Failure;
use crate::node::Node;

/// The places that are read; `[]` is any element of a list, and a place below
/// `*` may be anything. Those that begin alike stand together, which is what
/// [`Reach`] goes by.
pub(crate) const IMPLEMENTED: [&str; 74] = [
    "ociVersion",
    "annotations.*",
    "hostname",
    "domainname",
    "root.path",
    "root.readonly",
    "mounts[].destination",
    "mounts[].type",
    "mounts[].source",
    "mounts[].options[]",
    "process.terminal",
    "process.consoleSize.height",
    "process.consoleSize.width",
    "process.args[]",
    "process.env[]",
    "process.cwd",
    "process.user.uid",
    "process.user.gid",
    "process.user.umask",
    "process.user.additionalGids[]",
    "process.capabilities.bounding[]",
    "process.capabilities.effective[]",
    "process.capabilities.inheritable[]",
    "process.capabilities.permitted[]",
    "process.capabilities.ambient[]",
    "process.noNewPrivileges",
    "process.rlimits[].type",
    "process.rlimits[].hard",
    "process.rlimits[].soft",
    "process.oomScoreAdj",
    "linux.namespaces[].type",
    "linux.namespaces[].path",
    "linux.uidMappings[].containerID",
    "linux.uidMappings[].hostID",
    "linux.uidMappings[].size",
    "linux.gidMappings[].containerID",
    "linux.gidMappings[].hostID",
    "linux.gidMappings[].size",
    "linux.maskedPaths[]",
    "linux.readonlyPaths[]",
    "linux.rootfsPropagation",
    "linux.devices[].path",
    "linux.devices[].type",
    "linux.devices[].major",
    "linux.devices[].minor",
    "linux.devices[].fileMode",
    "linux.devices[].uid",
    "linux.devices[].gid",
    "linux.seccomp.defaultAction",
    "linux.seccomp.defaultErrnoRet",
    "linux.seccomp.architectures[]",
    "linux.seccomp.flags[]",
    "linux.seccomp.syscalls[].names[]",
    "linux.seccomp.syscalls[].action",
    "linux.seccomp.syscalls[].errnoRet",
    "linux.seccomp.syscalls[].args[].*",
    "linux.cgroupsPath",
    "linux.resources.devices[].allow",
    "linux.resources.devices[].type",
    "linux.resources.devices[].major",
    "linux.resources.devices[].minor",
    "linux.resources.devices[].access",
    "linux.resources.memory.limit",
    "linux.resources.memory.swap",
    "linux.resources.memory.reservation",
    "linux.resources.memory.swappiness",
    "linux.resources.memory.disableOOMKiller",
    "linux.resources.pids.limit",
    "linux.resources.cpu.shares",
    "linux.resources.cpu.quota",
    "linux.resources.cpu.period",
    "linux.resources.cpu.cpus",
    "linux.resources.cpu.mems",
    "linux.resources.unified.*",
];

/// Refuses the first place of `config` that is not implemented.
pub(crate) fn check(config: &Node<'_>) -> Result<(), Failure> {
    match config {
        Node::Object(_) => visit(config, Reach::Places(&IMPLEMENTED, 0)).map_err(|place| {
            let field = place.strip_prefix('.').unwrap_or(&place).to_owned();
            Failure::NotImplemented { field }
        }),
        _ => Err(Failure::invalid("config.json", "not an object")),
    }
}

/// Which of the places a path through a configuration may still lead to.
#[derive(Clone, Copy)]
enum Reach {
    /// Those of the list, of which so many bytes are behind.
    Places(&'static [&'static str], usize),
    /// All is done that is below.
    Anything,
}

impl Reach {
    /// To the member `name` of an object.
    fn member(self, name: &str) -> Option<Self> {
        let Self::Places(places, behind) = self else {
            return Some(self);
        };
        if let [place] = places
            && &place[behind..] == ".*"
        {
            return Some(Self::Anything);
        }
        let dot = usize::from(behind > 0);
        let leads = |place: &&str| {
            let rest = &place.as_bytes()[behind..];
            let rest = match dot {
                0 => Some(rest),
                _ => rest.strip_prefix(b"."),
            };
            // Most differ in their first letter.
            rest.filter(|rest| rest.first() == name.as_bytes().first())
                .and_then(|rest| rest.strip_prefix(name.as_bytes()))
                .is_some_and(|rest| matches!(rest.first(), None | Some(b'.' | b'[')))
        };
        let places = together(places, leads);
        (!places.is_empty()).then_some(Self::Places(places, behind + dot + name.len()))
    }

    /// To the elements of a list.
    fn element(self) -> Self {
        let Self::Places(places, behind) = self else {
            return self;
        };
        let places = together(places, |place| place[behind..].starts_with("[]"));
        Self::Places(places, behind + "[]".len())
    }
}

/// The places that lead on, which stand together.
fn together(
    places: &'static [&'static str],
    leads: impl Fn(&&str) -> bool,
) -> &'static [&'static str] {
    let Some(first) = places.iter().position(&leads) else {
        return &[];
    };
    let places = &places[first..];
    let end = places.iter().position(|place| !leads(place));
    &places[..end.unwrap_or(places.len())]
}

/// Where it is not implemented, how a person finds it: `.mounts[2].uidMappings`.
fn visit(value: &Node<'_>, reach: Reach) -> Result<(), String> {
    match value {
        Node::Object(members) => {
            for (name, member) in members {
                if asks_for_nothing(member) {
                    continue;
                }
                reach
                    .member(name)
                    .ok_or_else(String::new)
                    .and_then(|reach| visit(member, reach))
                    .map_err(|below| format!(".{name}{below}"))?;
            }
        }
        Node::List(elements) => {
            let reach = reach.element();
            for (index, element) in elements.iter().enumerate() {
                visit(element, reach).map_err(|below| format!("[{index}]{below}"))?;
            }
        }
        Node::Null
        | Node::Bool(_)
        | Node::Unsigned(_)
        | Node::Signed(_)
        | Node::Float(_)
        | Node::Text(_) => {}
    }
    Ok(())
}

/// As if the member were not there.
fn asks_for_nothing(value: &Node<'_>) -> bool {
    match value {
        Node::Null => true,
        Node::Object(members) => members.iter().all(|(_, member)| asks_for_nothing(member)),
        Node::List(elements) => elements.is_empty(),
        Node::Bool(_) | Node::Unsigned(_) | Node::Signed(_) | Node::Float(_) | Node::Text(_) => {
            false
        }
    }
}

/// Whether `pattern` is on the list, or leads to something that is.
pub(crate) fn is_done(pattern: &str) -> bool {
    let leads = |implemented: &&str| match implemented.strip_suffix(".*") {
        Some(above) => {
            pattern == above
                || pattern.starts_with(&format!("{above}."))
                || above.starts_with(&format!("{pattern}."))
                || above.starts_with(&format!("{pattern}["))
        }
        None => implemented
            .strip_prefix(pattern)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '['])),
    };
    IMPLEMENTED.iter().any(leads)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn refused(config: Value) -> Option<String> {
        match check(&Node::of(&config)) {
            Ok(()) => None,
            Err(Failure::NotImplemented { field }) => Some(field),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn what_is_not_done_is_named() {
        for (config, field) in [
            (json!({"hooks": {"prestart": [{"path": "/x"}]}}), "hooks"),
            (
                json!({"linux": {"seccomp": {"listenerPath": "/x"}}}),
                "linux.seccomp.listenerPath",
            ),
            (
                json!({"linux": {"resources": {"hugepageLimits": [{"pageSize": "2MB", "limit": 3}]}}}),
                "linux.resources.hugepageLimits",
            ),
            (
                json!({"linux": {"resources": {"blockIO": {"weight": 10}}}}),
                "linux.resources.blockIO",
            ),
            (
                json!({"linux": {"resources": {"network": {"classID": 1}}}}),
                "linux.resources.network",
            ),
            (
                json!({"linux": {"resources": {"rdma": {"mlx5_1": {"hcaHandles": 3}}}}}),
                "linux.resources.rdma",
            ),
            (
                json!({"linux": {"resources": {"memory": {"kernelTCP": 3}}}}),
                "linux.resources.memory.kernelTCP",
            ),
            (
                json!({"linux": {"resources": {"cpu": {"realtimeRuntime": 3}}}}),
                "linux.resources.cpu.realtimeRuntime",
            ),
            (
                json!({"linux": {"namespaces": [{"type": "pid"}, {"type": "network", "name": "x"}]}}),
                "linux.namespaces[1].name",
            ),
            (
                json!({"mounts": [{"destination": "/x", "uidMappings": [{"size": 1}]}]}),
                "mounts[0].uidMappings",
            ),
            (
                json!({"process": {"ioPriority": {"class": "IOPRIO_CLASS_IDLE"}}}),
                "process.ioPriority",
            ),
            (
                json!({"process": {"terminal": false, "apparmorProfile": "x"}}),
                "process.apparmorProfile",
            ),
            (
                json!({"linux": {"whatTomorrowBrings": 1}}),
                "linux.whatTomorrowBrings",
            ),
            (json!({"ociVersionX": "1"}), "ociVersionX"),
        ] {
            assert_eq!(refused(config).as_deref(), Some(field));
        }
    }

    /// Down every place there is, and beside it: at each step the list itself tells
    /// the same.
    #[test]
    fn the_way_down_is_the_list() {
        let places = IMPLEMENTED
            .into_iter()
            .chain(crate::specification::refused());
        for place in places {
            for beside in ["", "x", "[]", ".x", "[].x", ".*", "s"] {
                let place = format!("{place}{beside}");
                let mut pattern = String::new();
                let mut reach = Some(Reach::Places(&IMPLEMENTED, 0));
                for (index, part) in place.split('.').enumerate() {
                    let name = part.trim_end_matches("[]");
                    if index > 0 {
                        pattern.push('.');
                    }
                    pattern.push_str(name);
                    reach = reach.and_then(|reach| reach.member(name));
                    assert_eq!(reach.is_some(), is_done(&pattern), "{pattern} of {place}");
                    for _ in 0..(part.len() - name.len()) / 2 {
                        pattern.push_str("[]");
                        reach = reach.map(Reach::element);
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_done_passes() {
        let config = json!({
            "ociVersion": "1.0.2",
            "annotations": {"org.example": "x"},
            "root": {"path": "rootfs", "readonly": true},
            "process": {"args": ["a"], "user": {"uid": 0, "additionalGids": [5]},
                "rlimits": [{"type": "RLIMIT_CORE", "hard": 0, "soft": 0}]},
            "linux": {"seccomp": null, "devices": [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}]},
        });
        assert_eq!(refused(config), None);
    }
}
