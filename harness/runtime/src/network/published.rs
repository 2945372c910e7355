//! The host's published ports, held open as long as the container lives: nobody
//! else can have one meanwhile, and what the kernel does not translate arrives
//! at the forwarder.

use std::net::SocketAddrV4;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};

use super::request::{PortMapping, Protocol};
use crate::descriptor::last_errno;
use crate::failure::{Failure, Step};

/// How many connections may wait to be taken; the kernel caps it at
/// net.core.somaxconn.
const BACKLOG: i32 = 4096;

/// A port of the host, held.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) mapping: PortMapping,
    /// Listening, of TCP; told each datagram's destination, of UDP. Never blocks.
    pub(super) socket: OwnedFd,
}

/// Takes all of them. One that somebody has is an error that names it.
pub(super) fn take(ports: &[PortMapping]) -> Result<Vec<Published>, Failure> {
    ports
        .iter()
        .map(|mapping| {
            let socket = open(mapping).step(|| format!("publish the host's port {mapping}"))?;
            Ok(Published {
                mapping: mapping.clone(),
                socket,
            })
        })
        .collect()
}

fn open(mapping: &PortMapping) -> Result<OwnedFd, Errno> {
    let kind = match mapping.protocol {
        Protocol::Tcp => SocketType::STREAM,
        Protocol::Udp => SocketType::DGRAM,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::INET, kind, flags, None)?;
    if mapping.protocol == Protocol::Tcp {
        // Connections of an earlier container that are not forgotten yet are no
        // obstacle; who listens is.
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    bind(&socket, &SocketAddrV4::new(mapping.address, mapping.host))?;
    match mapping.protocol {
        Protocol::Tcp => listen(&socket, BACKLOG)?,
        Protocol::Udp => tell_destinations(&socket)?,
    }
    Ok(socket)
}

/// IP_PKTINFO: of a machine with several addresses an answer must leave under
/// the one that was asked.
fn tell_destinations(socket: &OwnedFd) -> Result<(), Errno> {
    let on: libc::c_int = 1;
    // SAFETY: the kernel reads one int, which outlives the call.
    let answer = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_PKTINFO,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if answer == 0 {
        Ok(())
    } else {
        Err(last_errno())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, UdpSocket};

    use super::*;

    #[test]
    fn a_port_is_somebody_elses_or_ours() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        for (protocol, address) in [
            (Protocol::Tcp, tcp.local_addr().unwrap()),
            (Protocol::Udp, udp.local_addr().unwrap()),
        ] {
            let mapping = PortMapping {
                address: Ipv4Addr::UNSPECIFIED,
                host: address.port(),
                container: 1,
                protocol,
            };
            let error = take(std::slice::from_ref(&mapping))
                .unwrap_err()
                .to_string();
            let wanted = format!(
                "publish the host's port 0.0.0.0:{}/{protocol}: ",
                address.port()
            );
            assert!(error.starts_with(&wanted), "{error}");
            assert!(error.contains("in use"), "{error}");
        }
        let port = tcp.local_addr().unwrap().port();
        drop(tcp);
        let mapping = PortMapping {
            address: Ipv4Addr::LOCALHOST,
            host: port,
            container: 1,
            protocol: Protocol::Tcp,
        };
        let taken = take(std::slice::from_ref(&mapping)).unwrap();
        assert!(TcpListener::bind(("127.0.0.1", port)).is_err());
        // Twice by one container is no less a conflict.
        assert!(take(&[mapping]).is_err());
        drop(taken);
    }
}
