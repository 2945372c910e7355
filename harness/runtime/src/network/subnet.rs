//! Networks of IPv4 addresses, and which one the bridge gets.

use std::fmt;
use std::net::Ipv4Addr;

/// The bits of a bridge's network: as many addresses as a bridge can have
/// ports, 1,024.
const LENGTH: u8 = 22;

/// Where bridges' networks are taken from: a part of 10.0.0.0/8 that neither
/// docker (172.17.0.0/16 and up), podman (10.88.0.0/16) nor Kubernetes' usual
/// settings take.
const POOL: Subnet = Subnet {
    first: Ipv4Addr::new(10, 213, 0, 0),
    length: 16,
};

/// A network: `10.213.0.0/22`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subnet {
    first: Ipv4Addr,
    length: u8,
}

impl Subnet {
    /// The one of this length that `address` lies in; more than 32 bits count as
    /// 32.
    pub(super) fn around(address: Ipv4Addr, length: u8) -> Self {
        let length = length.min(32);
        Self {
            first: Ipv4Addr::from(u32::from(address) & mask(length)),
            length,
        }
    }

    /// Bits that all its addresses have in common.
    pub(super) fn length(self) -> u8 {
        self.length
    }

    /// Its last address.
    pub(super) fn broadcast(self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.first) | !mask(self.length))
    }

    /// Its addresses but the first and the last.
    pub(super) fn hosts(self) -> impl Iterator<Item = Ipv4Addr> {
        (u32::from(self.first).saturating_add(1)..u32::from(self.broadcast())).map(Ipv4Addr::from)
    }

    fn overlaps(self, other: Self) -> bool {
        let common = mask(self.length.min(other.length));
        u32::from(self.first) & common == u32::from(other.first) & common
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.first, self.length)
    }
}

fn mask(length: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0)
}

/// The network of a bridge with this address.
pub(super) fn of_bridge(address: Ipv4Addr) -> Subnet {
    Subnet::around(address, LENGTH)
}

/// The first network of the pool that none in `taken` overlaps; what leads
/// everywhere takes nothing.
pub(super) fn free(taken: &[Subnet]) -> Option<Subnet> {
    let step = 1_usize << (32 - LENGTH);
    (u32::from(POOL.first)..=u32::from(POOL.broadcast()))
        .step_by(step)
        .map(|first| Subnet::around(Ipv4Addr::from(first), LENGTH))
        .find(|candidate| {
            !taken
                .iter()
                .any(|other| other.length > 0 && candidate.overlaps(*other))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        let (address, length) = text.split_once('/').unwrap();
        Subnet::around(address.parse().unwrap(), length.parse().unwrap())
    }

    #[test]
    fn a_network_has_its_addresses() {
        let network = subnet("10.213.5.9/22");
        assert_eq!(network.to_string(), "10.213.4.0/22");
        assert_eq!(network.broadcast(), Ipv4Addr::new(10, 213, 7, 255));
        assert_eq!(network.hosts().next(), Some(Ipv4Addr::new(10, 213, 4, 1)));
        assert_eq!(network.hosts().count(), 1022);
        assert_eq!(subnet("1.2.3.4/0").to_string(), "0.0.0.0/0");
        assert_eq!(subnet("1.2.3.4/32").broadcast(), Ipv4Addr::new(1, 2, 3, 4));
        assert_eq!(subnet("255.255.255.255/32").hosts().count(), 0);
    }

    #[test]
    fn the_first_network_nobody_has_is_taken() {
        for (taken, found) in [
            (&[][..], Some("10.213.0.0/22")),
            (&["0.0.0.0/0", "192.0.2.0/24"], Some("10.213.0.0/22")),
            (&["10.213.3.255/32"], Some("10.213.4.0/22")),
            (&["10.213.0.0/20", "10.213.16.0/24"], Some("10.213.20.0/22")),
            (&["10.0.0.0/8"], None),
        ] {
            let taken: Vec<Subnet> = taken.iter().map(|text| subnet(text)).collect();
            assert_eq!(free(&taken), found.map(subnet), "{taken:?}");
        }
    }
}
