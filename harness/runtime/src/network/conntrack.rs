//! Connections the kernel remembers. A translation is decided once for each, so
//! the next datagram of a client that goes on asking would be sent to where its
//! first one was: to an address that is nobody's any more, or another
//! container's. What is remembered of a container is forgotten with it.
//!
//! That needs the kernel's interface to what it remembers
//! (CONFIG_NF_CT_NETLINK). Without it such a client is misled until it has been
//! silent for as long as the kernel remembers it (two minutes).
//!
//! The numbers are those of linux/netfilter/nfnetlink_conntrack.h.

use std::net::Ipv4Addr;

use rustix::io::Errno;

use super::netlink::{ACKNOWLEDGED, Message, Socket, find};
use crate::failure::{Failure, Step};

/// NFNL_SUBSYS_CTNETLINK, and its messages to get and to delete.
const SUBSYSTEM: u16 = 1 << 8;
const GET: u16 = SUBSYSTEM | 1;
const DELETE: u16 = SUBSYSTEM | 2;

const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_TUPLE_IP: u16 = 1;
const CTA_IP_V4_SRC: u16 = 1;

/// struct nfgenmsg: family, version, nothing.
const HEADER: [u8; 4] = [libc::AF_INET as u8, 0, 0, 0];

/// Forgets all connections of the container with this address.
pub(super) fn forget(address: Ipv4Addr) -> Result<(), Failure> {
    let step = || format!("forget the connections of {address}");
    let asked = Socket::netfilter().and_then(|socket| Ok((socket.dump(GET, &HEADER)?, socket)));
    let (all, socket) = match asked {
        // No nfnetlink, or not this part of it.
        Err(Errno::PROTONOSUPPORT | Errno::OPNOTSUPP | Errno::INVAL) => return Ok(()),
        answer => answer.step(step)?,
    };
    for one in &all {
        let Some(attributes) = one.get(HEADER.len()..) else {
            continue;
        };
        let Some(original) = find(attributes, CTA_TUPLE_ORIG) else {
            continue;
        };
        let reply = find(attributes, CTA_TUPLE_REPLY).and_then(source);
        // One it has begun, or one that answers come to from it.
        if source(original) != Some(address) && reply != Some(address) {
            continue;
        }
        let message = Message::new(DELETE, ACKNOWLEDGED, &HEADER);
        match socket.ask(message.with(CTA_TUPLE_ORIG | NESTED, original)) {
            Err(Errno::NOENT) => {}
            answer => answer.step(step)?,
        }
    }
    Ok(())
}

/// NLA_F_NESTED.
const NESTED: u16 = 0x8000;

/// Whose address comes first in a tuple.
fn source(tuple: &[u8]) -> Option<Ipv4Addr> {
    let bytes = find(find(tuple, CTA_TUPLE_IP)?, CTA_IP_V4_SRC)?;
    Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?))
}
