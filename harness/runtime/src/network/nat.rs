//! Translation of addresses: what a container sends to other networks leaves
//! under the machine's address, and what comes for the machine's published ports
//! goes to it. Three ways, of which the first that the kernel has is taken.
//!
//! With the translation comes what keeps others out: a host that forwards lets
//! every neighbour send straight to its containers' addresses, and through it
//! to wherever else it is connected. So what comes from elsewhere to a container
//! and neither was translated nor answers anything is dropped; and where the
//! host did not forward before, so is whatever has nothing to do with the bridge.
//!
//! Nobody else's firewall is opened: a host that drops what it forwards (as
//! docker has it do) drops it here, too.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::request::PortMapping;
use super::{iptables, nftables};
use crate::failure::Failure;
use crate::fallback::{Fallback, Fallbacks};

/// Who translates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Nat {
    /// nf_tables.
    Nftables,
    /// The kernel's older interface, that of iptables.
    Iptables,
    /// Nobody in the kernel: a process takes what comes for published ports and
    /// speaks to the container for it. There is no way out to other networks.
    Forwarder,
}

/// What is to be translated for one container.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules<'a> {
    /// The bridge's name: what comes from it is the forwarder's.
    pub(super) bridge: &'a str,
    /// The container's.
    pub(super) address: Ipv4Addr,
    /// What leads there.
    pub(super) ports: &'a [PortMapping],
    /// The host forwards for its containers' sake alone: nothing that neither
    /// comes from the bridge nor goes there.
    pub(super) closed: bool,
}

/// Why one of the ways cannot be taken.
#[derive(Debug)]
pub(super) enum Unavailable {
    /// This kernel does not have it.
    Absent,
    /// It has, and refused.
    Failed(Failure),
}

impl Nat {
    /// Has a container's packets translated from now on.
    pub(super) fn install(rules: &Rules<'_>, fallbacks: &Fallbacks) -> Result<Self, Failure> {
        match nftables::install(rules) {
            Ok(()) => return Ok(Self::Nftables),
            Err(Unavailable::Failed(failure)) => return Err(failure),
            Err(Unavailable::Absent) => fallbacks.record(Fallback::Nftables),
        }
        match iptables::install(rules) {
            Ok(()) => Ok(Self::Iptables),
            Err(Unavailable::Failed(failure)) => Err(failure),
            Err(Unavailable::Absent) => {
                fallbacks.record(Fallback::Iptables);
                Ok(Self::Forwarder)
            }
        }
    }

    /// The opposite. What is not there is no error.
    pub(super) fn remove(self, address: Ipv4Addr) -> Result<(), Failure> {
        match self {
            Self::Nftables => nftables::remove(address),
            Self::Iptables => iptables::remove(address),
            Self::Forwarder => Ok(()),
        }
    }

    /// The containers whose packets are translated.
    pub(super) fn installed(self) -> Result<Vec<Ipv4Addr>, Failure> {
        match self {
            Self::Nftables => nftables::installed(),
            Self::Iptables => iptables::installed(),
            Self::Forwarder => Ok(Vec::new()),
        }
    }
}

/// What a container's part of netfilter is called: `matrix-0ad50002` by its
/// address.
pub(super) mod hooked {
    use std::net::Ipv4Addr;

    const PREFIX: &str = "matrix-";

    /// The name for this address.
    pub(in crate::network) fn name(address: Ipv4Addr) -> String {
        format!("{PREFIX}{:08x}", u32::from(address))
    }

    /// The address of a name.
    pub(in crate::network) fn address(name: &str) -> Option<Ipv4Addr> {
        let digits = name.strip_prefix(PREFIX)?;
        let number = u32::from_str_radix(digits.get(..8)?, 16).ok()?;
        Some(Ipv4Addr::from(number))
    }

    #[test]
    fn a_name_is_an_address() {
        let address = Ipv4Addr::new(10, 213, 0, 2);
        assert_eq!(name(address), "matrix-0ad50002");
        for text in ["matrix-0ad50002", "matrix-0ad50002-out"] {
            assert_eq!(self::address(text), Some(address));
        }
        for text in ["docker", "matrix-", "matrix-0ad5000", "matrix-0ad5000x"] {
            assert_eq!(self::address(text), None, "{text}");
        }
    }
}
