//! The forwarder: takes what comes for published ports and speaks to the
//! container for whoever sent it, as docker's proxy does. Where the kernel
//! translates addresses that is what comes from the host's own 127.0.0.1 and
//! from the bridge, both of which the kernel cannot translate without more
//! being opened than wanted (`route_localnet`, hairpins); where it does not, all.
//!
//! One process without threads: nothing here blocks but the one poll(2).

mod tcp;
mod udp;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit, setrlimit};

use super::published::Published;
use super::request::Protocol;
use tcp::Connections;
use udp::Sessions;

/// Descriptors that are neither connections nor sessions.
const RESERVE: usize = 32;
/// Descriptors used at most, whatever the limit is.
const MOST: usize = 65_536;

/// The ports of one container.
#[derive(Debug)]
pub(super) struct Forwarder {
    tcp: Connections,
    udp: Sessions,
}

impl Forwarder {
    /// For these ports of the container at `address`.
    pub(super) fn new(published: Vec<Published>, address: Ipv4Addr) -> Self {
        let room = descriptors().saturating_sub(RESERVE + published.len());
        let (mut tcp, mut udp) = (Vec::new(), Vec::new());
        for port in published {
            let target = SocketAddrV4::new(address, port.mapping.container);
            match port.mapping.protocol {
                Protocol::Tcp => tcp.push((port.socket, target)),
                Protocol::Udp => udp.push((port.socket, target)),
            }
        }
        // A connection has two, a session one.
        Self {
            tcp: Connections::new(tcp, room / 4),
            udp: Sessions::new(udp, room / 2),
        }
    }

    /// Forwards until there is something on `until`, or its other end is gone.
    pub(super) fn run(&mut self, until: BorrowedFd<'_>) -> Result<(), Errno> {
        loop {
            let now = Instant::now();
            let wait = self.udp.expire(now).map(timespec);
            let mut list = vec![PollFd::from_borrowed_fd(until, PollFlags::IN)];
            self.tcp.interests(&mut list);
            self.udp.interests(&mut list);
            match poll(&mut list, wait.as_ref()) {
                Err(Errno::INTR) => continue,
                answer => answer?,
            };
            let ready: Vec<PollFlags> = list.iter().map(PollFd::revents).collect();
            drop(list);
            let mut ready = ready.into_iter();
            if ready.next().is_none_or(|seen| !seen.is_empty()) {
                return Ok(());
            }
            self.tcp.serve(&mut ready);
            self.udp.serve(&mut ready, Instant::now());
        }
    }
}

/// As many as this process may have, once it may have all it can.
fn descriptors() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    limit.current = Some(most);
    // Left as it was where that is refused.
    let _ = setrlimit(Resource::Nofile, limit);
    let current = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(current).unwrap_or(MOST).min(MOST)
}

fn timespec(wait: Duration) -> Timespec {
    Timespec {
        tv_sec: wait.as_secs().cast_signed(),
        tv_nsec: wait.subsec_nanos().into(),
    }
}

#[cfg(test)]
mod tests;
