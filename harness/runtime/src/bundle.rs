//! An OCI bundle: config.json read once, checked, and resolved into what the
//! rest of the runtime works with. Nothing deeper sees an optional field.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Linux, LinuxNamespaceType, Spec};
use rustix::fs::Mode;

use crate::credentials::Credentials;
use crate::descriptor::errno_of;
use crate::device::Device;
use crate::failure::{Failure, Step};
use crate::mount::MountPoint;
use crate::mount::options::{Propagation, propagation};
use crate::program::Program;
use crate::refusal;

/// A container to make.
#[derive(Debug)]
pub(crate) struct Bundle {
    pub(crate) root: PathBuf,
    pub(crate) readonly: bool,
    pub(crate) propagation: Propagation,
    pub(crate) hostname: Option<String>,
    pub(crate) domainname: Option<String>,
    pub(crate) namespaces: BTreeSet<Namespace>,
    pub(crate) mounts: Vec<MountPoint>,
    pub(crate) devices: Vec<Device>,
    pub(crate) masked: Vec<CString>,
    pub(crate) readonly_paths: Vec<CString>,
    pub(crate) directory: PathBuf,
    pub(crate) umask: Mode,
    pub(crate) credentials: Credentials,
    pub(crate) program: Program,
}

/// The namespaces the runtime makes, in the order they are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Namespace {
    Pid,
    Cgroup,
    Mount,
    Uts,
    Ipc,
    Network,
}

impl Bundle {
    /// Reads `folder`/config.json.
    pub(crate) fn load(folder: &Path) -> Result<Self, Failure> {
        let folder = folder
            .canonicalize()
            .map_err(errno_of)
            .on("open the bundle", folder)?;
        let path = folder.join("config.json");
        let text = std::fs::read_to_string(&path)
            .map_err(errno_of)
            .on("read", &path)?;
        Self::parse(&text, &folder)
    }

    /// `folder` is what relative paths in the configuration are relative to.
    pub(crate) fn parse(text: &str, folder: &Path) -> Result<Self, Failure> {
        let json = |source| Failure::Json {
            path: folder.join("config.json"),
            source,
        };
        let value: serde_json::Value = serde_json::from_str(text).map_err(json)?;
        refusal::check(&value)?;
        let spec: Spec = serde_json::from_value(value).map_err(json)?;
        if !spec.version().starts_with("1.") {
            return Err(Failure::invalid(
                "ociVersion",
                format!("{:?} is not a version 1", spec.version()),
            ));
        }
        let root = spec.root().as_ref().ok_or_else(|| missing("root"))?;
        let process = spec.process().as_ref().ok_or_else(|| missing("process"))?;
        let linux = spec.linux().as_ref().ok_or_else(|| missing("linux"))?;
        if process.terminal() == Some(true) {
            return Err(Failure::NotImplemented {
                field: "process.terminal".to_owned(),
            });
        }
        if !process.cwd().is_absolute() {
            return Err(Failure::invalid("process.cwd", "not an absolute path"));
        }
        let namespaces = namespaces(linux)?;
        for (field, value) in [
            ("hostname", spec.hostname()),
            ("domainname", spec.domainname()),
        ] {
            if value.is_some() && !namespaces.contains(&Namespace::Uts) {
                return Err(Failure::invalid(field, "needs a namespace of type uts"));
            }
        }
        let mounts = spec.mounts().iter().flatten().enumerate();
        let devices = linux.devices().iter().flatten().enumerate();
        let mut umask = Mode::from_raw_mode(0o022);
        if let Some(mask) = process.user().umask() {
            umask = Mode::from_raw_mode(mask);
        }
        Ok(Self {
            root: folder.join(root.path()),
            readonly: root.readonly() == Some(true),
            propagation: match linux.rootfs_propagation().as_deref() {
                None | Some("") => Propagation::PRIVATE,
                Some(word) => propagation(word).ok_or_else(|| {
                    Failure::invalid("linux.rootfsPropagation", format!("unknown word {word:?}"))
                })?,
            },
            hostname: spec.hostname().clone(),
            domainname: spec.domainname().clone(),
            namespaces,
            mounts: mounts
                .map(|(index, mount)| MountPoint::new(index, mount, folder))
                .collect::<Result<_, _>>()?,
            devices: devices
                .map(|(index, device)| Device::new(index, device))
                .collect::<Result<_, _>>()?,
            masked: paths("linux.maskedPaths", linux.masked_paths().as_deref())?,
            readonly_paths: paths("linux.readonlyPaths", linux.readonly_paths().as_deref())?,
            directory: process.cwd().clone(),
            umask,
            credentials: Credentials::new(process)?,
            program: Program::new(
                process.args().as_deref().unwrap_or_default(),
                process.env().as_deref().unwrap_or_default(),
            )?,
        })
    }
}

/// Without namespaces for mounts and processes there is no root of its own and
/// nothing ends with the first process: such a container is refused.
fn namespaces(linux: &Linux) -> Result<BTreeSet<Namespace>, Failure> {
    let mut namespaces = BTreeSet::new();
    for (index, namespace) in linux.namespaces().iter().flatten().enumerate() {
        let kind = match namespace.typ() {
            LinuxNamespaceType::Pid => Namespace::Pid,
            LinuxNamespaceType::Cgroup => Namespace::Cgroup,
            LinuxNamespaceType::Mount => Namespace::Mount,
            LinuxNamespaceType::Uts => Namespace::Uts,
            LinuxNamespaceType::Ipc => Namespace::Ipc,
            LinuxNamespaceType::Network => Namespace::Network,
            kind @ (LinuxNamespaceType::User | LinuxNamespaceType::Time) => {
                return Err(Failure::NotImplemented {
                    field: format!("linux.namespaces[{index}] of type {kind}"),
                });
            }
        };
        if !namespaces.insert(kind) {
            return Err(Failure::invalid(
                format!("linux.namespaces[{index}]"),
                "a second one of its type",
            ));
        }
    }
    for (kind, name) in [(Namespace::Pid, "pid"), (Namespace::Mount, "mount")] {
        if !namespaces.contains(&kind) {
            return Err(Failure::NotImplemented {
                field: format!("linux.namespaces without one of type {name}"),
            });
        }
    }
    Ok(namespaces)
}

fn paths(field: &str, paths: Option<&[String]>) -> Result<Vec<CString>, Failure> {
    paths
        .unwrap_or_default()
        .iter()
        .map(|path| match CString::new(path.as_str()) {
            Ok(text) if path.starts_with('/') => Ok(text),
            _ => Err(Failure::invalid(
                field,
                format!("{path:?} is not an absolute path"),
            )),
        })
        .collect()
}

fn missing(field: &str) -> Failure {
    Failure::invalid(field, "missing")
}
