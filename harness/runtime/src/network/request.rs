//! What network a container asks for.

use std::net::Ipv4Addr;

/// A container's network.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Which kind.
    pub mode: Mode,
    /// What of the host's ports leads into it.
    pub ports: Vec<PortMapping>,
}

/// The kinds of network.
#[derive(Clone, Debug, PartialEq)]
pub enum Mode {
    /// A network namespace with a loopback interface.
    None,
    /// The host's own.
    Host,
    /// An interface on a bridge of the host's, with a way out.
    Bridge,
}

/// A port of the host that leads to one of the container.
#[derive(Clone, Debug, PartialEq)]
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

/// A transport with ports.
#[derive(Clone, Debug, PartialEq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}
