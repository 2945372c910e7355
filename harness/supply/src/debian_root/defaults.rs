//! Files and folders that maintainer scripts or an installer would make.

use crate::tree::{Content, Inode, Kind, Metadata, Tree, TreeError};

/// Files copied from where a package ships them, by base-files' and libc-bin's
/// scripts.
const COPIES: [(&str, &str); 5] = [
    ("usr/share/base-files/dot.profile", "root/.profile"),
    ("usr/share/base-files/dot.bashrc", "root/.bashrc"),
    ("usr/share/base-files/profile", "etc/profile"),
    ("usr/share/base-files/motd", "etc/motd"),
    ("usr/share/libc-bin/nsswitch.conf", "etc/nsswitch.conf"),
];

/// Folders that are there in every installed Debian, with mode and group.
const FOLDERS: [(&str, u32, u32); 17] = [
    ("proc", 0o755, 0),
    ("sys", 0o755, 0),
    ("dev", 0o755, 0),
    ("run", 0o755, 0),
    ("run/lock", 0o1777, 0),
    ("tmp", 0o1777, 0),
    ("root", 0o700, 0),
    ("home", 0o755, 0),
    ("mnt", 0o755, 0),
    ("srv", 0o755, 0),
    ("opt", 0o755, 0),
    ("media", 0o755, 0),
    ("etc/opt", 0o755, 0),
    ("var/opt", 0o755, 0),
    ("var/tmp", 0o1777, 0),
    ("var/mail", 0o2775, 8),
    ("etc/alternatives", 0o755, 0),
];

/// Links made by scripts; each only where nothing is and the target is there.
const LINKS: [(&str, &str); 5] = [
    ("etc/dpkg/origins/default", "debian"),
    ("usr/bin/sh", "dash"),
    ("var/spool/mail", "../mail"),
    ("var/run", "/run"),
    ("var/lock", "/run/lock"),
];

/// What update-alternatives would choose: the name, and the candidates, best first.
const ALTERNATIVES: [(&str, &[&str]); 4] = [
    (
        "awk",
        &["usr/bin/gawk", "usr/bin/mawk", "usr/bin/original-awk"],
    ),
    (
        "nawk",
        &["usr/bin/gawk", "usr/bin/mawk", "usr/bin/original-awk"],
    ),
    ("which", &["usr/bin/which.debianutils"]),
    ("pager", &["usr/bin/less", "usr/bin/more"]),
];

/// Files an installer writes; a container's runtime puts its own over some of them.
const FILES: [(&str, &str); 6] = [
    ("etc/hostname", "localhost\n"),
    (
        "etc/hosts",
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n",
    ),
    ("etc/resolv.conf", ""),
    ("etc/fstab", ""),
    ("etc/machine-id", ""),
    ("etc/environment", ""),
];

pub(super) fn complete(tree: &mut Tree) -> Result<(), TreeError> {
    for (path, mode, group) in FOLDERS {
        let there = tree.get(path.as_bytes()).map(|inode| &inode.kind);
        let keep = match there {
            // base-files ships most of them right, some without their mode.
            Some(Kind::Directory) => mode & 0o7000 == 0 && path != "root",
            Some(_) => true,
            None => false,
        };
        if !keep {
            let metadata = Metadata {
                gid: group,
                ..Metadata::with_mode(mode)
            };
            tree.insert(
                path.as_bytes(),
                Inode {
                    kind: Kind::Directory,
                    metadata,
                },
            )?;
        }
    }
    for (from, to) in COPIES {
        if tree.get(to.as_bytes()).is_some() {
            continue;
        }
        if let Some(entry) = tree.lookup(from.as_bytes()) {
            let copy = entry.inode.clone();
            tree.insert(to.as_bytes(), copy)?;
        }
    }
    for (path, target) in LINKS {
        let from_root = match target.strip_prefix('/') {
            Some(absolute) => absolute.to_owned(),
            None => format!(
                "{}/{target}",
                path.rsplit_once('/').map_or("", |(parent, _)| parent)
            ),
        };
        let empty = match tree.get(path.as_bytes()).map(|inode| &inode.kind) {
            None => true,
            // base-files ships /var/run and /var/lock as folders and turns them
            // into links when it is configured.
            Some(Kind::Directory) => is_empty(tree, path),
            Some(_) => false,
        };
        if empty && tree.lookup(from_root.as_bytes()).is_some() {
            tree.insert(path.as_bytes(), Inode::symlink(target))?;
        }
    }
    for (name, candidates) in ALTERNATIVES {
        let path = format!("usr/bin/{name}");
        if tree.get(path.as_bytes()).is_some() {
            continue;
        }
        let best = candidates
            .iter()
            .find(|candidate| tree.lookup(candidate.as_bytes()).is_some());
        if let Some(best) = best {
            tree.insert(
                path.as_bytes(),
                Inode::symlink(format!("/etc/alternatives/{name}")),
            )?;
            tree.insert(
                format!("etc/alternatives/{name}").as_bytes(),
                Inode::symlink(format!("/{best}")),
            )?;
        }
    }
    for (path, text) in FILES {
        if tree.get(path.as_bytes()).is_none() {
            tree.insert(path.as_bytes(), Inode::file(0o644, text))?;
        }
    }
    for (name, mode) in [("wtmp", 0o664), ("btmp", 0o660), ("lastlog", 0o664)] {
        let metadata = Metadata {
            // utmp, a number fixed by Debian's policy as are all below 100.
            gid: 43,
            ..Metadata::with_mode(mode)
        };
        tree.insert(
            format!("var/log/{name}").as_bytes(),
            Inode {
                kind: Kind::File(Content::held([])),
                metadata,
            },
        )?;
    }
    Ok(())
}

fn is_empty(tree: &Tree, folder: &str) -> bool {
    let below = format!("{folder}/");
    !tree
        .entries()
        .any(|entry| entry.path.starts_with(below.as_bytes()))
}
