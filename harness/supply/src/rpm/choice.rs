//! Which packages of a repository make up a kernel.
//!
//! | vendor | packages |
//! | --- | --- |
//! | CentOS 7, openSUSE, Amazon, elrepo's older ones | `kernel`, `kernel-default`, …: whole |
//! | el8, Fedora to 37 | `kernel-core` has the image and most modules, `kernel-modules` others; `kernel` is empty |
//! | el9.2 and later, Fedora from 38 | `kernel-modules-core` besides |
//!
//! So a package is taken together with its siblings of these names that were built from
//! the same source and have the same version; whichever of them the entry names. One
//! that is empty is not fetched.

use globset::Glob;

use super::RpmError;
use super::primary::{Found, RpmPackage};

/// What a kernel is split into.
const PARTS: [&str; 4] = ["", "-core", "-modules-core", "-modules"];

/// How many versions a message tells.
const TOLD: usize = 12;

/// Names of the packages that make up the kernel that has one called `package`.
pub(super) fn siblings(package: &str) -> Vec<String> {
    let stem = stem(package);
    PARTS.iter().map(|part| format!("{stem}{part}")).collect()
}

/// `kernel-rt-modules-core` → `kernel-rt`.
fn stem(package: &str) -> &str {
    ["-modules-core", "-core", "-modules"]
        .iter()
        .find_map(|part| package.strip_suffix(part))
        .unwrap_or(package)
}

/// The newest kernel of what was found, or that of a version; the package that was
/// named comes first.
pub(super) fn choose(
    found: Found,
    url: &str,
    package: &str,
    version: Option<&str>,
) -> Result<Vec<RpmPackage>, RpmError> {
    let mut named: Vec<&RpmPackage> = found
        .packages
        .iter()
        .filter(|found| found.name == package)
        .collect();
    if named.is_empty() {
        return Err(RpmError::PackageNotFound {
            url: url.to_owned(),
            package: package.to_owned(),
            kernels: found.kernels,
        });
    }
    named.sort_by(|one, other| one.evr.cmp(&other.evr));
    let wanted = Wanted::parse(version)?;
    let Some(chosen) = named.iter().rev().find(|found| wanted.takes(found)) else {
        let mut there: Vec<String> = named.iter().map(|found| found.evr.to_string()).collect();
        there.dedup();
        return Err(RpmError::VersionNotFound {
            url: url.to_owned(),
            package: package.to_owned(),
            version: version.unwrap_or_default().to_owned(),
            there: there.split_off(there.len().saturating_sub(TOLD)),
        });
    };
    let mut set = vec![(*chosen).clone()];
    for name in siblings(package).iter().filter(|name| *name != package) {
        let sibling = found.packages.iter().find(|found| {
            found.name == *name && found.evr == chosen.evr && found.source == chosen.source
        });
        set.extend(sibling.cloned());
    }
    let stem = stem(package);
    let core = format!("{stem}-core");
    if set.iter().any(|package| package.name == core) {
        // The other is empty then, and one that is missing would cost a column.
        set.retain(|package| package.name != stem);
    }
    Ok(set)
}

enum Wanted<'a> {
    Newest,
    Glob(globset::GlobMatcher),
    /// `3.10.0-1160.el7`, `3.10.0`, `0:3.10.0-1160.el7`, and as uname has it, with
    /// `.x86_64`.
    Exactly(&'a str),
}

impl<'a> Wanted<'a> {
    fn parse(version: Option<&'a str>) -> Result<Self, RpmError> {
        let Some(version) = version else {
            return Ok(Wanted::Newest);
        };
        if !version.contains(['*', '?', '[', '{']) {
            return Ok(Wanted::Exactly(
                version.strip_suffix(".x86_64").unwrap_or(version),
            ));
        }
        Glob::new(version)
            .map(|glob| Wanted::Glob(glob.compile_matcher()))
            .map_err(|source| RpmError::Glob {
                glob: version.to_owned(),
                source,
            })
    }

    fn takes(&self, package: &RpmPackage) -> bool {
        let evr = &package.evr;
        let whole = format!("{}-{}", evr.version, evr.release);
        match self {
            Wanted::Newest => true,
            Wanted::Glob(glob) => glob.is_match(&whole),
            Wanted::Exactly(version) => {
                let (epoch, version) = match version.split_once(':') {
                    Some((epoch, version)) => (Some(epoch), version),
                    None => (None, *version),
                };
                epoch.is_none_or(|epoch| epoch == evr.epoch.to_string())
                    && (version == whole || version == evr.version)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpm::checksum::{Algorithm, Checksum};
    use crate::rpm::version::Evr;

    fn package(name: &str, version: &str, release: &str) -> RpmPackage {
        RpmPackage {
            name: name.to_owned(),
            evr: Evr {
                epoch: 0,
                version: version.to_owned(),
                release: release.to_owned(),
            },
            path: String::new(),
            base: None,
            checksum: Checksum {
                algorithm: Algorithm::Sha256,
                digits: String::new(),
            },
            size: 0,
            source: format!("kernel-{version}-{release}.src.rpm"),
        }
    }

    fn chosen(
        packages: &[RpmPackage],
        name: &str,
        version: Option<&str>,
    ) -> Result<Vec<String>, RpmError> {
        let found = Found {
            packages: packages.to_vec(),
            kernels: vec!["kernel-rt".to_owned()],
        };
        let set = choose(found, "https://x", name, version)?;
        Ok(set
            .iter()
            .map(|package| format!("{} {}", package.name, package.evr))
            .collect())
    }

    #[test]
    fn whole_and_split_kernels_are_taken_together() {
        let mut foreign = package("kernel-modules", "4.18.0", "553.el8");
        foreign.source = "kernel-kmod-1.src.rpm".to_owned();
        let split = [
            foreign,
            package("kernel", "4.18.0", "553.el8"),
            package("kernel-core", "4.18.0", "553.el8"),
            package("kernel-core", "4.18.0", "80.el8"),
            package("kernel-modules", "4.18.0", "80.el8"),
            package("kernel-modules", "4.18.0", "553.el8"),
            package("kernel-modules-extra", "4.18.0", "553.el8"),
            package("kernel-devel", "4.18.0", "553.el8"),
        ];
        let core = "kernel-core 4.18.0-553.el8";
        let modules = "kernel-modules 4.18.0-553.el8";
        for name in ["kernel", "kernel-core"] {
            assert_eq!(chosen(&split, name, None).unwrap(), [core, modules]);
        }
        assert_eq!(
            chosen(&split, "kernel-core", Some("4.18.0-80.el8")).unwrap(),
            ["kernel-core 4.18.0-80.el8", "kernel-modules 4.18.0-80.el8"]
        );
        let rt = [
            package("kernel-rt-core", "5.14.0", "1.el9"),
            package("kernel-rt-modules", "5.14.0", "1.el9"),
            package("kernel-rt-modules-core", "5.14.0", "1.el9"),
            package("kernel-core", "5.14.0", "1.el9"),
        ];
        assert_eq!(
            chosen(&rt, "kernel-rt-core", None).unwrap().join(", "),
            "kernel-rt-core 5.14.0-1.el9, kernel-rt-modules-core 5.14.0-1.el9, kernel-rt-modules 5.14.0-1.el9"
        );
    }

    #[test]
    fn a_version_is_given_in_several_ways() {
        let all = [
            package("kernel", "3.10.0", "957.el7"),
            package("kernel", "3.10.0", "1160.el7"),
            package("kernel", "3.10.0", "1160.2.2.el7"),
        ];
        for (version, expected) in [
            (None, "kernel 3.10.0-1160.2.2.el7"),
            (Some("3.10.0"), "kernel 3.10.0-1160.2.2.el7"),
            (Some("3.10.0-957.el7"), "kernel 3.10.0-957.el7"),
            (Some("3.10.0-957.el7.x86_64"), "kernel 3.10.0-957.el7"),
            (Some("0:3.10.0-1160.el7"), "kernel 3.10.0-1160.el7"),
            (Some("3.10.0-9*"), "kernel 3.10.0-957.el7"),
        ] {
            assert_eq!(chosen(&all, "kernel", version).unwrap(), [expected]);
        }
        let error = chosen(&all, "kernel", Some("3.10.0-1")).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("hint: there is 3.10.0-957.el7, 3.10.0-1160.el7, 3.10.0-1160.2.2.el7"),
            "{error}"
        );
        assert!(matches!(
            chosen(&all, "kernel", Some("1:3.10.0")),
            Err(RpmError::VersionNotFound { .. })
        ));
        assert!(matches!(
            chosen(&all, "kernel", Some("{3.10")),
            Err(RpmError::Glob { .. })
        ));
        let error = chosen(&all, "kernel-ml", None).unwrap_err();
        assert!(error.to_string().contains("there is kernel-rt"), "{error}");
    }
}
