//! Entries of a table, made: a struct ipt_entry, the matches, the target.

use std::net::Ipv4Addr;

use super::super::request::{PortMapping, Protocol};

/// The size of struct ipt_entry, and where its last fields lie: the target's
/// offset, the next entry's, and after four bytes of the kernel's the counters.
pub(super) const HEADER: usize = 112;
pub(super) const TARGET_OFFSET: usize = 88;
pub(super) const NEXT_OFFSET: usize = 90;
/// The size of a struct xt_entry_match or xt_entry_target without its data: its
/// size, a name of 29 bytes, a revision.
pub(super) const EXTENSION: usize = 32;
const NAME: usize = 29;

/// The bits of ipt_ip's invflags.
const NOT_IN: u8 = 0x01;
const NOT_OUT: u8 = 0x02;
const NOT_DESTINATION: u8 = 0x10;

/// The target of what leaves a chain again: RETURN, as -NF_REPEAT - 1.
const RETURN: i32 = -5;
/// -NF_DROP - 1.
const DROP: i32 = -1;

/// Which packets an entry is about.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Packets<'a> {
    /// Their source.
    pub(super) source: Option<Ipv4Addr>,
    /// Their destination.
    pub(super) destination: Option<Ipv4Addr>,
    /// Their destination is not in 127.0.0.0/8.
    pub(super) not_loopback: bool,
    /// Their destination is an address of the machine's.
    pub(super) to_the_machine: bool,
    /// The interface they have not come from.
    pub(super) not_from: Option<&'a str>,
    /// The interface they do not leave by.
    pub(super) not_out_of: Option<&'a str>,
    /// They neither answer anything nor have been translated.
    pub(super) uninvited: bool,
    /// Their protocol and destination port.
    pub(super) port: Option<(&'a Protocol, u16)>,
}

/// One entry, without knowing its place: the bytes, in which a jump's
/// destination is filled in later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry(pub(super) Vec<u8>);

impl Entry {
    /// Packets for a published port go to the container.
    pub(super) fn translate(port: &PortMapping, bridge: &str, container: Ipv4Addr) -> Self {
        /// NF_NAT_RANGE_MAP_IPS and _PROTO_SPECIFIED.
        const RANGE: u32 = 1 | 2;
        let packets = Packets {
            destination: (!port.address.is_unspecified()).then_some(port.address),
            not_from: Some(bridge),
            port: Some((&port.protocol, port.host)),
            ..Packets::default()
        };
        Self::new(&packets, &nat("DNAT", RANGE, container, port.container))
    }

    /// Packets leave under the address of the interface they leave by.
    pub(super) fn masquerade() -> Self {
        let target = nat("MASQUERADE", 0, Ipv4Addr::UNSPECIFIED, 0);
        Self::new(&Packets::default(), &target)
    }

    /// Packets are no more.
    pub(super) fn drop_them(packets: &Packets<'_>) -> Self {
        Self::new(packets, &standard(DROP))
    }

    /// Packets go on in another chain.
    pub(super) fn jump(packets: &Packets<'_>) -> Self {
        Self::new(packets, &standard(0))
    }

    /// A chain's first entry, which has its name.
    pub(super) fn head(name: &str) -> Self {
        /// XT_FUNCTION_MAXNAMELEN.
        const ROOM: usize = 30;
        let data = padded(name.as_bytes(), ROOM);
        Self::new(&Packets::default(), &extension("ERROR", 0, &data))
    }

    /// A chain's last.
    pub(super) fn tail() -> Self {
        Self::new(&Packets::default(), &standard(RETURN))
    }

    fn new(packets: &Packets<'_>, target: &[u8]) -> Self {
        let mut entry = packets.address_part();
        // nfcache, the offsets, comefrom, two counters.
        entry.resize(HEADER, 0);
        if packets.to_the_machine {
            /// XT_ADDRTYPE_LOCAL, 1 << RTN_LOCAL.
            const LOCAL: u16 = 4;
            // struct xt_addrtype_info_v1: source, destination, flags.
            let data = [[0; 2], LOCAL.to_ne_bytes(), [0; 2], [0; 2]].concat();
            entry.extend(extension("addrtype", 1, &data));
        }
        if packets.uninvited {
            entry.extend(extension("conntrack", 3, &not_expected()));
        }
        if let Some((protocol, port)) = packets.port {
            // struct xt_tcp, struct xt_udp: both begin with a range of source
            // ports and one of destination ports, and what follows is zero for
            // whatever else.
            let ports = [0, u16::MAX, port, port].map(u16::to_ne_bytes).concat();
            let (name, size) = match protocol {
                Protocol::Tcp => ("tcp", 12),
                Protocol::Udp => ("udp", 10),
            };
            entry.extend(extension(name, 0, &padded(&ports, size)));
        }
        let offset = entry.len() as u16;
        entry.extend(target);
        let next = entry.len() as u16;
        entry[TARGET_OFFSET..NEXT_OFFSET].copy_from_slice(&offset.to_ne_bytes());
        entry[NEXT_OFFSET..NEXT_OFFSET + 2].copy_from_slice(&next.to_ne_bytes());
        Self(entry)
    }
}

impl Packets<'_> {
    /// struct ipt_ip, 84 bytes.
    fn address_part(&self) -> Vec<u8> {
        let destination = match self.destination {
            Some(address) => (address, Ipv4Addr::BROADCAST),
            None if self.not_loopback => (Ipv4Addr::new(127, 0, 0, 0), Ipv4Addr::new(255, 0, 0, 0)),
            None => (Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED),
        };
        let source = self.source.unwrap_or(Ipv4Addr::UNSPECIFIED);
        let source_mask = self
            .source
            .map_or(Ipv4Addr::UNSPECIFIED, |_| Ipv4Addr::BROADCAST);
        let mut bytes = Vec::with_capacity(HEADER);
        for address in [source, destination.0, source_mask, destination.1] {
            bytes.extend(address.octets());
        }
        // The names, then their masks: the zero at the end counts too.
        for name in [self.not_from, self.not_out_of] {
            bytes.extend(padded(name.unwrap_or_default().as_bytes(), libc::IFNAMSIZ));
        }
        for name in [self.not_from, self.not_out_of] {
            let mask = name.map_or(Vec::new(), |name| vec![0xff; name.len() + 1]);
            bytes.extend(padded(&mask, libc::IFNAMSIZ));
        }
        let protocol: u16 = match self.port {
            Some((Protocol::Tcp, _)) => 6,
            Some((Protocol::Udp, _)) => 17,
            None => 0,
        };
        bytes.extend(protocol.to_ne_bytes());
        let mut inverted = 0;
        for (flag, set) in [
            (NOT_IN, self.not_from.is_some()),
            (NOT_OUT, self.not_out_of.is_some()),
            (
                NOT_DESTINATION,
                self.not_loopback && self.destination.is_none(),
            ),
        ] {
            inverted |= if set { flag } else { 0 };
        }
        bytes.extend([0, inverted]);
        bytes
    }
}

/// struct xt_conntrack_mtinfo3 for a connection that is in none of the states
/// ESTABLISHED, RELATED and DNAT.
fn not_expected() -> Vec<u8> {
    const STATES: u16 = 2 | 4 | 0x80;
    // What is compared (XT_CONNTRACK_STATE), what of it is inverted, the states.
    let fields = [1, 1, STATES].map(u16::to_ne_bytes).concat();
    // Eight addresses, two times, a protocol and four ports come before it,
    // another set of states and four ports after.
    let mut data = vec![0; 146];
    data.extend(fields);
    padded(&data, 164)
}

/// A match or a target, filled to a multiple of eight bytes.
fn extension(name: &str, revision: u8, data: &[u8]) -> Vec<u8> {
    let size = (EXTENSION + data.len()).next_multiple_of(8);
    let mut bytes = (size as u16).to_ne_bytes().to_vec();
    bytes.extend(padded(name.as_bytes(), NAME));
    bytes.push(revision);
    bytes.extend(data);
    bytes.resize(size, 0);
    bytes
}

/// struct xt_standard_target, whose name is empty.
fn standard(verdict: i32) -> Vec<u8> {
    extension("", 0, &verdict.to_ne_bytes())
}

/// A target with one range of addresses, struct
/// nf_nat_ipv4_multi_range_compat: how many, and the flags, addresses and ports
/// of the one.
fn nat(name: &str, flags: u32, address: Ipv4Addr, port: u16) -> Vec<u8> {
    let mut data = [1_u32, flags].map(u32::to_ne_bytes).concat();
    data.extend([address.octets(), address.octets()].concat());
    data.extend([port.to_be_bytes(), port.to_be_bytes()].concat());
    extension(name, 0, &data)
}

fn padded(bytes: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.resize(size, 0);
    bytes
}
