//! The mounts of a container, made from outside it: each destination is
//! resolved inside the root, and mounted on through its descriptor.

pub(crate) mod cgroup;
mod guard;
pub(crate) mod options;
mod recursive;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, StatVfsMountFlags, fstat, open, statvfs};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, mount, mount_bind, mount_bind_recursive, mount_change, mount_remount,
};

use crate::confined::{Missing, Root, by_handle};
use crate::descriptor::errno_of;
use crate::failure::{Failure, Step};
use crate::fallback::{Fallback, Fallbacks};
use cgroup::Cgroups;
use options::{Bind, Options, Propagation};
use recursive::Reach;

/// One of `mounts`.
#[derive(Debug)]
pub(crate) struct MountPoint {
    pub(crate) destination: PathBuf,
    kind: Kind,
    options: Options,
}

#[derive(Debug)]
enum Kind {
    Bind { source: PathBuf, bind: Bind },
    Cgroup,
    FileSystem { name: String, source: PathBuf },
}

/// File systems a container can be given anew, and the kernel's switch for each.
const FILE_SYSTEMS: [(&str, &str); 5] = [
    ("proc", "CONFIG_PROC_FS"),
    ("sysfs", "CONFIG_SYSFS"),
    ("tmpfs", "CONFIG_TMPFS"),
    ("devpts", "CONFIG_UNIX98_PTYS"),
    ("mqueue", "CONFIG_POSIX_MQUEUE"),
];

impl MountPoint {
    /// Resolves `mounts[index]`; a bind's relative source is relative to the
    /// bundle.
    pub(crate) fn new(
        index: usize,
        mount: &oci_spec::runtime::Mount,
        bundle: &Path,
    ) -> Result<Self, Failure> {
        let field = |name: &str| format!("mounts[{index}].{name}");
        let destination = mount.destination().clone();
        if !destination.is_absolute() || destination.file_name().is_none() {
            return Err(Failure::invalid(
                field("destination"),
                format!("{destination:?} is not an absolute path below /"),
            ));
        }
        let words = mount.options().as_deref().unwrap_or_default();
        let options = options::parse(&field("options"), words)?;
        let name = mount.typ().as_deref().unwrap_or("none");
        let source = mount.source().clone();
        let kind = match (options.bind, name) {
            // docker and runc take the type "bind" alone for a bind as well.
            (Some(bind), _) => Kind::bind(source, bind, bundle, field("source"))?,
            (None, "bind") => Kind::bind(source, Bind::Single, bundle, field("source"))?,
            (None, "cgroup" | "cgroup2") => {
                if !options.data.is_empty() {
                    return Err(Failure::NotImplemented {
                        field: format!("{}: {}", field("options"), options.data.to_string_lossy()),
                    });
                }
                Kind::Cgroup
            }
            (None, name) if FILE_SYSTEMS.iter().any(|(known, _)| *known == name) => {
                Kind::FileSystem {
                    name: name.to_owned(),
                    source: source.unwrap_or_else(|| PathBuf::from(name)),
                }
            }
            (None, name) => {
                return Err(Failure::NotImplemented {
                    field: format!("{} {name:?}", field("type")),
                });
            }
        };
        Ok(Self {
            destination,
            kind,
            options,
        })
    }

    /// Whether this is a bind: whoever binds a /dev wants that /dev.
    pub(crate) fn is_bind(&self) -> bool {
        matches!(self.kind, Kind::Bind { .. })
    }

    /// Whether mounts neither spread from it nor to it.
    pub(crate) fn is_private(&self) -> bool {
        matches!(self.options.propagation, None | Some(Propagation::PRIVATE))
    }

    /// Whether it shows cgroups.
    pub(crate) fn is_cgroup(&self) -> bool {
        matches!(self.kind, Kind::Cgroup)
    }

    /// What a bind mount shows, opened as long as the caller's own rights last.
    pub(crate) fn open_source(&self) -> Result<Option<OwnedFd>, Failure> {
        match &self.kind {
            Kind::Bind { source, .. } => {
                open(source, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
                    .on("bind mount", source)
                    .map(Some)
            }
            Kind::Cgroup | Kind::FileSystem { .. } => Ok(None),
        }
    }

    /// Mounts it inside `root`; `opened` is its [`MountPoint::open_source`].
    pub(crate) fn make(
        &self,
        root: &Root<'_>,
        opened: Option<OwnedFd>,
        cgroups: &Cgroups,
        fallbacks: &Fallbacks,
    ) -> Result<(), Failure> {
        match &self.kind {
            Kind::Cgroup => {
                cgroups.mount(root, &self.destination, self.options.flags, fallbacks)?;
            }
            Kind::FileSystem { name, source } => {
                let target = root
                    .create(&self.destination, Missing::Folder)
                    .on("open the mount point", &self.destination)?;
                let data = (!self.options.data.is_empty()).then_some(self.options.data.as_c_str());
                // One that can be done without is nothing to log.
                let silent = match name.as_str() {
                    "mqueue" => MountFlags::SILENT,
                    _ => MountFlags::empty(),
                };
                let answer = mount(
                    source,
                    by_handle(&target),
                    name.as_str(),
                    self.options.flags | silent,
                    data,
                );
                match answer {
                    // The network namespace is the machine's and not of the
                    // container's user namespace.
                    Err(Errno::PERM) if name == "sysfs" => {
                        fallbacks.record(Fallback::BoundSysfs);
                        self.bind_sysfs(root, &target, fallbacks)?;
                    }
                    // A file system few programs look for: a kernel without it
                    // still runs all others.
                    Err(Errno::NODEV) if name == "mqueue" => {
                        fallbacks.record(Fallback::NoMessageQueues);
                        return Ok(());
                    }
                    answer => answer.map_err(|errno| self.refused(name, errno))?,
                }
            }
            Kind::Bind { source, bind } => {
                let opened = opened.ok_or(Errno::BADF).on("bind mount", source)?;
                self.bind(root, source, &opened, *bind, fallbacks)?;
            }
        }
        if let Some(propagation) = self.options.propagation {
            let mounted = self.reopened(root)?;
            mount_change(by_handle(&mounted), propagation.0)
                .on("set the propagation of", &self.destination)?;
        }
        Ok(())
    }

    fn bind(
        &self,
        root: &Root<'_>,
        source: &Path,
        opened: &OwnedFd,
        bind: Bind,
        fallbacks: &Fallbacks,
    ) -> Result<(), Failure> {
        let status = fstat(opened).on("bind mount", source)?;
        let missing = match FileType::from_raw_mode(status.st_mode) {
            FileType::Directory => Missing::Folder,
            _ => Missing::File,
        };
        let target = root
            .create(&self.destination, missing)
            .on("open the mount point", &self.destination)?;
        guard::over_proc(&target, source, opened, &self.destination)?;
        match bind {
            Bind::Single => mount_bind(by_handle(opened), by_handle(&target)),
            Bind::Recursive => mount_bind_recursive(by_handle(opened), by_handle(&target)),
        }
        .on("bind mount on", &self.destination)?;
        // bind(2) takes no other flag: they need a second call, which would
        // also drop what the source has.
        let recursive = self.options.recursively_readonly;
        if self.options.flags.is_empty() && self.options.cleared.is_empty() && !recursive {
            return Ok(());
        }
        let mounted = self.reopened(root)?;
        guard::same_file(&mounted, &status, &self.destination)?;
        if recursive {
            recursive::make_readonly(&mounted, &self.destination, Reach::OfRoot, fallbacks)?;
        }
        if self.options.flags.is_empty() && self.options.cleared.is_empty() {
            return Ok(());
        }
        let had = flags_of(&mounted).on("statvfs", &self.destination)?;
        let flags = changed(had, self.options.cleared, self.options.flags);
        mount_remount(by_handle(&mounted), MountFlags::BIND | flags, c"")
            .on("set the flags of", &self.destination)
    }

    /// The machine's, whose ids mean nobody inside, with its flags added to.
    /// What is mounted below it is read-only where it is to be.
    fn bind_sysfs(
        &self,
        root: &Root<'_>,
        target: &OwnedFd,
        fallbacks: &Fallbacks,
    ) -> Result<(), Failure> {
        mount_bind_recursive("/sys", by_handle(target))
            .on("bind the machine's /sys on", &self.destination)?;
        let mounted = self.reopened(root)?;
        if self.options.flags.contains(MountFlags::RDONLY) {
            // Some of the machine's folders there are closed to the container's root.
            let reach = Reach::OfOthers;
            recursive::make_readonly(&mounted, &self.destination, reach, fallbacks)?;
        }
        let had = flags_of(&mounted).on("statvfs", &self.destination)?;
        mount_remount(
            by_handle(&mounted),
            MountFlags::BIND | had | self.options.flags,
            c"",
        )
        .on("set the flags of", &self.destination)
    }

    /// The first descriptor is of what the mount now covers.
    fn reopened(&self, root: &Root<'_>) -> Result<OwnedFd, Failure> {
        root.open(&self.destination)
            .on("open the mount on", &self.destination)
    }

    fn refused(&self, name: &str, errno: Errno) -> Failure {
        let switch = FILE_SYSTEMS.iter().find(|(known, _)| *known == name);
        match (errno, switch) {
            (Errno::NODEV, Some((_, switch))) => Failure::Unsupported {
                what: format!("file system {name} ({switch})"),
            },
            // Up to Linux 4.6 an instance of its own is a switch, and without it
            // the option is unknown.
            (Errno::INVAL, _) if name == "devpts" => Failure::Unsupported {
                what: "devpts with newinstance (CONFIG_DEVPTS_MULTIPLE_INSTANCES)".to_owned(),
            },
            // Of a user namespace's, unless it is privileged otherwise.
            (Errno::PERM, _) if name == "proc" => Failure::Unsupported {
                what: "file system proc of its own for this container: in a user namespace it is \
                       refused while anything of the machine's own /proc is covered, as it is in \
                       another container"
                    .to_owned(),
            },
            _ => Failure::System {
                step: format!("mount {name} on {}", self.destination.display()),
                errno,
            },
        }
    }
}

impl Kind {
    fn bind(
        source: Option<PathBuf>,
        bind: Bind,
        bundle: &Path,
        field: String,
    ) -> Result<Self, Failure> {
        match source {
            Some(source) => Ok(Self::Bind {
                source: bundle.join(source),
                bind,
            }),
            None => Err(Failure::invalid(field, "missing")),
        }
    }
}

/// The flags of the mount `handle` lies on, as mount(2) takes them. With all of
/// them it can be mounted again also where a user namespace locks them.
pub(crate) fn flags_of(handle: &OwnedFd) -> Result<MountFlags, Errno> {
    // By name: a descriptor of O_PATH takes fstatfs from Linux 3.12 on only.
    flags_at(&by_handle(handle))
}

/// The same of a path.
pub(crate) fn flags_at(path: &Path) -> Result<MountFlags, Errno> {
    const BOTH: [(StatVfsMountFlags, MountFlags); 7] = [
        (StatVfsMountFlags::RDONLY, MountFlags::RDONLY),
        (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
        (StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
        (StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
        (StatVfsMountFlags::NODIRATIME, MountFlags::NODIRATIME),
        (StatVfsMountFlags::RELATIME, MountFlags::RELATIME),
    ];
    let status = statvfs(path)?;
    let mut flags = MountFlags::empty();
    for (seen, flag) in BOTH {
        flags.set(flag, status.f_flag.contains(seen));
    }
    // Who says nothing of access times gets relatime (up to Linux 3.16 also where
    // it was not).
    let said = MountFlags::NOATIME | MountFlags::RELATIME;
    flags.set(MountFlags::STRICTATIME, !flags.intersects(said));
    Ok(flags)
}

/// What becomes of flags where some are cleared and some set; of the three ways
/// with access times one is always said.
fn changed(had: MountFlags, cleared: MountFlags, set: MountFlags) -> MountFlags {
    let times = MountFlags::NOATIME | MountFlags::RELATIME | MountFlags::STRICTATIME;
    let mut flags = had - cleared;
    if set.intersects(times) {
        flags -= times;
    } else if !flags.intersects(times) {
        flags |= MountFlags::RELATIME;
    }
    flags | set
}

/// `text` of /proc/self/mountinfo or the like, with the path in errors.
pub(crate) fn read_proc(path: &str) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(errno_of)
        .on("read", Path::new(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_way_with_access_times_is_said() {
        let (no, rel, strict, ro) = (
            MountFlags::NOATIME,
            MountFlags::RELATIME,
            MountFlags::STRICTATIME,
            MountFlags::RDONLY,
        );
        let none = MountFlags::empty();
        for (had, cleared, set, result) in [
            (rel, none, ro, rel | ro),
            (strict, none, no, no),
            (no, no, none, rel),
            (no | ro, ro, strict, strict),
        ] {
            assert_eq!(changed(had, cleared, set), result);
        }
    }
}
