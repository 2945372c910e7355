//! Network interfaces, their addresses and routes, by rtnetlink.
//!
//! The numbers are those of linux/rtnetlink.h, linux/if_link.h and
//! linux/if_addr.h.

use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

use super::netlink::{self, ACKNOWLEDGED, Attributes, Message, NEW, Socket};
use super::subnet::Subnet;
use crate::failure::{Failure, Step};

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_IFALIAS: u16 = 20;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;

const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RT_TABLE_MAIN: u8 = 254;
const RTPROT_BOOT: u8 = 3;
const RTN_UNICAST: u8 = 1;

const AF_INET: u8 = libc::AF_INET as u8;
const IFF_UP: u32 = libc::IFF_UP.cast_unsigned();

/// The sizes of struct ifinfomsg, ifaddrmsg and rtmsg.
const LINK: usize = 16;
const ADDRESS: usize = 8;
const ROUTE: usize = 12;

/// An Ethernet address.
pub(super) type Mac = [u8; 6];

/// An interface, as a dump shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) index: u32,
    pub(super) name: String,
    /// Bytes.
    pub(super) mtu: u32,
    /// The bridge it is a port of.
    pub(super) master: Option<u32>,
    /// `ip link`'s alias: a word for whoever administers it.
    pub(super) alias: String,
    pub(super) mac: Vec<u8>,
    /// `bridge`, `veth`; empty for others than software's.
    pub(super) kind: String,
}

/// A route of the main table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// 0.0.0.0/0 for a default route.
    pub(super) destination: Subnet,
    /// The interface it leads out of.
    pub(super) interface: Option<u32>,
    /// The lower is taken.
    pub(super) priority: u32,
}

/// The interfaces of one network namespace: the one that was the process's when
/// this was made.
#[derive(Debug)]
pub(super) struct Interfaces(Socket);

impl Interfaces {
    /// Those of this process's namespace.
    pub(super) fn here() -> Result<Self, Failure> {
        Socket::route()
            .map(Self)
            .step(|| "open a routing socket".to_owned())
    }

    /// All of them.
    pub(super) fn list(&self) -> Result<Vec<Interface>, Failure> {
        let links = self
            .0
            .dump(RTM_GETLINK, &[0; LINK])
            .step(|| "list the interfaces".to_owned())?;
        Ok(links.iter().filter_map(|body| interface(body)).collect())
    }

    /// The one of this name.
    pub(super) fn find(&self, name: &str) -> Result<Option<Interface>, Failure> {
        Ok(self.list()?.into_iter().find(|one| one.name == name))
    }

    /// The IPv4 addresses, with their networks: the interface's index, the
    /// address, the network.
    pub(super) fn addresses(&self) -> Result<Vec<(u32, Ipv4Addr, Subnet)>, Failure> {
        let mut body = [0; ADDRESS];
        body[0] = AF_INET;
        let addresses = self
            .0
            .dump(RTM_GETADDR, &body)
            .step(|| "list the addresses".to_owned())?;
        Ok(addresses.iter().filter_map(|body| address(body)).collect())
    }

    /// The IPv4 routes of the main table.
    pub(super) fn routes(&self) -> Result<Vec<Route>, Failure> {
        let mut body = [0; ROUTE];
        body[0] = AF_INET;
        let routes = self
            .0
            .dump(RTM_GETROUTE, &body)
            .step(|| "list the routes".to_owned())?;
        Ok(routes.iter().filter_map(|body| route(body)).collect())
    }

    /// Makes a bridge.
    pub(super) fn make_bridge(&self, name: &str, mac: Mac, mtu: u32) -> Result<(), Failure> {
        let info = Attributes::default().with(IFLA_INFO_KIND, b"bridge");
        let message = Message::new(RTM_NEWLINK, ACKNOWLEDGED | NEW, &link(0, 0))
            .with_name(IFLA_IFNAME, name)
            .with(IFLA_ADDRESS, &mac)
            .with(IFLA_MTU, &mtu.to_ne_bytes())
            .with_nested(IFLA_LINKINFO, &info);
        match self.0.ask(message) {
            Err(Errno::OPNOTSUPP) => Err(Failure::Unsupported {
                what: "bridges (CONFIG_BRIDGE)".to_owned(),
            }),
            answer => answer.step(|| format!("make the bridge {name}")),
        }
    }

    /// Makes a pair of virtual Ethernet interfaces; false where one of them is
    /// there already.
    pub(super) fn make_pair(
        &self,
        host: &str,
        inside: &str,
        mac: Mac,
        mtu: u32,
    ) -> Result<bool, Failure> {
        let peer = Attributes::after(&link(0, 0))
            .with_name(IFLA_IFNAME, inside)
            .with(IFLA_ADDRESS, &mac)
            .with(IFLA_MTU, &mtu.to_ne_bytes());
        // Not marked as nested: it begins with a struct ifinfomsg.
        let data = Attributes::default().with(VETH_INFO_PEER, peer.bytes());
        let info = Attributes::default()
            .with(IFLA_INFO_KIND, b"veth")
            .with_nested(IFLA_INFO_DATA, &data);
        let message = Message::new(RTM_NEWLINK, ACKNOWLEDGED | NEW, &link(0, 0))
            .with_name(IFLA_IFNAME, host)
            .with(IFLA_MTU, &mtu.to_ne_bytes())
            .with_nested(IFLA_LINKINFO, &info);
        match self.0.ask(message) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(Errno::OPNOTSUPP) => Err(Failure::Unsupported {
                what: "veth interfaces (CONFIG_VETH)".to_owned(),
            }),
            Err(errno) => Err(errno).step(|| format!("make the interface {host}")),
        }
    }

    /// Gives an interface a word for whoever administers it.
    pub(super) fn set_alias(&self, index: u32, alias: &str) -> Result<(), Failure> {
        let message = Message::new(RTM_NEWLINK, ACKNOWLEDGED, &link(index, 0))
            .with(IFLA_IFALIAS, alias.as_bytes());
        self.change(message, "name the owner of", index)
    }

    /// Makes it a port of the bridge `master`.
    pub(super) fn join(&self, index: u32, master: u32) -> Result<(), Failure> {
        let message = Message::new(RTM_NEWLINK, ACKNOWLEDGED, &link(index, 0))
            .with(IFLA_MASTER, &master.to_ne_bytes());
        self.change(message, "join to the bridge", index)
    }

    /// Sets it up.
    pub(super) fn up(&self, index: u32) -> Result<(), Failure> {
        let message = Message::new(RTM_NEWLINK, ACKNOWLEDGED, &link(index, IFF_UP));
        self.change(message, "set up", index)
    }

    /// Gives it another name; it must not be up.
    pub(super) fn rename(&self, index: u32, name: &str) -> Result<(), Failure> {
        let message =
            Message::new(RTM_NEWLINK, ACKNOWLEDGED, &link(index, 0)).with_name(IFLA_IFNAME, name);
        self.change(message, "rename", index)
    }

    /// Moves it to another network namespace, down and without addresses.
    pub(super) fn send_to(&self, index: u32, namespace: BorrowedFd<'_>) -> Result<(), Failure> {
        let message = Message::new(RTM_NEWLINK, ACKNOWLEDGED, &link(index, 0))
            .with(IFLA_NET_NS_FD, &namespace.as_raw_fd().to_ne_bytes());
        self.change(message, "move into the container", index)
    }

    /// Removes it, a veth with its other end. One that has gone is no error.
    pub(super) fn remove(&self, index: u32) -> Result<(), Failure> {
        let message = Message::new(RTM_DELLINK, ACKNOWLEDGED, &link(index, 0));
        match self.0.ask(message) {
            Err(Errno::NODEV) => Ok(()),
            answer => answer.step(|| format!("remove the interface {index}")),
        }
    }

    /// Gives it an address of `network`.
    pub(super) fn add_address(
        &self,
        index: u32,
        address: Ipv4Addr,
        network: Subnet,
    ) -> Result<(), Failure> {
        let mut body = vec![AF_INET, network.length(), 0, 0];
        body.extend(index.to_ne_bytes());
        let message = Message::new(RTM_NEWADDR, ACKNOWLEDGED | NEW, &body)
            .with(IFA_LOCAL, &address.octets())
            .with(IFA_ADDRESS, &address.octets())
            .with(IFA_BROADCAST, &network.broadcast().octets());
        match self.0.ask(message) {
            // Who made the interface was killed in the middle of it.
            Err(Errno::EXIST) => Ok(()),
            answer => answer.step(|| format!("give the interface {index} the address {address}")),
        }
    }

    /// Sends all that has no other way to `gateway`.
    pub(super) fn add_default_route(&self, gateway: Ipv4Addr) -> Result<(), Failure> {
        let mut body = [0; ROUTE];
        body[0] = AF_INET;
        body[4] = RT_TABLE_MAIN;
        body[5] = RTPROT_BOOT;
        body[7] = RTN_UNICAST;
        let message = Message::new(RTM_NEWROUTE, ACKNOWLEDGED | NEW, &body)
            .with(RTA_GATEWAY, &gateway.octets());
        self.0
            .ask(message)
            .step(|| format!("make {gateway} the default route"))
    }

    fn change(&self, message: Message, verb: &str, index: u32) -> Result<(), Failure> {
        self.0
            .ask(message)
            .step(|| format!("{verb} the interface {index}"))
    }
}

/// A struct ifinfomsg that sets `flags`.
fn link(index: u32, flags: u32) -> Vec<u8> {
    let mut body = vec![0; 4];
    for field in [index, flags, flags] {
        body.extend(field.to_ne_bytes());
    }
    body
}

fn interface(body: &[u8]) -> Option<Interface> {
    let attributes = body.get(LINK..)?;
    let find = |kind| netlink::find(attributes, kind);
    Some(Interface {
        index: netlink::number(&body[4..])?,
        name: netlink::name(find(IFLA_IFNAME)?),
        mtu: find(IFLA_MTU).and_then(netlink::number)?,
        master: find(IFLA_MASTER).and_then(netlink::number),
        alias: find(IFLA_IFALIAS).map(netlink::name).unwrap_or_default(),
        mac: find(IFLA_ADDRESS).unwrap_or_default().to_vec(),
        kind: find(IFLA_LINKINFO)
            .and_then(|info| netlink::find(info, IFLA_INFO_KIND))
            .map(netlink::name)
            .unwrap_or_default(),
    })
}

fn ipv4(value: &[u8]) -> Option<Ipv4Addr> {
    Some(Ipv4Addr::from(<[u8; 4]>::try_from(value).ok()?))
}

fn address(body: &[u8]) -> Option<(u32, Ipv4Addr, Subnet)> {
    let attributes = body.get(ADDRESS..)?;
    let find = |kind| netlink::find(attributes, kind).and_then(ipv4);
    // Of a point-to-point interface IFA_ADDRESS is the other side's.
    let own = find(IFA_LOCAL).or_else(|| find(IFA_ADDRESS))?;
    let network = Subnet::around(find(IFA_ADDRESS).unwrap_or(own), body[1]);
    Some((netlink::number(&body[4..])?, own, network))
}

fn route(body: &[u8]) -> Option<Route> {
    let attributes = body.get(ROUTE..)?;
    if body[0] != AF_INET || body[4] != RT_TABLE_MAIN {
        return None;
    }
    let destination = match netlink::find(attributes, RTA_DST) {
        Some(value) => ipv4(value)?,
        None => Ipv4Addr::UNSPECIFIED,
    };
    let number = |kind| netlink::find(attributes, kind).and_then(netlink::number);
    Some(Route {
        destination: Subnet::around(destination, body[1]),
        interface: number(RTA_OIF),
        priority: number(RTA_PRIORITY).unwrap_or(0),
    })
}
