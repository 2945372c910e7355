//! What `matrix update` keeps of a source, and a source held to it.

use std::collections::BTreeMap;

use plan::{ImageSource, KernelSource, LockedPackage, Pin};

use super::{Choice, Supply, SupplyError, apt_source, image_words, kernel_words};
use crate::apt::AptError;
use crate::image::{ImageDisk, ImageError};
use crate::kernel::{self, KernelError, KernelFiles, Packaged};

impl Supply {
    /// The first of a kernel's sources that has it, and what it is now. Of Debian's
    /// packages nothing is fetched but the archive's index, of a registry's image
    /// nothing but its manifest; all else is fetched, as only then its SHA-256 is known.
    ///
    /// # Errors
    /// When none has it: all their errors.
    pub fn pin_kernel<'s>(
        &self,
        sources: &'s [KernelSource],
    ) -> Result<(&'s KernelSource, Pin), SupplyError> {
        let mut errors = Vec::new();
        for source in sources {
            let pin = match source {
                KernelSource::Apt(apt) => self
                    .resolve(apt, Choice::Kernel)
                    .map_err(KernelError::from)
                    .and_then(|packages| Ok(self.pin_packages(&packages)?)),
                // By its version the repository can be asked for it when it has a newer
                // one, by the digest what comes then is held against this.
                KernelSource::Rpm(_) => {
                    self.kernel_from(source)
                        .map(|kernel| match kernel.package.get("version") {
                            Some(version) => Pin::Version {
                                version: version.clone(),
                                digest: kernel.digest,
                            },
                            None => Pin::Digest(kernel.digest),
                        })
                }
                KernelSource::Oci(oci) => self
                    .registries
                    .resolve(oci)
                    .map(|resolved| Pin::Digest(resolved.digest.to_string()))
                    .map_err(KernelError::from),
                other => self
                    .kernel_from(other)
                    .map(|kernel| Pin::Digest(kernel.digest)),
            };
            match pin {
                Ok(pin) => return Ok((source, pin)),
                Err(error) => errors.push((kernel_words(source), error)),
            }
        }
        Err(SupplyError::Kernel { errors })
    }

    /// The first of an image's sources that has it, and what it is now. Of packages
    /// nothing is fetched but the archive's index, of a registry's image nothing but
    /// its manifest; others are built.
    ///
    /// # Errors
    /// When none has it: all their errors.
    pub fn pin_image<'s>(
        &self,
        sources: &'s [ImageSource],
        programs: &BTreeMap<String, &'static [u8]>,
    ) -> Result<(&'s ImageSource, Pin), SupplyError> {
        let mut errors = Vec::new();
        for source in sources {
            let pin = match source {
                ImageSource::Apt(apt) => self
                    .resolve(apt, Choice::Root)
                    .and_then(|packages| self.pin_packages(&packages))
                    .map_err(ImageError::from),
                ImageSource::Oci(oci) => self
                    .registries
                    .resolve(oci)
                    .map(|resolved| Pin::Digest(resolved.digest.to_string()))
                    .map_err(ImageError::from),
                ImageSource::Program(_) => Ok(Pin::Program),
                other => self
                    .image_from(other, programs)
                    .map(|disk| Pin::Digest(disk.digest)),
            };
            match pin {
                Ok(pin) => return Ok((source, pin)),
                Err(error) => errors.push((image_words(source), error)),
            }
        }
        Err(SupplyError::Image { errors })
    }

    fn pin_packages(&self, packages: &[Packaged]) -> Result<Pin, AptError> {
        let mirrors = self.apt.mirrors()?;
        let locked = packages.iter().map(|package| LockedPackage {
            name: package.name.clone(),
            version: package.version.clone(),
            url: mirrors.common(&package.url),
            sha256: package.sha256.clone(),
        });
        Ok(Pin::Packages(locked.collect()))
    }

    pub(super) fn locked_kernel(
        &self,
        source: &KernelSource,
        pin: &Pin,
    ) -> Result<KernelFiles, KernelError> {
        match (source, pin) {
            (KernelSource::Apt(_), Pin::Packages(locked)) => {
                let packages: Vec<Packaged> = locked.iter().map(Packaged::from).collect();
                kernel::packaged(&packages, &self.cache, || {
                    Ok(self.apt.fetch_locked(locked)?)
                })
            }
            (KernelSource::Apt(_), _) | (_, Pin::Packages(_)) => Err(KernelError::LockKind),
            (other, Pin::Program) => self.kernel_from(other),
            // The repository has moved on, and still has it.
            (KernelSource::Rpm(rpm), Pin::Version { version, digest }) => {
                let mut rpm = rpm.clone();
                rpm.version = Some(version.clone());
                self.kernel_of_digest(&KernelSource::Rpm(rpm), digest)
            }
            // The registry is asked for the digest itself, as for images.
            (KernelSource::Oci(oci), Pin::Digest(digest)) => {
                let mut oci = oci.clone();
                oci.reference.digest = Some(digest.clone());
                self.kernel_from(&KernelSource::Oci(oci))
            }
            (other, Pin::Digest(digest) | Pin::Version { digest, .. }) => {
                self.kernel_of_digest(other, digest)
            }
        }
    }

    fn kernel_of_digest(
        &self,
        source: &KernelSource,
        expected: &str,
    ) -> Result<KernelFiles, KernelError> {
        let kernel = self.kernel_from(source)?;
        match kernel.digest == expected {
            true => Ok(kernel),
            false => Err(KernelError::NotAsLocked {
                expected: expected.to_owned(),
                actual: kernel.digest,
            }),
        }
    }

    pub(super) fn locked_image(
        &self,
        source: &ImageSource,
        pin: &Pin,
        programs: &BTreeMap<String, &'static [u8]>,
    ) -> Result<ImageDisk, ImageError> {
        match (source, pin) {
            (ImageSource::Apt(apt), Pin::Packages(locked)) => {
                let packages: Vec<Packaged> = locked.iter().map(Packaged::from).collect();
                let mksquashfs = || self.tools.mksquashfs();
                self.maker(&mksquashfs)
                    .packages(&packages, apt_source(apt), || {
                        Ok(self.apt.fetch_locked(locked)?)
                    })
            }
            (ImageSource::Apt(_), _) | (_, Pin::Packages(_) | Pin::Version { .. }) => {
                Err(ImageError::LockKind)
            }
            (other, Pin::Program) => self.image_from(other, programs),
            // The registry is asked for the digest itself, and no tag that has moved
            // matters.
            (ImageSource::Oci(oci), Pin::Digest(expected)) => {
                let mut oci = oci.clone();
                oci.reference.digest = Some(expected.clone());
                self.image_from(&ImageSource::Oci(oci), programs)
            }
            (other, Pin::Digest(expected)) => {
                let disk = self.image_from(other, programs)?;
                match disk.digest == *expected {
                    true => Ok(disk),
                    false => Err(ImageError::NotAsLocked {
                        expected: expected.clone(),
                        actual: disk.digest,
                    }),
                }
            }
        }
    }
}
