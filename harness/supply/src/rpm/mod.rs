//! RPM repositories: kernels of CentOS, Rocky, Alma, Oracle, Fedora, openSUSE.
//!
//! ```text
//! BASE/repodata/repomd.xml        what describes the repository, with checksums
//! BASE/repodata/repomd.xml.asc    its signature, where the vendor makes one
//! BASE/repodata/…-primary.xml.gz  every package: version, place, size, checksum
//! BASE/Packages/….rpm             signed one by one, otherwise
//! ```
//!
//! What vouches for a kernel, from the strongest on, is recorded with it: a signature
//! of repomd.xml by one of the keys, and from there checksums down to the package; a
//! signature of each package by one of the keys; or, where no key is given and none is
//! shipped for the repository, nothing but its own checksums. With a key there is no
//! third way: what is not signed by it is refused.

mod checksum;
mod choice;
mod client;
mod error;
mod header;
mod key;
mod package;
mod primary;
mod repomd;
mod version;
mod xml;

pub use checksum::{Algorithm, Checksum};
pub use client::{Fetched, KernelSet, Rpm, Trust};
pub use error::RpmError;
pub use header::HeadError;
pub use package::{PackageError, PackageReason, RpmFile};
pub use primary::RpmPackage;
pub use version::Evr;
pub use xml::XmlError;
