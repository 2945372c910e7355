//! Rules for devices, carried out in order, as runc's emulator of version 1
//! does: a rule for all devices sets what happens to those that are not named
//! and forgets all rules before it; a rule that says the opposite of that is an
//! exception; one that says the same takes an exception away.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use crate::bundle::list;
use crate::failure::Failure;
use crate::node::Node;

const FIELD: &str = "linux.resources.devices";

/// The largest major number is 4095, the largest minor 1048575.
const LARGEST: i64 = 0xf_ffff;

/// What is done with a device: the bits of the kernel's `BPF_DEVCG_ACC_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Access(pub(crate) u8);

impl Access {
    pub(crate) const MAKE: Self = Self(1);
    pub(crate) const READ: Self = Self(2);
    pub(crate) const WRITE: Self = Self(4);
    pub(crate) const ALL: Self = Self(7);

    /// `rwm`.
    fn parse(text: &str) -> Option<Self> {
        text.chars().try_fold(Self(0), |access, letter| {
            let one = match letter {
                'm' => Self::MAKE,
                'r' => Self::READ,
                'w' => Self::WRITE,
                _ => return None,
            };
            Some(Self(access.0 | one.0))
        })
    }
}

impl fmt::Display for Access {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (one, letter) in [(Self::READ, 'r'), (Self::WRITE, 'w'), (Self::MAKE, 'm')] {
            if self.0 & one.0 != 0 {
                write!(formatter, "{letter}")?;
            }
        }
        Ok(())
    }
}

/// A device's kind; the values are the kernel's `BPF_DEVCG_DEV_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Block = 1,
    Char = 2,
}

/// One device, or with `None` for a number any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Devices {
    pub(crate) kind: Kind,
    pub(crate) major: Option<u32>,
    pub(crate) minor: Option<u32>,
}

impl Devices {
    /// Whether some device is both of these and of `other`.
    fn overlap(self, other: Self) -> bool {
        let meet = |own: Option<u32>, their: Option<u32>| match (own, their) {
            (Some(own), Some(their)) => own == their,
            _ => true,
        };
        self.kind == other.kind && meet(self.major, other.major) && meet(self.minor, other.minor)
    }
}

/// As version 1's files have it: `c 1:*`.
impl fmt::Display for Devices {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |number: Option<u32>| number.map_or("*".to_owned(), |one| one.to_string());
        let kind = match self.kind {
            Kind::Block => 'b',
            Kind::Char => 'c',
        };
        write!(
            formatter,
            "{kind} {}:{}",
            number(self.major),
            number(self.minor)
        )
    }
}

/// What rules come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// What happens to devices that are not named.
    pub(crate) allowed_by_default: bool,
    /// For these it is the opposite.
    pub(crate) exceptions: BTreeMap<Devices, Access>,
}

/// A rule as config.json has it.
#[derive(Debug, Deserialize)]
struct Rule {
    allow: bool,
    #[serde(rename = "type")]
    kind: Option<String>,
    major: Option<i64>,
    minor: Option<i64>,
    access: Option<String>,
}

impl Rules {
    /// `None` where there are no rules.
    pub(crate) fn parse(config: &Node<'_>) -> Result<Option<Self>, Failure> {
        let listed: Vec<Rule> = list(config, FIELD)?;
        if listed.is_empty() {
            return Ok(None);
        }
        let mut rules = Self {
            allowed_by_default: false,
            exceptions: BTreeMap::new(),
        };
        for (index, rule) in listed.iter().enumerate() {
            rules.apply(index, rule)?;
        }
        Ok(Some(rules))
    }

    fn apply(&mut self, index: usize, rule: &Rule) -> Result<(), Failure> {
        let invalid = |name: &str, problem: String| {
            Failure::invalid(format!("{FIELD}[{index}].{name}"), problem)
        };
        let access = match &rule.access {
            None => Access::ALL,
            Some(text) => match Access::parse(text) {
                Some(access) if access.0 != 0 => access,
                _ => {
                    let problem = format!("{text:?} is not made of r, w and m");
                    return Err(invalid("access", problem));
                }
            },
        };
        let number = |name: &str, value: Option<i64>| match value {
            // runc takes -1 for a wildcard.
            None | Some(-1) => Ok(None),
            Some(value @ 0..=LARGEST) => Ok(u32::try_from(value).ok()),
            Some(value) => Err(invalid(name, format!("{value} is no number of a device"))),
        };
        let (major, minor) = (number("major", rule.major)?, number("minor", rule.minor)?);
        let kind = match rule.kind.as_deref() {
            Some("b") => Kind::Block,
            Some("c" | "u") => Kind::Char,
            None | Some("a" | "") => {
                // Version 1 would take the rest of such a rule for nothing.
                if access != Access::ALL || major.is_some() || minor.is_some() {
                    let problem = "a rule for all types is for all devices and all access";
                    return Err(invalid("type", problem.to_owned()));
                }
                self.allowed_by_default = rule.allow;
                self.exceptions.clear();
                return Ok(());
            }
            Some(other) => return Err(invalid("type", format!("unknown type {other:?}"))),
        };
        let devices = Devices { kind, major, minor };
        if rule.allow == self.allowed_by_default {
            self.take_away(devices, access)
                .map_err(|problem| invalid("allow", problem))
        } else {
            let exception = self.exceptions.entry(devices).or_insert(Access(0));
            exception.0 |= access.0;
            Ok(())
        }
    }

    /// Of an exception for more or fewer devices than these nothing can be taken
    /// away in version 1: it does so only for exactly these.
    fn take_away(&mut self, devices: Devices, access: Access) -> Result<(), String> {
        let partly = self.exceptions.iter().find(|(other, rest)| {
            **other != devices && other.overlap(devices) && rest.0 & access.0 != 0
        });
        if let Some((other, rest)) = partly {
            return Err(format!(
                "{devices} {access} cannot be taken out of the earlier rule for {other} {rest}"
            ));
        }
        if let Some(rest) = self.exceptions.get_mut(&devices) {
            rest.0 &= !access.0;
            if rest.0 == 0 {
                self.exceptions.remove(&devices);
            }
        }
        Ok(())
    }

    /// Whether the kernel lets `access` to one device happen. Version 1 wants an
    /// exception that allows all of it, or none that denies any.
    #[cfg(test)]
    pub(crate) fn allows(&self, kind: Kind, major: u32, minor: u32, access: Access) -> bool {
        let one = Devices {
            kind,
            major: Some(major),
            minor: Some(minor),
        };
        let excepted = self.exceptions.iter().any(|(devices, rest)| {
            devices.overlap(one)
                && match self.allowed_by_default {
                    true => rest.0 & access.0 != 0,
                    false => rest.0 & access.0 == access.0,
                }
        });
        excepted != self.allowed_by_default
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    pub(in super::super) fn parsed(rules: Value) -> Result<Rules, Failure> {
        Rules::parse(&Node::of(
            &json!({"linux": {"resources": {"devices": rules}}}),
        ))
        .map(Option::unwrap)
    }

    fn allow(kind: &str, major: i64, minor: i64, access: &str) -> Value {
        json!({"allow": true, "type": kind, "major": major, "minor": minor, "access": access})
    }

    fn deny(kind: &str, major: i64, minor: i64, access: &str) -> Value {
        json!({"allow": false, "type": kind, "major": major, "minor": minor, "access": access})
    }

    fn told(rules: &Rules) -> Vec<String> {
        rules
            .exceptions
            .iter()
            .map(|(devices, access)| format!("{devices} {access}"))
            .collect()
    }

    #[test]
    fn what_is_allowed_is_all_there_is() {
        let rules = parsed(json!([
            {"allow": false, "access": "rwm"},
            allow("c", 1, 3, "r"),
            allow("c", 1, 3, "w"),
            {"allow": true, "type": "b", "access": "m"},
        ]))
        .unwrap();
        assert!(!rules.allowed_by_default);
        assert_eq!(told(&rules), ["b *:* m", "c 1:3 rw"]);
        assert!(rules.allows(Kind::Char, 1, 3, Access(6)));
        assert!(!rules.allows(Kind::Char, 1, 3, Access::ALL));
        assert!(!rules.allows(Kind::Char, 1, 5, Access::READ));
        assert!(rules.allows(Kind::Block, 8, 0, Access::MAKE));
        // Without a first rule for all, too.
        let rules = parsed(json!([allow("c", 1, 3, "r")])).unwrap();
        assert!(!rules.allows(Kind::Char, 1, 5, Access::READ));
    }

    #[test]
    fn order_counts() {
        let rules = parsed(json!([allow("c", 1, 3, "rwm"), deny("c", 1, 3, "w")])).unwrap();
        assert_eq!(told(&rules), ["c 1:3 rm"]);
        let rules = parsed(json!([deny("c", 1, 3, "w"), allow("c", 1, 3, "rwm")])).unwrap();
        assert_eq!(told(&rules), ["c 1:3 rwm"]);
        // A rule for all forgets what came before.
        let rules = parsed(json!([allow("c", 1, 3, "rwm"), {"allow": true}])).unwrap();
        assert!(rules.allowed_by_default && rules.exceptions.is_empty());
        let rules = parsed(json!([{"allow": true, "type": "a"}, deny("b", 8, -1, "w")])).unwrap();
        assert_eq!(told(&rules), ["b 8:* w"]);
        assert!(!rules.allows(Kind::Block, 8, 1, Access(6)));
        assert!(rules.allows(Kind::Block, 8, 1, Access::READ));
        assert!(rules.allows(Kind::Char, 8, 1, Access::ALL));
    }

    #[test]
    fn what_version_1_could_not_do_is_refused() {
        for (rules, place) in [
            (
                json!([allow("c", 1, -1, "rw"), deny("c", 1, 3, "w")]),
                "linux.resources.devices[1].allow: c 1:3 w cannot be taken out",
            ),
            (
                json!([allow("c", 1, 3, "rw"), deny("c", -1, -1, "w")]),
                "linux.resources.devices[1].allow",
            ),
            (
                json!([{"allow": false, "access": "w"}]),
                "linux.resources.devices[0].type",
            ),
            (
                json!([{"allow": true, "type": "a", "major": 1}]),
                "linux.resources.devices[0].type",
            ),
            (
                json!([allow("c", 1, 3, "x")]),
                "linux.resources.devices[0].access",
            ),
            (
                json!([allow("c", 1, 3, "")]),
                "linux.resources.devices[0].access",
            ),
            (
                json!([allow("p", 1, 3, "r")]),
                "linux.resources.devices[0].type",
            ),
            (
                json!([allow("c", 1 << 20, 3, "r")]),
                "linux.resources.devices[0].major",
            ),
            (
                json!([allow("c", 1, -2, "r")]),
                "linux.resources.devices[0].minor",
            ),
        ] {
            let message = parsed(rules).unwrap_err().to_string();
            assert!(message.starts_with(place), "{message}");
        }
        // What the wider rule does not say can be said of the narrower one.
        assert!(parsed(json!([allow("c", 1, -1, "r"), deny("c", 1, 3, "w")])).is_ok());
    }
}
