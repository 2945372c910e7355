//! Whom a repository is to be signed by.

use std::path::Path;

use super::RpmError;
use crate::openpgp::Keyring;

/// Keys that ship with this program, each with the host whose repositories it is good
/// for, and the release: a part of the path that is `7`, or begins with `7.`.
const SHIPPED: [(&str, &str, &[u8]); 5] = [
    (
        "vault.centos.org",
        "7",
        include_bytes!("../../keys/rpm/centos-7.asc"),
    ),
    (
        "dl.rockylinux.org",
        "8",
        include_bytes!("../../keys/rpm/rocky-8.asc"),
    ),
    (
        "download.rockylinux.org",
        "8",
        include_bytes!("../../keys/rpm/rocky-8.asc"),
    ),
    (
        "dl.rockylinux.org",
        "9",
        include_bytes!("../../keys/rpm/rocky-9.asc"),
    ),
    (
        "download.rockylinux.org",
        "9",
        include_bytes!("../../keys/rpm/rocky-9.asc"),
    ),
];

/// The keys one of which must have signed what this source gives; none: nobody's
/// signature is asked for.
///
/// # Errors
/// When the entry's key cannot be read.
pub(super) fn keyring(source: &plan::RpmSource) -> Result<Option<Keyring>, RpmError> {
    match &source.key {
        Some(path) => given(path).map(Some),
        None => shipped(&source.base),
    }
}

fn given(path: &Path) -> Result<Keyring, RpmError> {
    let bytes = fs_err::read(path).map_err(RpmError::File)?;
    Keyring::from_bytes(&bytes).map_err(|source| RpmError::Key {
        path: path.to_path_buf(),
        source,
    })
}

fn shipped(base: &str) -> Result<Option<Keyring>, RpmError> {
    let mut parts = base
        .strip_prefix("https://")
        .or_else(|| base.strip_prefix("http://"))
        .unwrap_or_default()
        .split('/');
    let host = parts.next().unwrap_or_default().to_ascii_lowercase();
    let path: Vec<&str> = parts.collect();
    let known = SHIPPED.iter().find(|(its_host, release, _)| {
        let of_release = |part: &str| {
            let rest = part.strip_prefix(release);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        *its_host == host && path.iter().any(|part| of_release(part))
    });
    let Some((host, _, bytes)) = known else {
        return Ok(None);
    };
    Keyring::from_bytes(bytes)
        .map(Some)
        .map_err(|source| RpmError::Key {
            path: (*host).into(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprints(base: &str) -> Vec<String> {
        let keyring = shipped(base).unwrap();
        keyring.map_or_else(Vec::new, |keyring| keyring.fingerprints().unwrap())
    }

    #[test]
    fn a_shipped_key_is_good_for_its_vendors_release_alone() {
        for (base, fingerprint) in [
            (
                "https://vault.centos.org/7.9.2009/os/x86_64",
                "6341ab2753d78a78a7c27bb124c6a8a7f4a80eb5",
            ),
            (
                "http://vault.centos.org/centos/7/updates/x86_64",
                "6341ab2753d78a78a7c27bb124c6a8a7f4a80eb5",
            ),
            (
                "https://dl.rockylinux.org/vault/rocky/8.10/BaseOS/x86_64/os",
                "7051c470a929f454cebe37b715af5dac6d745a60",
            ),
            (
                "https://download.rockylinux.org/pub/rocky/9/BaseOS/x86_64/os",
                "21cb256ae16fc54c6e652949702d426d350d275d",
            ),
        ] {
            assert_eq!(fingerprints(base), [fingerprint], "{base}");
        }
        for base in [
            "https://vault.centos.org/6.10/os/x86_64",
            "https://vault.centos.org/77/os/x86_64",
            "https://example.org/vault.centos.org/7.9.2009/os/x86_64",
            "https://vault.centos.org.example.org/7.9.2009/os/x86_64",
            "https://vault.centos.org@example.org/7/os/x86_64",
            "https://vault.centos.org:8443/7/os/x86_64",
            "file:///srv/7",
            "https://download.rockylinux.org/pub/rocky/10/BaseOS/x86_64/os",
        ] {
            assert!(fingerprints(base).is_empty(), "{base}");
        }
    }

    #[test]
    fn shipped_keys_can_sign() {
        for (host, _, bytes) in SHIPPED {
            let keyring = Keyring::from_bytes(bytes).unwrap();
            assert!(keyring.unfit().unwrap().is_empty(), "{host}");
        }
    }
}
