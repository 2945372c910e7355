//! A pair of virtual Ethernet interfaces with its ends in two namespaces, by one
//! netlink message; addresses and state by the older ioctls.

use std::ffi::CStr;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;

use super::{Probing, Stop, trouble};
use crate::kernel_log::last_errno;

/// Makes the pair `here`, in this namespace, and `there`, in the other.
pub(super) fn make(here: &str, there: &str, other: BorrowedFd<'_>) -> Probing {
    let mut peer = interface_header();
    attribute(&mut peer, IFLA_IFNAME, &c_bytes(there));
    attribute(&mut peer, IFLA_NET_NS_FD, &other.as_raw_fd().to_ne_bytes());
    let mut data = Vec::new();
    attribute(&mut data, VETH_INFO_PEER, &peer);
    let mut info = Vec::new();
    attribute(&mut info, IFLA_INFO_KIND, b"veth");
    attribute(&mut info, IFLA_INFO_DATA, &data);
    let mut body = interface_header();
    attribute(&mut body, IFLA_IFNAME, &c_bytes(here));
    attribute(&mut body, IFLA_LINKINFO, &info);
    match ask(&new_link(&body)) {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP) => Err(Stop::Unsupported(
            "veth interfaces (CONFIG_VETH), to build another network with".to_owned(),
        )),
        Err(errno) => Err(trouble("make a veth pair")(errno)),
    }
}

/// Gives an interface its address, of a network of 256, and sets it up.
pub(super) fn set_up(name: &CStr, address: Ipv4Addr) -> Probing {
    interface(name, libc::SIOCSIFADDR, |request| {
        request.ifr_ifru.ifru_addr = socket_address(address);
    })?;
    interface(name, libc::SIOCSIFNETMASK, |request| {
        request.ifr_ifru.ifru_netmask = socket_address(Ipv4Addr::new(255, 255, 255, 0));
    })?;
    up(name)
}

/// Sets an interface up.
pub(super) fn up(name: &CStr) -> Probing {
    interface(name, libc::SIOCSIFFLAGS, |request| {
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    })
}

// From linux/if_link.h, linux/veth.h and linux/rtnetlink.h.
const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const RTM_NEWLINK: u16 = 16;
/// REQUEST, ACK, EXCL and CREATE.
const FLAGS: u16 = 0x1 | 0x4 | 0x200 | 0x400;

/// An empty `struct ifinfomsg`.
fn interface_header() -> Vec<u8> {
    vec![0; 16]
}

fn c_bytes(name: &str) -> Vec<u8> {
    [name.as_bytes(), b"\0"].concat()
}

/// Appends an attribute: its length, its type, its value, filled to four bytes.
fn attribute(to: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
    to.extend(length.to_ne_bytes());
    to.extend(kind.to_ne_bytes());
    to.extend(value);
    to.resize(to.len().next_multiple_of(4), 0);
}

/// The body under a `struct nlmsghdr`.
fn new_link(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 16).unwrap_or(u32::MAX);
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(RTM_NEWLINK.to_ne_bytes());
    message.extend(FLAGS.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    message
}

/// Sends one request and reads its acknowledgement.
fn ask(message: &[u8]) -> Result<(), Errno> {
    // SAFETY: the calls are given a buffer with its length, and a descriptor that
    // is owned from here on.
    unsafe {
        let number = libc::socket(
            libc::AF_NETLINK,
            libc::SOCK_RAW | libc::SOCK_CLOEXEC,
            libc::NETLINK_ROUTE,
        );
        if number < 0 {
            return Err(last_errno());
        }
        let socket = OwnedFd::from_raw_fd(number);
        let (pointer, length) = (message.as_ptr().cast(), message.len());
        if libc::send(socket.as_raw_fd(), pointer, length, 0) < 0 {
            return Err(last_errno());
        }
        let mut answer = [0_u8; 4096];
        let (pointer, length) = (answer.as_mut_ptr().cast(), answer.len());
        if libc::recv(socket.as_raw_fd(), pointer, length, 0) < 20 {
            return Err(Errno::IO);
        }
        acknowledged(&answer)
    }
}

/// A `struct nlmsgerr` follows the header: an errno, negated.
fn acknowledged(answer: &[u8]) -> Result<(), Errno> {
    match answer[16..20].try_into().map(i32::from_ne_bytes) {
        Ok(0) => Ok(()),
        Ok(error) => Err(Errno::from_raw_os_error(-error)),
        Err(_) => Err(Errno::IO),
    }
}

fn socket_address(address: Ipv4Addr) -> libc::sockaddr {
    let mut data = [0; 14];
    for (to, from) in data[2..6].iter_mut().zip(address.octets()) {
        *to = from.cast_signed();
    }
    libc::sockaddr {
        sa_family: libc::AF_INET as libc::sa_family_t,
        sa_data: data,
    }
}

fn interface(name: &CStr, request: libc::c_ulong, fill: impl FnOnce(&mut libc::ifreq)) -> Probing {
    // SAFETY: all zeros is a valid ifreq.
    let mut argument: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in argument.ifr_name.iter_mut().zip(name.to_bytes()) {
        *to = from.cast_signed();
    }
    fill(&mut argument);
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").map_err(trouble("socket"))?;
    // SAFETY: these requests read an ifreq, which outlives the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), request as _, &raw const argument) };
    if result == 0 {
        Ok(())
    } else {
        Err(trouble(format!("configure {}", name.to_string_lossy()))(
            last_errno(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_aligned_and_count_themselves() {
        let mut bytes = Vec::new();
        attribute(&mut bytes, 3, b"ab\0");
        attribute(&mut bytes, 1, b"veth");
        assert_eq!(
            bytes,
            [
                7, 0, 3, 0, b'a', b'b', 0, 0, 8, 0, 1, 0, b'v', b'e', b't', b'h'
            ]
        );
        let message = new_link(&bytes);
        assert_eq!(message[..4], 32_u32.to_ne_bytes());
    }

    #[test]
    fn an_acknowledgement_is_an_errno_or_none() {
        let mut answer = [0_u8; 36];
        assert_eq!(acknowledged(&answer), Ok(()));
        answer[16..20].copy_from_slice(&(-95_i32).to_ne_bytes());
        assert_eq!(acknowledged(&answer), Err(Errno::OPNOTSUPP));
    }

    #[test]
    fn an_address_stands_after_the_port() {
        let address = socket_address(Ipv4Addr::new(192, 0, 2, 1));
        assert_eq!(address.sa_data[..6], [0, 0, -64, 0, 2, 1]);
    }
}
