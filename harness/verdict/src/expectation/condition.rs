//! `when = { vsyscall = "none", kernel = ">=5.10" }`: conditions over facts.

use std::collections::BTreeMap;
use std::fmt;

use wire::{Cgroup, Facts, Seccomp, Vsyscall};

use super::version::{Range, RangeError};
use crate::near::near;

/// What a condition can be about. Names are those of a column's facts in
/// results.json, besides `kernel`, the version in its release, and `runtime`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fact {
    /// The version in the kernel's release, as a range: `>=5.10`.
    Kernel,
    /// uname's release, whole.
    Release,
    /// Which runtime made the container: `bundled`.
    Runtime,
    /// `emulate`, `xonly` or `none`.
    Vsyscall,
    /// `v1`, `v2`, `hybrid` or `none`.
    Cgroup,
    /// A usable controller: `memory`.
    CgroupControllers,
    /// true or false.
    Overlayfs,
    /// true or false: one can be made.
    UserNamespaces,
    /// A kind of namespace there is: `time`.
    Namespaces,
    /// true or false: the kernel understands filters. `none`, `eperm` or `enosys`:
    /// the profile the container ran under.
    Seccomp,
    /// An active security module: `apparmor`.
    Lsm,
    /// true or false: 32-bit x86 programs are run.
    Ia32,
    /// The CPU's micro-architecture level, 1 to 4, also as a range: `<3`.
    CpuLevel,
    /// A file system for block devices: `squashfs`.
    Filesystems,
    /// What the distribution made of the source: `cloud`, `rt`, `generic`.
    Flavour,
    /// An option of the configuration and its value: `MEMCG_V1=n`.
    Config,
    /// A switch and its value: `kernel.yama.ptrace_scope=1`.
    Sysctl,
}

impl Fact {
    /// Every fact.
    pub const ALL: [Self; 17] = [
        Self::Kernel,
        Self::Release,
        Self::Runtime,
        Self::Vsyscall,
        Self::Cgroup,
        Self::CgroupControllers,
        Self::Overlayfs,
        Self::UserNamespaces,
        Self::Namespaces,
        Self::Seccomp,
        Self::Lsm,
        Self::Ia32,
        Self::CpuLevel,
        Self::Filesystems,
        Self::Flavour,
        Self::Config,
        Self::Sysctl,
    ];

    /// The key in `when`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Release => "release",
            Self::Runtime => "runtime",
            Self::Vsyscall => "vsyscall",
            Self::Cgroup => "cgroup",
            Self::CgroupControllers => "cgroup_controllers",
            Self::Overlayfs => "overlayfs",
            Self::UserNamespaces => "user_namespaces",
            Self::Namespaces => "namespaces",
            Self::Seccomp => "seccomp",
            Self::Lsm => "lsm",
            Self::Ia32 => "ia32",
            Self::CpuLevel => "cpu_level",
            Self::Filesystems => "filesystems",
            Self::Flavour => "flavour",
            Self::Config => "config",
            Self::Sysctl => "sysctl",
        }
    }

    /// What its values look like, for messages.
    fn takes(self) -> &'static str {
        match self {
            Self::Kernel => "a version range as `>=5.10`",
            Self::Release => "a release",
            Self::Runtime => "a runtime's name",
            Self::Vsyscall => "`emulate`, `xonly` or `none`",
            Self::Cgroup => "`v1`, `v2`, `hybrid` or `none`",
            Self::CgroupControllers => "a controller's name",
            Self::Overlayfs | Self::UserNamespaces | Self::Ia32 => "`true` or `false`",
            Self::Seccomp => {
                "`none`, `eperm` or `enosys` for the profile, `true` or `false` for whether the \
                 kernel has filters"
            }
            Self::Flavour => "a flavour as `cloud`, `rt` or `generic`",
            Self::Config => "an option and its value as `MEMCG_V1=n`",
            Self::Sysctl => "a switch and its value as `kernel.yama.ptrace_scope=1`",
            Self::Namespaces => "a kind of namespace as in /proc/self/ns",
            Self::Lsm => "a security module's name",
            Self::CpuLevel => "1 to 4, or a range as `<3`",
            Self::Filesystems => "a file system's name",
        }
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// Why a condition means nothing. Who reads the file adds the place: that of the
/// key for [`ConditionError::UnknownFact`], that of the value otherwise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// There is no such fact.
    #[error("`{name}` is no fact; known are {}", known_facts())]
    UnknownFact {
        /// What was given.
        name: String,
        /// Known facts close to it.
        near: Vec<String>,
    },
    /// The fact cannot have this value.
    #[error("`{given}` is nothing that `{fact}` can be; it takes {}", .fact.takes())]
    Value {
        /// The fact.
        fact: Fact,
        /// The value as given.
        given: String,
        /// Which of the alternatives, from 0.
        index: usize,
    },
    /// The value is no range of versions.
    #[error("`{fact}` takes {}: {error}", .fact.takes())]
    Range {
        /// The fact.
        fact: Fact,
        /// Which of the alternatives, from 0.
        index: usize,
        /// What is wrong with it.
        error: RangeError,
    },
    /// A list without a value: it could never hold.
    #[error("`{fact}` has no value to be held against")]
    NoValue {
        /// The fact.
        fact: Fact,
    },
}

fn known_facts() -> String {
    Fact::ALL.map(|fact| format!("`{fact}`")).join(", ")
}

impl ConditionError {
    /// What to write instead, where that can be guessed.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownFact { near, .. } => Some(format!("did you mean `{}`?", near.first()?)),
            Self::Value { .. } | Self::Range { .. } | Self::NoValue { .. } => None,
        }
    }
}

/// One value a fact may have.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Alternative {
    Text(String),
    Flag(bool),
    Range(Range),
    Vsyscall(Vsyscall),
    Cgroup(Cgroup),
    Seccomp(Seccomp),
}

/// Where a cell ran, as conditions ask for it.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// The kernel.
    pub facts: &'a Facts,
    /// Which runtime made the container.
    pub runtime: &'a str,
    /// The profile its system calls went through.
    pub seccomp: Seccomp,
}

/// One fact, and the values it may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    fact: Fact,
    alternatives: Vec<Alternative>,
}

impl Condition {
    /// From a key of `when` and its value or list of values, booleans and
    /// numbers as TOML writes them (`true`, `3`). A version is a string there,
    /// since TOML's number 5.10 is 5.1.
    ///
    /// # Errors
    /// When there is no such fact, or it cannot have this value.
    pub fn parse(name: &str, values: &[&str]) -> Result<Self, ConditionError> {
        let fact = Fact::ALL
            .into_iter()
            .find(|fact| fact.name() == name)
            .ok_or_else(|| ConditionError::UnknownFact {
                name: name.to_owned(),
                near: near(name, Fact::ALL.map(Fact::name)),
            })?;
        if values.is_empty() {
            return Err(ConditionError::NoValue { fact });
        }
        let alternatives = values
            .iter()
            .enumerate()
            .map(|(index, value)| alternative(fact, index, value))
            .collect::<Result<_, _>>()?;
        Ok(Self { fact, alternatives })
    }

    /// What it is about.
    pub fn fact(&self) -> Fact {
        self.fact
    }

    /// One of its values is what was observed.
    pub fn holds(&self, setting: Setting<'_>) -> bool {
        self.alternatives
            .iter()
            .any(|wanted| is(self.fact, wanted, setting))
    }
}

fn alternative(fact: Fact, index: usize, value: &str) -> Result<Alternative, ConditionError> {
    let refused = || ConditionError::Value {
        fact,
        given: value.to_owned(),
        index,
    };
    match fact {
        Fact::Kernel => value
            .parse()
            .map(Alternative::Range)
            .map_err(|error| ConditionError::Range { fact, index, error }),
        Fact::CpuLevel => {
            let range: Range =
                value
                    .parse()
                    .map_err(|error| ConditionError::Range { fact, index, error })?;
            // A range that no level lies in is a slip.
            if (1..=4).any(|level| range.contains([level, 0, 0])) {
                Ok(Alternative::Range(range))
            } else {
                Err(refused())
            }
        }
        Fact::Vsyscall => match value {
            "emulate" => Ok(Alternative::Vsyscall(Vsyscall::Emulate)),
            "xonly" => Ok(Alternative::Vsyscall(Vsyscall::Xonly)),
            "none" => Ok(Alternative::Vsyscall(Vsyscall::None)),
            _ => Err(refused()),
        },
        Fact::Cgroup => match value {
            "v1" => Ok(Alternative::Cgroup(Cgroup::V1)),
            "v2" => Ok(Alternative::Cgroup(Cgroup::V2)),
            "hybrid" => Ok(Alternative::Cgroup(Cgroup::Hybrid)),
            "none" => Ok(Alternative::Cgroup(Cgroup::None)),
            _ => Err(refused()),
        },
        Fact::Seccomp => match Seccomp::named(value) {
            Some(profile) => Ok(Alternative::Seccomp(profile)),
            None => value.parse().map(Alternative::Flag).map_err(|_| refused()),
        },
        Fact::Overlayfs | Fact::UserNamespaces | Fact::Ia32 => {
            value.parse().map(Alternative::Flag).map_err(|_| refused())
        }
        Fact::Config | Fact::Sysctl => match value.split_once('=') {
            Some((name, wanted)) if !name.is_empty() && !wanted.is_empty() => {
                let name = match fact {
                    Fact::Config => name.strip_prefix("CONFIG_").unwrap_or(name),
                    _ => name,
                };
                Ok(Alternative::Text(format!("{name}={wanted}")))
            }
            _ => Err(refused()),
        },
        Fact::Release
        | Fact::Flavour
        | Fact::Runtime
        | Fact::CgroupControllers
        | Fact::Namespaces
        | Fact::Lsm
        | Fact::Filesystems => {
            if value.is_empty() {
                Err(refused())
            } else {
                Ok(Alternative::Text(value.to_owned()))
            }
        }
    }
}

fn is(fact: Fact, wanted: &Alternative, setting: Setting<'_>) -> bool {
    let Setting {
        facts,
        runtime,
        seccomp,
    } = setting;
    match wanted {
        Alternative::Seccomp(profile) => seccomp == *profile,
        Alternative::Vsyscall(mode) => facts.vsyscall == *mode,
        Alternative::Cgroup(layout) => facts.cgroup.layout == *layout,
        Alternative::Range(range) => match fact {
            Fact::CpuLevel => range.contains([u32::from(facts.cpu_level), 0, 0]),
            _ => range.contains_release(&facts.release),
        },
        Alternative::Flag(wanted) => match fact {
            Fact::Overlayfs => facts.overlayfs == *wanted,
            Fact::UserNamespaces => facts.namespaces.user == *wanted,
            Fact::Seccomp => facts.seccomp.filter == *wanted,
            Fact::Ia32 => facts.ia32 == *wanted,
            _ => false,
        },
        Alternative::Text(text) => match fact {
            Fact::Release => facts.release == *text,
            Fact::Runtime => runtime == text,
            Fact::CgroupControllers => facts.cgroup.controllers.contains(text),
            Fact::Namespaces => facts.namespaces.kinds.contains(text),
            Fact::Lsm => facts.lsms.contains(text),
            Fact::Filesystems => facts.filesystems.contains(text),
            Fact::Flavour => facts.flavour() == text,
            Fact::Config => has(&facts.config, text),
            Fact::Sysctl => has(&facts.sysctls, text),
            _ => false,
        },
    }
}

/// `pair` is `NAME=VALUE`.
fn has(values: &BTreeMap<String, String>, pair: &str) -> bool {
    pair.split_once('=')
        .is_some_and(|(name, wanted)| values.get(name).is_some_and(|value| value == wanted))
}

/// Conditions that all must hold; without any, always.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions(Vec<Condition>);

impl Conditions {
    /// Adds one.
    pub fn push(&mut self, condition: Condition) {
        self.0.push(condition);
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All hold.
    pub fn hold(&self, setting: Setting<'_>) -> bool {
        self.0.iter().all(|condition| condition.holds(setting))
    }
}

impl FromIterator<Condition> for Conditions {
    fn from_iter<I: IntoIterator<Item = Condition>>(conditions: I) -> Self {
        Self(conditions.into_iter().collect())
    }
}

impl fmt::Display for Alternative {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => formatter.write_str(text),
            Self::Flag(flag) => write!(formatter, "{flag}"),
            Self::Seccomp(profile) => formatter.write_str(profile.name()),
            Self::Range(range) => write!(formatter, "{range}"),
            Self::Vsyscall(mode) => formatter.write_str(match mode {
                Vsyscall::Emulate => "emulate",
                Vsyscall::Xonly => "xonly",
                Vsyscall::None => "none",
            }),
            Self::Cgroup(layout) => formatter.write_str(match layout {
                Cgroup::V1 => "v1",
                Cgroup::V2 => "v2",
                Cgroup::Hybrid => "hybrid",
                Cgroup::None => "none",
            }),
        }
    }
}

impl fmt::Display for Condition {
    /// `vsyscall is none or xonly`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let alternatives: Vec<String> = self
            .alternatives
            .iter()
            .map(Alternative::to_string)
            .collect();
        write!(formatter, "{} is {}", self.fact, alternatives.join(" or "))
    }
}

impl fmt::Display for Conditions {
    /// `vsyscall is none and kernel is >=5.10`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let conditions: Vec<String> = self.0.iter().map(Condition::to_string).collect();
        formatter.write_str(&conditions.join(" and "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{facts_for_tests, setting_for_tests};

    fn holds(name: &str, values: &[&str]) -> bool {
        let condition = Condition::parse(name, values).unwrap();
        condition.holds(setting_for_tests(&facts_for_tests()))
    }

    #[test]
    fn every_fact_can_hold_and_can_fail_to() {
        for (name, yes, no) in [
            ("kernel", ">=6.1, <6.2", "<6.1"),
            ("release", "6.1.0-50-cloud-amd64", "6.1"),
            ("runtime", "bundled", "runc"),
            ("vsyscall", "none", "emulate"),
            ("cgroup", "v2", "v1"),
            ("cgroup_controllers", "memory", "net_cls"),
            ("overlayfs", "true", "false"),
            ("user_namespaces", "false", "true"),
            ("namespaces", "time", "syslog"),
            ("seccomp", "true", "false"),
            ("seccomp", "none", "eperm"),
            ("seccomp", "none", "enosys"),
            ("lsm", "apparmor", "selinux"),
            ("ia32", "true", "false"),
            ("cpu_level", "3", "<3"),
            ("filesystems", "ext4", "xfs"),
            ("flavour", "cloud", "generic"),
            ("config", "CONFIG_USER_NS=y", "USER_NS=n"),
            (
                "sysctl",
                "kernel.yama.ptrace_scope=0",
                "kernel.yama.ptrace_scope=1",
            ),
        ] {
            assert!(holds(name, &[yes]), "{name} = {yes}");
            assert!(!holds(name, &[no]), "{name} = {no}");
            assert!(holds(name, &[no, yes]), "{name}: one of the list is enough");
        }
    }

    #[test]
    fn all_conditions_must_hold() {
        let conditions: Conditions = [("vsyscall", "none"), ("kernel", "<6")]
            .iter()
            .map(|(name, value)| Condition::parse(name, &[value]).unwrap())
            .collect();
        let facts = facts_for_tests();
        assert!(!conditions.hold(setting_for_tests(&facts)));
        assert!(Conditions::default().hold(setting_for_tests(&facts)));
        assert_eq!(conditions.to_string(), "vsyscall is none and kernel is <6");
    }

    #[test]
    fn mistakes_are_told_with_what_is_known() {
        let error = Condition::parse("vsycall", &["none"]).unwrap_err();
        assert_eq!(error.hint().as_deref(), Some("did you mean `vsyscall`?"));
        assert!(error.to_string().contains("`cpu_level`"), "{error}");

        let error = Condition::parse("vsyscall", &["emulate", "off"]).unwrap_err();
        assert!(matches!(error, ConditionError::Value { index: 1, .. }));
        assert_eq!(
            error.to_string(),
            "`off` is nothing that `vsyscall` can be; it takes `emulate`, `xonly` or `none`"
        );
        for (name, value) in [
            ("overlayfs", "yes"),
            ("seccomp", "permit"),
            ("cgroup", "2"),
            ("kernel", "new"),
            ("cpu_level", "5"),
            ("cpu_level", "v3"),
            ("lsm", ""),
            ("config", "USER_NS"),
        ] {
            assert!(
                Condition::parse(name, &[value]).is_err(),
                "{name} = {value}"
            );
        }
        assert!(matches!(
            Condition::parse("kernel", &[]),
            Err(ConditionError::NoValue { fact: Fact::Kernel })
        ));
    }
}
