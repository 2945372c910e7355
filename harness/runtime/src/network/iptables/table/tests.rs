use std::net::Ipv4Addr;

use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::super::super::nat::{Rules, Unavailable};
use super::super::super::request::{PortMapping, Protocol};
use super::super::{install, installed, remove};
use super::*;

/// The table nat after the program iptables 1.8.9 (legacy) had made two chains
/// and jumps to them, as Linux 6.18 hands it out: a struct ipt_getinfo, and the
/// entries.
const REAL: &[u8] = include_bytes!("../nat-table.bin");

/// The table filter, likewise.
const REAL_FILTER: &[u8] = include_bytes!("../filter-table.bin");

const CONTAINER: Ipv4Addr = Ipv4Addr::new(10, 213, 0, 2);

fn taken_apart(kind: Kind) -> (Info, &'static [u8]) {
    let bytes = match kind {
        Kind::Nat => REAL,
        Kind::Filter => REAL_FILTER,
    };
    (Info::parse(&bytes[..84]).unwrap(), &bytes[84..])
}

fn ports() -> Vec<PortMapping> {
    let mapping = |address, host, container, protocol| PortMapping {
        address,
        host,
        container,
        protocol,
    };
    vec![
        mapping(Ipv4Addr::UNSPECIFIED, 8080, 80, Protocol::Tcp),
        mapping(Ipv4Addr::new(192, 0, 2, 1), 53, 5353, Protocol::Udp),
        mapping(Ipv4Addr::LOCALHOST, 99, 99, Protocol::Tcp),
    ]
}

fn rules(ports: &[PortMapping]) -> Rules<'_> {
    Rules {
        bridge: "matrix0",
        address: CONTAINER,
        ports,
        closed: true,
    }
}

#[test]
fn a_real_table_is_laid_out_as_it_was() {
    for (kind, chains) in [
        (Kind::Nat, &["OTHER", "OTHER-out"][..]),
        (Kind::Filter, &["OTHER"]),
    ] {
        let (info, entries) = taken_apart(kind);
        let table = Table::parse(kind, &info, entries).unwrap();
        assert!(table.laid_out() == (info, entries.to_vec()));
        assert_eq!(table.chains().collect::<Vec<_>>(), chains);
        for length in 0..entries.len() {
            assert_eq!(Table::parse(kind, &info, &entries[..length]), None);
        }
    }
}

/// All but the target, which iptables makes a newer revision of.
#[test]
fn entries_are_those_the_program_makes() {
    let (info, entries) = taken_apart(Kind::Nat);
    let table = Table::parse(Kind::Nat, &info, entries).unwrap();
    let packets = |bytes: &[u8]| {
        let mut packets = bytes[..usize::from(short(bytes, TARGET_OFFSET).unwrap())].to_vec();
        // The next entry's place, comefrom, the counters.
        packets[NEXT_OFFSET..HEADER].fill(0);
        packets
    };
    let others = |index: usize| packets(&table.entries[index].bytes);
    let ports = ports();
    for (port, index) in ports.iter().zip([9, 10]) {
        let own = Entry::translate(port, "matrix0", CONTAINER);
        assert_eq!(packets(&own.0), others(index), "{port}");
    }
    let to_the_machine = Packets {
        to_the_machine: true,
        ..Packets::default()
    };
    let not_loopback = Packets {
        not_loopback: true,
        ..to_the_machine
    };
    let from_the_container = Packets {
        source: Some(CONTAINER),
        not_out_of: Some("matrix0"),
        ..Packets::default()
    };
    for (jump, index) in [
        (to_the_machine, 0),
        (not_loopback, 3),
        (from_the_container, 5),
    ] {
        assert_eq!(packets(&Entry::jump(&jump).0), others(index), "{jump:?}");
    }
    let masquerade = &table.entries[14].bytes;
    let whole = |bytes: &[u8]| [&packets(bytes)[..], &bytes[HEADER..]].concat();
    assert_eq!(whole(&Entry::masquerade().0), whole(masquerade));
    assert_eq!(
        whole(&Entry::head("OTHER").0),
        whole(&table.entries[7].bytes)
    );
    assert_eq!(whole(&Entry::tail().0), whole(&table.entries[12].bytes));
    let (info, entries) = taken_apart(Kind::Filter);
    let table = Table::parse(Kind::Filter, &info, entries).unwrap();
    let uninvited = Packets {
        uninvited: true,
        destination: Some(CONTAINER),
        not_from: Some("matrix0"),
        ..Packets::default()
    };
    let strangers = Packets {
        not_from: Some("matrix0"),
        not_out_of: Some("matrix0"),
        ..Packets::default()
    };
    for (dropped, index) in [(uninvited, 5), (strangers, 6)] {
        let own = Entry::drop_them(&dropped).0;
        assert_eq!(
            whole(&own),
            whole(&table.entries[index].bytes),
            "{dropped:?}"
        );
    }
}

#[test]
fn chains_come_and_go_between_the_others() {
    let (info, entries) = taken_apart(Kind::Nat);
    let mut table = Table::parse(Kind::Nat, &info, entries).unwrap();
    let packets = Packets::default();
    let chain = table.add_chain("mine", vec![Entry::masquerade()]);
    table.insert_jump(Hook::Postrouting, &packets, chain);
    table.insert_jump(Hook::Prerouting, &packets, chain);
    let (made, bytes) = table.laid_out();
    let again = Table::parse(Kind::Nat, &made, &bytes).unwrap();
    assert!(again.laid_out() == (made, bytes));
    assert_eq!(
        again.chains().collect::<Vec<_>>(),
        ["OTHER", "OTHER-out", "mine"]
    );
    // The first of each chain, and it leads behind the chain's name.
    let first = again.entries.iter().find(|one| one.id == again.first[0]);
    let target = first.unwrap().leads_to.unwrap();
    assert_eq!(
        head(&again.entries[target - 1].bytes).as_deref(),
        Some("mine")
    );
    table.remove_chain("another");
    table.remove_chain("mine");
    assert!(table.laid_out() == (info, entries.to_vec()));
}

/// Whether this thread is in a network namespace of its own from here on whose
/// kernel has the table.
fn alone() -> bool {
    // SAFETY: this thread alone, and no table of descriptors.
    let made = unsafe { unshare_unsafe(UnshareFlags::NEWNET) };
    let obstacle = match made.and_then(|()| Table::read(Kind::Nat).map(drop)) {
        Ok(()) => return true,
        Err(errno) => errno,
    };
    #[expect(clippy::print_stderr, reason = "a test has nothing else to tell it by")]
    {
        eprintln!("skipped: no table nat of this thread's own: {obstacle}");
    }
    false
}

#[test]
fn a_real_kernel_takes_it_and_what_others_have_stays() {
    // A thread of its own: its namespace ends with it.
    std::thread::spawn(|| {
        if !alone() {
            return;
        }
        let mut table = Table::read(Kind::Nat).unwrap();
        let others = table.add_chain("OTHER", vec![Entry::masquerade()]);
        table.insert_jump(Hook::Postrouting, &Packets::default(), others);
        table.replace().unwrap();
        let counted: Vec<u8> = (0..table.entries.len() * COUNTERS)
            .map(|n| n as u8)
            .collect();
        add_counters(&socket().unwrap(), Kind::Nat, table.entries.len(), &counted).unwrap();
        let before = [Kind::Nat, Kind::Filter].map(|kind| Table::read(kind).unwrap());
        let ports = ports();
        // Twice: what a runtime that was killed has left is no obstacle.
        for _ in 0..2 {
            install(&rules(&ports)).unwrap();
            assert_eq!(installed().unwrap(), [CONTAINER]);
        }
        let second = Ipv4Addr::new(10, 213, 0, 3);
        let other = Rules {
            address: second,
            ..rules(&[])
        };
        install(&other).unwrap();
        assert_eq!(installed().unwrap(), [CONTAINER, second]);
        remove(CONTAINER).unwrap();
        assert_eq!(installed().unwrap(), [second]);
        remove(second).unwrap();
        remove(second).unwrap();
        assert!([Kind::Nat, Kind::Filter].map(|kind| Table::read(kind).unwrap()) == before);
        // What was read before somebody else changed it is not put in place.
        install(&other).unwrap();
        assert_eq!(before[0].replace(), Err(Errno::AGAIN));
    })
    .join()
    .unwrap();
}

#[test]
fn a_kernel_without_is_told_from_one_that_refuses() {
    std::thread::spawn(|| {
        if !alone() {
            return;
        }
        let mut ports = ports();
        ports.truncate(1);
        install(&rules(&ports)).unwrap();
        let mut table = Table::read(Kind::Nat).unwrap();
        // An extension no kernel has.
        let mut odd = Entry::masquerade();
        odd.0[HEADER + 2..HEADER + 6].copy_from_slice(b"ODDE");
        table.add_chain("odd", vec![odd]);
        assert_eq!(table.replace(), Err(Errno::NOENT));
        assert_eq!(installed().unwrap(), [CONTAINER]);
        assert!(!matches!(install(&rules(&ports)), Err(Unavailable::Absent)));
    })
    .join()
    .unwrap();
}
