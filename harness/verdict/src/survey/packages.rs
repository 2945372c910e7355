//! What a package manager has written down.

use std::io;

use crate::userland::{Found, Userland};

/// A package manager's records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packages {
    /// `dpkg`, `apk`, `pacman`, `rpm`.
    pub manager: &'static str,
    /// `NAME VERSION`, sorted; empty where the records are a database that is not
    /// read here (rpm's).
    pub installed: Vec<String>,
}

/// Those there are.
pub(super) fn read(image: &dyn Userland) -> io::Result<Vec<Packages>> {
    let mut found = Vec::new();
    if let Some(text) = text(image, "/var/lib/dpkg/status")? {
        found.push(list("dpkg", dpkg(&text)));
    }
    // Distroless images have a file a package.
    let parts: Vec<String> = image
        .files()?
        .into_iter()
        .filter(|path| path.starts_with("/var/lib/dpkg/status.d/") && !path.ends_with(".md5sums"))
        .collect();
    if !parts.is_empty() {
        let mut installed = Vec::new();
        for path in parts {
            let bytes = image.read(&path)?;
            installed.extend(dpkg(&String::from_utf8_lossy(&bytes)));
        }
        found.push(list("dpkg", installed));
    }
    for path in ["/lib/apk/db/installed", "/usr/lib/apk/db/installed"] {
        if let Some(text) = text(image, path)? {
            found.push(list("apk", fields(&text, "P:", "V:", |_| true)));
            break;
        }
    }
    let pacman: Vec<String> = image
        .files()?
        .iter()
        .filter_map(|path| {
            let name = path.strip_prefix("/var/lib/pacman/local/")?;
            name.strip_suffix("/desc").map(str::to_owned)
        })
        .collect();
    if !pacman.is_empty() {
        found.push(list("pacman", pacman));
    }
    for path in [
        "/var/lib/rpm/Packages",
        "/var/lib/rpm/rpmdb.sqlite",
        "/usr/lib/sysimage/rpm/rpmdb.sqlite",
        "/usr/lib/sysimage/rpm/Packages.db",
        "/var/lib/rpm/Packages.db",
    ] {
        if image.find(path)? != Found::Missing {
            found.push(list("rpm", Vec::new()));
            break;
        }
    }
    Ok(found)
}

fn list(manager: &'static str, mut installed: Vec<String>) -> Packages {
    installed.sort();
    Packages { manager, installed }
}

fn text(image: &dyn Userland, path: &str) -> io::Result<Option<String>> {
    match image.find(path)? {
        Found::File { path, .. } => {
            let bytes = image.read(&path)?;
            Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
        }
        Found::Other | Found::Missing => Ok(None),
    }
}

/// Those that are installed; a stanza without a status is one of a file of its own.
fn dpkg(text: &str) -> Vec<String> {
    fields(text, "Package: ", "Version: ", |stanza| {
        stanza
            .lines()
            .find_map(|line| line.strip_prefix("Status: "))
            .is_none_or(|status| status.ends_with(" installed"))
    })
}

fn fields(text: &str, name: &str, version: &str, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    text.split("\n\n")
        .filter(|stanza| wanted(stanza))
        .filter_map(|stanza| {
            let field = |key: &str| stanza.lines().find_map(|line| line.strip_prefix(key));
            Some(format!(
                "{} {}",
                field(name)?,
                field(version).unwrap_or("?")
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::userland::InMemory;

    #[test]
    fn each_manager_has_its_records() {
        let image = InMemory::default()
            .with(
                "/lib/apk/db/installed",
                "C:Q1x\nP:musl\nV:1.2.5-r0\n\nC:Q1y\nP:busybox\nV:1.37.0-r12\n",
            )
            .with("/var/lib/pacman/local/glibc-2.42-1/desc", "%NAME%\n")
            .with("/var/lib/rpm/rpmdb.sqlite", "SQLite format 3")
            .with("/var/lib/dpkg/status.d/base", "Package: base\nVersion: 1\n");
        let found = read(&image).unwrap();
        let told: Vec<(&str, Vec<String>)> = found
            .into_iter()
            .map(|packages| (packages.manager, packages.installed))
            .collect();
        let words = |text: &str| text.split(", ").map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            told,
            [
                ("dpkg", words("base 1")),
                ("apk", words("busybox 1.37.0-r12, musl 1.2.5-r0")),
                ("pacman", words("glibc-2.42-1")),
                ("rpm", Vec::new()),
            ]
        );
    }
}
