//! Capabilities that a container has besides docker's 14, as `docker run --cap-add`
//! adds them.

use serde::{Deserialize, Serialize};

/// A capability by its number in linux/capability.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Capability(u8);

/// What is added to docker's 14.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AddedCapabilities {
    /// These; none by default.
    Named(Vec<Capability>),
    /// Every one that the kernel has.
    All,
}

impl Default for AddedCapabilities {
    fn default() -> Self {
        Self::Named(Vec::new())
    }
}

impl AddedCapabilities {
    /// What files and options say for every one.
    pub const ALL: &'static str = "ALL";

    /// As files and records write them: `SYS_ADMIN`, or `ALL` alone.
    pub fn names(&self) -> Vec<&'static str> {
        match self {
            Self::Named(named) => named.iter().map(|one| one.name()).collect(),
            Self::All => vec![Self::ALL],
        }
    }

    /// Nothing is added.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Named(named) if named.is_empty())
    }
}

impl Capability {
    /// The one of this name, as docker takes it: with or without `CAP_`, in capital
    /// letters or small ones.
    pub fn named(name: &str) -> Option<Self> {
        let upper = name.to_ascii_uppercase();
        let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
        Self::every().find(|one| one.name() == bare)
    }

    /// All there are, by number.
    pub fn every() -> impl Iterator<Item = Self> {
        (0..).zip(NAMES).map(|(number, _)| Self(number))
    }

    /// Its name without `CAP_`.
    pub fn name(self) -> &'static str {
        NAMES[usize::from(self.0)].0
    }

    /// Its bit in the kernel's sets.
    pub fn number(self) -> u8 {
        self.0
    }

    /// The Linux that brought it: `5.9`; none of what is older than any kernel here.
    pub fn since(self) -> Option<&'static str> {
        NAMES[usize::from(self.0)].1
    }

    /// Docker's containers have it without asking.
    pub fn is_dockers(self) -> bool {
        DOCKERS.contains(&self.name())
    }
}

/// By number, with the Linux that brought it since 3.0: linux/capability.h and
/// capabilities(7).
const NAMES: [(&str, Option<&str>); 41] = [
    ("CHOWN", None),
    ("DAC_OVERRIDE", None),
    ("DAC_READ_SEARCH", None),
    ("FOWNER", None),
    ("FSETID", None),
    ("KILL", None),
    ("SETGID", None),
    ("SETUID", None),
    ("SETPCAP", None),
    ("LINUX_IMMUTABLE", None),
    ("NET_BIND_SERVICE", None),
    ("NET_BROADCAST", None),
    ("NET_ADMIN", None),
    ("NET_RAW", None),
    ("IPC_LOCK", None),
    ("IPC_OWNER", None),
    ("SYS_MODULE", None),
    ("SYS_RAWIO", None),
    ("SYS_CHROOT", None),
    ("SYS_PTRACE", None),
    ("SYS_PACCT", None),
    ("SYS_ADMIN", None),
    ("SYS_BOOT", None),
    ("SYS_NICE", None),
    ("SYS_RESOURCE", None),
    ("SYS_TIME", None),
    ("SYS_TTY_CONFIG", None),
    ("MKNOD", None),
    ("LEASE", None),
    ("AUDIT_WRITE", None),
    ("AUDIT_CONTROL", None),
    ("SETFCAP", None),
    ("MAC_OVERRIDE", None),
    ("MAC_ADMIN", None),
    ("SYSLOG", None),
    ("WAKE_ALARM", Some("3.0")),
    ("BLOCK_SUSPEND", Some("3.5")),
    ("AUDIT_READ", Some("3.16")),
    ("PERFMON", Some("5.8")),
    ("BPF", Some("5.8")),
    ("CHECKPOINT_RESTORE", Some("5.9")),
];

/// moby's oci/caps/defaults.go.
const DOCKERS: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_as_docker_takes_them() {
        let admin = Capability::named("SYS_ADMIN").unwrap();
        assert_eq!((admin.number(), admin.name()), (21, "SYS_ADMIN"));
        for name in ["CAP_SYS_ADMIN", "sys_admin", "cap_sys_admin"] {
            assert_eq!(Capability::named(name), Some(admin), "{name}");
        }
        for name in ["", "CAP_", "ALL", "SYS_ROOT", "CAP_CAP_SYS_ADMIN"] {
            assert_eq!(Capability::named(name), None, "{name}");
        }
        assert_eq!(Capability::every().count(), 41);
        let newest = Capability::named("CHECKPOINT_RESTORE").unwrap();
        assert_eq!((newest.number(), newest.since()), (40, Some("5.9")));
    }

    #[test]
    fn dockers_are_fourteen() {
        let dockers = Capability::every().filter(|one| one.is_dockers());
        assert_eq!(dockers.count(), DOCKERS.len());
    }
}
