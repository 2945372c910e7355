//! The OCI bundle of one cell: a writable layer over the image, a config.json.

use std::fs;
use std::path::{Path, PathBuf};

use runtime::config::{Container, kernel_has_cgroup_namespaces};
use runtime::layer::{self, Kind, Layer};
use runtime::seccomp::UnknownCalls;
use wire::{CellRequest, Seccomp};

use super::account::Account;
use super::capabilities;
use crate::error::{Error, Result};

/// Bundles live here, one folder each.
const FOLDER: &str = "/run/cells";

// What is in one.
const CONFIG: &str = "config.json";
const LAYER: &str = "layer";

/// A bundle on a tmpfs.
#[derive(Debug)]
pub(super) struct Bundle {
    folder: PathBuf,
    layer: Layer,
}

impl Bundle {
    /// Makes it over the image mounted on `image`, with a network namespace that is
    /// there, or one that the runtime is to make.
    ///
    /// # Errors
    /// When the layer cannot be made or a file not be written. Nothing is left behind
    /// then but an empty folder.
    pub(super) fn make(
        image: &Path,
        request: &CellRequest,
        account: Account,
        network: Option<PathBuf>,
    ) -> Result<Self> {
        let folder = Path::new(FOLDER).join(request.id.to_string());
        fs::create_dir_all(&folder).map_err(Error::file("create", &folder))?;
        let layer = layer::make(image, &folder.join(LAYER))?;
        let config = folder.join(CONFIG);
        let spec = container(&layer.path, request, account, network).spec();
        let written = serde_json::to_vec(&spec)
            .map_err(std::io::Error::from)
            .and_then(|json| fs::write(&config, json))
            .map_err(Error::file("write", &config));
        let bundle = Self { folder, layer };
        match written {
            Ok(()) => Ok(bundle),
            Err(error) => {
                bundle.remove()?;
                Err(error)
            }
        }
    }

    /// What `--bundle` is given.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// In words, if the layer is no overlay.
    pub(super) fn fallback(&self) -> Option<String> {
        match &self.layer.kind {
            Kind::Overlay => None,
            Kind::Copy { errno, lost } => {
                let refusal = std::io::Error::from_raw_os_error(*errno);
                let lost = match lost.len() {
                    0 => String::new(),
                    count => format!(", without {count} extended attributes"),
                };
                Some(format!(
                    "the writable layer is a copy in memory{lost}: overlay refused: {refusal}"
                ))
            }
        }
    }

    /// Unmounts the layer and removes the folder.
    ///
    /// # Errors
    /// When a process still uses it.
    pub(super) fn remove(self) -> Result<()> {
        self.layer.remove()?;
        // Three calls for what was made here; whatever a runtime has put beside it is
        // looked for only where that was not all.
        let all = fs::remove_file(self.folder.join(CONFIG))
            .and_then(|()| fs::remove_dir(self.folder.join(LAYER)))
            .and_then(|()| fs::remove_dir(&self.folder));
        match all {
            Ok(()) => Ok(()),
            Err(_) => fs::remove_dir_all(&self.folder).map_err(Error::file("remove", &self.folder)),
        }
    }
}

/// The container docker would make.
fn container(
    rootfs: &Path,
    request: &CellRequest,
    account: Account,
    network: Option<PathBuf>,
) -> Container {
    let command = &request.command;
    let mut environment = command.environment.clone();
    // As docker does: HOME from the image's passwd unless it is given.
    if !environment.iter().any(|(name, _)| name == "HOME") {
        environment.push(("HOME".to_owned(), account.home));
    }
    Container {
        rootfs: rootfs.to_owned(),
        arguments: command.arguments.clone(),
        environment,
        directory: PathBuf::from(&command.directory),
        uid: account.uid,
        gid: account.gid,
        groups: account.groups,
        hostname: command.hostname.clone(),
        cgroup_namespace: kernel_has_cgroup_namespaces(),
        network,
        seccomp: match command.seccomp {
            Seccomp::None => None,
            Seccomp::Eperm => Some(UnknownCalls::Eperm),
            Seccomp::Enosys => Some(UnknownCalls::Enosys),
        },
        added: capabilities::added(&command.capabilities),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(environment: &[(&str, &str)]) -> CellRequest {
        CellRequest {
            id: 1,
            disk: "d".into(),
            command: wire::Command {
                arguments: vec!["bash".into()],
                environment: environment
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect(),
                directory: "/srv".into(),
                user: "7".into(),
                hostname: "h".into(),
                seccomp: Seccomp::None,
                capabilities: wire::AddedCapabilities::default(),
            },
            limits: wire::Limits { time: 1, output: 1 },
            trace: false,
        }
    }

    fn account() -> Account {
        Account {
            uid: 7,
            gid: 8,
            groups: vec![9],
            home: "/home/seven".into(),
        }
    }

    #[test]
    fn home_comes_from_passwd_unless_it_is_given() {
        let root = Path::new("/r");
        let made = container(root, &request(&[("PATH", "/bin")]), account(), None);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            made.environment,
            [pair("PATH", "/bin"), pair("HOME", "/home/seven")]
        );
        let made = container(root, &request(&[("HOME", "/tmp")]), account(), None);
        assert_eq!(made.environment, [pair("HOME", "/tmp")]);
        assert_eq!((made.uid, made.gid, made.groups), (7, 8, vec![9]));
    }

    #[test]
    fn what_is_added_comes_to_dockers() {
        let mut request = request(&[]);
        let admin = wire::Capability::named("SYS_ADMIN").unwrap();
        request.command.capabilities = wire::AddedCapabilities::Named(vec![admin]);
        let spec = container(Path::new("/r"), &request, account(), None).spec();
        let json = serde_json::to_value(&spec).unwrap();
        for set in ["bounding", "effective", "permitted"] {
            let held = json["process"]["capabilities"][set].as_array().unwrap();
            assert_eq!(held.len(), 15, "{held:?}");
            assert!(
                held.contains(&serde_json::json!("CAP_SYS_ADMIN")),
                "{held:?}"
            );
        }
    }

    #[test]
    fn the_profile_is_the_one_asked_for() {
        for (asked, made) in [
            (Seccomp::None, None),
            (Seccomp::Eperm, Some(UnknownCalls::Eperm)),
            (Seccomp::Enosys, Some(UnknownCalls::Enosys)),
        ] {
            let mut request = request(&[]);
            request.command.seccomp = asked;
            assert_eq!(
                container(Path::new("/r"), &request, account(), None).seccomp,
                made
            );
        }
    }
}
