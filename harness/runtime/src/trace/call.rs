//! System calls by number, and which of their arguments are worth a look.

use syscalls::{x86, x86_64};

/// A system call as a process made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// By the table of the process's mode.
    pub(super) number: u64,
    /// i386's table and registers.
    pub(super) compat: bool,
    /// The first six arguments.
    pub(super) arguments: [u64; 6],
}

impl Call {
    /// Its name.
    pub(super) fn name(&self) -> String {
        name(self.number, self.compat)
    }

    /// The argument that points to a path, by its place.
    pub(super) fn path(&self) -> Option<u64> {
        let name = self.name();
        let place = if FIRST.contains(&name.as_str()) {
            0
        } else if SECOND.contains(&name.as_str()) {
            1
        } else {
            return None;
        };
        Some(self.arguments[place])
    }
}

/// The name of a call; `syscall 999` where it has none.
pub(super) fn name(number: u64, compat: bool) -> String {
    /// __X32_SYSCALL_BIT.
    const X32: u64 = 0x4000_0000;
    let known = usize::try_from(number & !X32).ok().and_then(|number| {
        if compat {
            x86::Sysno::new(number).map(|call| call.name())
        } else {
            x86_64::Sysno::new(number).map(|call| call.name())
        }
    });
    known.map_or_else(|| format!("syscall {number}"), str::to_owned)
}

/// Calls whose first argument is a path.
const FIRST: [&str; 39] = [
    "access",
    "acct",
    "chdir",
    "chmod",
    "chown",
    "chown32",
    "chroot",
    "creat",
    "execve",
    "getxattr",
    "inotify_add_watch",
    "lchown",
    "lchown32",
    "lgetxattr",
    "link",
    "lstat",
    "lstat64",
    "mkdir",
    "mknod",
    "mount",
    "oldlstat",
    "oldstat",
    "open",
    "pivot_root",
    "readlink",
    "rename",
    "rmdir",
    "setxattr",
    "stat",
    "stat64",
    "statfs",
    "statfs64",
    "swapon",
    "symlink",
    "truncate",
    "umount2",
    "unlink",
    "utime",
    "utimes",
];

/// Calls whose second argument is a path; the first is a folder's descriptor.
const SECOND: [&str; 20] = [
    "execveat",
    "faccessat",
    "faccessat2",
    "fchmodat",
    "fchmodat2",
    "fchownat",
    "fsopen",
    "fstatat64",
    "futimesat",
    "linkat",
    "mkdirat",
    "mknodat",
    "name_to_handle_at",
    "newfstatat",
    "openat",
    "openat2",
    "readlinkat",
    "statx",
    "unlinkat",
    "utimensat",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_processes_own_table() {
        for (number, compat, expected) in [
            (59, false, "execve"),
            (11, true, "execve"),
            (11, false, "munmap"),
            (435, false, "clone3"),
            (435, true, "clone3"),
            (403, true, "clock_gettime64"),
            (0x4000_0000, false, "read"),
            (9999, false, "syscall 9999"),
        ] {
            assert_eq!(name(number, compat), expected);
        }
    }

    #[test]
    fn every_call_that_takes_a_path_is_one_of_the_tables() {
        let known = |name: &&str| {
            (0..600).any(|number| {
                super::name(number, false) == **name || super::name(number, true) == **name
            })
        };
        let unknown: Vec<&&str> = FIRST
            .iter()
            .chain(&SECOND)
            .filter(|name| !known(name))
            .collect();
        assert!(unknown.is_empty(), "{unknown:?}");
        let openat = Call {
            number: 257,
            compat: false,
            arguments: [1, 2, 3, 4, 5, 6],
        };
        assert_eq!(openat.path(), Some(2));
        let getpid = Call {
            number: 39,
            ..openat
        };
        assert_eq!(getpid.path(), None);
    }
}
