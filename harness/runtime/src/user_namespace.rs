//! The container's user namespace: its root is somebody without rights outside.
//!
//! The namespace is made by the clone that makes the first process, so that all
//! others are its own; the runtime writes the mapping of its ids while the first
//! process waits ([`UserNamespace::write_maps`]). A caller with root's rights
//! maps what it likes. Any other can map one id, its own, and gives up setgroups
//! for it; `newuidmap` is not asked.
//!
//! Up to where the first process becomes the namespace's root
//! ([`UserNamespace::become_root`]) it is, to files, who started the runtime: so
//! a root or a volume in a folder that is private to the caller can be opened.

mod refusal;

use std::fmt::Write;
use std::path::Path;

use oci_spec::runtime::LinuxIdMapping;
use rustix::fs::{Gid, Uid};
use rustix::io::Errno;
use rustix::process::Pid;
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::descriptor::errno_of;
use crate::failure::{Failure, Step};
pub use refusal::explain;

/// Both mappings, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UserNamespace {
    uids: Vec<Mapping>,
    gids: Vec<Mapping>,
    /// Who makes the container: root where it is mapped, else the user of its
    /// program.
    maker: (u32, u32),
}

/// `size` ids from `inside` on are those from `outside` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mapping {
    inside: u32,
    outside: u32,
    size: u32,
}

/// What becomes of supplementary groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Groups {
    /// They are the configuration's.
    Set,
    /// setgroups is denied, as it is to who could map one id only: a process
    /// keeps those it was born with.
    Kept,
}

/// Lines of a map before Linux 4.15.
const LINES_BEFORE_4_15: usize = 5;

impl UserNamespace {
    /// Checks `linux.uidMappings` and `.gidMappings`; `user` and `group` are the
    /// program's.
    pub(crate) fn new(
        uids: &[LinuxIdMapping],
        gids: &[LinuxIdMapping],
        (user, group): (u32, u32),
    ) -> Result<Self, Failure> {
        let uids = mappings("linux.uidMappings", uids)?;
        let gids = mappings("linux.gidMappings", gids)?;
        let root_or = |map: &[Mapping], id| if maps(map, 0) { 0 } else { id };
        let namespace = Self {
            maker: (root_or(&uids, user), root_or(&gids, group)),
            uids,
            gids,
        };
        namespace.check_user(user)?;
        namespace.check_group("process.user.gid", group)?;
        Ok(namespace)
    }

    fn check_user(&self, id: u32) -> Result<(), Failure> {
        mapped("process.user.uid", id, &self.uids, "linux.uidMappings")
    }

    /// Refuses a group that means nobody in the namespace.
    pub(crate) fn check_group(&self, field: &str, id: u32) -> Result<(), Failure> {
        mapped(field, id, &self.gids, "linux.gidMappings")
    }

    /// From outside, once for the namespace of `child`.
    pub(crate) fn write_maps(&self, child: Pid) -> Result<(), Failure> {
        let folder = format!("/proc/{}", child.as_raw_nonzero());
        let write = |name: &str, text: &str| {
            let path = format!("{folder}/{name}");
            std::fs::write(&path, text).map_err(errno_of)
        };
        let gids = text(&self.gids);
        let written = match write("gid_map", &gids) {
            // From Linux 3.19 on who has no right to set groups must deny it to
            // all in the namespace first, lest a group that is there to be
            // refused something be dropped.
            Err(Errno::PERM) => match write("setgroups", "deny") {
                Ok(()) | Err(Errno::NOENT) => write("gid_map", &gids),
                Err(errno) => Err(errno),
            },
            answer => answer,
        };
        let refused = |name: &str, field: &str, lines: usize, errno| match errno {
            Errno::INVAL if lines > LINES_BEFORE_4_15 => Failure::Unsupported {
                what: format!("more than {LINES_BEFORE_4_15} {field} (Linux 4.15)"),
            },
            Errno::PERM => Failure::System {
                step: format!(
                    "write {field} to {folder}/{name}, which the caller may not map (hint: \
                     without root's rights one id can be mapped, the caller's own)"
                ),
                errno,
            },
            errno => Failure::System {
                step: format!("write {field} to {folder}/{name}"),
                errno,
            },
        };
        written.map_err(|errno| refused("gid_map", "linux.gidMappings", self.gids.len(), errno))?;
        write("uid_map", &text(&self.uids))
            .map_err(|errno| refused("uid_map", "linux.uidMappings", self.uids.len(), errno))
    }

    /// In the first process, once the maps are written. What it makes from now
    /// on belongs to the namespace's root.
    pub(crate) fn become_root(&self) -> Result<Groups, Failure> {
        let groups = match set_thread_groups(&[]) {
            Ok(()) => Groups::Set,
            Err(Errno::PERM) if setgroups_is_denied()? => Groups::Kept,
            Err(errno) => return Err(errno).step(|| "setgroups".to_owned()),
        };
        let (uid, gid) = (Uid::from_raw(self.maker.0), Gid::from_raw(self.maker.1));
        set_thread_res_gid(gid, gid, gid).step(|| "setresgid".to_owned())?;
        set_thread_res_uid(uid, uid, uid).step(|| "setresuid".to_owned())?;
        Ok(groups)
    }
}

fn setgroups_is_denied() -> Result<bool, Failure> {
    let path = Path::new("/proc/self/setgroups");
    match std::fs::read_to_string(path).map_err(errno_of) {
        Ok(text) => Ok(text.trim() == "deny"),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno).on("read", path),
    }
}

fn mappings(field: &str, listed: &[LinuxIdMapping]) -> Result<Vec<Mapping>, Failure> {
    if listed.is_empty() {
        let problem = "missing: a user namespace without one has nobody in it";
        return Err(Failure::invalid(field, problem));
    }
    let mut map: Vec<Mapping> = Vec::new();
    for (index, mapping) in listed.iter().enumerate() {
        let mapping = Mapping {
            inside: mapping.container_id(),
            outside: mapping.host_id(),
            size: mapping.size(),
        };
        let refused = |problem| Err(Failure::invalid(format!("{field}[{index}]"), problem));
        if mapping.size == 0 {
            return refused("a size of 0");
        }
        // The last id of all, 4294967295, is nobody's.
        if [mapping.inside, mapping.outside]
            .iter()
            .any(|first| first.checked_add(mapping.size).is_none())
        {
            return refused("ids beyond 4294967294");
        }
        if map.iter().any(|other| mapping.overlaps(other)) {
            return refused("an id is mapped twice");
        }
        map.push(mapping);
    }
    Ok(map)
}

impl Mapping {
    fn overlaps(&self, other: &Self) -> bool {
        let cross = |one: u32, two: u32| one < two + other.size && two < one + self.size;
        cross(self.inside, other.inside) || cross(self.outside, other.outside)
    }
}

fn maps(map: &[Mapping], id: u32) -> bool {
    map.iter()
        .any(|mapping| (mapping.inside..mapping.inside + mapping.size).contains(&id))
}

fn mapped(field: &str, id: u32, map: &[Mapping], in_what: &str) -> Result<(), Failure> {
    if maps(map, id) {
        Ok(())
    } else {
        let problem = format!("{id} is not among {in_what}");
        Err(Failure::invalid(field, problem))
    }
}

/// As /proc/PID/uid_map takes it, in one write.
fn text(map: &[Mapping]) -> String {
    let mut text = String::new();
    for mapping in map {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{} {} {}",
            mapping.inside, mapping.outside, mapping.size
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn made(
        uids: &[(u32, u32, u32)],
        gids: &[(u32, u32, u32)],
        user: (u32, u32),
    ) -> Result<UserNamespace, String> {
        let list = |map: &[(u32, u32, u32)]| -> Vec<LinuxIdMapping> {
            map.iter()
                .map(|(inside, outside, size)| {
                    let mapping = json!({"containerID": inside, "hostID": outside, "size": size});
                    serde_json::from_value(mapping).unwrap()
                })
                .collect()
        };
        UserNamespace::new(&list(uids), &list(gids), user).map_err(|failure| failure.to_string())
    }

    #[test]
    fn maps_are_written_as_the_kernel_reads_them() {
        let one = made(&[(0, 100_000, 1000), (1000, 1000, 1)], &[(5, 5, 1)], (7, 5));
        let one = one.unwrap();
        assert_eq!(text(&one.uids), "0 100000 1000\n1000 1000 1\n");
        // Nobody is root's group here, so the program's makes the container.
        assert_eq!(one.maker, (0, 5));
        assert!(one.check_group("x", 6).is_err());
    }

    #[test]
    fn mappings_that_mean_nothing_are_named() {
        let whole = [(0, 100_000, 65_536)];
        for (uids, gids, user, problem) in [
            (&[][..], &whole[..], (0, 0), "linux.uidMappings: missing"),
            (&whole, &[], (0, 0), "linux.gidMappings: missing"),
            (
                &[(0, 1, 0)],
                &whole,
                (0, 0),
                "linux.uidMappings[0]: a size of 0",
            ),
            (
                &[(0, 1, u32::MAX)],
                &whole,
                (0, 0),
                "linux.uidMappings[0]: ids beyond",
            ),
            (
                &[(0, 10, 5), (4, 100, 5)],
                &whole,
                (0, 0),
                "linux.uidMappings[1]: an id is mapped twice",
            ),
            (
                &[(0, 10, 5), (5, 14, 5)],
                &whole,
                (0, 0),
                "linux.uidMappings[1]: an id is mapped twice",
            ),
            (
                &whole,
                &whole,
                (70_000, 0),
                "process.user.uid: 70000 is not among linux.uidMappings",
            ),
            (
                &whole,
                &[(1, 1, 1)],
                (0, 0),
                "process.user.gid: 0 is not among linux.gidMappings",
            ),
        ] {
            let message = made(uids, gids, user).unwrap_err();
            assert!(message.starts_with(problem), "{problem}: {message}");
        }
    }
}
