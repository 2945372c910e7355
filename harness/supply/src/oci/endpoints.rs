//! Where a registry's images are asked for: its mirrors, then itself.

use plan::{ImageReference, host_of};

use super::OciError;

/// docker.io's own host for the protocol.
const DOCKER_HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

const VARIABLE: &str = "MATRIX_REGISTRY_MIRRORS";

/// A place to ask.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Endpoint {
    /// `https://registry-1.docker.io`, without a slash at its end.
    pub(super) base: String,
    /// What credentials are looked up by.
    pub(super) registry: String,
    /// Its traffic does not leave this machine: no proxy, and plain http is safe.
    pub(super) loopback: bool,
    /// Plain http is taken.
    pub(super) insecure: bool,
}

/// `REGISTRY=URL`, each the registry's images somewhere else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mirrors {
    all: Vec<(String, String)>,
}

impl Mirrors {
    /// Those of `MATRIX_REGISTRY_MIRRORS`.
    pub(super) fn from_environment() -> Result<Self, OciError> {
        let text = std::env::var(VARIABLE).unwrap_or_default();
        Self::parse(&text).map_err(|reason| OciError::Variable {
            variable: VARIABLE,
            reason,
        })
    }

    /// `docker.io=https://mirror.example/prefix,quay.io=http://localhost:5000`; of
    /// several for one registry the first that answers is taken.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut all = Vec::new();
        for part in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            let (registry, url) = part
                .split_once('=')
                .ok_or_else(|| format!("`{part}` is not REGISTRY=URL"))?;
            let url = url.trim_end_matches('/');
            if !url.starts_with("https://") && !url.starts_with("http://") {
                return Err(format!("`{url}` does not begin with https:// or http://"));
            }
            all.push((registry.to_owned(), url.to_owned()));
        }
        Ok(Self { all })
    }

    /// Those of a registry, in order.
    pub(super) fn of(&self, registry: &str) -> Vec<Endpoint> {
        let mine = self.all.iter().filter(|(name, _)| name == registry);
        mine.map(|(_, url)| {
            let authority = url
                .split_once("://")
                .map_or(url.as_str(), |(_, rest)| rest)
                .split('/')
                .next()
                .unwrap_or_default();
            Endpoint {
                base: url.clone(),
                registry: authority.to_owned(),
                loopback: is_loopback(host_of(authority)),
                // Whoever writes http:// into the variable means it.
                insecure: url.starts_with("http://"),
            }
        })
        .collect()
    }
}

/// The host that speaks for a registry.
pub(super) fn authority(reference: &ImageReference) -> &str {
    if reference.registry == DOCKER_HUB.0 {
        DOCKER_HUB.1
    } else {
        &reference.registry
    }
}

/// A name or address that never leaves the machine.
pub(super) fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// The same of a URL.
pub(super) fn is_loopback_url(url: &str) -> bool {
    let authority = url
        .split_once("://")
        .map_or(url, |(_, rest)| rest)
        .split(['/', '?'])
        .next()
        .unwrap_or_default();
    // What stands before an @ is a name and a password, not the host.
    let authority = authority.rsplit('@').next().unwrap_or(authority);
    is_loopback(host_of(authority))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_read_and_mistakes_told() {
        let mirrors =
            Mirrors::parse("docker.io=https://m.example/hub/, docker.io=http://localhost:5000")
                .unwrap();
        let of: Vec<String> = mirrors
            .of("docker.io")
            .into_iter()
            .map(|endpoint| endpoint.base)
            .collect();
        assert_eq!(of, ["https://m.example/hub", "http://localhost:5000"]);
        assert!(mirrors.of("docker.io")[1].loopback);
        assert_eq!(mirrors.of("quay.io"), []);
        assert!(Mirrors::parse("docker.io").is_err());
        assert!(Mirrors::parse("docker.io=m.example").is_err());
    }

    #[test]
    fn loopback_is_told_from_names_like_it() {
        for host in ["localhost", "127.0.0.1", "127.8.8.8", "::1"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.example", "10.0.0.1", "127.0.0.1.example", ""] {
            assert!(!is_loopback(host), "{host}");
        }
        assert!(is_loopback_url("http://127.0.0.1:5001/token?a=b"));
        assert!(is_loopback_url("http://[::1]:1/token"));
        assert!(!is_loopback_url("http://127.0.0.1@evil.example/token"));
    }
}
