//! From options to a configuration.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Capability, LinuxNamespaceType, LinuxSeccomp, Mount, Spec};
use rustix::fs::stat;
use rustix::process::{getegid, geteuid};
use serde_json::{Value, json};

use super::options::{Options, Seccomp, Users};
use super::profile::{self, Surroundings};
use super::values::USERS;
use crate::bundle::Bundle;
use crate::cgroup::devices::DOCKERS;
use crate::config::{Container, every_capability, kernel_has_cgroup_namespaces};
use crate::descriptor::errno_of;
use crate::failure::{Failure, Step};
use crate::network::{ANNOTATION, Mode, Request};
use crate::seccomp::UnknownCalls;

/// docker's PATH for images that set none.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The container the options ask for.
pub(super) fn bundle(options: &Options) -> Result<Bundle, Failure> {
    let rootfs = options
        .rootfs
        .canonicalize()
        .map_err(errno_of)
        .on("open the root", &options.rootfs)?;
    let users = mapping(options.users);
    if let Some((owners, _)) = &users {
        check_owner(&rootfs, owners)?;
    }
    let mut config = config(options, rootfs)?;
    if let Some((uids, gids)) = &users {
        map_users(&mut config, uids, gids);
    }
    let text = config.to_string();
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

/// The first id outside and how many, of users and of groups.
type Mapped = (Range<u32>, Range<u32>);

/// What `--userns` without a number maps.
const FIRST: u32 = 100_000;

fn mapping(users: Users) -> Option<Mapped> {
    let from = |first: u32, count: u32| first..first.saturating_add(count);
    match users {
        Users::Host => None,
        Users::From { first, count } => Some((from(first, count), from(first, count))),
        Users::Own if geteuid().is_root() => Some((from(FIRST, USERS), from(FIRST, USERS))),
        Users::Own => Some((from(geteuid().as_raw(), 1), from(getegid().as_raw(), 1))),
    }
}

/// In a root of somebody else's nothing could be made, and its files would be
/// nobody's.
fn check_owner(rootfs: &Path, owners: &Range<u32>) -> Result<(), Failure> {
    let owner = stat(rootfs).on("stat", rootfs)?.st_uid;
    if owners.contains(&owner) {
        return Ok(());
    }
    let problem = format!(
        "{} is of user {owner}, who is nobody in the container\nhint: its files must belong to \
         {} and the ids after it, which are root and the others inside",
        rootfs.display(),
        owners.start
    );
    Err(Failure::invalid("--userns", problem))
}

fn map_users(config: &mut Value, uids: &Range<u32>, gids: &Range<u32>) {
    let map =
        |ids: &Range<u32>| json!([{"containerID": 0, "hostID": ids.start, "size": ids.len()}]);
    config["linux"]["uidMappings"] = map(uids);
    config["linux"]["gidMappings"] = map(gids);
    if let Some(namespaces) = config["linux"]["namespaces"].as_array_mut() {
        namespaces.push(json!({"type": LinuxNamespaceType::User}));
    }
    // A terminal's group, tty, is nobody's where few are mapped.
    if gids.len() <= 5 {
        for mount in config["mounts"].as_array_mut().into_iter().flatten() {
            if let Some(options) = mount["options"].as_array_mut() {
                options.retain(|option| *option != json!("gid=5"));
            }
        }
    }
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
    let mut own = vec![
        ("PATH", PATH),
        ("HOSTNAME", options.hostname.as_str()),
        ("HOME", if options.user.0 == 0 { "/root" } else { "/" }),
    ];
    if options.terminal {
        own.push(("TERM", "xterm"));
    }
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
        network: None,
        seccomp: None,
        added: Vec::new(),
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
    let is_all = |name: &String| name.eq_ignore_ascii_case("all");
    let mut set = match options.dropped.iter().any(is_all) {
        true => HashSet::new(),
        false => crate::config::CAPABILITIES.into_iter().collect(),
    };
    if options.added.iter().any(is_all) {
        set = every_capability().collect();
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
    crate::config::capability(name)
        .ok_or_else(|| Failure::invalid(option, format!("no such capability: {name}")))
}

fn seccomp(
    options: &Options,
    capabilities: &HashSet<Capability>,
) -> Result<Option<LinuxSeccomp>, Failure> {
    let file = match &options.seccomp {
        Seccomp::Unconfined => return Ok(None),
        Seccomp::Builtin => {
            let held = capabilities.iter().copied();
            return Ok(Some(UnknownCalls::Enosys.profile(held)));
        }
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
