//! The cells' network namespaces. The guest makes them, as podman and Kubernetes do, and
//! a cell's container joins its own: to make one is a tenth of a short cell, and to take
//! it apart another, for the kernel goes through tables that have nothing of it.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;

use runtime::namespace::{new_network, own_network};

use super::stock::Stock;
use crate::error::{Error, Result};

/// Where the number of namespaces is limited to less, each container makes its own: what
/// the machine keeps would bring a cell to the limit. Without a limit of the settings it
/// is half of the kernel's for threads, about four for each MiB of memory, and a cell
/// that makes as many as there may be finds [`Stock`]'s fewer.
const FEW: u64 = 256;

/// The limit on them, Linux 4.9.
const LIMIT: &str = "/proc/sys/user/max_net_namespaces";

/// Those of one machine.
#[derive(Debug)]
pub(super) struct Networks {
    /// The machine's own. None where the kernel has no network namespaces, or few.
    home: Option<OwnedFd>,
    stock: Stock<OwnedFd>,
}

impl Networks {
    /// None made yet.
    pub(super) fn new() -> Self {
        Self {
            home: if few() { None } else { own_network().ok() },
            stock: Stock::new(),
        }
    }

    /// Makes some ahead.
    ///
    /// # Errors
    /// When the guest cannot leave one again.
    pub(super) fn make_ahead(&mut self) -> Result<()> {
        self.stock.fill(|| make(self.home.as_ref()))
    }

    /// Lets go of those that are too many. The kernel takes them apart by the way.
    pub(super) fn trim(&mut self) {
        self.stock.surplus().for_each(drop);
    }

    /// One for the next cell, as the path it is joined by. None where none can be made:
    /// the runtime will try itself, and say why not.
    ///
    /// # Errors
    /// As [`Networks::make_ahead`].
    pub(super) fn next(&mut self) -> Result<Option<PathBuf>> {
        let network = match self.stock.take() {
            Some(network) => Some(network),
            None => make(self.home.as_ref())?,
        };
        Ok(network.map(|network| {
            // The guest is PID 1; a container looks the path up before it has a /proc
            // of its own.
            let path = format!("/proc/1/fd/{}", network.as_raw_fd());
            self.stock.keep(network);
            path.into()
        }))
    }
}

fn make(home: Option<&OwnedFd>) -> Result<Option<OwnedFd>> {
    match home {
        Some(home) => new_network(home.as_fd()).map_err(Error::call("setns")),
        None => Ok(None),
    }
}

/// Whether the machine was set up to have few.
fn few() -> bool {
    let limit = fs::read_to_string(LIMIT).ok();
    limit
        .and_then(|limit| limit.trim().parse::<u64>().ok())
        .is_some_and(|limit| limit < FEW)
}
