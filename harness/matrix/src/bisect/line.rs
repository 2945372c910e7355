//! The kernels between two, in order.

use std::cmp::Ordering;

use jiff::Timestamp;
use plan::{Kernel, KernelEntry, Project};
use supply::{KernelVersions, VersionOrder};

use crate::error::Failure;

/// An end as it was given: `6.1+cpu=v2@6.1.170-1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// The entry, with its variant.
    pub(super) base: String,
    /// What follows the `@`.
    pub(super) moment: Option<String>,
}

impl End {
    pub(super) fn parse(given: &str) -> End {
        let base = plan::base_of(given);
        End {
            base: base.to_owned(),
            moment: given[base.len()..].strip_prefix('@').map(str::to_owned),
        }
    }

    pub(super) fn id(&self) -> String {
        match &self.moment {
            Some(moment) => format!("{}@{moment}", self.base),
            None => self.base.clone(),
        }
    }
}

/// `20260101T000000Z` as a time.
pub(super) fn moment(text: &str) -> Result<Timestamp, Failure> {
    let parsed = jiff::fmt::temporal::DateTimeParser::new().parse_timestamp(text);
    parsed.map_err(|_| Failure::BisectTime(text.to_owned()))
}

/// The one kernel that an id names.
pub(super) fn kernel(project: &Project, id: &str) -> Result<Kernel, Failure> {
    let selector = crate::run::column_selector(id);
    let directory = std::env::current_dir()?;
    let kernels = plan::select_kernels(project, &[selector], &directory)?;
    kernels
        .into_iter()
        .next()
        .ok_or_else(|| Failure::BisectKernel {
            kernel: id.to_owned(),
            known: Vec::new(),
        })
}

/// The lower first.
pub(super) fn in_order(order: VersionOrder, one: String, other: String) -> (String, String) {
    match order.compare(&one, &other) {
        Ordering::Greater => (other, one),
        _ => (one, other),
    }
}

/// Of these versions those above one and below another, as kernels of an entry.
pub(super) fn versions_between(
    base: &str,
    there: &KernelVersions,
    above: Option<&str>,
    below: Option<&str>,
) -> Vec<String> {
    // An end need not be there any more.
    let order = |version: &str, bound: &str| there.order.compare(version, bound);
    there
        .versions
        .iter()
        .map(|it| it.version.as_str())
        .filter(|version| above.is_none_or(|bound| order(version, bound).is_gt()))
        .filter(|version| below.is_none_or(|bound| order(version, bound).is_lt()))
        .map(|version| format!("{base}@{version}"))
        .collect()
}

/// Ids from one kernel to the other in order of their versions, one of each
/// version. Where both ends are the same variant, so is what is between.
pub(super) fn between(project: &Project, good: &str, bad: &str) -> Result<Vec<String>, Failure> {
    let (good_name, good_variant) = split(good);
    let (bad_name, bad_variant) = split(bad);
    if good_variant != bad_variant {
        return Err(Failure::BisectVariants {
            good: good.to_owned(),
            bad: bad.to_owned(),
        });
    }
    let find = |name: &str| {
        let entry = project
            .kernels
            .iter()
            .find(|entry| entry.kernel.id == name && has(entry, good_variant));
        entry.ok_or_else(|| Failure::BisectKernel {
            kernel: name.to_owned(),
            known: project
                .kernels
                .iter()
                .map(|entry| entry.kernel.id.clone())
                .collect(),
        })
    };
    let (good, bad) = (find(good_name)?, find(bad_name)?);
    let (low, high) = if good.version <= bad.version {
        (good, bad)
    } else {
        (bad, good)
    };
    let mut inner: Vec<&KernelEntry> = project
        .kernels
        .iter()
        .filter(|entry| entry.version > low.version && entry.version < high.version)
        .filter(|entry| has(entry, good_variant))
        .collect();
    // Stable: of two flavours of a version the first of the file stays.
    inner.sort_by(|a, b| a.version.cmp(&b.version));
    inner.dedup_by(|later, first| later.version == first.version);
    let id = |entry: &KernelEntry| match good_variant {
        Some(variant) => format!("{}+{variant}", entry.kernel.id),
        None => entry.kernel.id.clone(),
    };
    let mut line = vec![id(low)];
    line.extend(inner.into_iter().map(id));
    line.push(id(high));
    Ok(line)
}

/// `6.1+vsyscall=emulate` → its entry and variant.
fn split(id: &str) -> (&str, Option<&str>) {
    match id.split_once('+') {
        Some((entry, variant)) => (entry, Some(variant)),
        None => (id, None),
    }
}

fn has(entry: &KernelEntry, variant: Option<&str>) -> bool {
    variant.is_none_or(|name| entry.variants.iter().any(|variant| variant.name == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_is_what_follows_the_plus() {
        assert_eq!(
            split("6.1+vsyscall=emulate"),
            ("6.1", Some("vsyscall=emulate"))
        );
        assert_eq!(split("6.12-generic"), ("6.12-generic", None));
    }

    #[test]
    fn an_end_is_an_entry_and_perhaps_a_moment() {
        let end = End::parse("6.1+a=b@6.1.9-1~bpo11+1");
        assert_eq!(end.base, "6.1+a=b");
        assert_eq!(end.moment.as_deref(), Some("6.1.9-1~bpo11+1"));
        assert_eq!(end.id(), "6.1+a=b@6.1.9-1~bpo11+1");
        assert_eq!(End::parse("6.1").moment, None);
    }

    fn there(order: VersionOrder, versions: &[&str]) -> KernelVersions {
        KernelVersions {
            order,
            versions: versions
                .iter()
                .map(|version| supply::KernelVersion {
                    version: (*version).to_owned(),
                    package: String::new(),
                })
                .collect(),
        }
    }

    #[test]
    fn versions_are_ordered_as_dpkg_does() {
        let versions = ["6.1.9-1", "6.1.10-1~bpo1", "6.1.10-1", "6.1.11-1"];
        let there = there(VersionOrder::Dpkg, &versions);
        assert_eq!(
            versions_between("6.1", &there, Some("6.1.9-1"), Some("6.1.11-1")),
            ["6.1@6.1.10-1~bpo1", "6.1@6.1.10-1"]
        );
        assert_eq!(
            versions_between("6.1", &there, Some("6.1.10-1"), None),
            ["6.1@6.1.11-1"]
        );
        assert_eq!(
            in_order(
                VersionOrder::Dpkg,
                "6.1.10-1".to_owned(),
                "6.1.9-1".to_owned()
            ),
            ("6.1.9-1".to_owned(), "6.1.10-1".to_owned())
        );
    }

    #[test]
    fn versions_of_a_repository_are_ordered_as_rpm_does() {
        // dpkg has the first of them behind all others.
        let versions = [
            "5.14.0-427.el9",
            "5.14.0-427.13.1.el9_4",
            "5.14.0-427.16.1.el9_4",
            "5.14.0-503.el9",
        ];
        let rpm = there(VersionOrder::Rpm, &versions);
        assert_eq!(
            versions_between("el9", &rpm, Some(versions[0]), Some(versions[3])),
            ["el9@5.14.0-427.13.1.el9_4", "el9@5.14.0-427.16.1.el9_4"]
        );
        // One that is gone from it.
        assert_eq!(
            versions_between("el9", &rpm, Some("5.14.0-427.14.1.el9_4"), None),
            ["el9@5.14.0-427.16.1.el9_4", "el9@5.14.0-503.el9"]
        );
        assert_eq!(
            in_order(
                VersionOrder::Rpm,
                versions[1].to_owned(),
                versions[0].to_owned()
            ),
            (versions[0].to_owned(), versions[1].to_owned())
        );
    }
}
