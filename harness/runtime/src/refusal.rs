//! What of a config.json the runtime does, as a list; everything else that asks
//! for something is refused by its name. So nothing is ignored silently, what
//! tomorrow's specification adds included.

use serde_json::Value;

use crate::failure::Failure;

/// The places that are read; `[]` is any element of a list, and a place below
/// `*` may be anything.
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
    "process.oomScoreAdj",
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
pub(crate) fn check(config: &Value) -> Result<(), Failure> {
    match config {
        Value::Object(_) => visit(config, &mut String::new(), &mut String::new()),
        _ => Err(Failure::invalid("config.json", "not an object")),
    }
}

/// `place` is how a person finds it (`mounts[2].uidMappings`), `pattern` how the
/// list has it (`mounts[].uidMappings`).
fn visit(value: &Value, place: &mut String, pattern: &mut String) -> Result<(), Failure> {
    let (place_end, pattern_end) = (place.len(), pattern.len());
    match value {
        Value::Null => {}
        Value::Object(members) => {
            for (name, member) in members {
                if asks_for_nothing(member) {
                    continue;
                }
                let dot = if place.is_empty() { "" } else { "." };
                place.push_str(dot);
                place.push_str(name);
                pattern.push_str(dot);
                pattern.push_str(name);
                if !is_done(pattern) {
                    let field = place.clone();
                    return Err(Failure::NotImplemented { field });
                }
                visit(member, place, pattern)?;
                place.truncate(place_end);
                pattern.truncate(pattern_end);
            }
        }
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                place.push_str(&format!("[{index}]"));
                pattern.push_str("[]");
                visit(element, place, pattern)?;
                place.truncate(place_end);
                pattern.truncate(pattern_end);
            }
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    Ok(())
}

/// As if the member were not there.
fn asks_for_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(members) => members.values().all(asks_for_nothing),
        Value::Array(elements) => elements.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
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
    use serde_json::json;

    use super::*;

    fn refused(config: Value) -> Option<String> {
        match check(&config) {
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
