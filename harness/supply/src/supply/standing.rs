//! What is known of a kernel without fetching it: which version its source comes to,
//! what of it is in the cache, whether the source answers, and which versions it has.

use std::cmp::Ordering;

use plan::KernelSource;

use super::{Choice, Supply, SupplyError, kernel_words};
use crate::apt::{AptError, Version};
use crate::http::Want;
use crate::image::ImageError;
use crate::kernel::{self, KernelError, Packaged};
use crate::rpm::Evr;

/// How much of a kernel is in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// Nothing that could be started.
    Nothing,
    /// Its packages.
    Fetched,
    /// The kernel itself, ready to be started.
    Unpacked,
}

/// What is known of a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The package that has its image, and its version; none for a file, or where
    /// the archive has not been looked at.
    pub package: Option<(String, String)>,
    /// How much of it is in the cache.
    pub stored: Stored,
}

/// A version of a kernel that its source still has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelVersion {
    /// The package's version: what `@` takes.
    pub version: String,
    /// The package.
    pub package: String,
}

/// By whose rules versions are ordered: 5.14.0-427.13.1.el9_4 comes behind
/// 5.14.0-427.el9 by RPM's, and before it by dpkg's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionOrder {
    /// Debian's archives.
    Dpkg,
    /// RPM repositories.
    Rpm,
}

impl VersionOrder {
    /// How two versions, as they are shown, stand to one another.
    pub fn compare(self, one: &str, other: &str) -> Ordering {
        match self {
            VersionOrder::Dpkg => Version::new(one).cmp(&Version::new(other)),
            VersionOrder::Rpm => Evr::parse(one).cmp(&Evr::parse(other)),
        }
    }
}

/// The versions of a kernel that its source still has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelVersions {
    /// Holds for them, and for those that are gone.
    pub order: VersionOrder,
    /// The oldest first.
    pub versions: Vec<KernelVersion>,
}

/// What asking a source said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It answers.
    Answers,
    /// It was not asked: nothing small tells whether it has the file, which is known
    /// by its digest alone.
    NotAsked,
}

impl Supply {
    /// What is known of the first source that was ever looked at, by what is in the
    /// cache.
    pub fn standing(&self, sources: &[KernelSource]) -> Standing {
        let mut best = Standing {
            package: None,
            stored: Stored::Nothing,
        };
        for source in sources {
            match source {
                KernelSource::Apt(apt) => {
                    let Some(packages) = self.known(apt) else {
                        continue;
                    };
                    let fetched = packages
                        .iter()
                        .all(|package| self.cache.get_blob(&package.sha256).is_some());
                    best.package = image_of(&packages);
                    best.stored = if kernel::is_unpacked(&packages, &self.cache) {
                        Stored::Unpacked
                    } else if fetched {
                        Stored::Fetched
                    } else {
                        Stored::Nothing
                    };
                    return best;
                }
                KernelSource::Rpm(rpm) => {
                    // Nothing is asked here, so a list that is old will do.
                    let Ok(set) = self.rpm.resolve(rpm) else {
                        continue;
                    };
                    best.package = set
                        .packages
                        .first()
                        .map(|package| (package.name.clone(), package.evr.to_string()));
                    best.stored = match kernel::rpms_unpacked(&set, &self.cache) {
                        true => Stored::Unpacked,
                        false => Stored::Nothing,
                    };
                    return best;
                }
                KernelSource::Download(download) => {
                    let plan::Checksum::Sha256(sha256) = &download.checksum else {
                        continue;
                    };
                    best.stored = if kernel::file_unpacked(sha256, &self.cache) {
                        Stored::Unpacked
                    } else if self.cache.get_blob(sha256).is_some() {
                        Stored::Fetched
                    } else {
                        continue;
                    };
                    return best;
                }
                KernelSource::Path { kernel, .. } if kernel.exists() => {
                    best.stored = Stored::Unpacked;
                    return best;
                }
                _ => {}
            }
        }
        best
    }

    /// What a source comes to, if that was found out for the state its suites are in.
    fn known(&self, source: &plan::AptSource) -> Option<Vec<Packaged>> {
        let key = self.resolved_key(source, Choice::Kernel).ok()?;
        let json = std::fs::read(self.cache.get("resolved", &key)?).ok()?;
        serde_json::from_slice(&json).ok()
    }

    /// Whether a source answers: its archive's signed Release, its repository's list,
    /// its file.
    ///
    /// # Errors
    /// Why it does not.
    pub fn probe(&self, source: &KernelSource) -> Result<Reach, KernelError> {
        match source {
            KernelSource::Apt(apt) => {
                self.apt.state(apt)?;
            }
            KernelSource::Path { kernel, .. } => {
                fs_err::metadata(kernel)?;
            }
            KernelSource::Rpm(rpm) => {
                let base = rpm.base.trim_end_matches('/');
                self.probe_url(&format!("{base}/repodata/repomd.xml"))?;
            }
            KernelSource::Download(download) => match &download.checksum {
                // Small, and beside what it is of.
                plan::Checksum::File(url) => self.probe_url(url)?,
                plan::Checksum::Sha256(_) => return Ok(Reach::NotAsked),
            },
            KernelSource::Oci(oci) => {
                let resolved = self.registries.resolve(oci);
                resolved
                    .map_err(|error| KernelError::Download(Box::new(ImageError::from(error))))?;
            }
            KernelSource::Archive(archive) => {
                fs_err::metadata(&archive.path)?;
            }
            KernelSource::Locked { source, .. } => return self.probe(source),
        }
        Ok(Reach::Answers)
    }

    fn probe_url(&self, url: &str) -> Result<(), AptError> {
        let staging = self.cache.staging()?;
        let want = Want {
            url,
            what: url,
            size: None,
            limit: 16 << 20,
            sha256: None,
            validators: None,
        };
        self.http.fetch(&want, &staging.path().join("file"))?;
        Ok(())
    }

    /// The versions of a kernel that the first source that can be read still has; none
    /// for one that has no versions.
    ///
    /// # Errors
    /// When none can be read: all their errors.
    pub fn kernel_versions(
        &self,
        sources: &[KernelSource],
    ) -> Result<Option<KernelVersions>, SupplyError> {
        let mut errors = Vec::new();
        for source in sources {
            let (order, versions) = match source {
                KernelSource::Apt(apt) => (
                    VersionOrder::Dpkg,
                    self.versions_of(apt).map_err(KernelError::from),
                ),
                KernelSource::Rpm(rpm) => (VersionOrder::Rpm, self.versions_of_rpm(rpm)),
                _ => continue,
            };
            match versions {
                Ok(versions) => return Ok(Some(KernelVersions { order, versions })),
                Err(error) => errors.push((kernel_words(source), error)),
            }
        }
        if errors.is_empty() {
            Ok(None)
        } else {
            Err(SupplyError::Kernel { errors })
        }
    }

    fn versions_of(&self, source: &plan::AptSource) -> Result<Vec<KernelVersion>, AptError> {
        let name = source.packages.first().map_or("", String::as_str);
        let name = name.split('=').next().unwrap_or_default();
        let universe = self.apt.open(source)?;
        let images = universe.kernel_images(name)?;
        Ok(images
            .into_iter()
            .map(|image| KernelVersion {
                version: image.version.as_str().to_owned(),
                package: image.name.clone(),
            })
            .collect())
    }

    fn versions_of_rpm(&self, source: &plan::RpmSource) -> Result<Vec<KernelVersion>, KernelError> {
        let packages = self.rpm.versions(source)?;
        Ok(packages
            .into_iter()
            .map(|package| KernelVersion {
                version: package.evr.to_string(),
                package: package.name,
            })
            .collect())
    }

    /// Which package and version a kernel's source comes to now, without fetching it.
    ///
    /// # Errors
    /// When it is not to be had, or is no package.
    pub fn kernel_version(
        &self,
        sources: &[KernelSource],
    ) -> Result<Option<KernelVersion>, SupplyError> {
        let mut errors = Vec::new();
        for source in sources {
            let found = match source {
                KernelSource::Apt(apt) => self
                    .resolve(apt, Choice::Kernel)
                    .map(|packages| image_of(&packages))
                    .map_err(KernelError::from),
                KernelSource::Rpm(rpm) => self
                    .rpm
                    .resolve(rpm)
                    .map(|set| {
                        set.packages
                            .first()
                            .map(|package| (package.name.clone(), package.evr.to_string()))
                    })
                    .map_err(KernelError::from),
                _ => continue,
            };
            match found {
                Ok(found) => {
                    return Ok(found.map(|(package, version)| KernelVersion { version, package }));
                }
                Err(error) => errors.push((kernel_words(source), error)),
            }
        }
        if errors.is_empty() {
            Ok(None)
        } else {
            Err(SupplyError::Kernel { errors })
        }
    }
}

/// The package that has the image. What stands beside it (modules, base) has the same
/// version.
fn image_of(packages: &[Packaged]) -> Option<(String, String)> {
    let image = packages
        .iter()
        .find(|package| {
            package.name.starts_with("linux-image-") || package.name.starts_with("linux-binary-")
        })
        .or(packages.first())?;
    Some((image.name.clone(), image.version.clone()))
}
