//! All packages of some suites, taken together as apt would.

use super::{AptError, Package};

/// All packages of some suites, taken together as apt would.
pub struct Universe;
impl Universe {
    /// The newest version of a package; with a glob (`linux-image-6.16.*-cloud-amd64`), of all packages it matches.
    pub fn newest(&self, name_or_glob: &str) -> Result<&Package, AptError> {
        todo!()
    }
    /// The named packages (names, not globs) and all they need, sorted by name; with `essential`, also every `Essential: yes` package.
    pub fn closure(&self, names: &[String], essential: bool) -> Result<Vec<&Package>, AptError> {
        todo!()
    }
    /// Every version of the package called `name`, newest first.
    pub fn by_name(&self, name: &str) -> impl Iterator<Item = &Package> {
        std::iter::empty()
    }
    /// The packages that make up a kernel, for the name or glob of its image or metapackage: the image (or linux-binary), its modules, linux-base-V; dependencies such as initramfs-tools are left out. Sorted by name.
    pub fn kernel(&self, name_or_glob: &str) -> Result<Vec<&Package>, AptError> {
        todo!()
    }
    /// A digest over the verified indices: the same universe, the same digest.
    pub fn digest(&self) -> &str {
        todo!()
    }
}
