//! Dependency fields: `libc6 (>= 2.34) | libc6.1, perl:any, awk`.
//!
//! Grammar of Debian policy 7.1. Build-profile and architecture restrictions
//! belong to source packages and are refused here.

use std::cmp::Ordering;
use std::fmt;

use super::package::Package;
use super::version::Version;

/// Alternatives, any one of which will do, preferred first. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group(pub Vec<Relation>);

/// A package name, perhaps of one architecture, perhaps with a bound on its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// A real or virtual package.
    pub name: String,
    /// `any`, `native`, or an architecture.
    pub architecture: Option<String>,
    /// What its version must be.
    pub bound: Option<Bound>,
}

/// A bound on a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// How the version must compare.
    pub operator: Operator,
    /// With what.
    pub version: Version,
}

/// The five ways to compare, as policy writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `<<`
    Earlier,
    /// `<=`
    EarlierOrEqual,
    /// `=`
    Equal,
    /// `>=`
    LaterOrEqual,
    /// `>>`
    Later,
}

impl Operator {
    const ALL: [(&'static str, Operator); 7] = [
        ("<<", Operator::Earlier),
        ("<=", Operator::EarlierOrEqual),
        (">=", Operator::LaterOrEqual),
        (">>", Operator::Later),
        ("=", Operator::Equal),
        // Deprecated, and still in old archives: policy says they mean "or equal".
        ("<", Operator::EarlierOrEqual),
        (">", Operator::LaterOrEqual),
    ];

    /// As policy writes it.
    pub fn symbol(self) -> &'static str {
        match self {
            Operator::Earlier => "<<",
            Operator::EarlierOrEqual => "<=",
            Operator::Equal => "=",
            Operator::LaterOrEqual => ">=",
            Operator::Later => ">>",
        }
    }
}

impl Bound {
    /// Whether `version` keeps to it.
    pub fn holds(&self, version: &Version) -> bool {
        let order = version.cmp(&self.version);
        match self.operator {
            Operator::Earlier => order == Ordering::Less,
            Operator::EarlierOrEqual => order != Ordering::Greater,
            Operator::Equal => order == Ordering::Equal,
            Operator::LaterOrEqual => order != Ordering::Less,
            Operator::Later => order == Ordering::Greater,
        }
    }
}

impl Relation {
    /// Whether `package` itself satisfies it; what it provides is another matter.
    pub fn matches(&self, package: &Package) -> bool {
        self.name == package.name
            && self.architecture_fits(&package.architecture)
            && self
                .bound
                .as_ref()
                .is_none_or(|bound| bound.holds(&package.version))
    }

    /// Whether a package of `architecture` will do. One architecture is looked at
    /// at a time, so `any` and `native` both mean that one.
    fn architecture_fits(&self, architecture: &str) -> bool {
        match self.architecture.as_deref() {
            None | Some("any" | "native") => true,
            Some(wanted) => wanted == architecture || architecture == "all",
        }
    }

    /// Whether `provided`, an entry of a Provides field, satisfies it. One without
    /// a version satisfies only a relation without a bound (policy 7.5).
    pub fn provided_by(&self, provided: &Relation) -> bool {
        self.name == provided.name
            && match (&self.bound, &provided.bound) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(bound), Some(offer)) => bound.holds(&offer.version),
            }
    }
}

/// Why a field could not be read: the part that does not fit the grammar.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a dependency")]
pub struct MalformedDependency(pub String);

/// Reads a dependency field. An empty one has no groups.
pub fn parse(field: &str) -> Result<Vec<Group>, MalformedDependency> {
    field
        .split(',')
        .map(str::trim)
        // A comma at the end is met in real archives.
        .filter(|group| !group.is_empty())
        .map(|group| {
            group
                .split('|')
                .map(relation)
                .collect::<Result<Vec<_>, _>>()
                .map(Group)
        })
        .collect()
}

/// Reads a Provides field, where alternatives make no sense.
pub fn parse_provides(field: &str) -> Result<Vec<Relation>, MalformedDependency> {
    field
        .split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .map(relation)
        .collect()
}

fn relation(text: &str) -> Result<Relation, MalformedDependency> {
    let text = text.trim();
    let malformed = || MalformedDependency(text.to_owned());
    let (name, bound) = match text.split_once('(') {
        None => (text, None),
        Some((name, bound)) => {
            let bound = bound.strip_suffix(')').ok_or_else(malformed)?.trim();
            let (operator, version) = Operator::ALL
                .iter()
                .find_map(|(symbol, operator)| {
                    bound
                        .strip_prefix(symbol)
                        .map(|version| (*operator, version.trim()))
                })
                .ok_or_else(malformed)?;
            if version.is_empty() || version.contains(char::is_whitespace) {
                return Err(malformed());
            }
            (
                name.trim(),
                Some(Bound {
                    operator,
                    version: Version::new(version),
                }),
            )
        }
    };
    let (name, architecture) = match name.split_once(':') {
        None => (name, None),
        Some((name, architecture)) => (name, Some(architecture.to_owned())),
    };
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte);
    if name.is_empty() || !name.bytes().all(valid) {
        return Err(malformed());
    }
    Ok(Relation {
        name: name.to_owned(),
        architecture,
        bound,
    })
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, relation) in self.0.iter().enumerate() {
            let separator = if place == 0 { "" } else { " | " };
            write!(f, "{separator}{relation}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(architecture) = &self.architecture {
            write!(f, ":{architecture}")?;
        }
        if let Some(bound) = &self.bound {
            write!(f, " ({} {})", bound.operator.symbol(), bound.version)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The Depends of linux-image-7.2.13+deb14-cloud-amd64, and of perl-modules.
    #[test]
    fn real_fields_survive_a_round_trip() {
        for field in [
            "dracut | initramfs-tools (>= 0.120+deb8u2) | linux-initramfs-tool, \
             linux-base-7.2.13+deb14-cloud-amd64 (= 7.2.13-1)",
            "perl-base (>= 5.36.0-1), perl:any, libc6 (<< 2.40)",
            "",
        ] {
            let groups = parse(field).unwrap();
            let written: Vec<String> = groups.iter().map(Group::to_string).collect();
            assert_eq!(written.join(", "), field);
        }
        assert_eq!(parse("awk,").unwrap().len(), 1);
        assert_eq!(
            parse("dpkg(>=1.15)").unwrap()[0].to_string(),
            "dpkg (>= 1.15)"
        );
    }

    #[test]
    fn what_is_no_dependency_is_named() {
        for field in ["a (>= 1", "a (1)", "a (>= )", "a b", "a | ", "a [amd64]"] {
            assert!(parse(field).is_err(), "{field}");
        }
        assert_eq!(parse("ok, a (>= 1").unwrap_err().0, "a (>= 1");
    }

    #[test]
    fn bounds_hold_as_policy_says() {
        for (bound, below, same, above) in [
            ("<<", true, false, false),
            ("<=", true, true, false),
            ("=", false, true, false),
            (">=", false, true, true),
            (">>", false, false, true),
            ("<", true, true, false),
            (">", false, true, true),
        ] {
            let group = parse(&format!("a ({bound} 2)")).unwrap();
            let bound = group[0].0[0].bound.as_ref().unwrap();
            assert_eq!(bound.holds(&Version::new("1")), below);
            assert_eq!(bound.holds(&Version::new("2")), same);
            assert_eq!(bound.holds(&Version::new("3")), above);
        }
    }

    #[test]
    fn a_versionless_provides_satisfies_no_bound() {
        let wanted = &parse("mail (>= 1)").unwrap()[0].0[0];
        let provided = |text| parse_provides(text).unwrap().remove(0);
        assert!(!wanted.provided_by(&provided("mail")));
        assert!(wanted.provided_by(&provided("mail (= 2)")));
        assert!(!wanted.provided_by(&provided("mail (= 0.5)")));
    }
}
