//! Who the container's program runs as: limits, ids, capabilities.

use oci_spec::runtime::{Capability, PosixRlimit, PosixRlimitType, User};
use rustix::fs::{Gid, Uid};
use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
    configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities,
    set_keep_capabilities, set_no_new_privs, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};

use serde::de::IntoDeserializer;
use serde::{Deserialize, Deserializer};

use crate::failure::{Failure, Step};
use crate::fallback::{Fallback, Fallbacks};
use crate::node::Text;
use crate::user_namespace::Groups;

/// `process.user`, `.capabilities`, `.rlimits`, `.noNewPrivileges`.
#[derive(Debug)]
pub(crate) struct Credentials {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
    bounding: CapabilitySet,
    sets: CapabilitySets,
    ambient: CapabilitySet,
    limits: Vec<(Resource, Rlimit)>,
    no_new_privileges: bool,
}

impl Credentials {
    /// Without `process.capabilities` there are none.
    pub(crate) fn new(
        user: &User,
        sets: Capabilities,
        limits: &[PosixRlimit],
        no_new_privileges: bool,
    ) -> Result<Self, Failure> {
        let set = |field, listed: Option<Vec<Numbered>>| mask(field, listed.as_deref());
        Ok(Self {
            uid: Uid::from_raw(user.uid()),
            gid: Gid::from_raw(user.gid()),
            groups: user
                .additional_gids()
                .iter()
                .flatten()
                .map(|gid| Gid::from_raw(*gid))
                .collect(),
            bounding: set("bounding", sets.bounding)?,
            sets: CapabilitySets {
                effective: set("effective", sets.effective)?,
                permitted: set("permitted", sets.permitted)?,
                inheritable: set("inheritable", sets.inheritable)?,
            },
            ambient: set("ambient", sets.ambient)?,
            limits: limits
                .iter()
                .map(|limit| {
                    let value = |value: u64| (value != u64::MAX).then_some(value);
                    let rlimit = Rlimit {
                        current: value(limit.soft()),
                        maximum: value(limit.hard()),
                    };
                    (resource(limit.typ()), rlimit)
                })
                .collect(),
            no_new_privileges,
        })
    }

    /// Lets `process`, a child that has not begun, set the limits that are above
    /// this process's own: in a user namespace it could not.
    pub(crate) fn raise_ceilings(&self, process: Pid) -> Result<(), Failure> {
        for (resource, limit) in &self.limits {
            let inherited = getrlimit(*resource);
            let above = match (limit.maximum, inherited.maximum) {
                (_, None) => false,
                (None, Some(_)) => true,
                (Some(wanted), Some(own)) => wanted > own,
            };
            if above {
                // The limit itself is left for later: it may be too low to make
                // a container under.
                let raised = Rlimit {
                    current: inherited.current,
                    maximum: limit.maximum,
                };
                let _before = prlimit(Some(process), *resource, raised)
                    .step(|| format!("prlimit {resource:?}"))?;
            }
        }
        Ok(())
    }

    /// Whose the container's program is.
    pub(crate) fn user(&self) -> Uid {
        self.uid
    }

    /// Takes them on. There is no way back: nothing that needs root comes after.
    /// `last` runs at the latest moment at which this process may still install
    /// a filter for system calls, which it does where the program is to be
    /// `filtered`; what it gives is given back.
    pub(crate) fn assume<T>(
        &self,
        groups: Groups,
        filtered: bool,
        fallbacks: &Fallbacks,
        last: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        for (resource, limit) in &self.limits {
            setrlimit(*resource, *limit).step(|| format!("setrlimit {resource:?}"))?;
        }
        let known = self.bound(fallbacks)?;
        set_keep_capabilities(true).step(|| "prctl PR_SET_KEEPCAPS".to_owned())?;
        match groups {
            Groups::Set => {
                set_thread_groups(&self.groups).step(|| "setgroups".to_owned())?;
            }
            Groups::Kept if self.groups.is_empty() => {}
            Groups::Kept => {
                return Err(Failure::invalid(
                    "process.user.additionalGids",
                    "a caller without root's rights cannot set groups in a user namespace",
                ));
            }
        }
        set_thread_res_gid(self.gid, self.gid, self.gid).step(|| "setresgid".to_owned())?;
        set_thread_res_uid(self.uid, self.uid, self.uid).step(|| "setresuid".to_owned())?;
        set_keep_capabilities(false).step(|| "prctl PR_SET_KEEPCAPS".to_owned())?;
        let sets = CapabilitySets {
            effective: self.sets.effective & known,
            permitted: self.sets.permitted & known,
            inheritable: self.sets.inheritable & known,
        };
        if self.no_new_privileges || !filtered {
            set_capabilities(None, sets).step(|| "capset".to_owned())?;
            self.raise_ambient(known, fallbacks)?;
            if self.no_new_privileges {
                set_no_new_privs(true).step(|| "prctl PR_SET_NO_NEW_PRIVS".to_owned())?;
            }
            return last();
        }
        // Without no_new_privs a filter takes CAP_SYS_ADMIN, which a change of
        // user has taken out of the effective set, not out of the permitted one.
        let held = capabilities(None)
            .map(|sets| sets.permitted)
            .step(|| "capget".to_owned())?;
        let still = CapabilitySets {
            effective: sets.effective | (CapabilitySet::SYS_ADMIN & held),
            permitted: sets.permitted | (CapabilitySet::SYS_ADMIN & held),
            inheritable: sets.inheritable,
        };
        set_capabilities(None, still).step(|| "capset".to_owned())?;
        self.raise_ambient(known, fallbacks)?;
        let result = last()?;
        set_capabilities(None, sets).step(|| "capset".to_owned())?;
        Ok(result)
    }

    /// Narrows the bounding set; gives the capabilities this kernel knows.
    ///
    /// They are numbered without a gap, so that what can be dropped says of all
    /// below it that they are known: nobody asks the kernel for those that stay.
    fn bound(&self, fallbacks: &Fallbacks) -> Result<CapabilitySet, Failure> {
        let mut known = 0;
        for number in 0..u64::BITS {
            let is_known = match self.bounding.bits() >> number & 1 {
                // Asked for below, if none above it tells.
                1 => continue,
                _ => drop_bounding(number)?,
            };
            if !is_known {
                break;
            }
            known = number + 1;
        }
        while known < u64::BITS && bounding(known)?.is_some() {
            known += 1;
        }
        let known =
            CapabilitySet::from_bits_retain(u64::MAX.checked_shr(u64::BITS - known).unwrap_or(0));
        let asked = self.bounding
            | self.sets.effective
            | self.sets.permitted
            | self.sets.inheritable
            | self.ambient;
        if !known.contains(asked) {
            fallbacks.record(Fallback::NewerCapability);
        }
        Ok(known)
    }

    /// Ambient capabilities came with Linux 4.3; EINVAL before.
    fn raise_ambient(&self, known: CapabilitySet, fallbacks: &Fallbacks) -> Result<(), Failure> {
        for capability in (self.ambient & known).iter() {
            match configure_capability_in_ambient_set(capability, true) {
                Err(Errno::INVAL) => {
                    fallbacks.record(Fallback::AmbientCapabilities);
                    return Ok(());
                }
                answer => answer.step(|| format!("raise {capability:?} into the ambient set"))?,
            }
        }
        Ok(())
    }
}

fn numbered(number: u32) -> CapabilitySet {
    CapabilitySet::from_bits_retain(1 << number)
}

/// Whether a capability is in the bounding set; none past the kernel's last.
fn bounding(number: u32) -> Result<Option<bool>, Failure> {
    match capability_is_in_bounding_set(numbered(number)) {
        Err(Errno::INVAL) => Ok(None),
        Err(errno) => Err(errno).step(|| format!("read capability {number}")),
        Ok(bound) => Ok(Some(bound)),
    }
}

/// Takes a capability out of the bounding set; false past the kernel's last.
fn drop_bounding(number: u32) -> Result<bool, Failure> {
    match remove_capability_from_bounding_set(numbered(number)) {
        Ok(()) => Ok(true),
        Err(Errno::INVAL) => Ok(false),
        // Told first to who may drop none, and no reason to end where there is
        // nothing to drop.
        Err(Errno::PERM) => match bounding(number)? {
            None => Ok(false),
            Some(false) => Ok(true),
            Some(true) => Err(Errno::PERM).step(|| format!("drop capability {number}")),
        },
        Err(errno) => Err(errno).step(|| format!("drop capability {number}")),
    }
}

/// By number, linux/capability.h.
pub(crate) const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// `process.capabilities`, as oci-spec's type of this name has it, and without its
/// detour by names in a hash table.
#[derive(Debug, Default, Deserialize)]
#[serde(rename = "LinuxCapabilities")]
pub(crate) struct Capabilities {
    bounding: Option<Vec<Numbered>>,
    effective: Option<Vec<Numbered>>,
    inheritable: Option<Vec<Numbered>>,
    permitted: Option<Vec<Numbered>>,
    ambient: Option<Vec<Numbered>>,
}

/// A capability by its number; one that has none here is kept by its name.
#[derive(Debug)]
struct Numbered(Result<u32, Capability>);

impl<'de> Deserialize<'de> for Numbered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name: Text<'de> = Text::deserialize(deserializer)?;
        let name = name.as_ref();
        if let Some(number) = name.strip_prefix("CAP_").and_then(number_of) {
            return Ok(Self(Ok(number)));
        }
        // Small letters, no prefix or several: oci-spec's affair, and its words for
        // what is no capability.
        let capability = Capability::deserialize(name.into_deserializer())?;
        Ok(Self(number_of(&capability.to_string()).ok_or(capability)))
    }
}

fn number_of(name: &str) -> Option<u32> {
    (0..)
        .zip(NAMES)
        .find_map(|(number, known)| (known == name).then_some(number))
}

fn mask(field: &str, capabilities: Option<&[Numbered]>) -> Result<CapabilitySet, Failure> {
    let mut mask = CapabilitySet::empty();
    for Numbered(capability) in capabilities.into_iter().flatten() {
        match capability {
            Ok(number) => mask |= numbered(*number),
            Err(name) => {
                return Err(Failure::NotImplemented {
                    field: format!("process.capabilities.{field}: CAP_{name}"),
                });
            }
        }
    }
    Ok(mask)
}

fn resource(kind: PosixRlimitType) -> Resource {
    match kind {
        PosixRlimitType::RlimitCpu => Resource::Cpu,
        PosixRlimitType::RlimitFsize => Resource::Fsize,
        PosixRlimitType::RlimitData => Resource::Data,
        PosixRlimitType::RlimitStack => Resource::Stack,
        PosixRlimitType::RlimitCore => Resource::Core,
        PosixRlimitType::RlimitRss => Resource::Rss,
        PosixRlimitType::RlimitNproc => Resource::Nproc,
        PosixRlimitType::RlimitNofile => Resource::Nofile,
        PosixRlimitType::RlimitMemlock => Resource::Memlock,
        PosixRlimitType::RlimitAs => Resource::As,
        PosixRlimitType::RlimitLocks => Resource::Locks,
        PosixRlimitType::RlimitSigpending => Resource::Sigpending,
        PosixRlimitType::RlimitMsgqueue => Resource::Msgqueue,
        PosixRlimitType::RlimitNice => Resource::Nice,
        PosixRlimitType::RlimitRtprio => Resource::Rtprio,
        PosixRlimitType::RlimitRttime => Resource::Rttime,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_its_number() {
        for (number, name) in NAMES.iter().enumerate() {
            for name in [
                format!("CAP_{name}"),
                (*name).to_owned(),
                format!("cap_cap_{}", name.to_lowercase()),
            ] {
                let json = format!("[{name:?}]");
                let set: Vec<Numbered> = serde_json::from_str(&json).unwrap();
                let mask = mask("bounding", Some(&set)).unwrap();
                assert_eq!(mask.bits(), 1 << number, "{name}");
            }
        }
        for text in ["[\"CAP_FLY\"]", "[3]", "3", "[null]"] {
            let ours = serde_json::from_str::<Vec<Numbered>>(text).unwrap_err();
            let theirs = serde_json::from_str::<Vec<Capability>>(text).unwrap_err();
            assert_eq!(ours.to_string(), theirs.to_string(), "{text}");
        }
        assert_eq!(CapabilitySet::CHECKPOINT_RESTORE.bits(), 1 << 40);
        assert_eq!(CapabilitySet::SETFCAP.bits(), 1 << 31);
    }
}
