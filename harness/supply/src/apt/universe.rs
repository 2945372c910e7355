//! All packages of some suites, taken together as apt would.

use std::sync::{Arc, OnceLock};

use globset::Glob;

use super::closure::Closure;
use super::dependency::{Group, Relation};
use super::index::Index;
use super::{AptError, Package, Version, near};

/// All packages of some suites for one architecture, taken together as apt would:
/// of several versions of a package the newest counts.
pub struct Universe {
    parts: Vec<Part>,
    /// Packages of the archives' pools that no index has.
    pinned: Vec<Package>,
    digest: String,
}

/// One index.
pub(super) struct Part {
    index: Arc<Index>,
    url: String,
    suite: String,
    /// Filled as they are asked for: few of 63,000 ever are.
    packages: Vec<OnceLock<Box<Package>>>,
}

impl Part {
    pub(super) fn new(index: Arc<Index>, url: &str, suite: &str) -> Part {
        let packages = std::iter::repeat_with(OnceLock::new)
            .take(index.len())
            .collect();
        Part {
            index,
            url: url.to_owned(),
            suite: suite.to_owned(),
            packages,
        }
    }

    fn package(&self, row: usize) -> &Package {
        self.packages[row].get_or_init(|| Box::new(self.index.package(row, &self.url, &self.suite)))
    }

    fn by_name(&self, name: &str) -> impl Iterator<Item = &Package> {
        self.index.rows_of(name).map(|row| self.package(row))
    }
}

impl Universe {
    pub(super) fn new(parts: Vec<Part>, pinned: Vec<Package>, digest: String) -> Universe {
        Universe {
            parts,
            pinned,
            digest,
        }
    }

    /// SHA-256 over the indices, in hexadecimal: as long as it is the same, every
    /// answer of the universe is.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The suites it is made of, as an error names them: `bookworm at http://…`.
    pub fn suites(&self) -> Vec<String> {
        let mut suites: Vec<String> = Vec::new();
        for part in &self.parts {
            let suite = format!("{} at {}", part.suite, part.url);
            if !suites.contains(&suite) {
                suites.push(suite);
            }
        }
        suites
    }

    /// Every version of the package called `name`, newest first; of equal ones that
    /// of the suite named first.
    pub fn by_name(&self, name: &str) -> impl Iterator<Item = &Package> {
        let mut found: Vec<&Package> = self
            .parts
            .iter()
            .flat_map(|part| part.by_name(name))
            .collect();
        // What a signed index has needs no other trust.
        let pinned = self.pinned.iter().filter(|package| {
            package.name == name && found.iter().all(|known| known.version != package.version)
        });
        let pinned: Vec<&Package> = pinned.collect();
        found.extend(pinned);
        found.sort_by(|a, b| b.version.cmp(&a.version));
        found.into_iter()
    }

    /// The newest version of a package; with a glob (`*`, `?`, `[…]`) the newest of
    /// all packages whose name it matches, of equally new ones the last by name.
    pub fn newest(&self, name_or_glob: &str) -> Result<&Package, AptError> {
        let matching = self.matching(name_or_glob)?.into_iter();
        matching
            // Of equal ones the last is taken: that of the suite named first.
            .rev()
            .max_by(|a, b| {
                let names = || Version::new(&*a.name).cmp(&Version::new(&*b.name));
                a.version.cmp(&b.version).then_with(names)
            })
            .ok_or_else(|| self.not_found(name_or_glob))
    }

    /// Every version of every package whose name is this or matches this glob, the
    /// newest of each first. Never empty.
    pub(super) fn matching(&self, name_or_glob: &str) -> Result<Vec<&Package>, AptError> {
        if !name_or_glob.contains(['*', '?', '[']) {
            let found: Vec<&Package> = self.by_name(name_or_glob).collect();
            return match found.is_empty() {
                true => Err(self.not_found(name_or_glob)),
                false => Ok(found),
            };
        }
        let glob = Glob::new(name_or_glob)
            .map_err(|source| AptError::Glob {
                glob: name_or_glob.to_owned(),
                source,
            })?
            .compile_matcher();
        let mut names: Vec<&str> = self.names().filter(|name| glob.is_match(name)).collect();
        names.sort_unstable();
        names.dedup();
        if names.is_empty() {
            return Err(AptError::NothingMatches {
                glob: name_or_glob.to_owned(),
                suites: self.suites(),
                near_names: near::to_glob(name_or_glob, self.names()),
            });
        }
        Ok(names
            .into_iter()
            .flat_map(|name| self.by_name(name))
            .collect())
    }

    /// The packages that satisfy one alternative, best first: those of that name,
    /// newest first, then those that provide it, most needed (by priority) first,
    /// then by name.
    pub fn satisfying(&self, relation: &Relation) -> Vec<&Package> {
        let mut found: Vec<&Package> = self
            .by_name(&relation.name)
            .filter(|package| relation.matches(package))
            .collect();
        let mut providers: Vec<&Package> = self
            .parts
            .iter()
            .flat_map(|part| {
                part.index
                    .providers_of(&relation.name)
                    .map(|row| part.package(row))
            })
            .filter(|package| provides(package, relation))
            .collect();
        providers.sort_by(|a, b| {
            let newest = || b.version.cmp(&a.version);
            a.priority
                .cmp(&b.priority)
                .then_with(|| a.name.cmp(&b.name))
                .then_with(newest)
        });
        found.extend(providers);
        found
    }

    /// The packages that satisfy a dependency, those of its first alternative first.
    pub fn satisfying_group(&self, group: &Group) -> Vec<&Package> {
        group
            .0
            .iter()
            .flat_map(|relation| self.satisfying(relation))
            .collect()
    }

    /// The named packages and all they need to work, sorted by name, one version of
    /// each; with `essential` also every package that says `Essential: yes`, which
    /// nothing depends on. Recommends and Conflicts are not looked at.
    ///
    /// The first alternative that can be had is taken, unless another one is in the
    /// closure already; a virtual package is stood for by the most needed package
    /// that provides it. The same names give the same answer, in any order.
    pub fn closure(&self, names: &[String], essential: bool) -> Result<Vec<&Package>, AptError> {
        let mut roots = Vec::new();
        if essential {
            for name in self.essential_names() {
                roots.push(self.newest(name)?);
            }
        }
        let mut names: Vec<&String> = names.iter().collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            roots.push(self.newest(name)?);
        }
        Closure::new(self).of(roots)
    }

    /// The packages that make up a kernel, sorted by name, for the name or glob of
    /// its image package or metapackage: the image, its modules, its base files.
    /// What else a kernel package depends on (initramfs-tools, kmod) is left out.
    ///
    /// Up to 6.18 the image package holds all; since 6.19 `linux-image-V` is empty
    /// and depends on `linux-binary-V`, `linux-modules-V` and `linux-base-V`. A
    /// package that depends on another image is empty, a metapackage: it leads the
    /// way and is left out, so that nobody fetches it for nothing (or fails to).
    ///
    /// An archive drops the base files of a series' older versions before their
    /// image and modules (Debian's backports did with 6.18): they hold the
    /// configuration and the list of what is built in, without which a kernel
    /// starts all the same.
    ///
    /// `NAME=VERSION` is the image of that version among those that the name or glob
    /// can mean ([`Universe::kernel_images`]).
    pub fn kernel(&self, name_or_glob: &str) -> Result<Vec<&Package>, AptError> {
        let mut found = vec![match name_or_glob.split_once('=') {
            Some((name, version)) => self.kernel_image(name, version)?,
            None => self.newest(name_or_glob)?,
        }];
        let mut empty = Vec::new();
        let mut next = 0;
        while let Some(package) = found.get(next).copied() {
            next += 1;
            for group in dependencies(package)? {
                if !group
                    .0
                    .iter()
                    .any(|relation| is_kernel_part(&relation.name))
                {
                    continue;
                }
                let parts = self.satisfying_group(&group);
                let Some(part) = parts.into_iter().find(|part| is_kernel_part(&part.name)) else {
                    if group.0.iter().all(|relation| holds_base(&relation.name)) {
                        continue;
                    }
                    return Err(AptError::Unsatisfiable {
                        chain: vec![package.to_string()],
                        wanted: group.to_string(),
                        suites: self.suites(),
                    });
                };
                if holds_kernel(&part.name) {
                    empty.push(package.name.as_str());
                }
                if !found.iter().any(|package| package.name == part.name) {
                    found.push(part);
                }
            }
        }
        found.retain(|package| !empty.contains(&package.name.as_str()));
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    fn essential_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .parts
            .iter()
            .flat_map(|part| part.index.essential().map(|row| part.index.name(row)))
            .collect();
        names.sort_unstable();
        names.dedup();
        // What is essential no more in its newest version is left out.
        names.retain(|name| {
            self.by_name(name)
                .next()
                .is_some_and(|package| package.essential)
        });
        names
    }

    /// Each name once per index that has it, sorted within each.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().flat_map(|part| {
            let mut last = "";
            (0..part.index.len())
                .map(|row| part.index.name(row))
                .filter(move |name| {
                    let is_new = *name != last;
                    last = name;
                    is_new
                })
        })
    }

    fn not_found(&self, name: &str) -> AptError {
        let wanted = Relation {
            name: name.to_owned(),
            architecture: None,
            bound: None,
        };
        let providers = self.satisfying(&wanted);
        let near_names = if providers.is_empty() {
            near::to_name(name, self.names())
        } else {
            let mut names: Vec<String> = providers
                .iter()
                .map(|package| format!("{}, which provides it", package.name))
                .collect();
            names.dedup();
            names
        };
        AptError::PackageNotFound {
            name: name.to_owned(),
            suites: self.suites(),
            near_names,
        }
    }
}

/// Whether a package provides what a relation asks for.
pub(super) fn provides(package: &Package, relation: &Relation) -> bool {
    // The field was read once when the index was made: what cannot be read now is
    // not there.
    super::dependency::parse_provides(&package.provides)
        .is_ok_and(|provided| provided.iter().any(|offer| relation.provided_by(offer)))
}

/// What a package needs, with the package named in the error.
pub(super) fn dependencies(package: &Package) -> Result<Vec<Group>, AptError> {
    package
        .dependencies()
        .map_err(|source| AptError::MalformedDependency {
            package: package.to_string(),
            source,
        })
}

/// Whether a package of this name has the bootable file, or leads to it.
fn holds_kernel(name: &str) -> bool {
    name.starts_with("linux-image-") || name.starts_with("linux-binary-")
}

/// Whether a package is part of a kernel: linux-base itself, without a version, is
/// a set of maintainer's tools.
pub(super) fn is_kernel_part(name: &str) -> bool {
    ["linux-image-", "linux-binary-", "linux-modules-"]
        .iter()
        .any(|it| name.starts_with(it))
        || holds_base(name)
}

/// Whether a package of this name has a kernel's configuration and lists.
fn holds_base(name: &str) -> bool {
    name.strip_prefix("linux-base-")
        .is_some_and(|it| it.starts_with(|c: char| c.is_ascii_digit()))
}
