//! From options to a configuration.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Capability, LinuxNamespaceType, LinuxSeccomp, Mount, Spec};
use serde_json::{Value, json};

use super::options::{Options, Seccomp};
use super::profile::{self, Surroundings};
use crate::bundle::Bundle;
use crate::cgroup::devices::DOCKERS;
use crate::config::{Container, kernel_has_cgroup_namespaces};
use crate::credentials::NAMES;
use crate::descriptor::errno_of;
use crate::failure::{Failure, Step};
use crate::network::{ANNOTATION, Mode, Request};
use crate::seccomp::UnknownCalls;

/// docker's PATH for images that set none.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The container the options ask for.
pub(super) fn bundle(options: &Options) -> Result<Bundle, Failure> {
    let refused = |field: &str| Failure::NotImplemented {
        field: field.to_owned(),
    };
    if options.user_namespace {
        return Err(refused("--userns"));
    }
    let rootfs = options
        .rootfs
        .canonicalize()
        .map_err(errno_of)
        .on("open the root", &options.rootfs)?;
    let text = config(options, rootfs)?.to_string();
    let mut bundle = Bundle::parse(&text, Path::new("/"))?;
    bundle.init = options.init;
    // docker goes on without it, too, and says so.
    if let Some(memory) = bundle
        .cgroup
        .as_mut()
        .and_then(|cgroup| cgroup.memory.as_mut())
    {
        memory.swap_can_be_left_out = true;
    }
    Ok(bundle)
}

/// config.json.
fn config(options: &Options, rootfs: PathBuf) -> Result<Value, Failure> {
    let capabilities = capabilities(options)?;
    let mut spec = container(options, rootfs).spec();
    let seccomp = seccomp(options, &capabilities)?;
    mounts(&mut spec, options);
    let mut config = serde_json::to_value(&spec).map_err(unwritable)?;
    let all = serde_json::to_value(&capabilities).map_err(unwritable)?;
    for set in ["bounding", "effective", "permitted"] {
        config["process"]["capabilities"][set] = all.clone();
    }
    config["process"]["noNewPrivileges"] = json!(options.no_new_privileges);
    config["process"]["terminal"] = json!(options.terminal);
    config["root"]["readonly"] = json!(options.readonly);
    if let Some(seccomp) = seccomp {
        config["linux"]["seccomp"] = serde_json::to_value(&seccomp).map_err(unwritable)?;
    }
    let network = network(options);
    if network.mode == Mode::Host
        && let Some(list) = config["linux"]["namespaces"].as_array_mut()
    {
        list.retain(|namespace| namespace["type"] != json!(LinuxNamespaceType::Network));
    }
    if options.cgroups {
        config["linux"]["resources"]["devices"] = devices();
    }
    let network = serde_json::to_string(&network).map_err(unwritable)?;
    config["annotations"] = json!({ANNOTATION: network});
    if let Some(bytes) = options.memory {
        // As docker does: as much swap again.
        config["linux"]["resources"]["memory"] =
            json!({"limit": bytes, "swap": bytes.saturating_mul(2)});
    }
    if let Some(limit) = options.pids {
        config["linux"]["resources"]["pids"] = json!({"limit": limit});
    }
    if let Some(quota) = options.cpu_quota {
        config["linux"]["resources"]["cpu"] = json!({"quota": quota, "period": 100_000});
    }
    Ok(config)
}

/// None but those of docker's list.
fn devices() -> Value {
    let none = json!({"allow": false, "access": "rwm"});
    let allowed = DOCKERS.iter().map(|(kind, major, minor, access)| {
        json!({"allow": true, "type": kind.to_string(), "major": major, "minor": minor,
            "access": access.to_string()})
    });
    std::iter::once(none).chain(allowed).collect()
}

/// As docker does, a container with a network gets its name and the host's name
/// servers in its /etc.
fn network(options: &Options) -> Request {
    let mode = match options.network {
        Some(mode) => mode,
        None if options.ports.is_empty() => Mode::None,
        None => Mode::Bridge,
    };
    Request {
        mode,
        ports: options.ports.clone(),
        files: mode == Mode::Bridge,
    }
}

fn unwritable(source: serde_json::Error) -> Failure {
    Failure::Json {
        path: "config.json".into(),
        source,
    }
}

fn container(options: &Options, rootfs: PathBuf) -> Container {
    let own = [
        ("PATH", PATH),
        ("HOSTNAME", options.hostname.as_str()),
        ("HOME", if options.user.0 == 0 { "/root" } else { "/" }),
    ];
    let given = |name: &str| options.environment.iter().any(|(given, _)| given == name);
    let mut environment: Vec<(String, String)> = own
        .iter()
        .filter(|(name, _)| !given(name))
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    environment.extend(options.environment.iter().cloned());
    Container {
        rootfs,
        arguments: options.command.clone(),
        environment,
        directory: options.directory.clone(),
        uid: options.user.0,
        gid: options.user.1,
        groups: Vec::new(),
        hostname: options.hostname.clone(),
        cgroup_namespace: kernel_has_cgroup_namespaces(),
        seccomp: None,
    }
}

/// A read-only volume is so with all that is mounted below it, as docker's are
/// since 25.
fn mounts(spec: &mut Spec, options: &Options) {
    let mut mounts = spec.mounts().clone().unwrap_or_default();
    for (folder, words) in &options.tmpfs {
        let own = ["nosuid", "nodev", "noexec"];
        let mut mount = Mount::default();
        mount
            .set_destination(folder.into())
            .set_typ(Some("tmpfs".to_owned()))
            .set_source(Some("tmpfs".into()))
            .set_options(Some(
                own.iter()
                    .map(|word| (*word).to_owned())
                    .chain(words.iter().cloned())
                    .collect(),
            ));
        mounts.push(mount);
    }
    for volume in &options.volumes {
        let mut words = vec!["rbind".to_owned(), "rprivate".to_owned()];
        if volume.readonly {
            words.push("rro".to_owned());
        }
        let mut mount = Mount::default();
        mount
            .set_destination(volume.container.clone())
            .set_typ(Some("bind".to_owned()))
            .set_source(Some(volume.host.clone()))
            .set_options(Some(words));
        mounts.push(mount);
    }
    spec.set_mounts(Some(mounts));
}

/// docker's 14, less what is dropped, with what is added.
fn capabilities(options: &Options) -> Result<HashSet<Capability>, Failure> {
    let every = || -> Result<HashSet<Capability>, Failure> {
        NAMES
            .iter()
            .map(|name| capability("--cap-add", name))
            .collect()
    };
    let is_all = |name: &String| name.eq_ignore_ascii_case("all");
    let mut set = match options.dropped.iter().any(is_all) {
        true => HashSet::new(),
        false => crate::config::CAPABILITIES.into_iter().collect(),
    };
    if options.added.iter().any(is_all) {
        set = every()?;
    }
    for name in options.dropped.iter().filter(|name| !is_all(name)) {
        set.remove(&capability("--cap-drop", name)?);
    }
    for name in options.added.iter().filter(|name| !is_all(name)) {
        set.insert(capability("--cap-add", name)?);
    }
    Ok(set)
}

fn capability(option: &str, name: &str) -> Result<Capability, Failure> {
    let upper = name.to_ascii_uppercase();
    let full = format!("CAP_{}", upper.trim_start_matches("CAP_"));
    serde_json::from_value(json!(full))
        .map_err(|_unknown| Failure::invalid(option, format!("no such capability: {name}")))
}

fn seccomp(
    options: &Options,
    capabilities: &HashSet<Capability>,
) -> Result<Option<LinuxSeccomp>, Failure> {
    let file = match &options.seccomp {
        Seccomp::Unconfined => return Ok(None),
        Seccomp::Builtin => return Ok(Some(UnknownCalls::Enosys.profile())),
        Seccomp::File(file) => file,
    };
    let text = std::fs::read_to_string(file)
        .map_err(errno_of)
        .on("read", file)?;
    let names: BTreeSet<String> = capabilities
        .iter()
        .map(|one| format!("CAP_{one}"))
        .collect();
    let surroundings = Surroundings {
        capabilities: names,
        release: rustix::system::uname()
            .release()
            .to_string_lossy()
            .into_owned(),
    };
    profile::resolve(&text, &surroundings)
        .map(Some)
        .map_err(|source| Failure::Json {
            path: file.clone(),
            source,
        })
}
