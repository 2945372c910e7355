//! Who a cell's command runs as: `UID`, `UID:GID`, `NAME` or `NAME:GROUP`,
//! looked up in the image's own files, by the rules docker goes by.

use std::path::Path;

use super::rooted;
use crate::error::{Error, Result};

/// A resolved user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Supplementary groups; only where no group was asked for.
    pub(super) groups: Vec<u32>,
    /// The home folder passwd gives; `/` for who is not in it.
    pub(super) home: String,
}

impl Account {
    /// Looks `user` up in the image.
    ///
    /// # Errors
    /// When a name is not there or a file cannot be read.
    pub(super) fn resolve(root: &Path, user: &str) -> Result<Self> {
        let passwd = rooted::read(root, "/etc/passwd")?.unwrap_or_default();
        let group = rooted::read(root, "/etc/group")?.unwrap_or_default();
        lookup(&passwd, &group, user)
    }
}

/// The pure part. An empty user is uid 0.
fn lookup(passwd: &str, group: &str, user: &str) -> Result<Account> {
    let (user, wanted_group) = match user.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (user, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let number = user.parse::<u32>().ok();
    // A number is a uid even where someone is called by it.
    let entry = users(passwd).find(|entry| match number {
        Some(uid) => entry.uid == uid,
        None => entry.name == user,
    });
    let uid = match (&entry, number) {
        (Some(entry), _) => entry.uid,
        (None, Some(uid)) => uid,
        (None, None) => return Err(Error::NoUser(user.to_owned())),
    };
    let (gid, groups) = match wanted_group {
        Some(wanted) => (find_group(group, wanted)?, Vec::new()),
        None => match &entry {
            Some(entry) => (entry.gid, memberships(group, entry.name)),
            None => (0, Vec::new()),
        },
    };
    Ok(Account {
        uid,
        gid,
        groups,
        home: entry
            .map(|entry| entry.home)
            .filter(|home| !home.is_empty())
            .unwrap_or("/")
            .to_owned(),
    })
}

/// A line of passwd(5), as far as it matters.
struct User<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// Well-formed lines, in order.
fn users(passwd: &str) -> impl Iterator<Item = User<'_>> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let _password = fields.next()?;
        Some(User {
            name,
            uid: fields.next()?.parse().ok()?,
            gid: fields.next()?.parse().ok()?,
            home: fields.nth(1).unwrap_or_default(),
        })
    })
}

/// Well-formed lines of group(5): name, gid, members.
fn group_lines(group: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    group.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let gid = fields.nth(1)?.parse().ok()?;
        Some((name, gid, fields.next().unwrap_or_default()))
    })
}

/// A group by number, which need not exist, or by name, which must.
fn find_group(group: &str, wanted: &str) -> Result<u32> {
    if let Ok(gid) = wanted.parse() {
        return Ok(gid);
    }
    group_lines(group)
        .find(|(name, ..)| *name == wanted)
        .map(|(_, gid, _)| gid)
        .ok_or_else(|| Error::NoGroup(wanted.to_owned()))
}

/// The groups that list the user.
fn memberships(group: &str, user: &str) -> Vec<u32> {
    group_lines(group)
        .filter(|(_, _, members)| members.split(',').any(|member| member.trim() == user))
        .map(|(_, gid, _)| gid)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
+nis::::::
postgres:x:999:998::/var/lib/postgresql:/bin/sh
33:x:5000:5000:a name of digits:/home/33:/bin/sh
broken:x:notanumber:1::/:
";
    const GROUP: &str = "\
root:x:0:
ssl-cert:x:101:postgres,other
postgres:x:998:
audio:x:29:other
adm:x:4:syslog, postgres
";

    fn account(uid: u32, gid: u32, groups: &[u32], home: &str) -> Account {
        Account {
            uid,
            gid,
            groups: groups.to_vec(),
            home: home.into(),
        }
    }

    #[test]
    fn users_by_name_and_number_as_docker_takes_them() {
        for (user, expected) in [
            ("", account(0, 0, &[], "/root")),
            ("0", account(0, 0, &[], "/root")),
            ("root", account(0, 0, &[], "/root")),
            (
                "postgres",
                account(999, 998, &[101, 4], "/var/lib/postgresql"),
            ),
            ("999", account(999, 998, &[101, 4], "/var/lib/postgresql")),
            (
                "postgres:audio",
                account(999, 29, &[], "/var/lib/postgresql"),
            ),
            ("postgres:77", account(999, 77, &[], "/var/lib/postgresql")),
            (
                "postgres:",
                account(999, 998, &[101, 4], "/var/lib/postgresql"),
            ),
            ("12345", account(12345, 0, &[], "/")),
            ("12345:12346", account(12345, 12346, &[], "/")),
            // A number is a uid, though someone is called 33.
            ("33", account(33, 0, &[], "/")),
        ] {
            assert_eq!(lookup(PASSWD, GROUP, user).unwrap(), expected, "{user:?}");
        }
    }

    #[test]
    fn names_that_are_not_there_are_no_one() {
        for (user, words) in [
            ("nobody", "the image has no user \"nobody\""),
            ("broken", "the image has no user \"broken\""),
            ("root:wheel", "the image has no group \"wheel\""),
        ] {
            let error = lookup(PASSWD, GROUP, user).unwrap_err().to_string();
            assert!(error.starts_with(words), "{error}");
        }
        // An image without passwd still has numbers.
        assert_eq!(lookup("", "", "0").unwrap(), account(0, 0, &[], "/"));
    }
}
