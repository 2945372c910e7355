//! The versions of a kernel that an index still has.
//!
//! A distribution gives each build of a kernel that could break modules a package
//! name of its own (`linux-image-6.1.0-49-cloud-amd64`, `…-50-…`) and moves a
//! metapackage along. Older builds stay in the index for a while, each under its
//! name: an entry that names the metapackage or a glob means all of them, and takes
//! the newest unless a version is demanded.

use super::universe::{Universe, dependencies, is_kernel_part};
use super::{AptError, Package};

/// What a kernel's image package is called by.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Name<'a> {
    /// `linux-image-` or `linux-image-unsigned-`.
    prefix: &'static str,
    /// `6.1`.
    series: (u32, u32),
    /// `cloud-amd64`.
    flavour: &'a str,
}

impl Name<'_> {
    /// None for a metapackage, and for what is no image.
    fn of(name: &str) -> Option<Name<'_>> {
        let prefix = ["linux-image-unsigned-", "linux-image-"]
            .into_iter()
            .find(|prefix| name.starts_with(prefix))?;
        let rest = &name[prefix.len()..];
        let mut numbers = rest.split(|letter: char| !letter.is_ascii_digit());
        let series = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
        // Whatever begins with a letter that no version does: `cloud`, not `rc2`, nor
        // `0.deb11`.
        let mut place = 0;
        for part in rest.split('-') {
            let candidate = part
                .strip_prefix("rc")
                .is_some_and(|rest| rest.starts_with(|letter: char| letter.is_ascii_digit()));
            if !candidate && part.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
                return Some(Name {
                    prefix,
                    series,
                    flavour: &rest[place..],
                });
            }
            place += part.len() + 1;
        }
        None
    }
}

impl Universe {
    /// The image packages that an entry's `name_or_glob` can mean, the oldest version
    /// first, one of each version.
    ///
    /// # Errors
    /// When no package is called so, or a dependency cannot be read.
    pub fn kernel_images(&self, name_or_glob: &str) -> Result<Vec<&Package>, AptError> {
        let mut images: Vec<&Package> = Vec::new();
        for root in self.matching(name_or_glob)? {
            self.images_of(root, &mut images)?;
        }
        let known: Vec<Name<'_>> = images.iter().filter_map(|it| Name::of(&it.name)).collect();
        let others: Vec<&str> = self
            .names()
            .filter(|name| Name::of(name).is_some_and(|name| known.contains(&name)))
            .collect();
        for name in others {
            images.extend(self.by_name(name));
        }
        images.sort_by(|a, b| a.version.cmp(&b.version).then_with(|| a.name.cmp(&b.name)));
        images.dedup_by(|later, first| later.version == first.version);
        Ok(images)
    }

    /// The image that a package is, or leads to.
    fn images_of<'u>(
        &'u self,
        package: &'u Package,
        images: &mut Vec<&'u Package>,
    ) -> Result<(), AptError> {
        if Name::of(&package.name).is_some() {
            if !images.contains(&package) {
                images.push(package);
            }
            return Ok(());
        }
        for group in dependencies(package)? {
            let leads = |name: &str| is_kernel_part(name) && name.starts_with("linux-image-");
            if !group.0.iter().any(|relation| leads(&relation.name)) {
                continue;
            }
            let parts = self.satisfying_group(&group);
            // A metapackage of metapackages does not lead back to itself.
            if let Some(image) = parts
                .into_iter()
                .find(|part| leads(&part.name) && part.name != package.name)
            {
                self.images_of(image, images)?;
            }
        }
        Ok(())
    }

    /// The one of these images that has a version.
    pub(super) fn kernel_image(
        &self,
        name_or_glob: &str,
        version: &str,
    ) -> Result<&Package, AptError> {
        let images = self.kernel_images(name_or_glob)?;
        images
            .iter()
            .copied()
            .find(|image| image.version.as_str() == version)
            .ok_or_else(|| AptError::VersionNotFound {
                name: name_or_glob.to_owned(),
                version: version.to_owned(),
                suites: self.suites(),
                there: images
                    .iter()
                    .map(|image| image.version.as_str().to_owned())
                    .collect(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_by_series_and_flavour() {
        for (text, prefix, series, flavour) in [
            (
                "linux-image-6.1.0-50-cloud-amd64",
                "linux-image-",
                (6, 1),
                "cloud-amd64",
            ),
            (
                "linux-image-6.12.43+deb13-cloud-amd64",
                "linux-image-",
                (6, 12),
                "cloud-amd64",
            ),
            (
                "linux-image-5.10.0-0.deb10.16-amd64",
                "linux-image-",
                (5, 10),
                "amd64",
            ),
            (
                "linux-image-unsigned-5.15.0-91-generic",
                "linux-image-unsigned-",
                (5, 15),
                "generic",
            ),
            (
                "linux-image-7.3-rc2-cloud-amd64",
                "linux-image-",
                (7, 3),
                "cloud-amd64",
            ),
            (
                "linux-image-6.1.0-50-cloud-amd64-unsigned",
                "linux-image-",
                (6, 1),
                "cloud-amd64-unsigned",
            ),
        ] {
            assert_eq!(
                Name::of(text),
                Some(Name {
                    prefix,
                    series,
                    flavour
                }),
                "{text}"
            );
        }
        for text in [
            "linux-image-cloud-amd64",
            "linux-modules-6.1.0-50-amd64",
            "bash",
        ] {
            assert_eq!(Name::of(text), None, "{text}");
        }
    }
}
