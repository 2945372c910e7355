//! What probes are made with: layers and bundles, containers that are talked to,
//! processes as outside sees them, cgroups, another network.

pub(super) mod cgroup;
pub(super) mod container;
pub(super) mod network;
pub(super) mod process;
pub(super) mod report;
pub(super) mod veth;

use std::fmt::Display;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use runtime::config::{Container as Docker, kernel_has_cgroup_namespaces};
use runtime::layer::{self, Kind, Layer};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use serde_json::{Value, json};
use wire::{Probe, ProbeOutcome};

use crate::error::Error;
use container::Container;
use report::Reporter;

/// The program inside.
const INSIDE: &str = "/probe-inside";

/// Where a probe keeps its files: a tmpfs of its own.
const FOLDER: &str = "/run/probe";

/// The host's id that stands for 0 in a user namespace.
pub(super) const MAPPED: u32 = 100_000;

/// Why a probe did not pass.
#[derive(Debug)]
pub(super) enum Stop {
    /// The runtime does not do what it is asked.
    Failed(String),
    /// The kernel cannot.
    Unsupported(String),
    /// No answer.
    Trouble(String),
}

/// A probe, or a part of one.
pub(super) type Probing<T = ()> = Result<T, Stop>;

impl From<Stop> for ProbeOutcome {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Failed(how) => Self::Failed { how },
            Stop::Unsupported(what) => Self::Unsupported { what },
            Stop::Trouble(message) => Self::Trouble { message },
        }
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Trouble(error.to_string())
    }
}

impl From<layer::LayerError> for Stop {
    fn from(error: layer::LayerError) -> Self {
        Error::from(error).into()
    }
}

/// For `map_err` on what outside needs for its own part.
pub(super) fn trouble<E: Display>(doing: impl Display) -> impl FnOnce(E) -> Stop {
    move |error| Stop::Trouble(format!("{doing}: {error}"))
}

/// What was seen is what should be, or the probe has failed.
pub(super) fn expect(seen: bool, otherwise: impl FnOnce() -> String) -> Probing {
    if seen {
        Ok(())
    } else {
        Err(Stop::Failed(otherwise()))
    }
}

/// One probe's outside.
#[derive(Debug)]
pub(super) struct Rig {
    probe: Probe,
    /// The image, mounted read-only.
    pub(super) image: PathBuf,
    reporter: Reporter,
}

/// A writable root over the image, and the configuration to run on it.
#[derive(Debug)]
pub(super) struct Bundle {
    folder: PathBuf,
    layer: Layer,
    /// config.json; a probe changes in it what it is about.
    pub(super) config: Value,
}

impl Rig {
    /// Goes into a mount and a network namespace of its own: whatever the probe
    /// mounts, bridges or filters ends with it.
    pub(super) fn new(probe: Probe, image: PathBuf, reporter: Reporter) -> Probing<Self> {
        // SAFETY: one thread; neither flag unshares a table of descriptors.
        unsafe { unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::NEWNET) }
            .map_err(trouble("unshare mount and network namespaces"))?;
        mount_change(
            "/",
            MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
        )
        .map_err(trouble("make / private"))?;
        fs::create_dir_all(FOLDER).map_err(trouble(FOLDER))?;
        mount("tmpfs", FOLDER, "tmpfs", MountFlags::empty(), c"mode=0755")
            .map_err(trouble("mount a tmpfs on /run/probe"))?;
        network::loopback_up()?;
        Ok(Self {
            probe,
            image,
            reporter,
        })
    }

    /// Writes a line of what is seen outside.
    pub(super) fn outside(&self, text: impl Display) {
        self.reporter.observed(&format!("outside: {text}"));
    }

    /// Makes a folder for the probe's own use.
    pub(super) fn folder(&self, name: &str) -> Probing<PathBuf> {
        let folder = Path::new(FOLDER).join(name);
        fs::create_dir_all(&folder).map_err(trouble(folder.display()))?;
        Ok(folder)
    }

    /// A bundle whose program carries out these verbs, configured as docker
    /// would.
    pub(super) fn bundle(&self, name: &str, verbs: &[&str]) -> Probing<Bundle> {
        let folder = self.folder(name)?;
        let layer = layer::make(&self.image, &folder.join("layer"))?;
        if let Kind::Copy { errno, .. } = &layer.kind {
            let refusal = std::io::Error::from_raw_os_error(*errno);
            self.outside(format_args!(
                "the layer is a copy in memory: overlay refused: {refusal}"
            ));
        }
        let mut arguments = vec![INSIDE.to_owned()];
        arguments.extend(verbs.iter().map(|verb| (*verb).to_owned()));
        let docker = Docker {
            rootfs: layer.path.clone(),
            arguments,
            environment: vec![("PATH".to_owned(), "/".to_owned())],
            directory: PathBuf::from("/"),
            uid: 0,
            gid: 0,
            groups: Vec::new(),
            hostname: self.probe.name().to_owned(),
            cgroup_namespace: kernel_has_cgroup_namespaces(),
            network: None,
            seccomp: None,
            added: Vec::new(),
        };
        let config = serde_json::to_value(docker.spec()).map_err(trouble("config.json"))?;
        Ok(Bundle {
            folder,
            layer,
            config,
        })
    }

    /// Starts the runtime on a bundle.
    pub(super) fn start(&self, bundle: &Bundle) -> Probing<Container> {
        let path = bundle.folder.join("config.json");
        let text = serde_json::to_vec(&bundle.config).map_err(trouble("config.json"))?;
        fs::write(&path, text).map_err(trouble(path.display()))?;
        Container::start(&bundle.folder, self.probe.name(), self.reporter.clone())
    }

    /// Runs a bundle whose program waits for nothing, and gives what it said.
    pub(super) fn run(&self, bundle: &Bundle) -> Probing<container::Said> {
        let container = self.start(bundle)?;
        let (said, status) = container.end()?;
        container::succeeded(&status)?;
        Ok(said)
    }
}

impl Bundle {
    /// The container's root, as outside sees it.
    pub(super) fn root(&self) -> &Path {
        &self.layer.path
    }

    /// How the layer was made.
    pub(super) fn kind(&self) -> &Kind {
        &self.layer.kind
    }

    /// Adds a mount.
    pub(super) fn mount(&mut self, destination: &str, kind: &str, source: &str, options: &[&str]) {
        let mount = json!({
            "destination": destination, "type": kind, "source": source, "options": options,
        });
        if let Some(mounts) = self.config["mounts"].as_array_mut() {
            mounts.push(mount);
        }
    }

    /// Sets limits, in a cgroup named after the probe.
    pub(super) fn limit(&mut self, resources: Value) {
        self.config["linux"]["resources"] = resources;
    }

    /// Gives the container a network of its own behind a bridge, with published
    /// ports.
    pub(super) fn bridge(&mut self, ports: &Value) {
        let network = json!({ "mode": "bridge", "ports": ports });
        self.config["annotations"] = json!({ "org.matrix.network": network.to_string() });
    }

    /// Runs it in a user namespace in which 0 is [`MAPPED`], its files shifted as
    /// docker's `userns-remap` shifts them.
    pub(super) fn map_users(&mut self) -> Probing {
        let mapping = json!([{ "containerID": 0, "hostID": MAPPED, "size": 65_536 }]);
        let linux = &mut self.config["linux"];
        linux["uidMappings"] = mapping.clone();
        linux["gidMappings"] = mapping;
        if let Some(namespaces) = linux["namespaces"].as_array_mut() {
            namespaces.push(json!({ "type": "user" }));
        }
        shift(self.root())
    }

    /// Copies the program inside under another name, owner and mode.
    pub(super) fn program(&self, name: &str, mode: u32) -> Probing {
        let path = self.root().join(name);
        fs::copy(self.root().join(&INSIDE[1..]), &path).map_err(trouble(path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))
            .map_err(trouble(path.display()))
    }
}

/// Gives all that is root's to [`MAPPED`].
fn shift(path: &Path) -> Probing {
    chown(path, Some(MAPPED), Some(MAPPED)).map_err(trouble(path.display()))?;
    if !fs::symlink_metadata(path)
        .map_err(trouble(path.display()))?
        .is_dir()
    {
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(trouble(path.display()))? {
        shift(&entry.map_err(trouble(path.display()))?.path())?;
    }
    Ok(())
}
