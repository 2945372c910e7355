//! A container's place on the bridge: a pair of virtual Ethernet interfaces,
//! one of which goes into the container. The other is named after the
//! container's address (`mx0ad50002` for 10.213.0.2), and so is the lease of
//! it: the kernel gives a name to one interface only, and frees it when the
//! container's namespace is gone, whatever has become of the runtime.

use std::net::Ipv4Addr;
use std::os::fd::BorrowedFd;

use rustix::io::Errno;

use super::bridge::{self, Bridge};
use super::interfaces::{Interface, Interfaces};
use super::owner::Owner;
use crate::failure::{Failure, Step};

/// The interface's name in the container.
const INSIDE: &str = "eth0";

fn host_name(address: Ipv4Addr) -> String {
    format!("mx{:08x}", u32::from(address))
}

/// The other end's, before it is in the container.
fn inside_name(address: Ipv4Addr) -> String {
    format!("mp{:08x}", u32::from(address))
}

/// The address leased by an interface of this name.
pub(super) fn leased(name: &str) -> Option<Ipv4Addr> {
    let digits = name.strip_prefix("mx").filter(|digits| digits.len() == 8)?;
    u32::from_str_radix(digits, 16).ok().map(Ipv4Addr::from)
}

/// Removes what runtimes that are no more have left.
pub(super) fn sweep(interfaces: &Interfaces) -> Result<(), Failure> {
    for one in interfaces.list()? {
        if leased(&one.name).is_none() || one.kind != "veth" {
            continue;
        }
        // One without an owner was being made: nobody else is at it now, since
        // all make theirs under the same lock.
        let alive = match Owner::parse(&one.alias) {
            Some(owner) => owner.is_alive()?,
            None => false,
        };
        if !alive {
            interfaces.remove(one.index)?;
        }
    }
    Ok(())
}

/// Leases an address, for `owner`, and makes the interfaces.
pub(super) fn lease(
    interfaces: &Interfaces,
    bridge: &Bridge,
    owner: &Owner,
) -> Result<Ipv4Addr, Failure> {
    let taken: Vec<Ipv4Addr> = interfaces
        .list()?
        .iter()
        .filter_map(|one| leased(&one.name))
        .collect();
    for address in bridge.network.hosts() {
        if address == bridge.gateway || taken.contains(&address) {
            continue;
        }
        let (host, inside) = (host_name(address), inside_name(address));
        if !interfaces.make_pair(&host, &inside, bridge::mac(address), bridge.mtu)? {
            continue;
        }
        let made = find(interfaces, &host)?;
        return interfaces
            .set_alias(made.index, &owner.to_string())
            .and_then(|()| bridge.join(interfaces, made.index))
            .map(|()| address)
            .inspect_err(|_| {
                // Of two failures the first says why.
                let _ = interfaces.remove(made.index);
            });
    }
    Err(Errno::ADDRNOTAVAIL).step(|| format!("find a free address in {}", bridge.network))
}

/// Gives an address back; false where it is another's by now.
pub(super) fn release(
    interfaces: &Interfaces,
    address: Ipv4Addr,
    owner: &Owner,
) -> Result<bool, Failure> {
    match interfaces.find(&host_name(address))? {
        // It went with the container's namespace.
        None => Ok(true),
        Some(one) if Owner::parse(&one.alias).is_some_and(|its| its != *owner) => Ok(false),
        Some(one) => interfaces.remove(one.index).map(|()| true),
    }
}

/// Moves the container's end to `namespace`, whose interfaces `inside` is.
pub(super) fn hand_over(
    outside: &Interfaces,
    inside: &Interfaces,
    namespace: BorrowedFd<'_>,
    address: Ipv4Addr,
    bridge: &Bridge,
) -> Result<(), Failure> {
    let name = inside_name(address);
    outside.send_to(find(outside, &name)?.index, namespace)?;
    let moved = find(inside, &name)?;
    inside.rename(moved.index, INSIDE)?;
    inside.add_address(moved.index, address, bridge.network)?;
    inside.up(moved.index)?;
    inside.add_default_route(bridge.gateway)
}

fn find(interfaces: &Interfaces, name: &str) -> Result<Interface, Failure> {
    match interfaces.find(name)? {
        Some(found) => Ok(found),
        None => Err(Errno::NODEV).step(|| format!("find the interface {name}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_lease() {
        let address = Ipv4Addr::new(10, 213, 0, 2);
        assert_eq!(host_name(address), "mx0ad50002");
        assert_eq!(leased(&host_name(address)), Some(address));
        for other in [
            "eth0",
            "mx0ad5000",
            "mxnetwork0",
            "mp0ad50002",
            "mx0ad500021",
        ] {
            assert_eq!(leased(other), None, "{other}");
        }
    }
}
