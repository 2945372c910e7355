//! The configuration docker writes for `docker run --network none IMAGE`,
//! without its cgroup limits, and with a seccomp profile only on demand.
//!
//! The lists are those of moby's `oci/defaults.go`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::credentials::NAMES;
use crate::seccomp::UnknownCalls;
pub use oci_spec::runtime::Capability;
use oci_spec::runtime::{
    Linux, LinuxCapabilities, LinuxNamespace, LinuxNamespaceType, Mount, Process, Root, Spec, User,
};

/// What differs between two containers of docker's defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// The root file system, absolute or relative to the bundle.
    pub rootfs: PathBuf,
    /// Program and arguments. A program without a slash is looked for in the
    /// PATH of `environment`.
    pub arguments: Vec<String>,
    /// The whole environment, in order.
    pub environment: Vec<(String, String)>,
    /// Working directory, absolute; made where the root lacks it.
    pub directory: PathBuf,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary group ids.
    pub groups: Vec<u32>,
    /// The container's host name.
    pub hostname: String,
    /// A private cgroup namespace; see [`kernel_has_cgroup_namespaces`]. The
    /// bundled runtime takes one on a kernel without as something it can do
    /// without, others do not.
    pub cgroup_namespace: bool,
    /// A network namespace that is there already, as a path; none: the runtime makes
    /// one.
    pub network: Option<PathBuf>,
    /// A filter for system calls: the project's own profile.
    pub seccomp: Option<UnknownCalls>,
    /// Capabilities besides docker's 14.
    pub added: Vec<Capability>,
}

/// Whether this kernel has cgroup namespaces (Linux 4.6). Needs /proc.
pub fn kernel_has_cgroup_namespaces() -> bool {
    Path::new("/proc/self/ns/cgroup").exists()
}

/// Every capability this runtime knows, by its number.
pub fn every_capability() -> impl Iterator<Item = Capability> {
    NAMES.iter().filter_map(|name| capability(name))
}

/// The capability of this name, with or without `CAP_`, in capital letters or small
/// ones.
pub fn capability(name: &str) -> Option<Capability> {
    let upper = name.to_ascii_uppercase();
    let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
    serde_json::from_value(serde_json::json!(format!("CAP_{bare}"))).ok()
}

impl Container {
    /// The bundle's config.json; `serde_json` writes it.
    pub fn spec(&self) -> Spec {
        let mut root = Root::default();
        root.set_path(self.rootfs.clone()).set_readonly(Some(false));
        let mut spec = Spec::default();
        spec.set_version("1.0.2".to_owned())
            .set_root(Some(root))
            .set_process(Some(self.process()))
            .set_hostname(Some(self.hostname.clone()))
            .set_mounts(Some(mounts()))
            .set_annotations(None)
            .set_linux(Some(self.linux()));
        spec
    }

    fn process(&self) -> Process {
        let mut user = User::default();
        user.set_uid(self.uid)
            .set_gid(self.gid)
            .set_additional_gids(Some(self.groups.clone()));
        let environment = self
            .environment
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let all = self.capabilities();
        let mut capabilities = LinuxCapabilities::default();
        // No inheritable set: docker dropped it with CVE-2022-24769.
        capabilities
            .set_bounding(Some(all.clone()))
            .set_effective(Some(all.clone()))
            .set_permitted(Some(all))
            .set_inheritable(None)
            .set_ambient(None);
        let mut process = Process::default();
        process
            .set_terminal(Some(false))
            .set_user(user)
            .set_args(Some(self.arguments.clone()))
            .set_env(Some(environment))
            .set_cwd(self.directory.clone())
            .set_capabilities(Some(capabilities))
            .set_rlimits(None)
            .set_no_new_privileges(Some(false));
        process
    }

    fn capabilities(&self) -> HashSet<Capability> {
        let added = self.added.iter().copied();
        CAPABILITIES.into_iter().chain(added).collect()
    }

    fn linux(&self) -> Linux {
        let mut kinds = vec![
            LinuxNamespaceType::Mount,
            LinuxNamespaceType::Network,
            LinuxNamespaceType::Uts,
            LinuxNamespaceType::Pid,
            LinuxNamespaceType::Ipc,
        ];
        if self.cgroup_namespace {
            kinds.push(LinuxNamespaceType::Cgroup);
        }
        let namespaces = kinds
            .into_iter()
            .map(|kind| {
                let mut namespace = LinuxNamespace::default();
                if kind == LinuxNamespaceType::Network {
                    namespace.set_path(self.network.clone());
                }
                namespace.set_typ(kind);
                namespace
            })
            .collect();
        let mut linux = Linux::default();
        linux
            .set_namespaces(Some(namespaces))
            .set_resources(None)
            .set_seccomp(self.seccomp.map(|form| form.profile(self.capabilities())))
            .set_devices(None)
            .set_masked_paths(Some(MASKED_PATHS.map(str::to_owned).to_vec()))
            .set_readonly_paths(Some(READONLY_PATHS.map(str::to_owned).to_vec()));
        linux
    }
}

/// Docker's default capabilities.
pub(crate) const CAPABILITIES: [Capability; 14] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fsetid,
    Capability::Fowner,
    Capability::Mknod,
    Capability::NetRaw,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setfcap,
    Capability::Setpcap,
    Capability::NetBindService,
    Capability::SysChroot,
    Capability::Kill,
    Capability::AuditWrite,
];

/// Docker's masked paths.
const MASKED_PATHS: [&str; 11] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

/// Docker's read-only paths.
const READONLY_PATHS: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// Docker's mounts: destination, type, source, options. /dev/shm's size is the
/// one its daemon adds.
const MOUNTS: [(&str, &str, &str, &[&str]); 7] = [
    ("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
    (
        "/dev",
        "tmpfs",
        "tmpfs",
        &["nosuid", "strictatime", "mode=755", "size=65536k"],
    ),
    (
        "/dev/pts",
        "devpts",
        "devpts",
        &[
            "nosuid",
            "noexec",
            "newinstance",
            "ptmxmode=0666",
            "mode=0620",
            "gid=5",
        ],
    ),
    (
        "/sys",
        "sysfs",
        "sysfs",
        &["ro", "nosuid", "noexec", "nodev"],
    ),
    (
        "/sys/fs/cgroup",
        "cgroup",
        "cgroup",
        &["ro", "nosuid", "noexec", "nodev"],
    ),
    (
        "/dev/mqueue",
        "mqueue",
        "mqueue",
        &["nosuid", "noexec", "nodev"],
    ),
    (
        "/dev/shm",
        "tmpfs",
        "shm",
        &["nosuid", "noexec", "nodev", "mode=1777", "size=67108864"],
    ),
];

fn mounts() -> Vec<Mount> {
    MOUNTS
        .iter()
        .map(|(destination, kind, source, options)| {
            let mut mount = Mount::default();
            mount
                .set_destination(PathBuf::from(destination))
                .set_typ(Some((*kind).to_owned()))
                .set_source(Some(PathBuf::from(source)))
                .set_options(Some(
                    options.iter().map(|option| (*option).to_owned()).collect(),
                ));
            mount
        })
        .collect()
}
