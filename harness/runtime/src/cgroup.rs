//! A container's cgroups: one in each hierarchy the machine has mounted, made
//! before its first process is there, joined before that does anything, removed
//! when the container has ended.
//!
//! There are some only for a configuration that asks: with `linux.resources` or
//! `linux.cgroupsPath`. Otherwise the container is in the runtime's own groups.
//!
//! A controller is taken where it is found: a version 1 hierarchy of its own,
//! else the unified one; on a hybrid machine that can differ from one to the
//! next. Where a limit needs one that is not there, the kernel cannot do what is
//! asked, and what it lacks is named.
//!
//! Without `linux.cgroupsPath` the group is `matrix-ID`: in version 1 below the
//! runtime's own group, in version 2 beside it (a group with processes of its own
//! hands no controllers down, but for the top one).

mod controller;
mod cpu;
mod cpuset;
pub(crate) mod devices;
mod file;
pub(crate) mod freezer;
pub(crate) mod hierarchy;
#[cfg(test)]
mod live;
mod memory;
mod oom;
mod pids;
mod request;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

pub use controller::Controller;
pub use hierarchy::Version;
pub(crate) use request::Request;

use crate::descriptor::errno_of;
use crate::failure::{Failure, Step};
use crate::fallback::{Fallback, Fallbacks};
use crate::state::{Entry, State};
use controller::Machine;
use devices::rules::Rules;
use freezer::Freezer;
use hierarchy::Hierarchy;

/// How long removing waits for the kernel to let go of the last process.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often a group is made anew whose parent is removed meanwhile.
const TRIES: usize = 16;

/// What the status line says of a container's cgroups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Which interface served each controller that a limit needed.
    pub controllers: BTreeMap<Controller, Version>,
    /// How many processes were killed for memory, where memory was counted: in
    /// version 1 before Linux 4.13, how often it ran out.
    pub oom_kills: Option<u64>,
    /// Groups that could not be removed; a later start tries again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
}

/// A running container's cgroups.
#[derive(Debug)]
pub(crate) struct Group {
    places: Vec<Place>,
    /// Made here, each before those below it.
    made: Vec<PathBuf>,
    oom: Option<oom::Watch>,
    /// The rules for devices, and where they are to be in force.
    devices: Option<(Rules, Place)>,
    report: Report,
    entry: Entry,
}

/// The container's group in one hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    version: Version,
    mount_point: PathBuf,
    folder: PathBuf,
    /// Whether it is version 1's cpuset.
    is_cpuset: bool,
}

impl Group {
    /// Makes it, with all limits in force but the rules for devices. Nothing is
    /// left of one that cannot be made.
    pub(crate) fn make(
        request: &Request,
        id: &str,
        fallbacks: &Fallbacks,
    ) -> Result<Self, Failure> {
        let hierarchies = hierarchy::mounted()?;
        let machine = Machine::read(&hierarchies);
        let mut serving = BTreeMap::new();
        for controller in request.controllers() {
            let found = machine
                .find(controller)
                .map_err(|what| Failure::Unsupported { what })?;
            serving.insert(controller, found);
        }
        let places: Vec<Place> = hierarchies
            .iter()
            .map(|hierarchy| place(hierarchy, request.path.as_deref(), id))
            .collect();
        let mut group = Self {
            entry: Entry::claim(id, clean)?,
            made: Vec::new(),
            oom: None,
            devices: None,
            report: Report {
                controllers: serving
                    .iter()
                    .map(|(controller, hierarchy)| (*controller, hierarchy.version()))
                    .collect(),
                ..Report::default()
            },
            places,
        };
        let filled = group.fill(
            request,
            &serving,
            freezer(&hierarchies, &group.places),
            fallbacks,
        );
        match filled {
            Ok(()) => Ok(group),
            Err(failure) => {
                group.remove();
                Err(failure)
            }
        }
    }

    fn fill(
        &mut self,
        request: &Request,
        serving: &BTreeMap<Controller, &Hierarchy>,
        freezer: Option<Freezer>,
        fallbacks: &Fallbacks,
    ) -> Result<(), Failure> {
        // Before anything is made, so that nothing is made that nobody knows of.
        self.entry.write(&State {
            cgroups: self.places.iter().flat_map(Place::missing).collect(),
            freezer,
        })?;
        let unified: BTreeSet<&str> = serving
            .iter()
            .filter(|(controller, hierarchy)| {
                hierarchy.version() == Version::V2 && **controller != Controller::Devices
            })
            .map(|(controller, _)| controller.name())
            .collect();
        for place in &self.places {
            place.make(&unified, &mut self.made)?;
        }
        let folder = |controller: Controller| {
            let hierarchy = serving.get(&controller)?;
            self.places
                .iter()
                .find(|place| place.mount_point == hierarchy.mount_point)
        };
        if let (Some(memory), Some(place)) = (&request.memory, folder(Controller::Memory)) {
            limit_memory(memory, place.version, &place.folder, fallbacks)?;
        }
        if let (Some(pids), Some(place)) = (request.pids, folder(Controller::Pids)) {
            pids.setting().apply(&place.folder)?;
        }
        if let (Some(cpu), Some(place)) = (request.cpu, folder(Controller::Cpu)) {
            for setting in cpu.settings(place.version) {
                setting.apply(&place.folder)?;
            }
        }
        if let (Some(cpuset), Some(place)) = (&request.cpuset, folder(Controller::Cpuset)) {
            for setting in cpuset.settings() {
                setting.apply(&place.folder)?;
            }
        }
        for (name, value) in &request.unified {
            write_unified(name, value, request::of_file(name).and_then(folder))?;
        }
        let devices = folder(Controller::Devices).cloned();
        if let Some(place) = folder(Controller::Memory) {
            self.oom = oom::Watch::begin(place.version, &place.folder)?;
        }
        self.devices = request.devices.clone().zip(devices);
        Ok(())
    }

    /// Puts the container's first process into it; all it starts is there, too.
    pub(crate) fn join(&self, first: Pid) -> Result<(), Failure> {
        let pid = first.as_raw_nonzero().to_string();
        for place in &self.places {
            let path = place.folder.join("cgroup.procs");
            file::write(&path, &pid).step(|| format!("write the process to {}", path.display()))?;
        }
        Ok(())
    }

    /// Puts the rules for devices in force: the container's own nodes have been
    /// made by now, which they may forbid.
    pub(crate) fn restrict_devices(&self) -> Result<(), Failure> {
        let Some((rules, place)) = &self.devices else {
            return Ok(());
        };
        match place.version {
            Version::V1 => devices::apply_v1(rules, &place.folder),
            Version::V2 => devices::apply_v2(rules, &place.folder),
        }
    }

    /// Whether the first process, which SIGKILL ended, was killed for memory.
    /// Counts the kills.
    pub(crate) fn killed_for_memory(&mut self, first: Pid) -> Result<bool, Failure> {
        let kills = self.count_kills()?;
        Ok(match &mut self.oom {
            Some(oom) => oom.killed(first, kills),
            None => false,
        })
    }

    /// Counts the kills for memory, for the report.
    pub(crate) fn count_kills(&mut self) -> Result<u64, Failure> {
        let Some(oom) = &mut self.oom else {
            return Ok(0);
        };
        // Notices are gone once they are read.
        let kills = self.report.oom_kills.unwrap_or(0).max(oom.kills()?);
        self.report.oom_kills = Some(kills);
        Ok(kills)
    }

    /// Removes what was made. All processes of the container have ended.
    pub(crate) fn remove(self) -> Report {
        let mut report = self.report;
        match remove_all(&self.made).and_then(|()| self.entry.remove()) {
            Ok(()) => {}
            Err(failure) => report.left.push(failure.to_string()),
        }
        report
    }
}

impl Place {
    /// The group's folder and those above it, from below the hierarchy's top.
    fn chain(&self) -> Vec<&Path> {
        let mut chain: Vec<&Path> = self
            .folder
            .ancestors()
            .take_while(|folder| *folder != self.mount_point)
            .collect();
        chain.reverse();
        chain
    }

    /// What of it has to be made.
    fn missing(&self) -> Vec<PathBuf> {
        let is_missing = |folder: &&Path| !folder.exists();
        self.chain()
            .into_iter()
            .filter(is_missing)
            .map(Path::to_owned)
            .collect()
    }

    /// Makes what is missing, and in version 2 has `controllers` handed down to
    /// it.
    fn make(&self, controllers: &BTreeSet<&str>, made: &mut Vec<PathBuf>) -> Result<(), Failure> {
        for _ in 0..TRIES {
            match self.make_once(controllers, made) {
                // Somebody has removed a folder above: it was empty.
                Err(Failure::System { errno, .. }) if errno == Errno::NOENT => {}
                answer => return answer,
            }
        }
        Err(Errno::NOENT).on("make the cgroup", &self.folder)
    }

    fn make_once(
        &self,
        controllers: &BTreeSet<&str>,
        made: &mut Vec<PathBuf>,
    ) -> Result<(), Failure> {
        let mut above = self.mount_point.as_path();
        for folder in self.chain() {
            if self.version == Version::V2 {
                hand_down(above, controllers)?;
            }
            match fs::create_dir(folder).map_err(errno_of) {
                Ok(()) => {
                    made.push(folder.to_owned());
                    if self.is_cpuset {
                        cpuset::inherit(folder)?;
                    }
                }
                Err(Errno::EXIST) if folder != self.folder => {}
                Err(Errno::EXIST) => must_be_empty(folder)?,
                Err(errno) => return Err(errno).on("make the cgroup", folder),
            }
            above = folder;
        }
        Ok(())
    }
}

/// Somebody's, made for the container, or left behind; not another's.
fn must_be_empty(folder: &Path) -> Result<(), Failure> {
    if file::read(&folder.join("cgroup.procs"))?.is_empty() {
        Ok(())
    } else {
        Err(Errno::BUSY).step(|| {
            format!(
                "use the cgroup {}: it has processes in it",
                folder.display()
            )
        })
    }
}

/// Lets the groups below `folder` have the controllers.
fn hand_down(folder: &Path, controllers: &BTreeSet<&str>) -> Result<(), Failure> {
    if controllers.is_empty() {
        return Ok(());
    }
    let path = folder.join("cgroup.subtree_control");
    let text = file::read(&path)?;
    let there: BTreeSet<&str> = text.split_whitespace().collect();
    for name in controllers.difference(&there) {
        file::write(&path, &format!("+{name}")).step(|| {
            format!(
                "hand the cgroup controller {name} down by {} (hint: a group with processes of \
                 its own hands nothing down, and what is not in its cgroup.controllers neither; \
                 linux.cgroupsPath can name another place)",
                path.display()
            )
        })?;
    }
    Ok(())
}

fn limit_memory(
    memory: &memory::Memory,
    version: Version,
    folder: &Path,
    fallbacks: &Fallbacks,
) -> Result<(), Failure> {
    for setting in memory.settings(version)? {
        match setting.apply(folder) {
            Err(Failure::Unsupported { .. }) if memory.is_dispensable(&setting) => {
                fallbacks.record(Fallback::NoSwapLimit);
            }
            answer => answer?,
        }
    }
    Ok(())
}

fn write_unified(name: &str, value: &str, place: Option<&Place>) -> Result<(), Failure> {
    let unsupported = || {
        Err(Failure::Unsupported {
            what: format!("file {name} in the cgroups that serve (linux.resources.unified)"),
        })
    };
    let Some(place) = place.filter(|place| place.version == Version::V2) else {
        return unsupported();
    };
    let path = place.folder.join(name);
    match file::write(&path, value) {
        Err(Errno::NOENT) => unsupported(),
        answer => answer.step(|| {
            format!(
                "write {value:?} to {} (linux.resources.unified)",
                path.display()
            )
        }),
    }
}

/// Where the container's group is in `hierarchy`.
fn place(hierarchy: &Hierarchy, path: Option<&Path>, id: &str) -> Place {
    let own = match hierarchy
        .group
        .components()
        .any(|one| one == Component::ParentDir)
    {
        // Outside of what the runtime's cgroup namespace shows.
        true => Path::new("/"),
        false => hierarchy.group.as_path(),
    };
    let base = match hierarchy.version() {
        Version::V1 => own,
        Version::V2 => own.parent().unwrap_or(own),
    };
    let named = format!("matrix-{id}");
    let path = path.unwrap_or_else(|| Path::new(&named));
    Place {
        version: hierarchy.version(),
        mount_point: hierarchy.mount_point.clone(),
        // An absolute path replaces what it is joined to.
        folder: hierarchy.folder(&base.join(path)),
        is_cpuset: hierarchy.has("cpuset"),
    }
}

/// Version 1's if it is there.
fn freezer(hierarchies: &[Hierarchy], places: &[Place]) -> Option<Freezer> {
    let of = |wanted: fn(&Hierarchy) -> bool| {
        let both = hierarchies.iter().zip(places);
        both.filter(|(hierarchy, _)| wanted(hierarchy))
            .map(|(hierarchy, place)| Freezer {
                version: hierarchy.version(),
                folder: place.folder.clone(),
            })
            .next()
    };
    of(|hierarchy| hierarchy.has("freezer"))
        .or_else(|| of(|hierarchy| hierarchy.version() == Version::V2))
}

/// What a killed runtime left: its processes were killed with it, but what is
/// frozen in version 1 does not hear that.
fn clean(state: &State) -> Result<(), Failure> {
    if let Some(freezer) = &state.freezer
        && freezer.folder.exists()
    {
        match freezer.thaw() {
            Ok(()) | Err(Failure::Unsupported { .. }) => {}
            Err(failure) => return Err(failure),
        }
    }
    remove_all(&state.cgroups)
}

/// `made` has each folder before those below it.
fn remove_all(made: &[PathBuf]) -> Result<(), Failure> {
    let begun = Instant::now();
    for folder in made.iter().rev() {
        let is_parent = made
            .iter()
            .any(|other| other != folder && other.starts_with(folder));
        if is_parent {
            // Another container may be in it by now.
            match fs::remove_dir(folder).map_err(errno_of) {
                Ok(()) | Err(Errno::NOENT | Errno::BUSY | Errno::NOTEMPTY) => {}
                Err(errno) => return Err(errno).on("remove the cgroup", folder),
            }
            continue;
        }
        // A process that was just reaped can still be counted (EBUSY).
        while let Err(errno) = remove_tree(folder) {
            if errno != Errno::BUSY || begun.elapsed() > PATIENCE {
                return Err(errno).on("remove the cgroup", folder);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    Ok(())
}

/// rmdir from the leaves up; a cgroup's files go with it.
fn remove_tree(folder: &Path) -> Result<(), Errno> {
    let is_gone = |errno: &Errno| *errno == Errno::NOENT;
    match fs::remove_dir(folder).map_err(errno_of) {
        Ok(()) => return Ok(()),
        Err(errno) if is_gone(&errno) => return Ok(()),
        // With groups below it, which the container has made, EBUSY too.
        Err(_) => {}
    }
    for entry in fs::read_dir(folder).map_err(errno_of)? {
        let entry = entry.map_err(errno_of)?;
        if entry.file_type().map_err(errno_of)?.is_dir() && entry.file_name() != OsStr::new("..") {
            remove_tree(&entry.path())?;
        }
    }
    match fs::remove_dir(folder).map_err(errno_of) {
        Err(errno) if !is_gone(&errno) => Err(errno),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hierarchy(controllers: &str, group: &str) -> Hierarchy {
        Hierarchy {
            mount_point: PathBuf::from(format!("/cg/{controllers}")),
            controllers: controllers.to_owned(),
            group: PathBuf::from(group),
        }
    }

    #[test]
    fn the_group_is_below_or_beside_the_runtimes_own() {
        for (controllers, group, path, folder) in [
            ("pids", "/", None, "/cg/pids/matrix-c1"),
            ("pids", "/a/b", None, "/cg/pids/a/b/matrix-c1"),
            ("", "/", None, "/cg/matrix-c1"),
            ("", "/a/b", None, "/cg/a/matrix-c1"),
            ("", "/../x", None, "/cg/matrix-c1"),
            ("", "/a/b", Some("/docker/7"), "/cg/docker/7"),
            ("", "/a/b", Some("docker/7"), "/cg/a/docker/7"),
            ("pids", "/a", Some("docker/7"), "/cg/pids/a/docker/7"),
        ] {
            let place = place(&hierarchy(controllers, group), path.map(Path::new), "c1");
            assert_eq!(place.folder, Path::new(folder));
        }
        let deep = place(&hierarchy("", "/"), Some(Path::new("/a/b/c")), "x");
        assert_eq!(
            deep.chain(),
            ["/cg/a", "/cg/a/b", "/cg/a/b/c"].map(Path::new)
        );
    }

    #[test]
    fn version_1_freezes_where_it_can() {
        let both = [hierarchy("", "/"), hierarchy("freezer", "/")];
        let places = both.clone().map(|one| place(&one, None, "x"));
        assert_eq!(freezer(&both, &places).unwrap().version, Version::V1);
        assert_eq!(freezer(&both[..1], &places).unwrap().version, Version::V2);
        assert_eq!(freezer(&[], &[]), None);
    }

    #[test]
    fn what_is_not_handed_down_yet_is() {
        let folder = tempfile::tempdir().unwrap();
        let control = folder.path().join("cgroup.subtree_control");
        // The kernel takes words; this file keeps the last.
        for (there, words) in [
            ("cpu memory\n", "+pids"),
            ("cpu memory pids\n", "cpu memory pids\n"),
        ] {
            fs::write(&control, there).unwrap();
            hand_down(folder.path(), &["cpu", "pids"].into()).unwrap();
            let text = fs::read_to_string(&control).unwrap();
            assert!(text.starts_with(words), "{text:?}");
        }
        hand_down(&folder.path().join("none"), &[].into()).unwrap();
        let refused = hand_down(&folder.path().join("none"), &["cpu"].into()).unwrap_err();
        assert!(refused.to_string().contains("subtree_control"), "{refused}");
    }

    /// A group as 5.10 has it in version 1 without swapaccount=1, in plain files.
    #[test]
    fn a_limit_on_swap_is_left_out_only_where_it_was_not_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let limit = folder.path().join("memory.limit_in_bytes");
        let config =
            serde_json::json!({"linux": {"resources": {"memory": {"limit": 10, "swap": 20}}}});
        let mut memory = memory::Memory::parse(&crate::node::Node::of(&config))
            .unwrap()
            .unwrap();
        for dispensable in [true, false] {
            fs::write(&limit, "").unwrap();
            memory.swap_can_be_left_out = dispensable;
            let fallbacks = Fallbacks::default();
            let answer = limit_memory(&memory, Version::V1, folder.path(), &fallbacks);
            assert_eq!(fs::read_to_string(&limit).unwrap(), "10");
            match answer {
                Ok(()) => assert_eq!(fallbacks.list(), [Fallback::NoSwapLimit]),
                Err(Failure::Unsupported { what }) => assert!(what.contains("swapaccount=1")),
                Err(other) => panic!("{other}"),
            }
            assert_eq!(fallbacks.list().is_empty(), !dispensable);
        }
    }

    /// Plain folders stand in for groups here.
    #[test]
    fn what_was_made_is_removed_and_what_others_use_is_not() {
        let root = tempfile::tempdir().unwrap();
        let folder = |name: &str| root.path().join(name);
        fs::create_dir_all(folder("a/b/inside/deeper")).unwrap();
        fs::create_dir_all(folder("a/another")).unwrap();
        let made = [folder("a"), folder("a/b"), folder("gone")];
        remove_all(&made).unwrap();
        assert!(!folder("a/b").exists() && folder("a/another").exists());
        fs::write(folder("a/another/file"), "").unwrap();
        assert!(remove_all(&[folder("a/another")]).is_err());
    }
}
