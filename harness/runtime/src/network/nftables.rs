//! Translation of addresses by nf_tables: a table for each container, which
//! comes and goes in one message and touches nobody else's.
//!
//! From Linux 4.18 on. Before, only one chain that translates can be hooked in
//! where packets come by, and what others have there would not be asked any
//! more; `fib`, which knows the machine's own addresses, came with 4.10.
//!
//! The numbers are those of linux/netfilter/nf_tables.h.

use std::net::Ipv4Addr;

use rustix::io::Errno;

use super::nat::{Rules, Unavailable, hooked};
use super::netlink::{ACKNOWLEDGED, Attributes, Message, Socket, find, name};
use super::request::{PortMapping, Protocol};
use crate::failure::Step;

/// NFNL_SUBSYS_NFTABLES.
const SUBSYSTEM: u8 = 10;
const NEWTABLE: u8 = 0;
const GETTABLE: u8 = 1;
const DELTABLE: u8 = 2;
const NEWCHAIN: u8 = 3;
const NEWRULE: u8 = 6;

/// NLM_F_CREATE; for a rule with NLM_F_APPEND.
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;

const NFTA_TABLE_NAME: u16 = 1;
const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_HOOK: u16 = 4;
const NFTA_CHAIN_TYPE: u16 = 7;
const NFTA_HOOK_HOOKNUM: u16 = 1;
const NFTA_HOOK_PRIORITY: u16 = 2;
const NFTA_RULE_TABLE: u16 = 1;
const NFTA_RULE_CHAIN: u16 = 2;
const NFTA_RULE_EXPRESSIONS: u16 = 4;
const NFTA_LIST_ELEM: u16 = 1;
const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;

/// The registers expressions hand values on in.
const FIRST: u32 = 1;
const SECOND: u32 = 2;

/// The version that let several chains translate.
const SINCE: (u32, u32) = (4, 18);

fn table(address: Ipv4Addr) -> String {
    hooked::name(address)
}

/// Makes a container's table.
pub(super) fn install(rules: &Rules<'_>) -> Result<(), Unavailable> {
    if !is_new_enough(&rustix::system::uname().release().to_string_lossy()) {
        return Err(Unavailable::Absent);
    }
    let table = table(rules.address);
    let named = |message, flags| request(message, flags).with_name(NFTA_TABLE_NAME, &table);
    let mut batch = vec![
        // Whatever a runtime that was killed has left for this address: what is
        // to be removed has to be there.
        named(NEWTABLE, CREATE),
        named(DELTABLE, 0),
        named(NEWTABLE, CREATE),
        chain(&table, "prerouting", "nat", 0, -100),
        chain(&table, "output", "nat", 3, -100),
        chain(&table, "postrouting", "nat", 4, 100),
        chain(&table, "forward", "filter", 2, 0),
        rule_of(&table, "forward", &uninvited(rules)),
    ];
    if rules.closed {
        batch.push(rule_of(&table, "forward", &strangers(rules)));
    }
    for port in rules
        .ports
        .iter()
        .filter(|port| !port.address.is_loopback())
    {
        let from_outside = [meta_name(IIFNAME), compare_name(NOT_EQUAL, rules.bridge)];
        let not_loopback = not_loopback();
        batch.push(rule(
            &table,
            "prerouting",
            &from_outside,
            port,
            rules.address,
        ));
        batch.push(rule(&table, "output", &not_loopback, port, rules.address));
    }
    let outwards = [
        payload(NETWORK, 12, 4),
        compare(EQUAL, &rules.address.octets()),
        meta_name(OIFNAME),
        compare_name(NOT_EQUAL, rules.bridge),
        expression("masq", &Attributes::default()),
    ];
    batch.push(rule_of(&table, "postrouting", &outwards));
    let made = Socket::netfilter().and_then(|socket| socket.batch(SUBSYSTEM, batch));
    match made {
        // No nfnetlink, no nf_tables, or not this expression of it.
        Err(Errno::PROTONOSUPPORT | Errno::OPNOTSUPP | Errno::NOENT | Errno::AFNOSUPPORT) => {
            Err(Unavailable::Absent)
        }
        answer => answer
            .step(|| format!("make the nftables table {table}"))
            .map_err(Unavailable::Failed),
    }
}

/// Removes a container's table; one that is not there is no error.
pub(super) fn remove(address: Ipv4Addr) -> Result<(), crate::failure::Failure> {
    let table = table(address);
    let message = request(DELTABLE, 0).with_name(NFTA_TABLE_NAME, &table);
    let removed = Socket::netfilter().and_then(|socket| socket.batch(SUBSYSTEM, vec![message]));
    match removed {
        Err(Errno::NOENT) => Ok(()),
        answer => answer.step(|| format!("remove the nftables table {table}")),
    }
}

/// The containers that have a table.
pub(super) fn installed() -> Result<Vec<Ipv4Addr>, crate::failure::Failure> {
    let tables = Socket::netfilter()
        .and_then(|socket| socket.dump(kind(GETTABLE), &HEADER))
        .step(|| "list the nftables tables".to_owned())?;
    Ok(tables
        .iter()
        .filter_map(|body| find(body.get(HEADER.len()..)?, NFTA_TABLE_NAME))
        .filter_map(|value| hooked::address(&name(value)))
        .collect())
}

fn is_new_enough(release: &str) -> bool {
    let mut numbers = release
        .split(|letter: char| !letter.is_ascii_digit())
        .map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= SINCE,
        _ => false,
    }
}

/// struct nfgenmsg: family, version 0, nothing.
const HEADER: [u8; 4] = [libc::NFPROTO_IPV4 as u8, 0, 0, 0];

fn kind(message: u8) -> u16 {
    u16::from(SUBSYSTEM) << 8 | u16::from(message)
}

fn request(message: u8, flags: u16) -> Message {
    Message::new(kind(message), ACKNOWLEDGED | flags, &HEADER)
}

/// A chain of this type, hooked in at one of NF_INET_*.
fn chain(table: &str, name: &str, kind: &str, hook: u32, priority: i32) -> Message {
    let hook = Attributes::default()
        .with_number(NFTA_HOOK_HOOKNUM, hook)
        .with_number(NFTA_HOOK_PRIORITY, priority.cast_unsigned());
    request(NEWCHAIN, CREATE)
        .with_name(NFTA_CHAIN_TABLE, table)
        .with_name(NFTA_CHAIN_NAME, name)
        .with_nested(NFTA_CHAIN_HOOK, &hook)
        .with_name(NFTA_CHAIN_TYPE, kind)
}

/// What matches `before` and is for `port` of the machine goes to the
/// container.
fn rule(
    table: &str,
    chain: &str,
    before: &[Attributes],
    port: &PortMapping,
    container: Ipv4Addr,
) -> Message {
    let protocol = match port.protocol {
        Protocol::Tcp => libc::IPPROTO_TCP,
        Protocol::Udp => libc::IPPROTO_UDP,
    };
    let mut expressions = before.to_vec();
    if port.address.is_unspecified() {
        expressions.extend(to_the_machine());
    } else {
        expressions.push(payload(NETWORK, 16, 4));
        expressions.push(compare(EQUAL, &port.address.octets()));
    }
    let nat = Attributes::default()
        .with_number(1, 1) // NFTA_NAT_TYPE: NFT_NAT_DNAT
        .with_number(2, libc::NFPROTO_IPV4.cast_unsigned())
        .with_number(3, FIRST) // NFTA_NAT_REG_ADDR_MIN
        .with_number(5, SECOND); // NFTA_NAT_REG_PROTO_MIN
    expressions.extend([
        meta_name(L4PROTO),
        compare(EQUAL, &[protocol as u8]),
        payload(TRANSPORT, 2, 2),
        compare(EQUAL, &port.host.to_be_bytes()),
        immediate(FIRST, &container.octets()),
        immediate(SECOND, &port.container.to_be_bytes()),
        expression("nat", &nat),
    ]);
    rule_of(table, chain, &expressions)
}

fn rule_of(table: &str, chain: &str, expressions: &[Attributes]) -> Message {
    let list = expressions
        .iter()
        .fold(Attributes::default(), |list, expression| {
            list.with_nested(NFTA_LIST_ELEM, expression)
        });
    request(NEWRULE, CREATE | APPEND)
        .with_name(NFTA_RULE_TABLE, table)
        .with_name(NFTA_RULE_CHAIN, chain)
        .with_nested(NFTA_RULE_EXPRESSIONS, &list)
}

fn expression(name: &str, data: &Attributes) -> Attributes {
    Attributes::default()
        .with_name(NFTA_EXPR_NAME, name)
        .with_nested(NFTA_EXPR_DATA, data)
}

/// `fib daddr type local`: the destination is an address of the machine's.
fn to_the_machine() -> [Attributes; 2] {
    /// RTN_LOCAL.
    const LOCAL: u32 = 2;
    let fib = Attributes::default()
        .with_number(1, FIRST) // NFTA_FIB_DREG
        .with_number(2, 3) // NFTA_FIB_RESULT: NFT_FIB_RESULT_ADDRTYPE
        .with_number(3, 2); // NFTA_FIB_FLAGS: NFTA_FIB_F_DADDR
    [
        expression("fib", &fib),
        compare(EQUAL, &LOCAL.to_ne_bytes()),
    ]
}

/// The loopback's addresses are the forwarder's: the answers to what is
/// translated from 127.0.0.1 would be dropped as strays.
fn not_loopback() -> [Attributes; 3] {
    [
        payload(NETWORK, 16, 4),
        masked([255, 0, 0, 0]),
        compare(NOT_EQUAL, &[127, 0, 0, 0]),
    ]
}

/// What is sent to the container from elsewhere than the bridge, was not
/// translated, and answers nothing: dropped.
fn uninvited(rules: &Rules<'_>) -> Vec<Attributes> {
    /// NFT_CT_STATE, and of its bits those of ESTABLISHED and RELATED.
    const STATE: u32 = 0;
    const EXPECTED: u32 = 2 | 4;
    /// NFT_CT_STATUS, and IPS_DST_NAT of its bits.
    const STATUS: u32 = 2;
    const TRANSLATED: u32 = 1 << 5;
    vec![
        payload(NETWORK, 16, 4),
        compare(EQUAL, &rules.address.octets()),
        meta_name(IIFNAME),
        compare_name(NOT_EQUAL, rules.bridge),
        connection(STATE),
        masked(EXPECTED.to_ne_bytes()),
        compare(EQUAL, &[0; 4]),
        connection(STATUS),
        masked(TRANSLATED.to_ne_bytes()),
        compare(EQUAL, &[0; 4]),
        drop_it(),
    ]
}

/// What neither comes from the bridge nor goes there: dropped.
fn strangers(rules: &Rules<'_>) -> [Attributes; 5] {
    [
        meta_name(IIFNAME),
        compare_name(NOT_EQUAL, rules.bridge),
        meta_name(OIFNAME),
        compare_name(NOT_EQUAL, rules.bridge),
        drop_it(),
    ]
}

/// Some bits of what is in the first register.
fn masked(mask: [u8; 4]) -> Attributes {
    let value = |bytes: &[u8]| Attributes::default().with(1, bytes);
    let bits = Attributes::default()
        .with_number(1, FIRST) // NFTA_BITWISE_SREG
        .with_number(2, FIRST) // NFTA_BITWISE_DREG
        .with_number(3, 4) // NFTA_BITWISE_LEN
        .with_nested(4, &value(&mask)) // NFTA_BITWISE_MASK
        .with_nested(5, &value(&[0; 4])); // NFTA_BITWISE_XOR
    expression("bitwise", &bits)
}

/// What the kernel knows of the connection.
fn connection(key: u32) -> Attributes {
    let connection = Attributes::default()
        .with_number(1, FIRST) // NFTA_CT_DREG
        .with_number(2, key); // NFTA_CT_KEY
    expression("ct", &connection)
}

/// NF_DROP, in the register of verdicts, 0.
fn drop_it() -> Attributes {
    let code = Attributes::default().with_number(1, 0); // NFTA_VERDICT_CODE
    let verdict = Attributes::default()
        .with_number(1, 0) // NFTA_IMMEDIATE_DREG
        .with_nested(2, &Attributes::default().with_nested(2, &code)); // NFTA_DATA_VERDICT
    expression("immediate", &verdict)
}

/// NFT_META_*.
const IIFNAME: u32 = 6;
const OIFNAME: u32 = 7;
const L4PROTO: u32 = 16;

fn meta_name(key: u32) -> Attributes {
    let meta = Attributes::default()
        .with_number(1, FIRST) // NFTA_META_DREG
        .with_number(2, key); // NFTA_META_KEY
    expression("meta", &meta)
}

/// NFT_PAYLOAD_*_HEADER.
const NETWORK: u32 = 1;
const TRANSPORT: u32 = 2;

fn payload(base: u32, offset: u32, length: u32) -> Attributes {
    let payload = Attributes::default()
        .with_number(1, FIRST) // NFTA_PAYLOAD_DREG
        .with_number(2, base)
        .with_number(3, offset)
        .with_number(4, length);
    expression("payload", &payload)
}

/// NFT_CMP_*.
const EQUAL: u32 = 0;
const NOT_EQUAL: u32 = 1;

fn compare(operation: u32, value: &[u8]) -> Attributes {
    let compare = Attributes::default()
        .with_number(1, FIRST) // NFTA_CMP_SREG
        .with_number(2, operation)
        .with_nested(3, &Attributes::default().with(1, value));
    expression("cmp", &compare)
}

/// Names of interfaces fill a register, with zeros after them.
fn compare_name(operation: u32, interface: &str) -> Attributes {
    let mut value = [0; libc::IFNAMSIZ];
    for (to, from) in value.iter_mut().zip(interface.bytes()) {
        *to = from;
    }
    compare(operation, &value)
}

fn immediate(register: u32, value: &[u8]) -> Attributes {
    let immediate = Attributes::default()
        .with_number(1, register) // NFTA_IMMEDIATE_DREG
        .with_nested(2, &Attributes::default().with(1, value));
    expression("immediate", &immediate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_told_apart() {
        for release in [
            "4.18.0-553.el8.x86_64",
            "4.19.108",
            "5.10.0-9-amd64",
            "7.3-rc1",
        ] {
            assert!(is_new_enough(release), "{release}");
        }
        for release in ["3.10.0-1160.el7.x86_64", "4.9.229", "4.17.19", "", "x"] {
            assert!(!is_new_enough(release), "{release}");
        }
    }

    #[test]
    fn an_expression_is_a_name_and_its_data() {
        let data = compare(EQUAL, &[6]);
        assert_eq!(
            data.bytes(),
            [
                8, 0, 1, 0, b'c', b'm', b'p', 0, // its name
                32, 0, 2, 0x80, // its data
                8, 0, 1, 0, 0, 0, 0, 1, // from the first register
                8, 0, 2, 0, 0, 0, 0, 0, // equal
                12, 0, 3, 0x80, 5, 0, 1, 0, 6, 0, 0, 0, // to this
            ]
        );
    }
}
