//! Every place of a config.json that runtime-spec 1.2 and oci-spec's types of it
//! know for Linux, as [`crate::refusal`] writes places: so that what is refused
//! can be told as a list.

/// The places; those of other systems by their first name.
const PLACES: [&str; 122] = [
    "ociVersion",
    "hostname",
    "domainname",
    "annotations.*",
    "root.path",
    "root.readonly",
    "mounts[].destination",
    "mounts[].type",
    "mounts[].source",
    "mounts[].options[]",
    "mounts[].uidMappings",
    "mounts[].gidMappings",
    "process.terminal",
    "process.consoleSize.height",
    "process.consoleSize.width",
    "process.cwd",
    "process.env[]",
    "process.args[]",
    "process.commandLine",
    "process.user.uid",
    "process.user.gid",
    "process.user.umask",
    "process.user.additionalGids[]",
    "process.user.username",
    "process.capabilities.bounding[]",
    "process.capabilities.effective[]",
    "process.capabilities.inheritable[]",
    "process.capabilities.permitted[]",
    "process.capabilities.ambient[]",
    "process.rlimits[].type",
    "process.rlimits[].hard",
    "process.rlimits[].soft",
    "process.noNewPrivileges",
    "process.apparmorProfile",
    "process.oomScoreAdj",
    "process.selinuxLabel",
    "process.ioPriority",
    "process.scheduler",
    "process.execCPUAffinity",
    "hooks.prestart",
    "hooks.createRuntime",
    "hooks.createContainer",
    "hooks.startContainer",
    "hooks.poststart",
    "hooks.poststop",
    "linux.namespaces[].type",
    "linux.namespaces[].path",
    "linux.uidMappings[].containerID",
    "linux.uidMappings[].hostID",
    "linux.uidMappings[].size",
    "linux.gidMappings[].containerID",
    "linux.gidMappings[].hostID",
    "linux.gidMappings[].size",
    "linux.timeOffsets",
    "linux.devices[].path",
    "linux.devices[].type",
    "linux.devices[].major",
    "linux.devices[].minor",
    "linux.devices[].fileMode",
    "linux.devices[].uid",
    "linux.devices[].gid",
    "linux.netDevices",
    "linux.cgroupsPath",
    "linux.resources.devices[].allow",
    "linux.resources.devices[].type",
    "linux.resources.devices[].major",
    "linux.resources.devices[].minor",
    "linux.resources.devices[].access",
    "linux.resources.memory.limit",
    "linux.resources.memory.reservation",
    "linux.resources.memory.swap",
    "linux.resources.memory.kernel",
    "linux.resources.memory.kernelTCP",
    "linux.resources.memory.swappiness",
    "linux.resources.memory.disableOOMKiller",
    "linux.resources.memory.useHierarchy",
    "linux.resources.memory.checkBeforeUpdate",
    "linux.resources.cpu.shares",
    "linux.resources.cpu.quota",
    "linux.resources.cpu.burst",
    "linux.resources.cpu.period",
    "linux.resources.cpu.realtimeRuntime",
    "linux.resources.cpu.realtimePeriod",
    "linux.resources.cpu.cpus",
    "linux.resources.cpu.mems",
    "linux.resources.cpu.idle",
    "linux.resources.pids.limit",
    "linux.resources.blockIO.weight",
    "linux.resources.blockIO.leafWeight",
    "linux.resources.blockIO.weightDevice",
    "linux.resources.blockIO.throttleReadBpsDevice",
    "linux.resources.blockIO.throttleWriteBpsDevice",
    "linux.resources.blockIO.throttleReadIOPSDevice",
    "linux.resources.blockIO.throttleWriteIOPSDevice",
    "linux.resources.hugepageLimits",
    "linux.resources.network.classID",
    "linux.resources.network.priorities",
    "linux.resources.rdma",
    "linux.resources.unified",
    "linux.intelRdt",
    "linux.memoryPolicy",
    "linux.sysctl",
    "linux.mountLabel",
    "linux.personality",
    "linux.rootfsPropagation",
    "linux.maskedPaths[]",
    "linux.readonlyPaths[]",
    "linux.seccomp.defaultAction",
    "linux.seccomp.defaultErrnoRet",
    "linux.seccomp.architectures[]",
    "linux.seccomp.flags[]",
    "linux.seccomp.listenerPath",
    "linux.seccomp.listenerMetadata",
    "linux.seccomp.syscalls[].names[]",
    "linux.seccomp.syscalls[].action",
    "linux.seccomp.syscalls[].errnoRet",
    "linux.seccomp.syscalls[].args[].*",
    "solaris",
    "windows",
    "vm",
    "zos",
    "freebsd",
];

/// The places that are refused, in that order; each stands for all below it.
pub fn refused() -> impl Iterator<Item = &'static str> {
    PLACES
        .into_iter()
        .filter(|place| !crate::refusal::is_done(place))
}

/// Values that are refused in places that are done.
pub const REFUSED_VALUES: [(&str, &str); 9] = [
    ("ociVersion", "any but 1.x"),
    (
        "linux.namespaces[].type",
        "time; a list without pid or mount",
    ),
    (
        "linux.namespaces[].path",
        "of one of type cgroup, mount, pid or user, and of any beside one of type user",
    ),
    (
        "mounts[].type",
        "any but bind, proc, sysfs, tmpfs, devpts, mqueue, cgroup, cgroup2",
    ),
    (
        "mounts[].options[]",
        "recursive attributes but rro (rnosuid, rnodev, …), nosymfollow, remount, idmap, ridmap, \
         tmpcopyup; data of a bind or a cgroup mount",
    ),
    (
        "mounts[] over /proc",
        "anything but a proc, or a file lxcfs and its like put there",
    ),
    (
        "linux.seccomp.flags[]",
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
    ),
    ("linux.seccomp.*.action", "SCMP_ACT_NOTIFY"),
    (
        "process.capabilities.*[]",
        "names newer than CAP_CHECKPOINT_RESTORE",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_is_a_place_of_the_specification() {
        for done in crate::refusal::IMPLEMENTED {
            let place = done.trim_end_matches(".*");
            assert!(
                PLACES
                    .iter()
                    .any(|known| place.starts_with(known.trim_end_matches(".*"))),
                "{done}"
            );
        }
    }

    #[test]
    fn what_is_refused_is_refused() {
        let refused: Vec<&str> = refused().collect();
        for place in ["hooks.prestart", "process.apparmorProfile", "windows"] {
            assert!(refused.contains(&place), "{place}");
        }
        for place in ["process.terminal", "root.path", "annotations.*"] {
            assert!(!refused.contains(&place), "{place}");
        }
        for place in refused {
            let done = |done: &&str| done.starts_with(place);
            assert!(!crate::refusal::IMPLEMENTED.iter().any(done), "{place}");
        }
    }
}
