//! The front of this crate: kernels, images and tools for a run.

mod locked;
mod standing;

pub use standing::{KernelVersion, KernelVersions, Reach, Standing, Stored, VersionOrder};

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::apt::{Apt, AptError, Package, Universe};
use crate::cache::{Cache, CacheError, Key};
use crate::http::{Http, HttpOptions};
use crate::image::{self, ImageDisk, ImageError, Maker};
use crate::kernel::{self, KernelError, KernelFiles, Packaged};
use crate::oci::archive::Archive;
use crate::oci::{OciError, Registries, Resolved};
use crate::progress::Progress;
use crate::rpm::{Rpm, Trust};
use crate::tools::{Tool, ToolError, Tools};
use crate::tree::Spool;

/// How a [`Supply`] works.
#[derive(Clone)]
pub struct Options {
    /// The cache's folder; none: where [`Cache::default_root`] says.
    pub cache_root: Option<PathBuf>,
    /// Use only what is in the cache.
    pub offline: bool,
    /// Is told of what takes time.
    pub progress: Arc<dyn Progress>,
    /// The QEMU to use; none: the machine's or Debian's.
    pub qemu: Option<PathBuf>,
}

/// How long one that is only to be seen may take to connect, and to say something.
const HURRY: std::time::Duration = std::time::Duration::from_secs(5);

/// Why something is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum SupplyError {
    /// The cache could not be opened.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The environment's settings for registries cannot be used.
    #[error(transparent)]
    Registries(Box<OciError>),
    /// A tool is not to be had.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// None of a kernel's sources has it.
    #[error("{}", tried(errors))]
    Kernel {
        /// Each source, in words, and why not.
        errors: Vec<(String, KernelError)>,
    },
    /// None of an image's sources has it.
    #[error("{}", tried(errors))]
    Image {
        /// Each source, in words, and why not.
        errors: Vec<(String, ImageError)>,
    },
}

/// One source's error stands for itself; several are told one to a line.
fn tried<E: std::fmt::Display>(errors: &[(String, E)]) -> String {
    match errors {
        [] => "no source is given".to_owned(),
        [(source, error)] => format!("{source}: {error}"),
        _ => {
            let lines: Vec<String> = errors
                .iter()
                .map(|(source, error)| format!("\n  {source}: {error}"))
                .collect();
            format!(
                "none of its {} sources has it{}",
                errors.len(),
                lines.concat()
            )
        }
    }
}

/// Kernels, images and tools: verified, cached. All can be asked from several
/// threads at once.
pub struct Supply {
    cache: Arc<Cache>,
    apt: Arc<Apt>,
    rpm: Rpm,
    tools: Tools,
    http: Arc<Http>,
    registries: Registries,
    progress: Arc<dyn Progress>,
    qemu: Option<PathBuf>,
}

impl std::fmt::Debug for Supply {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Supply")
            .field("cache", &self.cache.root())
            .finish_non_exhaustive()
    }
}

impl Supply {
    /// Opens the cache; fetches nothing yet.
    ///
    /// # Errors
    /// When the cache cannot be opened.
    pub fn new(options: Options) -> Result<Self, SupplyError> {
        Self::with(options, HttpOptions::default(), false)
    }

    /// The same, but every archive and repository is asked anew, and one that cannot be reached is
    /// an error whatever is in the cache.
    ///
    /// # Errors
    /// As [`Supply::new`].
    pub fn asking_anew(options: Options) -> Result<Self, SupplyError> {
        Self::with(options, HttpOptions::default(), true)
    }

    /// The same, without patience: to see who answers at all.
    ///
    /// # Errors
    /// As [`Supply::new`].
    pub fn in_a_hurry(options: Options) -> Result<Self, SupplyError> {
        let http = HttpOptions {
            connect_timeout: HURRY,
            stall_timeout: HURRY,
            attempts: 1,
            ..HttpOptions::default()
        };
        Self::with(options, http, true)
    }

    fn with(options: Options, http_options: HttpOptions, anew: bool) -> Result<Self, SupplyError> {
        let root = match options.cache_root {
            Some(root) => root,
            None => Cache::default_root()?,
        };
        let progress = options.progress;
        let cache = Arc::new(Cache::open(&root)?.with_progress(Arc::clone(&progress)));
        let http_options = HttpOptions {
            offline: options.offline,
            ..http_options
        };
        let http = Arc::new(Http::new(http_options.clone(), Arc::clone(&progress)));
        let registries = Registries::new(Arc::clone(&cache), http_options, Arc::clone(&progress))
            .map_err(|error| SupplyError::Registries(Box::new(error)))?;
        let mut apt = Apt::new(Arc::clone(&cache), Arc::clone(&http), Arc::clone(&progress));
        let mut rpm = Rpm::new(Arc::clone(&cache), Arc::clone(&http), Arc::clone(&progress));
        if anew {
            (apt, rpm) = (apt.asking_anew(), rpm.asking_anew());
        }
        let apt = Arc::new(apt);
        let tools = Tools::new(Arc::clone(&cache), Arc::clone(&apt), Arc::clone(&progress));
        Ok(Self {
            cache,
            apt,
            rpm,
            tools,
            http,
            registries,
            progress,
            qemu: options.qemu,
        })
    }

    /// The cache.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// QEMU for x86-64.
    ///
    /// # Errors
    /// When the one asked for will not do, or none is to be had.
    pub fn qemu(&self) -> Result<Tool, SupplyError> {
        Ok(self.tools.qemu(self.qemu.as_deref())?)
    }

    /// A QEMU was asked for by its path.
    pub fn asked_for_qemu(&self) -> bool {
        self.qemu.is_some()
    }

    /// The suites of a source, each with the address it was found at.
    ///
    /// # Errors
    /// When one of them cannot be reached or verified.
    pub fn reach(&self, source: &plan::AptSource) -> Result<Vec<String>, AptError> {
        Ok(self.apt.open(source)?.suites())
    }

    /// What an image's reference stands for in its registry now: the digests a lock
    /// file keeps.
    ///
    /// # Errors
    /// When the registry cannot be reached, refuses, or has no such image.
    pub fn resolve_image(&self, source: &plan::OciSource) -> Result<Resolved, OciError> {
        self.registries.resolve(source)
    }

    /// All tools.
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// The kernel of the first source that has it.
    ///
    /// # Errors
    /// When none has it: all their errors.
    pub fn kernel(&self, sources: &[plan::KernelSource]) -> Result<KernelFiles, SupplyError> {
        let mut errors = Vec::new();
        for source in sources {
            match self.kernel_from(source) {
                Ok(kernel) => return Ok(kernel),
                Err(error) => errors.push((kernel_words(source), error)),
            }
        }
        Err(SupplyError::Kernel { errors })
    }

    fn kernel_from(&self, source: &plan::KernelSource) -> Result<KernelFiles, KernelError> {
        match source {
            plan::KernelSource::Apt(source) => {
                if source.packages.len() != 1 {
                    return Err(KernelError::Packages {
                        count: source.packages.len(),
                    });
                }
                let resolved = self.resolve(source, Choice::Kernel)?;
                kernel::packaged(
                    &resolved,
                    &self.cache,
                    || Ok(self.fetch(source, &resolved)?),
                )
            }
            plan::KernelSource::Rpm(source) => {
                let set = self.rpm.resolve(source)?;
                if set.trust == Trust::Nobody {
                    self.progress.note(&format!(
                        "{}: no key is given, so nothing but its own checksums vouches for its \
                         packages; `key = \"PATH\"` asks for a signature",
                        set.base
                    ));
                }
                kernel::rpms(&set, &self.cache, || self.rpm.fetch(source, &set))
            }
            plan::KernelSource::Locked { source, pin } => self.locked_kernel(source, pin),
            plan::KernelSource::Download(source) => {
                let sha256 = self
                    .sha256_of(source)
                    .map_err(|error| KernelError::Download(Box::new(error)))?;
                kernel::downloaded(&source.url, &sha256, &self.cache, || {
                    image::fetched(&self.cache, &self.http, &source.url, &sha256)
                        .map_err(|error| KernelError::Download(Box::new(error)))
                })
            }
            plan::KernelSource::Path { kernel, modules } => {
                kernel::at_path(kernel, modules.as_deref(), &self.cache)
            }
            plan::KernelSource::Oci(source) => self.kernel_of_registry(source),
            plan::KernelSource::Archive(source) => self.kernel_of_archive(source),
        }
    }

    /// What the bytes of a file to fetch must come to.
    fn sha256_of(&self, source: &plan::DownloadSource) -> Result<String, ImageError> {
        match &source.checksum {
            plan::Checksum::Sha256(sha256) => Ok(sha256.clone()),
            plan::Checksum::File(url) => image::checksum(&self.cache, &self.http, url, &source.url),
        }
    }

    fn kernel_of_registry(&self, source: &plan::OciSource) -> Result<KernelFiles, KernelError> {
        let resolved = self.registries.resolve(source)?;
        let what = source.reference.to_string();
        let mut files = kernel::in_image(
            resolved.manifest.config.digest.as_str(),
            &what,
            &self.cache,
            || {
                let config = self.registries.config(source, &resolved)?;
                let spool = self.spool()?;
                Ok(self.registries.tree(source, &resolved, &config, &spool)?)
            },
        )?;
        files.package = resolved.words();
        Ok(files)
    }

    fn kernel_of_archive(&self, source: &plan::ArchiveSource) -> Result<KernelFiles, KernelError> {
        let limits = self.registries.limits();
        let staging = self.cache.staging()?;
        let archive = Archive::open(&source.path, staging.path(), limits)?;
        let chosen = archive.choose(source.image.as_deref(), &source.architecture)?;
        let what = source.path.display().to_string();
        let mut files = kernel::in_image(chosen.digest.as_str(), &what, &self.cache, || {
            Ok(archive.tree(&chosen, &self.spool()?, limits)?)
        })?;
        files.package.insert("archive".to_owned(), what);
        let image = source.image.clone();
        files
            .package
            .extend(image.map(|image| ("image".to_owned(), image)));
        files
            .package
            .insert("digest".to_owned(), chosen.digest.to_string());
        Ok(files)
    }

    /// On the cache's file system: it grows to the size of an image. The folder goes
    /// at once, the spool has no name there.
    fn spool(&self) -> Result<Arc<Spool>, KernelError> {
        let folder = self.cache.staging()?;
        Ok(Spool::new(folder.path())?)
    }

    /// The image of the first source that has it. `programs` are those a
    /// [`plan::ImageSource::Program`] can name.
    ///
    /// # Errors
    /// When none has it: all their errors.
    pub fn image(
        &self,
        sources: &[plan::ImageSource],
        programs: &BTreeMap<String, &'static [u8]>,
    ) -> Result<ImageDisk, SupplyError> {
        let mut errors = Vec::new();
        for source in sources {
            match self.image_from(source, programs) {
                Ok(image) => return Ok(image),
                Err(error) => errors.push((image_words(source), error)),
            }
        }
        Err(SupplyError::Image { errors })
    }

    fn maker<'supply>(
        &'supply self,
        mksquashfs: &'supply dyn Fn() -> Result<Tool, ToolError>,
    ) -> Maker<'supply> {
        Maker {
            cache: &self.cache,
            progress: &*self.progress,
            mksquashfs,
        }
    }

    fn image_from(
        &self,
        source: &plan::ImageSource,
        programs: &BTreeMap<String, &'static [u8]>,
    ) -> Result<ImageDisk, ImageError> {
        let mksquashfs = || self.tools.mksquashfs();
        let maker = self.maker(&mksquashfs);
        match source {
            plan::ImageSource::Locked { source, pin } => self.locked_image(source, pin, programs),
            plan::ImageSource::Apt(source) => {
                let resolved = self.resolve(source, Choice::Root)?;
                maker.packages(&resolved, apt_source(source), || {
                    Ok(self.fetch(source, &resolved)?)
                })
            }
            plan::ImageSource::Directory(folder) => maker.directory(folder),
            plan::ImageSource::Tarball(path) => maker.tarball(path, self.registries.limits()),
            plan::ImageSource::Download(source) => {
                maker.download(&self.http, source, self.registries.limits())
            }
            plan::ImageSource::Oci(source) => maker.oci(&self.registries, source),
            plan::ImageSource::Archive(source) => maker.archive(source, self.registries.limits()),
            plan::ImageSource::Daemon(source) => maker.daemon(source, self.registries.limits()),
            plan::ImageSource::Program(name) => maker.program(name, programs),
        }
    }
}

/// Which packages of a source's suites are meant.
#[derive(Clone, Copy)]
enum Choice {
    /// Those that make up a kernel.
    Kernel,
    /// Those named, all they need, and all a Debian system must have.
    Root,
}

impl Choice {
    fn word(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Root => "root",
        }
    }

    fn of<'universe>(
        self,
        source: &plan::AptSource,
        universe: &'universe Universe,
    ) -> Result<Vec<&'universe Package>, AptError> {
        match self {
            Self::Kernel => universe.kernel(source.packages.first().map_or("", String::as_str)),
            Self::Root => universe.closure(&source.packages, true),
        }
    }
}

impl Supply {
    /// The packages a source comes to now. While its suites are unchanged this is
    /// looked up, and no index is read.
    fn resolve(&self, source: &plan::AptSource, choice: Choice) -> Result<Vec<Packaged>, AptError> {
        let key = self.resolved_key(source, choice)?;
        let path = self.cache.build("resolved", &key, |path| {
            let json = serde_json::to_vec(&self.choose(source, choice)?)
                .map_err(|error| CacheError::io(path, error.into()))?;
            fs_err::write(path, json).map_err(|error| CacheError::io(path, error))?;
            Ok::<_, AptError>(())
        })?;
        let known = fs_err::read(&path)
            .ok()
            .and_then(|json| serde_json::from_slice(&json).ok());
        known.map_or_else(|| self.choose(source, choice), Ok)
    }

    /// What the answer is kept under while the suites are as they are now.
    fn resolved_key(&self, source: &plan::AptSource, choice: Choice) -> Result<Key, AptError> {
        let mut key = Key::new("resolved-v1")
            .with("choice", choice.word())
            .with("state", self.apt.state(source)?);
        for package in &source.packages {
            key = key.with("package", package);
        }
        Ok(key)
    }

    fn choose(&self, source: &plan::AptSource, choice: Choice) -> Result<Vec<Packaged>, AptError> {
        let universe = self.apt.open(source)?;
        Ok(choice
            .of(source, &universe)?
            .into_iter()
            .map(Packaged::from)
            .collect())
    }

    /// The .debs of what [`Supply::resolve`] gave, in its order. Only asked for what
    /// is not built yet.
    fn fetch(
        &self,
        source: &plan::AptSource,
        resolved: &[Packaged],
    ) -> Result<Vec<PathBuf>, AptError> {
        let universe = self.apt.open(source)?;
        let mut packages = Vec::with_capacity(resolved.len());
        for wanted in resolved {
            let same = universe
                .by_name(&wanted.name)
                .find(|package| package.sha256 == wanted.sha256);
            // The suite can change between the two: what is built under the key must be
            // what the key says.
            packages.push(same.ok_or_else(|| AptError::PackageGone {
                url: wanted.url.clone(),
                package: format!("{} {}", wanted.name, wanted.version),
            })?);
        }
        self.apt.fetch_all(&packages)
    }
}

fn apt_source(source: &plan::AptSource) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("apt".to_owned(), suites(source)),
        ("packages".to_owned(), source.packages.join(" ")),
        ("architecture".to_owned(), source.architecture.clone()),
    ])
}

fn suites(source: &plan::AptSource) -> String {
    let suites: Vec<String> = source.suites.iter().map(ToString::to_string).collect();
    suites.join(", ")
}

fn kernel_words(source: &plan::KernelSource) -> String {
    match source {
        plan::KernelSource::Apt(source) => {
            format!("{} of {}", source.packages.join(" "), suites(source))
        }
        plan::KernelSource::Rpm(source) => format!("{} of {}", source.package, source.base),
        plan::KernelSource::Download(source) => source.url.clone(),
        // Their errors say where.
        plan::KernelSource::Path { .. } => "the path".to_owned(),
        plan::KernelSource::Oci(source) => source.reference.registry.clone(),
        plan::KernelSource::Archive(_) => "the archive".to_owned(),
        plan::KernelSource::Locked { source, .. } => kernel_words(source),
    }
}

fn image_words(source: &plan::ImageSource) -> String {
    match source {
        plan::ImageSource::Apt(source) => format!("packages of {}", suites(source)),
        plan::ImageSource::Directory(path) | plan::ImageSource::Tarball(path) => {
            path.display().to_string()
        }
        plan::ImageSource::Program(name) => format!("the program {name}"),
        // Their errors say where.
        plan::ImageSource::Oci(source) => source.reference.registry.clone(),
        plan::ImageSource::Archive(_) => "the archive".to_owned(),
        plan::ImageSource::Daemon(source) => source.engine.program().to_owned(),
        plan::ImageSource::Download(_) => "the tarball".to_owned(),
        plan::ImageSource::Locked { source, .. } => image_words(source),
    }
}
