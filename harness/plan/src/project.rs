//! What a project's files mean, before anything is selected.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::{Check, Image, Kernel, Version};

/// A project: kernels.toml, images/*.toml and images/checks.toml, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Project {
    /// The folder that holds kernels.toml.
    pub root: PathBuf,
    /// In the order of kernels.toml.
    pub kernels: Vec<KernelEntry>,
    /// In the order of their files' names.
    pub images: Vec<ImageEntry>,
    /// images/checks.toml, in its order.
    pub checks: Vec<CheckEntry>,
}

/// A `[[kernel]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelEntry {
    /// Its version, understood.
    pub version: Version,
    /// Run also where no kernel was asked for.
    pub default: bool,
    /// The entry without any variant; its id is the entry's name.
    pub kernel: Kernel,
    /// The same kernel started otherwise, in the order of the file.
    pub variants: Vec<Variant>,
}

/// One of a kernel's `variants`.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// What follows the plus: `vsyscall=emulate`.
    pub name: String,
    /// Comes along wherever its entry is selected.
    pub default: bool,
    /// The kernel with the variant's settings; its id is `ENTRY+VARIANT`.
    pub kernel: Kernel,
}

/// An images/NAME.toml.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageEntry {
    /// Run also where no image was asked for.
    pub default: bool,
    /// With all its checks.
    pub image: Image,
    /// Those of its checks that run only when named.
    pub on_demand: Vec<String>,
    /// What it can be selected by besides its name: `family`, `libc`, `eol`, …
    pub tags: BTreeMap<String, String>,
    /// The file's own words about it.
    pub notes: Option<String>,
}

/// A `[[check]]` of images/checks.toml.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckEntry {
    /// The check.
    pub check: Check,
    /// Part of images that do not list their checks.
    pub default: bool,
    /// The entry's own words about it.
    pub notes: Option<String>,
}
