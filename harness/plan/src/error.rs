//! What keeps a project from being read or a selection from being resolved.

use std::fmt;
use std::path::PathBuf;

use crate::diagnostic::Diagnostics;
use crate::similar::{nearest, quoted_list};

/// Why there is no plan. Bad usage or configuration, all of it.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// No kernels.toml upwards of a folder.
    #[error(
        "no kernels.toml in {} or any folder above it\n  hint: `matrix init` writes one, `-C DIR` names the project's folder",
        from.display()
    )]
    NoProject {
        /// Where the search began.
        from: PathBuf,
    },
    /// A file or folder of the project cannot be read.
    #[error(transparent)]
    Read {
        /// With the path, as fs-err gives it.
        source: std::io::Error,
    },
    /// Mistakes in the project's files, all of them.
    #[error("{0}")]
    Invalid(Diagnostics),
    /// Selectors that match nothing, all of them. Never empty.
    #[error("{}", lines(.0))]
    Unmatched(Vec<Unmatched>),
    /// Nothing was asked for and nothing is run by default.
    #[error(
        "no {kind} is run by default\n  hint: name some with `{}`: {}",
        kind.option(),
        quoted_list(available.iter().map(String::as_str))
    )]
    NothingByDefault {
        /// What there is none of.
        kind: Kind,
        /// What could be named.
        available: Vec<String>,
    },
}

/// What a selector selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Columns.
    Kernel,
    /// Groups of rows.
    Image,
    /// Rows.
    Check,
}

impl Kind {
    /// The option that selects them: `--kernels`.
    pub fn option(self) -> &'static str {
        match self {
            Kind::Kernel => "--kernels",
            Kind::Image => "--images",
            Kind::Check => "--checks",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Kind::Kernel => "kernel",
            Kind::Image => "image",
            Kind::Check => "check",
        })
    }
}

/// A selector that matches nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmatched {
    /// What it was to select.
    pub kind: Kind,
    /// As the user wrote it.
    pub selector: String,
    /// Why not, where that is not plain.
    pub reason: Option<String>,
    /// What there is instead.
    pub available: Vec<String>,
}

/// Without what there is, which is said once for several.
impl fmt::Display for Unmatched {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.selector.is_empty() {
            return write!(formatter, "an empty {} selector", self.kind);
        }
        write!(formatter, "no {} matches `{}`", self.kind, self.selector)?;
        if let Some(reason) = &self.reason {
            write!(formatter, ": {reason}")?;
        }
        if let Some(near) = nearest(&self.selector, self.available.iter().map(String::as_str)) {
            write!(formatter, "\n  hint: did you mean `{near}`?")?;
        }
        Ok(())
    }
}

/// All of them; behind the last of each kind, what there is of it.
fn lines(unmatched: &[Unmatched]) -> String {
    let mut lines = Vec::new();
    for (index, one) in unmatched.iter().enumerate() {
        lines.push(one.to_string());
        if unmatched.get(index + 1).map(|next| next.kind) != Some(one.kind) {
            let available = quoted_list(one.available.iter().map(String::as_str));
            lines.push(format!("  hint: the {}s there are: {available}", one.kind));
        }
    }
    lines.join("\n")
}
