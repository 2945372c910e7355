//! The cells' network namespaces. The guest makes them, as docker does, and a cell's
//! container joins its own.
//!
//! To make one is a tenth of a short cell, and to take it apart another (linear in the
//! kernel's tables, not in what was used). So a machine that will be kept as a template
//! makes some ahead, which its clones find, and one that a cell had is kept for a while:
//! most machines end first. What a container meets is the same either way: a namespace
//! nobody was in before.

use std::collections::VecDeque;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;

use runtime::namespace::{new_network, own_network};

use crate::error::{Error, Result};

/// As many as a machine of an image of its own has cells, mostly; about 0.2 MiB each.
const AHEAD: usize = 16;

/// Those that cells had are kept up to this number.
const KEPT: usize = 32;

/// Where the number of namespaces is limited to less, each container makes its own, so
/// that none meets the limit that would not have met it by itself.
const FEW: u64 = 256;

/// The limit on them, Linux 4.9.
const LIMIT: &str = "/proc/sys/user/max_net_namespaces";

/// Those of one machine.
#[derive(Debug)]
pub(super) struct Networks {
    /// The machine's own. None where the kernel has no network namespaces, or few.
    home: Option<OwnedFd>,
    ahead: Vec<OwnedFd>,
    /// The oldest first.
    had: VecDeque<OwnedFd>,
}

impl Networks {
    /// None made yet.
    pub(super) fn new() -> Self {
        Self {
            home: if few() { None } else { own_network().ok() },
            ahead: Vec::new(),
            had: VecDeque::new(),
        }
    }

    /// Makes some ahead.
    ///
    /// # Errors
    /// When the guest cannot leave one again.
    pub(super) fn make_ahead(&mut self) -> Result<()> {
        while self.ahead.len() < AHEAD
            && let Some(network) = self.make()?
        {
            self.ahead.push(network);
        }
        Ok(())
    }

    /// One for the next cell, as the path it is joined by. None where none can be made:
    /// the runtime will try itself, and say why not.
    ///
    /// # Errors
    /// As [`Networks::make_ahead`].
    pub(super) fn next(&mut self) -> Result<Option<PathBuf>> {
        while self.had.len() >= KEPT {
            self.had.pop_front();
        }
        let made = match self.ahead.pop() {
            Some(network) => Some(network),
            None => self.make()?,
        };
        Ok(made.map(|network| {
            // The guest is PID 1; a container looks the path up before it has a /proc
            // of its own.
            let path = format!("/proc/1/fd/{}", network.as_raw_fd());
            self.had.push_back(network);
            path.into()
        }))
    }

    fn make(&self) -> Result<Option<OwnedFd>> {
        match &self.home {
            Some(home) => new_network(home.as_fd()).map_err(Error::call("setns")),
            None => Ok(None),
        }
    }
}

/// Whether the machine was set up to have few.
fn few() -> bool {
    let limit = fs::read_to_string(LIMIT).ok();
    limit
        .and_then(|limit| limit.trim().parse::<u64>().ok())
        .is_some_and(|limit| limit < FEW)
}
