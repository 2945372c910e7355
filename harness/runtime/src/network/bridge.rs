//! The bridge containers are joined to. It comes with the first and goes with
//! the last, and is told from one that somebody else has made by its Ethernet
//! address, which its IPv4 address is written in.
//!
//! Forwarding between interfaces (`net.ipv4.ip_forward`) is switched on where
//! containers need it and it was off, and off again with the last of them. That
//! it was off is written in the bridge's alias. Who relies on it meanwhile
//! without switching it on themselves loses it then.

use std::net::Ipv4Addr;
use std::path::Path;

use rustix::io::Errno;

use super::interfaces::{Interface, Interfaces, Mac};
use super::subnet::{self, Subnet};
use crate::descriptor::errno_of;
use crate::failure::{Failure, Step};

/// Its name.
pub(super) const NAME: &str = "matrix0";

/// Its alias where forwarding was off before.
const FORWARDING_WAS_OFF: &str = "matrix: net.ipv4.ip_forward was 0";

const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";

/// Ethernet's MTU, in bytes; no container gets more.
const MTU: u32 = 1500;
/// What every IPv4 host must take.
const LEAST_MTU: u32 = 576;

/// The bridge.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bridge {
    index: u32,
    /// Its own address, the containers' default route.
    pub(super) gateway: Ipv4Addr,
    /// The addresses that are on it.
    pub(super) network: Subnet,
    /// In bytes.
    pub(super) mtu: u32,
}

/// A locally administered Ethernet address for an IPv4 address. One that comes
/// back to another container has the same, so that nobody remembers a wrong one.
pub(super) fn mac(address: Ipv4Addr) -> Mac {
    let [a, b, c, d] = address.octets();
    [0x02, b'm', a, b, c, d]
}

/// The opposite of [`mac`].
fn address(mac: &[u8]) -> Option<Ipv4Addr> {
    match mac {
        [0x02, b'm', a, b, c, d] => Some(Ipv4Addr::new(*a, *b, *c, *d)),
        _ => None,
    }
}

impl Bridge {
    /// The one there is, or a new one.
    pub(super) fn ensure(interfaces: &Interfaces) -> Result<Self, Failure> {
        if let Some(found) = interfaces.find(NAME)? {
            return Self::existing(interfaces, &found);
        }
        let addresses = interfaces.addresses()?;
        let routes = interfaces.routes()?;
        let taken: Vec<Subnet> = addresses
            .iter()
            .map(|(.., network)| *network)
            .chain(routes.iter().map(|route| route.destination))
            .collect();
        let free =
            subnet::free(&taken).and_then(|network| Some((network, network.hosts().next()?)));
        let Some((_, gateway)) = free else {
            return Err(Errno::ADDRNOTAVAIL)
                .step(|| "find a network for the bridge in 10.213.0.0/16".to_owned());
        };
        let way_out = routes
            .iter()
            .filter(|route| route.destination.length() == 0)
            .min_by_key(|route| route.priority)
            .and_then(|route| route.interface);
        let mtu = interfaces
            .list()?
            .iter()
            .find(|one| Some(one.index) == way_out)
            .map_or(MTU, |one| one.mtu.clamp(LEAST_MTU, MTU));
        interfaces.make_bridge(NAME, mac(gateway), mtu)?;
        match interfaces.find(NAME)? {
            Some(made) => Self::existing(interfaces, &made),
            None => Err(Errno::NODEV).step(|| format!("find the bridge {NAME}")),
        }
    }

    /// Also one whose maker was killed before it had its address.
    fn existing(interfaces: &Interfaces, found: &Interface) -> Result<Self, Failure> {
        let unusable = |problem: &str| Failure::System {
            step: format!("join the interface {NAME}, which {problem}"),
            errno: Errno::EXIST,
        };
        if found.kind != "bridge" {
            return Err(unusable("is no bridge"));
        }
        let own = interfaces
            .addresses()?
            .into_iter()
            .find(|(index, ..)| *index == found.index);
        let (gateway, network) = match (own, address(&found.mac)) {
            (Some((_, gateway, network)), _) => (gateway, network),
            (None, Some(gateway)) => {
                let network = subnet::of_bridge(gateway);
                interfaces.add_address(found.index, gateway, network)?;
                (gateway, network)
            }
            (None, None) => return Err(unusable("has no IPv4 address")),
        };
        interfaces.up(found.index)?;
        Ok(Self {
            index: found.index,
            gateway,
            network,
            mtu: found.mtu,
        })
    }

    /// Makes an interface one of its ports, and sets it up.
    pub(super) fn join(&self, interfaces: &Interfaces, port: u32) -> Result<(), Failure> {
        interfaces.join(port, self.index)?;
        interfaces.up(port)
    }

    /// Whether the host forwards for the bridge's sake alone, or will.
    pub(super) fn is_alone(&self, interfaces: &Interfaces) -> Result<bool, Failure> {
        let own = interfaces.find(NAME)?;
        let ours = own.is_some_and(|own| own.alias == FORWARDING_WAS_OFF);
        Ok(ours || !is_forwarding()?)
    }

    /// Lets packets through from it and to it.
    pub(super) fn forward(&self, interfaces: &Interfaces) -> Result<(), Failure> {
        if is_forwarding()? {
            return Ok(());
        }
        interfaces.set_alias(self.index, FORWARDING_WAS_OFF)?;
        write_forwarding("1")
    }
}

fn is_forwarding() -> Result<bool, Failure> {
    let path = Path::new(FORWARDING);
    let setting = std::fs::read_to_string(path)
        .map_err(errno_of)
        .on("read", path)?;
    Ok(setting.trim() != "0")
}

/// Removes the bridge when it is ours and nobody is joined to it.
pub(super) fn remove_unused(interfaces: &Interfaces) -> Result<(), Failure> {
    let all = interfaces.list()?;
    let Some(bridge) = all.iter().find(|one| one.name == NAME) else {
        return Ok(());
    };
    let in_use = all.iter().any(|one| one.master == Some(bridge.index));
    if in_use || bridge.kind != "bridge" || address(&bridge.mac).is_none() {
        return Ok(());
    }
    if bridge.alias == FORWARDING_WAS_OFF {
        write_forwarding("0")?;
    }
    interfaces.remove(bridge.index)
}

fn write_forwarding(setting: &str) -> Result<(), Failure> {
    let path = Path::new(FORWARDING);
    std::fs::write(path, setting)
        .map_err(errno_of)
        .on(&format!("write {setting} to"), path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ethernet_address_says_whose_it_is() {
        let own = Ipv4Addr::new(10, 213, 0, 1);
        assert_eq!(address(&mac(own)), Some(own));
        for other in [&[0x02, 0x42, 172, 17, 0, 1][..], &[0; 6], &[]] {
            assert_eq!(address(other), None);
        }
    }
}
