//! An OCI bundle: config.json read once, checked, and resolved into what the
//! rest of the runtime works with. Nothing deeper sees an optional field.
//!
//! The parts that are implemented are read each for itself, not the
//! specification's whole `Spec`: everything else has been refused by then, and
//! its parsers (a regular expression engine for CPU lists among them) would be
//! half of what is sent into each guest.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{
    LinuxDevice, LinuxIdMapping, LinuxNamespace, LinuxNamespaceType, LinuxSeccomp, Mount, Root,
    User,
};
use rustix::fs::Mode;
use serde::Deserialize;

use crate::cgroup;
use crate::credentials::Credentials;
use crate::descriptor::errno_of;
use crate::device::Device;
use crate::failure::{Failure, Step};
use crate::handshake::Stage;
use crate::mount::MountPoint;
use crate::mount::options::{Propagation, propagation};
use crate::network::{self, Files, Mode as NetworkMode};
use crate::node::{Node, Text};
use crate::program::Program;
use crate::refusal;
use crate::seccomp::Filter;
use crate::terminal::Terminal;
use crate::user_namespace::UserNamespace;

/// A container to make.
#[derive(Debug)]
pub(crate) struct Bundle {
    pub(crate) root: PathBuf,
    pub(crate) readonly: bool,
    pub(crate) propagation: Propagation,
    pub(crate) hostname: Option<String>,
    pub(crate) domainname: Option<String>,
    pub(crate) namespaces: BTreeMap<Namespace, Origin>,
    pub(crate) user_namespace: Option<UserNamespace>,
    pub(crate) mounts: Vec<MountPoint>,
    pub(crate) devices: Vec<Device>,
    pub(crate) masked: Vec<CString>,
    pub(crate) readonly_paths: Vec<CString>,
    pub(crate) directory: PathBuf,
    pub(crate) umask: Mode,
    pub(crate) credentials: Credentials,
    pub(crate) program: Program,
    pub(crate) seccomp: Option<Filter>,
    pub(crate) terminal: Option<Terminal>,
    /// `process.oomScoreAdj`.
    pub(crate) oom_score: Option<i32>,
    /// `linux.resources` and `linux.cgroupsPath`.
    pub(crate) cgroup: Option<cgroup::Request>,
    /// What the annotation [`network::ANNOTATION`] asks for.
    pub(crate) network: Option<network::Request>,
    /// PID 1 is the runtime's own and waits for what is orphaned; not a place in
    /// config.json, but docker's `--init`.
    pub(crate) init: bool,
    /// The runtime traces the program; not a place in config.json either.
    pub(crate) traced: bool,
}

/// The kinds of namespaces, in the order they are made or joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Namespace {
    User,
    Pid,
    Cgroup,
    Mount,
    Uts,
    Ipc,
    Network,
}

/// Where a namespace of the container's comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The runtime makes it.
    Made,
    /// Somebody else has, and keeps it; found by this path.
    Joined(PathBuf),
}

impl Bundle {
    /// Reads `folder`/config.json.
    pub(crate) fn load(folder: &Path) -> Result<Self, Failure> {
        let open = |answer: std::io::Result<PathBuf>| {
            answer.map_err(errno_of).on("open the bundle", folder)
        };
        // Not without its links, which take a system call for each of its names.
        let absolute = open(std::path::absolute(folder))?;
        match std::fs::read_to_string(absolute.join("config.json")) {
            Ok(text) => Self::parse(&text, &absolute),
            Err(error) => {
                let path = open(folder.canonicalize())?.join("config.json");
                Err(errno_of(error)).on("read", &path)
            }
        }
    }

    /// `folder` is what relative paths in the configuration are relative to.
    pub(crate) fn parse(text: &str, folder: &Path) -> Result<Self, Failure> {
        let json = |source| Failure::Json {
            path: folder.join("config.json"),
            source,
        };
        let config: Node<'_> = serde_json::from_str(text).map_err(json)?;
        refusal::check(&config)?;
        let version: Text<'_> = required(&config, "ociVersion")?;
        let version = version.as_ref();
        if !version.starts_with("1.") {
            let problem = format!("{version:?} is not a version 1");
            return Err(Failure::invalid("ociVersion", problem));
        }
        let root: Root = required(&config, "root")?;
        let directory: PathBuf = required(&config, "process.cwd")?;
        if !directory.is_absolute() {
            return Err(Failure::invalid("process.cwd", "not an absolute path"));
        }
        let namespaces = namespaces(&required::<Vec<_>>(&config, "linux.namespaces")?)?;
        let hostname: Option<String> = part(&config, "hostname")?;
        let domainname: Option<String> = part(&config, "domainname")?;
        for (field, value) in [("hostname", &hostname), ("domainname", &domainname)] {
            if value.is_some() && !namespaces.contains_key(&Namespace::Uts) {
                return Err(Failure::invalid(field, "needs a namespace of type uts"));
            }
        }
        if namespaces.contains_key(&Namespace::User)
            && let Some((kind, _)) =
                (namespaces.iter()).find(|(_, origin)| **origin != Origin::Made)
        {
            let what = kind.of_what();
            let field = format!("a joined namespace for {what} beside one of type user");
            return Err(Failure::NotImplemented { field });
        }
        let network = network_request(&config, namespaces.get(&Namespace::Network))?;
        let user: User = required(&config, "process.user")?;
        let user_namespace = user_namespace(&config, &namespaces, &user)?;
        let arguments: Vec<Text<'_>> = list(&config, "process.args")?;
        let environment: Vec<Text<'_>> = list(&config, "process.env")?;
        Ok(Self {
            root: folder.join(root.path()),
            readonly: root.readonly() == Some(true),
            propagation: root_propagation(&config)?,
            hostname,
            domainname,
            namespaces,
            user_namespace,
            terminal: terminal(&config)?,
            mounts: list::<Mount>(&config, "mounts")?
                .iter()
                .enumerate()
                .map(|(index, mount)| MountPoint::new(index, mount, folder))
                .collect::<Result<_, _>>()?,
            devices: list::<LinuxDevice>(&config, "linux.devices")?
                .iter()
                .enumerate()
                .map(|(index, device)| Device::new(index, device))
                .collect::<Result<_, _>>()?,
            masked: paths(&config, "linux.maskedPaths")?,
            readonly_paths: paths(&config, "linux.readonlyPaths")?,
            directory,
            umask: Mode::from_raw_mode(user.umask().unwrap_or(0o022)),
            credentials: Credentials::new(
                &user,
                part(&config, "process.capabilities")?.unwrap_or_default(),
                &list(&config, "process.rlimits")?,
                part(&config, "process.noNewPrivileges")? == Some(true),
            )?,
            program: Program::new(&arguments, &environment)?,
            seccomp: part::<LinuxSeccomp>(&config, "linux.seccomp")?
                .as_ref()
                .map(Filter::new)
                .transpose()?,
            oom_score: oom_score(&config)?,
            cgroup: cgroup::Request::parse(&config)?,
            network,
            init: false,
            traced: false,
        })
    }
}

impl Bundle {
    /// Whether the runtime has something to do outside of the container while
    /// its first process stands at `stage`; it stops only where it must.
    pub(crate) fn has_part_outside(&self, stage: Stage) -> bool {
        match stage {
            Stage::Born => {
                self.cgroup.is_some()
                    || self.oom_score.is_some()
                    || self.user_namespace.is_some()
                    || self.traced
            }
            Stage::Namespaces => self.bridged().is_some(),
            Stage::Root => self
                .cgroup
                .as_ref()
                .is_some_and(cgroup::Request::restricts_devices),
        }
    }

    /// Whether the runtime may stand still from the first process's birth until its
    /// program runs.
    pub(crate) fn needs_nobody_outside(&self) -> bool {
        let stages = [Stage::Born, Stage::Namespaces, Stage::Root];
        // An init of docker's stays in the memory it was born in. What a filter for
        // system calls kills dumps core, and up to Linux 5.15 all who share its memory
        // are killed for that.
        self.terminal.is_none()
            && !self.init
            && self.seccomp.is_none()
            && !stages.into_iter().any(|stage| self.has_part_outside(stage))
    }

    /// The network it asks for, where that is one behind a bridge.
    pub(crate) fn bridged(&self) -> Option<&network::Request> {
        let request = self.network.as_ref();
        request.filter(|request| request.mode == NetworkMode::Bridge)
    }

    /// Has the network's files bound in the container, but where it mounts
    /// something of its own.
    pub(crate) fn bind_files(&mut self, files: &Files) -> Result<(), Failure> {
        for (source, destination) in files.places() {
            if self.mounts.iter().any(|one| one.destination == destination) {
                continue;
            }
            let mut mount = Mount::default();
            mount
                .set_destination(destination)
                .set_typ(Some("bind".to_owned()))
                .set_source(Some(source))
                .set_options(Some(vec!["bind".to_owned(), "rprivate".to_owned()]));
            let index = self.mounts.len();
            self.mounts
                .push(MountPoint::new(index, &mount, Path::new("/"))?);
        }
        Ok(())
    }
}

/// What `field` (`process.user`) says, if anything.
pub(crate) fn part<'a, T: Deserialize<'a>>(
    config: &'a Node<'_>,
    field: &str,
) -> Result<Option<T>, Failure> {
    config
        .at(field)
        .map(|value| T::deserialize(value))
        .transpose()
        .map_err(|error| Failure::invalid(field, error.to_string()))
}

fn required<'a, T: Deserialize<'a>>(config: &'a Node<'_>, field: &str) -> Result<T, Failure> {
    part(config, field)?.ok_or_else(|| Failure::invalid(field, "missing"))
}

/// The elements of `field`, none where it is not there.
pub(crate) fn list<'a, T: Deserialize<'a>>(
    config: &'a Node<'_>,
    field: &str,
) -> Result<Vec<T>, Failure> {
    Ok(part(config, field)?.unwrap_or_default())
}

fn oom_score(config: &Node<'_>) -> Result<Option<i32>, Failure> {
    const FIELD: &str = "process.oomScoreAdj";
    match part(config, FIELD)? {
        Some(score) if !(-1000..=1000).contains(&score) => {
            let problem = format!("{score} is not between -1000 and 1000");
            Err(Failure::invalid(FIELD, problem))
        }
        score => Ok(score),
    }
}

/// The annotation's name has dots in it, so [`part`] does not find it.
fn network_request(
    config: &Node<'_>,
    namespace: Option<&Origin>,
) -> Result<Option<network::Request>, Failure> {
    let field = || format!("annotations[{:?}]", network::ANNOTATION);
    let annotations = config.get("annotations");
    match annotations.and_then(|all| all.get(network::ANNOTATION)) {
        None => Ok(None),
        Some(Node::Text(text)) => {
            let request = network::Request::parse(text, namespace.is_some())
                .map_err(|problem| Failure::invalid(field(), problem))?;
            if request.mode == NetworkMode::Bridge && matches!(namespace, Some(Origin::Joined(_))) {
                let problem = "an interface on a bridge, and a network that is somebody else's";
                return Err(Failure::invalid(field(), problem));
            }
            Ok(Some(request))
        }
        Some(_) => Err(Failure::invalid(field(), "not a string")),
    }
}

/// `process.consoleSize` means nothing without a terminal.
fn terminal(config: &Node<'_>) -> Result<Option<Terminal>, Failure> {
    if part(config, "process.terminal")? != Some(true) {
        return Ok(None);
    }
    Terminal::new(part(config, "process.consoleSize")?).map(Some)
}

fn user_namespace(
    config: &Node<'_>,
    namespaces: &BTreeMap<Namespace, Origin>,
    user: &User,
) -> Result<Option<UserNamespace>, Failure> {
    let uids: Vec<LinuxIdMapping> = list(config, "linux.uidMappings")?;
    let gids: Vec<LinuxIdMapping> = list(config, "linux.gidMappings")?;
    if !namespaces.contains_key(&Namespace::User) {
        for (field, map) in [("linux.uidMappings", &uids), ("linux.gidMappings", &gids)] {
            if !map.is_empty() {
                let problem = "needs a namespace of type user";
                return Err(Failure::invalid(field, problem));
            }
        }
        return Ok(None);
    }
    let namespace = UserNamespace::new(&uids, &gids, (user.uid(), user.gid()))?;
    for gid in user.additional_gids().iter().flatten() {
        namespace.check_group("process.user.additionalGids", *gid)?;
    }
    Ok(Some(namespace))
}

fn root_propagation(config: &Node<'_>) -> Result<Propagation, Failure> {
    const FIELD: &str = "linux.rootfsPropagation";
    match part::<Text<'_>>(config, FIELD)?.as_ref().map(AsRef::as_ref) {
        None | Some("") => Ok(Propagation::PRIVATE),
        Some(word) => propagation(word)
            .ok_or_else(|| Failure::invalid(FIELD, format!("unknown word {word:?}"))),
    }
}

/// Without namespaces for mounts and processes there is no root of its own and
/// nothing ends with the first process: such a container is refused.
fn namespaces(listed: &[LinuxNamespace]) -> Result<BTreeMap<Namespace, Origin>, Failure> {
    let mut namespaces = BTreeMap::new();
    for (index, namespace) in listed.iter().enumerate() {
        let kind = match namespace.typ() {
            LinuxNamespaceType::Pid => Namespace::Pid,
            LinuxNamespaceType::Cgroup => Namespace::Cgroup,
            LinuxNamespaceType::Mount => Namespace::Mount,
            LinuxNamespaceType::Uts => Namespace::Uts,
            LinuxNamespaceType::Ipc => Namespace::Ipc,
            LinuxNamespaceType::Network => Namespace::Network,
            LinuxNamespaceType::User => Namespace::User,
            kind @ LinuxNamespaceType::Time => {
                return Err(Failure::NotImplemented {
                    field: format!("linux.namespaces[{index}] of type {kind}"),
                });
            }
        };
        let origin = match namespace.path() {
            None => Origin::Made,
            Some(path) => joined(index, kind, path)?,
        };
        if namespaces.insert(kind, origin).is_some() {
            return Err(Failure::invalid(
                format!("linux.namespaces[{index}]"),
                "a second one of its type",
            ));
        }
    }
    for (kind, name) in [(Namespace::Pid, "pid"), (Namespace::Mount, "mount")] {
        if !namespaces.contains_key(&kind) {
            return Err(Failure::NotImplemented {
                field: format!("linux.namespaces without one of type {name}"),
            });
        }
    }
    Ok(namespaces)
}

/// The others need more than to be joined: a process has to be born in a PID
/// namespace, and the runtime changes the mounts of its container's.
fn joined(index: usize, kind: Namespace, path: &Path) -> Result<Origin, Failure> {
    let field = format!("linux.namespaces[{index}].path");
    match kind {
        Namespace::Uts | Namespace::Ipc | Namespace::Network if path.is_absolute() => {
            Ok(Origin::Joined(path.to_owned()))
        }
        Namespace::Uts | Namespace::Ipc | Namespace::Network => {
            let problem = format!("{:?} is not an absolute path", path.display().to_string());
            Err(Failure::invalid(field, problem))
        }
        Namespace::User | Namespace::Pid | Namespace::Cgroup | Namespace::Mount => {
            Err(Failure::NotImplemented {
                field: format!("{field} of a namespace for {}", kind.of_what()),
            })
        }
    }
}

impl Namespace {
    /// What it is one for, in words.
    pub(crate) fn of_what(self) -> &'static str {
        match self {
            Self::User => "users",
            Self::Pid => "processes",
            Self::Cgroup => "control groups",
            Self::Mount => "mounts",
            Self::Uts => "the host's name",
            Self::Ipc => "messages between processes",
            Self::Network => "the network",
        }
    }
}

fn paths(config: &Node<'_>, field: &str) -> Result<Vec<CString>, Failure> {
    list::<Text<'_>>(config, field)?
        .iter()
        .map(AsRef::as_ref)
        .map(|path: &str| match CString::new(path) {
            Ok(text) if path.starts_with('/') => Ok(text),
            _ => Err(Failure::invalid(
                field,
                format!("{path:?} is not an absolute path"),
            )),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::config::Container;

    fn dockers() -> Value {
        let container = Container {
            rootfs: PathBuf::from("rootfs"),
            arguments: vec!["ls".to_owned()],
            environment: vec![("PATH".to_owned(), "/bin".to_owned())],
            directory: PathBuf::from("/tmp"),
            uid: 7,
            gid: 8,
            groups: vec![9],
            hostname: "box".to_owned(),
            cgroup_namespace: true,
            network: None,
            seccomp: None,
            added: Vec::new(),
        };
        serde_json::to_value(container.spec()).unwrap()
    }

    fn parsed(config: &Value) -> Result<Bundle, Failure> {
        Bundle::parse(&config.to_string(), Path::new("/bundle"))
    }

    #[test]
    fn dockers_configuration_is_whole() {
        let bundle = parsed(&dockers()).unwrap();
        assert_eq!(bundle.root, Path::new("/bundle/rootfs"));
        assert_eq!(bundle.hostname.as_deref(), Some("box"));
        assert_eq!(bundle.namespaces.len(), 6);
        let places: Vec<&Path> = bundle
            .mounts
            .iter()
            .map(|mount| mount.destination.as_path())
            .collect();
        for place in [
            "/proc",
            "/dev",
            "/dev/pts",
            "/sys",
            "/sys/fs/cgroup",
            "/dev/mqueue",
            "/dev/shm",
        ] {
            assert!(places.contains(&Path::new(place)), "{place}");
        }
        assert!(bundle.masked.contains(&c"/proc/kcore".to_owned()));
        assert!(bundle.readonly_paths.contains(&c"/proc/sys".to_owned()));
    }

    #[test]
    fn a_namespace_with_a_path_is_joined() {
        let mut config = dockers();
        config["linux"]["namespaces"][1]["path"] = json!("/proc/1/fd/7");
        let bundle = parsed(&config).unwrap();
        let joined: Vec<_> = bundle
            .namespaces
            .iter()
            .filter(|(_, origin)| **origin != Origin::Made)
            .collect();
        let its = Origin::Joined("/proc/1/fd/7".into());
        assert_eq!(joined, [(&Namespace::Network, &its)]);
        config["annotations"] = json!({network::ANNOTATION: r#"{"mode": "bridge"}"#});
        let error = parsed(&config).unwrap_err().to_string();
        assert!(error.contains("somebody else's"), "{error}");
        config["annotations"] = json!({});
        let list = config["linux"]["namespaces"].as_array_mut().unwrap();
        list.push(json!({"type": "user"}));
        let error = parsed(&config).unwrap_err().to_string();
        assert!(error.contains("beside one of type user"), "{error}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (pointer, value, message) in [
            ("/ociVersion", json!("2.0.0"), "ociVersion: \"2.0.0\""),
            ("/root", json!(null), "root: missing"),
            (
                "/process/cwd",
                json!("tmp"),
                "process.cwd: not an absolute path",
            ),
            ("/process/user/uid", json!("root"), "process.user: "),
            ("/process/args", json!([]), "process.args: no program"),
            (
                "/process/terminal",
                json!("yes"),
                "process.terminal: invalid type",
            ),
            (
                "/process/capabilities/bounding",
                json!(["CAP_FLY"]),
                "process.capabilities: ",
            ),
            ("/hostname", json!(3), "hostname: "),
            (
                "/mounts/0/destination",
                json!("proc"),
                "mounts[0].destination: ",
            ),
            (
                "/mounts/0/options",
                json!(["rnodev"]),
                "mounts[0].options: rnodev is not implemented",
            ),
            (
                "/linux/namespaces/0/type",
                json!("time"),
                "linux.namespaces[0] of type time",
            ),
            (
                "/linux/namespaces/0/path",
                json!("/proc/1/ns/mnt"),
                "linux.namespaces[0].path of a namespace for mounts is not implemented",
            ),
            (
                "/linux/namespaces/1/path",
                json!("ns/net"),
                "linux.namespaces[1].path: \"ns/net\" is not an absolute path",
            ),
            (
                "/linux/uidMappings",
                json!([{"containerID": 0, "hostID": 1, "size": 1}]),
                "linux.uidMappings: needs a namespace of type user",
            ),
            (
                "/linux/namespaces/0/type",
                json!("pid"),
                "linux.namespaces[3]: a second one",
            ),
            ("/linux/maskedPaths/0", json!("proc"), "linux.maskedPaths: "),
            (
                "/linux/namespaces",
                json!([{"type": "pid"}, {"type": "mount"}]),
                "hostname: needs",
            ),
        ] {
            let mut config = dockers();
            let (above, name) = pointer.rsplit_once('/').unwrap();
            match above {
                "" => config[name] = value,
                above => match config.pointer_mut(above).unwrap() {
                    Value::Array(list) => list[name.parse::<usize>().unwrap()] = value,
                    object => object[name] = value,
                },
            }
            let error = parsed(&config).unwrap_err().to_string();
            assert!(error.starts_with(message), "{pointer}: {error}");
        }
    }
}
