//! A host and another network, each a network namespace with the two ends of a
//! veth pair: 192.0.2.1 and 192.0.2.2. The other network knows no route to any
//! container. The test's thread is the host; it goes elsewhere to make a socket,
//! which stays where it was made.

// The runtime's own, which depends on nothing of its else.
#[path = "../../../src/network/netlink.rs"]
#[expect(dead_code, reason = "not all of it is needed here")]
mod netlink;

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use runtime::network::Nat;
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

use super::lacking::Lacking;
use crate::rig::skip;
use netlink::{ACKNOWLEDGED, Attributes, Message, NEW, Socket};

/// The host's address in the other network.
pub(super) const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// The other end's.
pub(super) const OTHER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
/// The same of a third network, which sends to others through the host.
const THIRD_HOST: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
pub(super) const THIRD: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_FD: u16 = 28;
const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";

/// All of it.
pub(super) struct World {
    /// Where the thread came from.
    home: OwnedFd,
    host: OwnedFd,
    other: OwnedFd,
    third: OwnedFd,
}

impl World {
    /// `None`, and a message, where there can be no such thing.
    pub(super) fn new() -> Option<Self> {
        let (home, other, third, host) = (own(), alone(), alone(), alone());
        let world = Self {
            home,
            host,
            other,
            third,
        };
        let made = pair("outside0", &world.other);
        let bridge = Message::new(RTM_NEWLINK, ACKNOWLEDGED | NEW, &[0; 16]);
        let bridge = link(bridge.with_name(IFLA_IFNAME, "trial0"), "bridge", None);
        for (what, made) in [("veth", made), ("bridge", bridge)] {
            match made {
                Err(errno @ Errno::OPNOTSUPP) => {
                    skip(&format!("no {what} interfaces: {errno}"));
                    return None;
                }
                answer => answer.unwrap(),
            }
        }
        remove("trial0");
        pair("third0", &world.third).unwrap();
        address("outside0", HOST);
        address("third0", THIRD_HOST);
        world.other(|| address("outside0", OTHER));
        world.third(|| {
            address("third0", THIRD);
            route(Ipv4Addr::UNSPECIFIED, 0, THIRD_HOST);
        });
        Some(world)
    }

    /// Does something in the other network.
    pub(super) fn other<T>(&self, work: impl FnOnce() -> T) -> T {
        self.there(&self.other, work)
    }

    /// Does something in the third network.
    pub(super) fn third<T>(&self, work: impl FnOnce() -> T) -> T {
        self.there(&self.third, work)
    }

    /// Has the other network send all that has no other way to the host.
    pub(super) fn route_through_the_host(&self) {
        self.other(|| route(Ipv4Addr::UNSPECIFIED, 0, HOST));
    }

    /// Does something in the network of the process `pid`.
    pub(super) fn inside<T>(&self, pid: u32, work: impl FnOnce() -> T) -> T {
        let its = File::open(format!("/proc/{pid}/ns/net")).unwrap().into();
        self.there(&its, work)
    }

    fn there<T>(&self, namespace: &OwnedFd, work: impl FnOnce() -> T) -> T {
        go(namespace);
        let result = work();
        go(&self.host);
        result
    }

    /// Who translates on this machine's kernel when it lacks that; `None`, and a
    /// message, where that is the same as without lacking it.
    pub(super) fn translator(&self, lacking: Lacking) -> Option<Nat> {
        let (nftables, iptables) = (has_nftables(), has_iptables());
        match lacking {
            Lacking::Nothing if nftables => Some(Nat::Nftables),
            Lacking::Nftables if iptables => Some(Nat::Iptables),
            Lacking::Netfilter => Some(Nat::Forwarder),
            Lacking::Nothing | Lacking::Nftables => {
                skip(&format!(
                    "lacking {lacking:?}: this kernel has nf_tables: {nftables}, iptables' nat: {iptables}"
                ));
                None
            }
        }
    }

    pub(super) fn forwarding(&self) -> bool {
        fs::read_to_string(FORWARDING).unwrap().trim() == "1"
    }

    pub(super) fn set_forwarding(&self, on: bool) {
        fs::write(FORWARDING, if on { "1" } else { "0" }).unwrap();
    }

    /// Has the host send all that has no other way to the other network.
    pub(super) fn default_route(&self) {
        route(Ipv4Addr::UNSPECIFIED, 0, OTHER);
    }

    /// Limits what the host sends to the other network at once, in bytes.
    pub(super) fn set_mtu(&self, mtu: u32) {
        let message = Message::new(RTM_NEWLINK, ACKNOWLEDGED, &body("outside0", 0));
        ask(message.with(IFLA_MTU, &mtu.to_ne_bytes())).unwrap();
    }

    pub(super) fn make_dummy(&self, name: &str) {
        let message =
            Message::new(RTM_NEWLINK, ACKNOWLEDGED | NEW, &[0; 16]).with_name(IFLA_IFNAME, name);
        let peer = Attributes::after(&[0; 16]).with_name(IFLA_IFNAME, "odd0");
        link(message, "veth", Some(&peer)).unwrap();
    }

    /// What a runtime can leave behind.
    fn left(&self) -> Vec<String> {
        let socket = Socket::route().unwrap();
        let links = socket.dump(RTM_GETLINK, &[0; 16]).unwrap();
        let mut left: Vec<String> = links
            .iter()
            .map(|link| netlink::name(netlink::find(&link[16..], IFLA_IFNAME).unwrap()))
            .filter(|name| name.starts_with('m'))
            .collect();
        if let Ok(socket) = Socket::netfilter() {
            /// NFT_MSG_GETTABLE, and its attribute NFTA_TABLE_NAME.
            const GETTABLE: u16 = 10 << 8 | 1;
            let tables = socket.dump(GETTABLE, &[2, 0, 0, 0]).unwrap_or_default();
            left.extend(
                tables
                    .iter()
                    .filter_map(|table| netlink::find(&table[4..], 1))
                    .map(|name| format!("table {}", netlink::name(name))),
            );
        }
        // The policies of their chains, and the end.
        for (table, unchanged) in [("nat", 5), ("filter", 4)] {
            if entries(table) > Some(unchanged) {
                left.push(format!("entries in iptables' table {table}"));
            }
        }
        if self.forwarding() {
            left.push("forwarding".to_owned());
        }
        left
    }

    pub(super) fn is_untouched(&self) -> bool {
        self.left().is_empty()
    }

    pub(super) fn assert_untouched(&self) {
        assert_eq!(self.left(), Vec::<String>::new());
    }

    /// Waits for it.
    pub(super) fn wait_untouched(&self) {
        for _ in 0..400 {
            if self.is_untouched() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        self.assert_untouched();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        go(&self.home);
    }
}

/// The children of a process: their numbers, their names.
pub(super) fn children(parent: u32) -> Vec<(u32, String)> {
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc").unwrap() {
        let stat = fs::read_to_string(entry.unwrap().path().join("stat")).unwrap_or_default();
        let Some((pid, rest)) = stat.split_once(" (") else {
            continue;
        };
        let (name, rest) = rest.rsplit_once(") ").unwrap();
        if rest.split(' ').nth(1) == Some(&parent.to_string()) {
            children.push((pid.parse().unwrap(), name.to_owned()));
        }
    }
    children
}

/// Waits for a process to have ended; its namespaces go then, sooner or later.
pub(super) fn wait_gone(pid: u32) {
    for _ in 0..400 {
        // Whoever has it for a child now may take its time to wait for it.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if stat.is_empty() || stat.contains(") Z ") {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("process {pid} does not end");
}

fn own() -> OwnedFd {
    File::open("/proc/thread-self/ns/net").unwrap().into()
}

/// A network namespace of this thread's own, whose loopback is up.
fn alone() -> OwnedFd {
    // SAFETY: this thread alone, and no table of descriptors.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.unwrap();
    up("lo");
    own()
}

/// A veth pair, one end here and one in `there`, with the same name.
fn pair(name: &str, there: &OwnedFd) -> Result<(), Errno> {
    let message = Message::new(RTM_NEWLINK, ACKNOWLEDGED | NEW, &[0; 16]);
    let peer = Attributes::after(&[0; 16])
        .with_name(IFLA_IFNAME, name)
        .with(IFLA_NET_NS_FD, &there.as_raw_fd().to_ne_bytes());
    link(message.with_name(IFLA_IFNAME, name), "veth", Some(&peer))
}

fn route(to: Ipv4Addr, length: u8, gateway: Ipv4Addr) {
    /// RTM_NEWROUTE; RTA_DST and RTA_GATEWAY.
    const NEWROUTE: u16 = 24;
    let body = [2, length, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0];
    let message = Message::new(NEWROUTE, ACKNOWLEDGED | NEW, &body)
        .with(1, &to.octets())
        .with(5, &gateway.octets());
    ask(message).unwrap();
}

fn go(to: &OwnedFd) {
    move_into_link_name_space(to.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
}

fn ask(message: Message) -> Result<(), Errno> {
    Socket::route().unwrap().ask(message)
}

/// Makes an interface of this kind, a veth's with its peer.
fn link(message: Message, kind: &str, peer: Option<&Attributes>) -> Result<(), Errno> {
    let mut info = Attributes::default().with(1, kind.as_bytes());
    if let Some(peer) = peer {
        info = info.with_nested(2, &Attributes::default().with(1, peer.bytes()));
    }
    ask(message.with_nested(IFLA_LINKINFO, &info))
}

/// An interface of this thread's network, as a dump shows it.
fn interface(name: &str) -> Vec<u8> {
    let socket = Socket::route().unwrap();
    let links = socket.dump(RTM_GETLINK, &[0; 16]).unwrap();
    let is_it = |link: &Vec<u8>| {
        let its = netlink::find(&link[16..], IFLA_IFNAME).unwrap();
        netlink::name(its) == name
    };
    links.into_iter().find(is_it).unwrap()
}

fn index(name: &str) -> u32 {
    netlink::number(&interface(name)[4..]).unwrap()
}

/// Bytes.
pub(super) fn mtu(name: &str) -> u32 {
    let interface = interface(name);
    let value = netlink::find(&interface[16..], IFLA_MTU).unwrap();
    netlink::number(value).unwrap()
}

/// A struct ifinfomsg that sets `flags`.
fn body(name: &str, flags: u32) -> Vec<u8> {
    [0, index(name), flags, flags]
        .map(u32::to_ne_bytes)
        .concat()
}

fn up(name: &str) {
    ask(Message::new(RTM_NEWLINK, ACKNOWLEDGED, &body(name, 1))).unwrap();
}

fn remove(name: &str) {
    ask(Message::new(17, ACKNOWLEDGED, &body(name, 0))).unwrap();
}

fn address(name: &str, address: Ipv4Addr) {
    let mut body = vec![2, 24, 0, 0];
    body.extend(index(name).to_ne_bytes());
    let message = Message::new(RTM_NEWADDR, ACKNOWLEDGED | NEW, &body)
        .with(2, &address.octets())
        .with(1, &address.octets());
    ask(message).unwrap();
    up(name);
}

fn has_nftables() -> bool {
    let socket = Socket::netfilter();
    socket.is_ok_and(|socket| socket.dump(10 << 8 | 1, &[2, 0, 0, 0]).is_ok())
}

/// Whether the kernel shows the connections it remembers.
pub(super) fn has_conntrack() -> bool {
    /// IPCTNL_MSG_CT_GET of NFNL_SUBSYS_CTNETLINK.
    const GET: u16 = 1 << 8 | 1;
    let socket = Socket::netfilter();
    socket.is_ok_and(|socket| socket.dump(GET, &[2, 0, 0, 0]).is_ok())
}

fn has_iptables() -> bool {
    entries("nat").is_some()
}

/// How many entries a table of iptables' has, if there is one.
fn entries(table: &str) -> Option<u32> {
    use rustix::net::{AddressFamily, SocketType, ipproto, socket};
    let socket = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::RAW)).ok()?;
    let mut info = [0_u8; 84];
    info[..table.len()].copy_from_slice(table.as_bytes());
    let mut length = 84;
    // SAFETY: the kernel writes at most 84 bytes to the buffer.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            64,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    (answer == 0).then(|| u32::from_ne_bytes([info[76], info[77], info[78], info[79]]))
}
