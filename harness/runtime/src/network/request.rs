//! What network a container asks for: config.json's annotation
//! [`ANNOTATION`], whose value is JSON:
//!
//! ```json
//! {"mode": "bridge", "ports": [{"address": "0.0.0.0", "host": 8080, "container": 80, "protocol": "tcp"}]}
//! ```

use std::fmt;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// The annotation's name.
pub const ANNOTATION: &str = "org.matrix.network";

/// A container's network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Which kind.
    pub mode: Mode,
    /// What of the host's ports leads into it.
    #[serde(default)]
    pub ports: Vec<PortMapping>,
    /// Whether the container gets an /etc/hosts, an /etc/hostname and an
    /// /etc/resolv.conf of its own, as docker gives it.
    #[serde(default)]
    pub files: bool,
}

/// The kinds of network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// A network namespace with a loopback interface.
    None,
    /// The host's own.
    Host,
    /// An interface on a bridge of the host's, with a way out.
    Bridge,
}

/// A port of the host that leads to one of the container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortMapping {
    /// The host's address it is bound to; 0.0.0.0 for all.
    pub address: Ipv4Addr,
    /// The host's port.
    pub host: u16,
    /// The container's port.
    pub container: u16,
    /// Of which transport.
    pub protocol: Protocol,
}

/// As docker shows it, from the host's side: `0.0.0.0:8080/tcp`.
impl fmt::Display for PortMapping {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}:{}/{}",
            self.address, self.host, self.protocol
        )
    }
}

/// A transport with ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

impl Request {
    /// Reads the annotation's value; `own_namespace` is whether the container
    /// has a network namespace. The error says what is wrong, in words.
    pub(crate) fn parse(text: &str, own_namespace: bool) -> Result<Self, String> {
        let request: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        match (request.mode, own_namespace) {
            (Mode::None | Mode::Bridge, false) => {
                return Err("needs a namespace of type network".to_owned());
            }
            (Mode::Host, true) => {
                return Err("the host's network, and a namespace of type network".to_owned());
            }
            (Mode::None | Mode::Bridge, true) | (Mode::Host, false) => {}
        }
        if request.mode != Mode::Bridge && (request.files || !request.ports.is_empty()) {
            return Err("ports and files need the mode bridge".to_owned());
        }
        if let Some(port) = request
            .ports
            .iter()
            .find(|port| port.host == 0 || port.container == 0)
        {
            return Err(format!("{port}: a port is from 1 to 65535"));
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_annotation_is_read_whole() {
        let text = r#"{"mode": "bridge", "ports":
            [{"address": "127.0.0.1", "host": 5354, "container": 5353, "protocol": "udp"}]}"#;
        let request = Request::parse(text, true).unwrap();
        assert_eq!((request.mode, request.files), (Mode::Bridge, false));
        assert_eq!(request.ports[0].to_string(), "127.0.0.1:5354/udp");
        assert_eq!(request.ports[0].container, 5353);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let port = r#"{"address": "0.0.0.0", "host": 0, "container": 1, "protocol": "tcp"}"#;
        for (text, own, problem) in [
            (
                r#"{"mode": "bridge"}"#.to_owned(),
                false,
                "needs a namespace",
            ),
            (r#"{"mode": "host"}"#.to_owned(), true, "the host's network"),
            (r#"{"mode": "macvlan"}"#.to_owned(), true, "unknown variant"),
            (
                r#"{"mode": "none", "mtu": 3}"#.to_owned(),
                true,
                "unknown field",
            ),
            (
                r#"{"mode": "none", "files": true}"#.to_owned(),
                true,
                "ports and files",
            ),
            (
                format!(r#"{{"mode": "none", "ports": [{port}]}}"#),
                true,
                "ports and files",
            ),
            (
                format!(r#"{{"mode": "bridge", "ports": [{port}]}}"#),
                true,
                "0.0.0.0:0/tcp",
            ),
            ("bridge".to_owned(), true, "expected value"),
        ] {
            let error = Request::parse(&text, own).unwrap_err();
            assert!(error.starts_with(problem), "{text}: {error}");
        }
    }
}
