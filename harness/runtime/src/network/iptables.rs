//! Translation of addresses by iptables' kernel interface, where there is no
//! nf_tables: two chains for each container in the table nat, one in the table
//! filter, and jumps to them from the built-in ones. What others have in the
//! tables stays as it is, byte for byte, with its counters.
//!
//! The interface takes a table as a whole: it is read, changed and put in place
//! of the old one, all under the lock the program iptables takes.
//!
//! The structures are those of linux/netfilter_ipv4/ip_tables.h and
//! linux/netfilter/x_tables.h.

mod entry;
mod table;

use std::fs::{File, OpenOptions};
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::nat::{Rules, Unavailable, hooked};
use crate::failure::{Failure, Step};
use entry::{Entry, Packets};
use table::{Hook, Kind, Table};

/// How often a table is read anew that somebody else has changed meanwhile.
const TRIES: usize = 32;

/// iptables' own, since its 1.4.21.
const LOCK: &str = "/run/xtables.lock";

/// The chain for what comes in, and the one for what goes out.
fn chains(address: Ipv4Addr) -> [String; 2] {
    let name = hooked::name(address);
    let out = format!("{name}-out");
    [name, out]
}

/// Makes a container's chains.
pub(super) fn install(rules: &Rules<'_>) -> Result<(), Unavailable> {
    let [inwards, outwards] = chains(rules.address);
    let to_the_machine = Packets {
        to_the_machine: true,
        ..Packets::default()
    };
    let not_loopback = Packets {
        not_loopback: true,
        ..to_the_machine
    };
    let from_the_container = Packets {
        source: Some(rules.address),
        not_out_of: Some(rules.bridge),
        ..Packets::default()
    };
    let published: Vec<Entry> = rules
        .ports
        .iter()
        .filter(|port| !port.address.is_loopback())
        .map(|port| Entry::translate(port, rules.bridge, rules.address))
        .collect();
    let uninvited = Packets {
        uninvited: true,
        destination: Some(rules.address),
        not_from: Some(rules.bridge),
        ..Packets::default()
    };
    let strangers = Packets {
        not_from: Some(rules.bridge),
        not_out_of: Some(rules.bridge),
        ..Packets::default()
    };
    let mut dropped = vec![Entry::drop_them(&uninvited)];
    if rules.closed {
        dropped.push(Entry::drop_them(&strangers));
    }
    let closed = change(Kind::Filter, |table| {
        remove_from(table, rules.address);
        let forwarded = table.add_chain(&inwards, dropped.clone());
        table.insert_jump(Hook::Forward, &Packets::default(), forwarded);
    });
    installed_or_absent(closed, Kind::Filter)?;
    let done = change(Kind::Nat, |table| {
        remove_from(table, rules.address);
        let inwards = table.add_chain(&inwards, published.clone());
        table.insert_jump(Hook::Prerouting, &to_the_machine, inwards);
        table.insert_jump(Hook::Output, &not_loopback, inwards);
        let outwards = table.add_chain(&outwards, vec![Entry::masquerade()]);
        table.insert_jump(Hook::Postrouting, &from_the_container, outwards);
    });
    installed_or_absent(done, Kind::Nat).inspect_err(|_first| {
        // Of two failures the first says why.
        let _ = change(Kind::Filter, |table| remove_from(table, rules.address));
    })
}

fn installed_or_absent(done: Result<(), Errno>, kind: Kind) -> Result<(), Unavailable> {
    match done {
        // No ip_tables, not this table in it, or not one of its extensions.
        Err(Errno::NOPROTOOPT | Errno::NOENT | Errno::PROTONOSUPPORT) => Err(Unavailable::Absent),
        answer => answer
            .step(|| format!("change the iptables table {kind}"))
            .map_err(Unavailable::Failed),
    }
}

/// Removes a container's chains; that they are not there is no error.
pub(super) fn remove(address: Ipv4Addr) -> Result<(), Failure> {
    let [nat, filter] = [Kind::Nat, Kind::Filter].map(|kind| {
        change(kind, |table| remove_from(table, address))
            .step(|| format!("change the iptables table {kind}"))
    });
    nat.and(filter)
}

fn remove_from(table: &mut Table, address: Ipv4Addr) {
    for chain in chains(address) {
        table.remove_chain(&chain);
    }
}

/// The containers that have chains.
pub(super) fn installed() -> Result<Vec<Ipv4Addr>, Failure> {
    let mut addresses = Vec::new();
    for kind in [Kind::Nat, Kind::Filter] {
        let table = Table::read(kind).step(|| format!("read the iptables table {kind}"))?;
        addresses.extend(table.chains().filter_map(|name| hooked::address(&name)));
    }
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}

/// Reads a table, has it changed, and puts it in place.
fn change(kind: Kind, change: impl Fn(&mut Table)) -> Result<(), Errno> {
    let _lock = lock();
    for _ in 0..TRIES {
        let mut table = Table::read(kind)?;
        change(&mut table);
        match table.replace() {
            Err(Errno::AGAIN) => {}
            answer => return answer,
        }
    }
    Err(Errno::AGAIN)
}

/// The lock, held until it is dropped. Where it cannot be had (no /run), there
/// is no program iptables either that would wait for it.
fn lock() -> Option<File> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(LOCK)
        .ok()?;
    loop {
        match flock(&file, FlockOperation::LockExclusive) {
            Err(Errno::INTR) => {}
            answer => return answer.ok().map(|()| file),
        }
    }
}
