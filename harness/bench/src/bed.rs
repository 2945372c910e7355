//! What everything is measured on: kernels, images, QEMU and the program, all there
//! before the first round.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use supply::{Silent, Supply, Tool};

use crate::arguments::Arguments;
use crate::floor;

/// Why something could not be measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// A file could not be read or written; the message has its path.
    #[error(transparent)]
    File(#[from] io::Error),
    /// The project is not as it should be.
    #[error(transparent)]
    Plan(#[from] plan::PlanError),
    /// A kernel, an image or QEMU is not to be had.
    #[error(transparent)]
    Supply(#[from] supply::SupplyError),
    /// Something that is measured with could not be made.
    #[error("{what}: {reason}")]
    Prepare {
        /// What.
        what: String,
        /// Why.
        reason: String,
    },
    /// A program could not be started.
    #[error("start the {what}: {source}")]
    Start {
        /// What it was for.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// A subject did not do its work: its time means nothing.
    #[error("the {what} did not do its work: {said}")]
    NotDone {
        /// Which subject.
        what: String,
        /// What it said instead.
        said: String,
    },
}

impl BenchError {
    pub(crate) fn prepare(what: impl Into<String>, reason: impl Display) -> Self {
        BenchError::Prepare {
            what: what.into(),
            reason: reason.to_string(),
        }
    }

    pub(crate) fn start(what: impl Into<String>, source: io::Error) -> Self {
        BenchError::Start {
            what: what.into(),
            source,
        }
    }
}

/// A kernel's files.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(crate) id: String,
    /// As the distribution ships it.
    pub(crate) image: PathBuf,
    /// What is inside, with a PVH entry; the image itself where there is none.
    pub(crate) uncompressed: PathBuf,
    /// What would be /lib/modules/VERSION.
    pub(crate) modules: Option<PathBuf>,
    /// Words its entry adds.
    pub(crate) words: Vec<String>,
}

/// An image of the matrix.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) name: String,
    /// A squashfs.
    pub(crate) disk: PathBuf,
    pub(crate) checks: Vec<plan::Check>,
}

/// All of it.
#[derive(Debug)]
pub(crate) struct Bed {
    pub(crate) project: PathBuf,
    pub(crate) matrix: PathBuf,
    pub(crate) qemu: Tool,
    /// Measured one by one.
    pub(crate) kernels: Vec<Kernel>,
    /// Of the whole matrix.
    pub(crate) matrix_kernels: Vec<Kernel>,
    pub(crate) images: Vec<Image>,
    pub(crate) floor_initramfs: PathBuf,
    /// Removed at the end.
    pub(crate) folder: tempfile::TempDir,
}

impl Bed {
    /// Fetches and builds what is missing.
    pub(crate) fn make(arguments: &Arguments) -> Result<Self, BenchError> {
        let project = fs_err::canonicalize(&arguments.project)?;
        let matrix = match &arguments.matrix {
            Some(path) => fs_err::canonicalize(path)?,
            None => beside("matrix")?,
        };
        let loaded = plan::load(&project)?;
        let folder = tempfile::tempdir()?;
        let supply = Supply::new(supply::Options {
            cache_root: None,
            offline: false,
            qemu: None,
            progress: Arc::new(Silent),
        })?;
        let planned = |kernels: &[String]| {
            plan::plan(
                &loaded,
                &plan::Selection {
                    kernels: kernels.to_vec(),
                    images: arguments.images.clone(),
                    checks: arguments.checks.clone(),
                    directory: project.clone(),
                },
            )
        };
        let one_by_one = planned(&arguments.kernels)?;
        let whole = planned(&arguments.matrix_kernels)?;
        let files = |plan: &plan::Plan| {
            plan.kernels
                .iter()
                .map(|kernel| self::kernel(&supply, kernel, folder.path()))
                .collect::<Result<Vec<_>, _>>()
        };
        let mut images = Vec::new();
        for image in &whole.images {
            let disk = supply.image(&image.sources, &std::collections::BTreeMap::new())?;
            images.push(Image {
                name: image.name.clone(),
                disk: disk.path,
                checks: image.checks.clone(),
            });
        }
        Ok(Bed {
            matrix,
            kernels: files(&one_by_one)?,
            matrix_kernels: files(&whole)?,
            images,
            qemu: supply.qemu()?,
            floor_initramfs: floor::initramfs(folder.path())?,
            project,
            folder,
        })
    }

    /// Cells of the whole matrix.
    pub(crate) fn cells(&self) -> usize {
        let checks: usize = self.images.iter().map(|image| image.checks.len()).sum();
        checks * self.matrix_kernels.len()
    }
}

fn kernel(supply: &Supply, kernel: &plan::Kernel, folder: &Path) -> Result<Kernel, BenchError> {
    let files = supply.kernel(&kernel.sources)?;
    let bytes = fs_err::read(&files.image)?;
    let uncompressed = qemu_runner::vmlinux(&bytes)
        .map_err(|error| BenchError::prepare(files.image.display().to_string(), error))?;
    let uncompressed = match uncompressed {
        Some(bytes) => {
            let path = folder.join(format!("vmlinux-{}", kernel.id));
            fs_err::write(&path, bytes)?;
            path
        }
        None => files.image.clone(),
    };
    Ok(Kernel {
        id: kernel.id.clone(),
        image: files.image,
        uncompressed,
        modules: files.modules,
        words: kernel.settings.command_line.clone(),
    })
}

/// The program of this name in the folder that this one is in.
pub(crate) fn beside(name: &str) -> Result<PathBuf, BenchError> {
    let own = std::env::current_exe()?;
    let path = own.with_file_name(name);
    if path.is_file() {
        return Ok(path);
    }
    Err(BenchError::prepare(
        path.display().to_string(),
        "not there\nhint: cargo build --release --workspace builds both, or name one with --matrix",
    ))
}
