//! The three files docker gives a container with a network: /etc/hosts with its
//! own name, /etc/hostname, and /etc/resolv.conf with the name servers of the
//! host that can be reached from it. They are bound over the image's.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::descriptor::errno_of;
use crate::failure::{Failure, Step};

/// Where the host says which name servers it asks, and where it does when that
/// names only its own (systemd-resolved).
const RESOLVERS: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

/// What has the host's name servers where a container is told of them.
pub(crate) const NAMES: [&str; 3] = ["hosts", "hostname", "resolv.conf"];

/// The files on the host, removed when this is dropped: once they are bound
/// they need no name.
#[derive(Debug)]
pub(crate) struct Files(PathBuf);

impl Files {
    /// Where those of the runtime with this PID lie.
    pub(super) fn folder(pid: u32) -> PathBuf {
        PathBuf::from(format!("/run/matrix-network-{pid}"))
    }

    /// Writes them.
    pub(super) fn write(folder: PathBuf, name: &str, address: Ipv4Addr) -> Result<Self, Failure> {
        let step = |error: io::Error| Err(errno_of(error)).on("make the folder", &folder);
        // An earlier process's of this number.
        remove(&folder)?;
        let mut builder = fs::DirBuilder::new();
        builder.recursive(false).mode(0o755);
        if let Some(parent) = folder.parent() {
            fs::create_dir_all(parent).or_else(step)?;
        }
        builder.create(&folder).or_else(step)?;
        let files = Self(folder);
        let resolvers = RESOLVERS.map(|path| fs::read_to_string(path).unwrap_or_default());
        for (file, text) in [
            (NAMES[0], hosts(name, address)),
            (NAMES[1], format!("{name}\n")),
            (NAMES[2], resolvers_inside(&resolvers)),
        ] {
            let path = files.0.join(file);
            fs::write(&path, text)
                .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o644)))
                .map_err(errno_of)
                .on("write", &path)?;
        }
        Ok(files)
    }

    /// The files, and where in the container each belongs.
    pub(crate) fn places(&self) -> [(PathBuf, PathBuf); 3] {
        NAMES.map(|name| (self.0.join(name), Path::new("/etc").join(name)))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // What stays is found by the next process of this number.
        let _ = remove(&self.0);
    }
}

/// Removes a folder of files; one that is not there is no error.
pub(super) fn remove(folder: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(errno_of(error)).on("remove the folder", folder)
        }
        _ => Ok(()),
    }
}

/// docker's, line by line.
fn hosts(name: &str, address: Ipv4Addr) -> String {
    format!(
        "127.0.0.1\tlocalhost\n\
         ::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::\tip6-localnet\n\
         ff00::\tip6-mcastprefix\n\
         ff02::1\tip6-allnodes\n\
         ff02::2\tip6-allrouters\n\
         {address}\t{name}\n"
    )
}

/// The first text that names a server other than the host's own, without those
/// that are: in the container 127.0.0.1 is the container. Where there is none
/// the container gets none; nobody else's is made up.
fn resolvers_inside(texts: &[String]) -> String {
    let kept = texts.iter().map(|text| {
        let lines: Vec<&str> = text.lines().filter(|line| !is_own(line)).collect();
        lines
    });
    let mut first = None;
    for lines in kept {
        if lines.iter().any(|line| server(line).is_some()) {
            return lines.join("\n") + "\n";
        }
        first.get_or_insert(lines);
    }
    match first {
        Some(lines) if !lines.is_empty() => lines.join("\n") + "\n",
        _ => String::new(),
    }
}

fn server(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    (words.next()? == "nameserver").then(|| words.next())?
}

/// An IPv6 server cannot be reached either: the container has IPv4 alone.
fn is_own(line: &str) -> bool {
    match server(line).map(str::parse::<IpAddr>) {
        Some(Ok(IpAddr::V4(address))) => address.is_loopback() || address.is_unspecified(),
        Some(Ok(IpAddr::V6(_)) | Err(_)) => true,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_that_can_be_reached_are_handed_on() {
        for (texts, inside) in [
            (
                [
                    "search a.example\nnameserver 192.0.2.53\nnameserver 127.0.0.1\n",
                    "",
                ],
                "search a.example\nnameserver 192.0.2.53\n",
            ),
            (
                ["# stub\nnameserver 127.0.0.53\n", "nameserver 192.0.2.1\n"],
                "nameserver 192.0.2.1\n",
            ),
            (
                [
                    "options ndots:0\nnameserver fe80::1%eth0\nnameserver ::1\n",
                    "",
                ],
                "options ndots:0\n",
            ),
            (["", ""], ""),
        ] {
            assert_eq!(resolvers_inside(&texts.map(str::to_owned)), inside);
        }
    }

    #[test]
    fn files_are_written_over_what_is_left_and_removed() {
        let above = tempfile::tempdir().unwrap();
        let folder = above.path().join("files");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("old"), "x").unwrap();
        let files = Files::write(folder.clone(), "box", Ipv4Addr::new(10, 213, 0, 2)).unwrap();
        let [hosts, hostname, resolvers] = files.places();
        let hosts = fs::read_to_string(hosts.0).unwrap();
        assert!(hosts.ends_with("\n10.213.0.2\tbox\n"), "{hosts}");
        assert_eq!(fs::read_to_string(hostname.0).unwrap(), "box\n");
        assert_eq!(resolvers.1, Path::new("/etc/resolv.conf"));
        assert!(resolvers.0.is_file() && !folder.join("old").exists());
        drop(files);
        assert!(!folder.exists());
    }
}
