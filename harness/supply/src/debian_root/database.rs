//! dpkg's database in /var/lib/dpkg: what is installed, and which files are whose.

use crate::deb::Deb;
use crate::tree::{Inode, Member, Tree, TreeError};

pub(super) fn complete(tree: &mut Tree, debs: &[Deb]) -> Result<(), TreeError> {
    let mut status = String::new();
    for deb in debs {
        status.push_str(&stanza(&deb.control));
        let name = info_name(deb);
        let mut info = |suffix: &str, mode, bytes: Vec<u8>| {
            let path = format!("var/lib/dpkg/info/{name}.{suffix}");
            tree.insert(path.as_bytes(), Inode::file(mode, bytes))
        };
        info("list", 0o644, list(deb))?;
        for (suffix, file) in &deb.control_files {
            info(suffix, file.mode, file.bytes.clone())?;
        }
    }
    for (path, text) in [
        ("var/lib/dpkg/status", status.as_str()),
        ("var/lib/dpkg/available", ""),
        ("var/lib/dpkg/diversions", ""),
        ("var/lib/dpkg/statoverride", ""),
        ("var/lib/dpkg/info/format", "1\n"),
    ] {
        tree.insert(path.as_bytes(), Inode::file(0o644, text))?;
    }
    for path in [
        "var/lib/dpkg/updates",
        "var/lib/dpkg/triggers",
        "var/lib/dpkg/alternatives",
    ] {
        if tree.get(path.as_bytes()).is_none() {
            tree.insert(path.as_bytes(), Inode::directory(0o755))?;
        }
    }
    Ok(())
}

/// The control file with the state dpkg gives an installed package, after the
/// package's name as dpkg writes it.
fn stanza(control: &str) -> String {
    let mut text = String::with_capacity(control.len() + 40);
    for line in control.lines().filter(|line| !line.trim().is_empty()) {
        text.push_str(line);
        text.push('\n');
        if line.starts_with("Package:") {
            text.push_str("Status: install ok installed\n");
        }
    }
    text.push('\n');
    text
}

/// dpkg's names for the files of a package that can be installed for several
/// architectures have the architecture in them.
fn info_name(deb: &Deb) -> String {
    let package = deb.field("Package").unwrap_or_default();
    match (deb.field("Multi-Arch"), deb.field("Architecture")) {
        (Some("same"), Some(architecture)) => format!("{package}:{architecture}"),
        _ => package.to_owned(),
    }
}

/// One absolute path a line, the root as `/.`.
fn list(deb: &Deb) -> Vec<u8> {
    let mut text = Vec::new();
    for path in deb.members.iter().map(Member::path) {
        let path = path.strip_prefix(b"./").unwrap_or(path);
        let path = path.strip_suffix(b"/").unwrap_or(path);
        text.push(b'/');
        text.extend_from_slice(if path.is_empty() { b"." } else { path });
        text.push(b'\n');
    }
    text
}
