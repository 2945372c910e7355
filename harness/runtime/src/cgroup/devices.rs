//! `linux.resources.devices`: which device nodes can be opened and made.
//!
//! The rules are carried out one after the other ([`rules`]); what they come to
//! is written into version 1's files, or made into a BPF program for version 2
//! ([`program`]). A container whose configuration has rules starts from none
//! allowed, and what they allow is all there is; without rules nothing is
//! restricted.

pub(crate) mod program;
pub(crate) mod rules;

use std::fs::File;
use std::path::Path;

use rustix::io::Errno;

use super::file;
use crate::descriptor::errno_of;
use crate::failure::{Failure, Step};
use rules::{Access, Rules};

/// Makes the rules those of the version 1 group `folder`, whatever it had.
pub(super) fn apply_v1(rules: &Rules, folder: &Path) -> Result<(), Failure> {
    let (all, exceptions) = match rules.allowed_by_default {
        true => ("devices.allow", "devices.deny"),
        false => ("devices.deny", "devices.allow"),
    };
    let write = |name: &str, value: &str| {
        let path = folder.join(name);
        match file::write(&path, value) {
            Err(Errno::NOENT) if folder.is_dir() => Err(Failure::Unsupported {
                what: "device control in cgroup v1 (CONFIG_CGROUP_DEVICE)".to_owned(),
            }),
            answer => answer.step(|| {
                format!(
                    "write {value:?} to {} (linux.resources.devices)",
                    path.display()
                )
            }),
        }
    };
    write(all, "a")?;
    for (devices, access) in &rules.exceptions {
        write(exceptions, &format!("{devices} {access}"))?;
    }
    Ok(())
}

/// Attaches a program that does what the rules say to the version 2 group.
pub(super) fn apply_v2(rules: &Rules, folder: &Path) -> Result<(), Failure> {
    if rules.allowed_by_default && rules.exceptions.is_empty() {
        return Ok(());
    }
    let group = File::open(folder).map_err(errno_of).on("open", folder)?;
    program::attach(&program::assemble(rules), &group, folder)
}

/// docker's own list, as `(type, major, minor, access)`; -1 is any.
pub(crate) const DOCKERS: [(char, i64, i64, Access); 11] = [
    // Any node can be made, and only these be opened.
    ('c', -1, -1, Access::MAKE),
    ('b', -1, -1, Access::MAKE),
    ('c', 1, 3, Access::ALL),
    ('c', 1, 5, Access::ALL),
    ('c', 1, 7, Access::ALL),
    ('c', 1, 8, Access::ALL),
    ('c', 1, 9, Access::ALL),
    ('c', 5, 0, Access::ALL),
    ('c', 5, 1, Access::ALL),
    ('c', 5, 2, Access::ALL),
    ('c', 136, -1, Access::ALL),
];
