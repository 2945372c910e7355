//! A container's network: its own namespace, joined to a bridge of the host's.
//!
//! ```text
//!   container                     the host
//!   eth0 10.213.0.2/22  --veth--  mx0ad50002 -- matrix0 10.213.0.1/22
//!   default via 10.213.0.1                      translated outwards (Nat),
//!                                               published ports inwards
//! ```
//!
//! All is made from outside, by the runtime: before the fork what lies on the
//! host ([`Connection::make`]), and while the first process stands in its new
//! namespaces what lies in them ([`Connection::enter`]). So it makes no
//! difference who the container's user namespace makes its root.
//!
//! **The kernel is the record.** There is no file of leases: an address is
//! leased by the name of an interface (`endpoint`), whose alias says which
//! runtime it belongs to (`owner`); a container's translations bear its address
//! in their name (`nat`); the bridge says in its alias what has to be switched
//! back (`bridge`). All of it belongs to one network namespace, whose lock
//! they hold while they change it (`lock`).
//!
//! **What comes in.** A published port is bound by the runtime, so that a port
//! somebody has is an error and nobody takes one meanwhile. What comes for it
//! from other networks, and from the host to one of its own addresses, the
//! kernel translates; the container sees who it is from. What comes from the
//! host's 127.0.0.1, and from containers on the bridge, the forwarder takes
//! (`forwarder`); the container sees the bridge's address. That is docker's way
//! too.
//!
//! **What stays of it: nothing.** The runtime removes its container's network
//! when the container has ended, and with the last one the bridge. When the
//! runtime is killed, a process of its own that has outlived it does so
//! (`keeper`); when that is killed with it, the next runtime that comes.
//!
//! IPv4 only.

mod bridge;
mod conntrack;
mod endpoint;
mod files;
mod forwarder;
mod interfaces;
mod iptables;
mod keeper;
mod lock;
mod nat;
mod netlink;
mod nftables;
mod owner;
mod published;
mod request;
mod subnet;

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::process::Pid;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::descriptor::errno_of;
use crate::failure::{Failure, Step};
use crate::fallback::Fallbacks;
use bridge::Bridge;
pub(crate) use files::Files;
use interfaces::Interfaces;
use keeper::Keeper;
use lock::Lock;
pub use nat::Nat;
use nat::Rules;
use owner::Owner;
pub use request::{ANNOTATION, Mode, PortMapping, Protocol, Request};

/// What one container has on the host, to be removed by whoever is left.
#[derive(Clone, Debug)]
struct Place {
    address: Ipv4Addr,
    owner: Owner,
    /// None as long as nothing is translated.
    nat: Option<Nat>,
    /// Where its files lie.
    files: PathBuf,
}

/// A container's network while it is used.
#[derive(Debug)]
pub(crate) struct Connection {
    place: Place,
    bridge: Bridge,
    outside: Interfaces,
    nat: Nat,
    keeper: Keeper,
    /// What the container is given of it in its /etc, until it has been bound.
    pub(crate) files: Option<Files>,
}

impl Connection {
    /// Makes the host's part. The process must have one thread, and its next
    /// child must still be of its own PID namespace.
    pub(crate) fn make(
        request: &Request,
        name: &str,
        fallbacks: &Fallbacks,
    ) -> Result<Self, Failure> {
        let published = published::take(&request.ports)?;
        let outside = Interfaces::here()?;
        let owner = Owner::own()?;
        let (mut place, bridge) = {
            let _lock = Lock::take()?;
            let bridge = Bridge::ensure(&outside).inspect_err(|_| {
                let _ = bridge::remove_unused(&outside);
            })?;
            let leased =
                endpoint::sweep(&outside).and_then(|()| endpoint::lease(&outside, &bridge, &owner));
            let address = match leased {
                Ok(address) => address,
                Err(failure) => {
                    // Of two failures the first says why.
                    let _ = bridge::remove_unused(&outside);
                    return Err(failure);
                }
            };
            let place = Place {
                address,
                files: Files::folder(owner.pid()),
                owner,
                nat: None,
            };
            (place, bridge)
        };
        match place.open(&outside, &bridge, request, name, published, fallbacks) {
            Ok((nat, keeper, files)) => Ok(Self {
                place,
                bridge,
                outside,
                nat,
                keeper,
                files,
            }),
            Err(failure) => {
                let _ = place.remove();
                Err(failure)
            }
        }
    }

    /// Who translates.
    pub(crate) fn nat(&self) -> Nat {
        self.nat
    }

    /// Makes the container's part, whose first process `child` stands in its
    /// namespaces.
    pub(crate) fn enter(&self, child: Pid) -> Result<(), Failure> {
        let its = namespace(&format!("/proc/{}/ns/net", child.as_raw_nonzero()))?;
        let own = namespace("/proc/self/ns/net")?;
        go(&its)?;
        let inside = Interfaces::here();
        go(&own)?;
        endpoint::hand_over(
            &self.outside,
            &inside?,
            its.as_fd(),
            self.place.address,
            &self.bridge,
        )
    }

    /// Removes all of it.
    pub(crate) fn remove(self) -> Result<(), Failure> {
        drop(self.files);
        let removed = self.place.remove();
        // Also where that failed: it would fail again.
        removed.and(self.keeper.dismiss())
    }
}

impl Place {
    /// All of the host's part but the lease.
    fn open(
        &mut self,
        interfaces: &Interfaces,
        bridge: &Bridge,
        request: &Request,
        name: &str,
        published: Vec<published::Published>,
        fallbacks: &Fallbacks,
    ) -> Result<(Nat, Keeper, Option<Files>), Failure> {
        let nat = {
            let _lock = Lock::take()?;
            let nat = Nat::install(
                &Rules {
                    bridge: bridge::NAME,
                    address: self.address,
                    ports: &request.ports,
                    closed: bridge.is_alone(interfaces)?,
                },
                fallbacks,
            )?;
            self.nat = Some(nat);
            remove_strays(nat, interfaces)?;
            if nat != Nat::Forwarder {
                bridge.forward(interfaces)?;
            }
            nat
        };
        let files = match request.files {
            true => Some(Files::write(self.files.clone(), name, self.address)?),
            false => None,
        };
        Ok((nat, Keeper::start(published, self)?, files))
    }

    /// Removes what the container has on the host, unless it is another's by now.
    fn remove(&self) -> Result<(), Failure> {
        let files = files::remove(&self.files);
        self.leave().and(files)
    }

    fn leave(&self) -> Result<(), Failure> {
        let _lock = Lock::take()?;
        let interfaces = Interfaces::here()?;
        if !endpoint::release(&interfaces, self.address, &self.owner)? {
            return Ok(());
        }
        let translated = self.nat.map_or(Ok(()), |nat| forget(nat, self.address));
        // Whatever became of that: a bridge that nobody needs is in the way.
        let bridge = bridge::remove_unused(&interfaces);
        translated.and(bridge)
    }
}

/// Removes the translations for addresses that nobody has.
fn remove_strays(nat: Nat, interfaces: &Interfaces) -> Result<(), Failure> {
    let leased: Vec<Ipv4Addr> = interfaces
        .list()?
        .iter()
        .filter_map(|one| endpoint::leased(&one.name))
        .collect();
    nat.installed()?
        .into_iter()
        .filter(|address| !leased.contains(address))
        .try_for_each(|address| forget(nat, address))
}

/// Removes the translations for an address, and what the kernel remembers of
/// them.
fn forget(nat: Nat, address: Ipv4Addr) -> Result<(), Failure> {
    nat.remove(address)?;
    match nat {
        Nat::Forwarder => Ok(()),
        Nat::Nftables | Nat::Iptables => conntrack::forget(address),
    }
}

fn namespace(path: &str) -> Result<OwnedFd, Failure> {
    File::open(path)
        .map(OwnedFd::from)
        .map_err(errno_of)
        .on("open", Path::new(path))
}

fn go(to: &OwnedFd) -> Result<(), Failure> {
    move_into_link_name_space(to.as_fd(), Some(LinkNameSpaceType::Network))
        .step(|| "enter a network namespace".to_owned())
}
