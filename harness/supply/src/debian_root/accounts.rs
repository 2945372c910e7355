//! /etc/passwd, group, shadow and gshadow, from base-passwd's master files.

use super::RootError;
use crate::tree::{Content, Inode, Kind, Metadata, Tree};

/// The group that may read shadow, by Debian's policy.
const SHADOW: u32 = 42;

/// The user apt drops its rights to, as adduser numbers the first system user.
const APT_USER: &str = "_apt:x:100:65534::/nonexistent:/usr/sbin/nologin\n";

pub(super) fn complete(tree: &mut Tree) -> Result<(), RootError> {
    let Some(mut users) = master(tree, "passwd")? else {
        // No base-passwd, no accounts: root is a number.
        return Ok(());
    };
    if tree.lookup(b"usr/bin/apt-get").is_some() && !users.contains("\n_apt:") {
        users.push_str(APT_USER);
    }
    let groups = master(tree, "group")?.unwrap_or_default();
    let shadow = locked(&users, "*::0:99999:7:::");
    let gshadow = locked(&groups, "*::");
    for (path, text, mode, gid) in [
        ("etc/passwd", with_shadow(&users), 0o644, 0),
        ("etc/group", with_shadow(&groups), 0o644, 0),
        ("etc/shadow", shadow, 0o640, SHADOW),
        ("etc/gshadow", gshadow, 0o640, SHADOW),
    ] {
        if tree.get(path.as_bytes()).is_some() {
            continue;
        }
        let metadata = Metadata {
            gid,
            ..Metadata::with_mode(mode)
        };
        tree.insert(
            path.as_bytes(),
            Inode {
                kind: Kind::File(Content::held(text)),
                metadata,
            },
        )?;
    }
    Ok(())
}

fn master(tree: &Tree, name: &str) -> Result<Option<String>, RootError> {
    let path = format!("usr/share/base-passwd/{name}.master");
    match tree.lookup(path.as_bytes()).map(|entry| &entry.inode.kind) {
        Some(Kind::File(content)) => Ok(Some(
            String::from_utf8_lossy(&content.to_vec()?).into_owned(),
        )),
        _ => Ok(None),
    }
}

/// The password field says that it is in the shadow file.
fn with_shadow(master: &str) -> String {
    lines(master, |name, rest| format!("{name}:x:{rest}\n"))
}

/// Nobody has a password: the field is one that nothing hashes to.
fn locked(master: &str, rest: &str) -> String {
    lines(master, |name, _| format!("{name}:{rest}\n"))
}

fn lines(master: &str, line: impl Fn(&str, &str) -> String) -> String {
    master
        .lines()
        .filter_map(|text| {
            let mut fields = text.splitn(3, ':');
            let (name, _password, rest) = (fields.next()?, fields.next()?, fields.next()?);
            Some(line(name, rest))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_move_to_the_shadow_files() {
        let mut tree = Tree::new();
        for (name, text) in [
            (
                "passwd.master",
                "root:*:0:0:root:/root:/bin/bash\nnobody:*:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
            ),
            ("group.master", "root:*:0:\nshadow:*:42:\n"),
        ] {
            let path = format!("usr/share/base-passwd/{name}");
            tree.insert(path.as_bytes(), Inode::file(0o644, text))
                .unwrap();
        }
        tree.insert(b"usr/bin/apt-get", Inode::file(0o755, ""))
            .unwrap();
        complete(&mut tree).unwrap();
        let text = |path: &[u8]| match &tree.get(path).unwrap().kind {
            Kind::File(content) => String::from_utf8(content.to_vec().unwrap()).unwrap(),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            text(b"etc/passwd"),
            "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n\
             _apt:x:100:65534::/nonexistent:/usr/sbin/nologin\n"
        );
        assert_eq!(text(b"etc/group"), "root:x:0:\nshadow:x:42:\n");
        assert_eq!(text(b"etc/gshadow"), "root:*::\nshadow:*::\n");
        assert_eq!(
            text(b"etc/shadow"),
            "root:*::0:99999:7:::\nnobody:*::0:99999:7:::\n_apt:*::0:99999:7:::\n"
        );
        let shadow = &tree.get(b"etc/shadow").unwrap().metadata;
        assert_eq!((shadow.mode, shadow.uid, shadow.gid), (0o640, 0, 42));
    }
}
