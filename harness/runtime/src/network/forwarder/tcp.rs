//! TCP: each connection that is taken is one to the container, and what comes
//! on either goes out on the other.

use std::net::SocketAddrV4;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::io::{Errno, read};
use rustix::net::{
    AddressFamily, SendFlags, Shutdown, SocketFlags, SocketType, accept_with, connect, send,
    shutdown, socket_with, sockopt,
};

/// What is read at once and not yet handed on, in bytes, for each direction.
const BUFFER: usize = 65_536;

const FLAGS: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);

/// All connections of the published ports.
#[derive(Debug)]
pub(super) struct Connections {
    /// Where they come in, and where to they lead.
    listeners: Vec<(OwnedFd, SocketAddrV4)>,
    pairs: Vec<Pair>,
    most: usize,
}

/// A connection and the one to the container.
#[derive(Debug)]
struct Pair {
    ends: [OwnedFd; 2],
    connected: bool,
    /// From the client, and from the container.
    flows: [Flow; 2],
}

/// One direction.
#[derive(Debug, Default)]
struct Flow {
    buffer: Vec<u8>,
    /// How much of the buffer has been handed on.
    sent: usize,
    /// Nothing more comes.
    ended: bool,
    /// And the receiver has been told.
    told: bool,
}

impl Connections {
    /// At most `most` at a time; the others wait until one is over.
    pub(super) fn new(listeners: Vec<(OwnedFd, SocketAddrV4)>, most: usize) -> Self {
        Self {
            listeners,
            pairs: Vec::new(),
            most,
        }
    }

    /// What is waited for. [`Connections::serve`] is told the answers in the same
    /// order.
    pub(super) fn interests<'a>(&'a self, list: &mut Vec<PollFd<'a>>) {
        if self.has_room() {
            let listeners = self.listeners.iter();
            list.extend(listeners.map(|(socket, _)| PollFd::new(socket, PollFlags::IN)));
        }
        for pair in &self.pairs {
            for (end, interest) in pair.ends.iter().zip(pair.interests()) {
                // poll tells of a peer that has hung up even when it is not
                // asked to.
                if !interest.is_empty() {
                    list.push(PollFd::new(end, interest));
                }
            }
        }
    }

    /// Does what can be done without waiting.
    pub(super) fn serve(&mut self, ready: &mut impl Iterator<Item = PollFlags>) {
        let asked = if self.has_room() {
            self.listeners.len()
        } else {
            0
        };
        let come: Vec<bool> = ready
            .by_ref()
            .take(asked)
            .map(|seen| !seen.is_empty())
            .collect();
        self.pairs.retain_mut(|pair| {
            let mut seen = [PollFlags::empty(); 2];
            for (seen, interest) in seen.iter_mut().zip(pair.interests()) {
                if !interest.is_empty() {
                    *seen = ready.next().unwrap_or(PollFlags::empty());
                }
            }
            if seen.iter().all(|seen| seen.is_empty()) {
                return true;
            }
            match pair.step(seen) {
                Ok(()) => !pair.is_over(),
                Err(_broken) => {
                    pair.reset();
                    false
                }
            }
        });
        for (index, _) in come.iter().enumerate().filter(|(_, come)| **come) {
            self.accept(index);
        }
    }

    fn has_room(&self) -> bool {
        self.pairs.len() < self.most
    }

    fn accept(&mut self, index: usize) {
        let Some((listener, target)) = self.listeners.get(index) else {
            return;
        };
        // Whatever else is wrong with one that waits, the next may be sound.
        while self.pairs.len() < self.most
            && let Ok(client) = accept_with(listener, FLAGS)
        {
            if let Some(pair) = Pair::begin(client, *target) {
                self.pairs.push(pair);
            }
        }
    }
}

impl Pair {
    /// None where the container does not take it: the client is told by a reset.
    fn begin(client: OwnedFd, target: SocketAddrV4) -> Option<Self> {
        let made = socket_with(AddressFamily::INET, SocketType::STREAM, FLAGS, None);
        let begun = made.and_then(|server| match connect(&server, &target) {
            Err(Errno::INPROGRESS) => Ok((server, false)),
            answer => answer.map(|()| (server, true)),
        });
        let (server, connected) = match begun {
            Ok(begun) => begun,
            Err(_refused) => {
                reset(&client);
                return None;
            }
        };
        for end in [&client, &server] {
            // Of no consequence where they fail: peers that vanish are noticed
            // later, small pieces are sent later.
            let _ = sockopt::set_socket_keepalive(end, true);
            let _ = sockopt::set_tcp_nodelay(end, true);
        }
        Some(Self {
            ends: [client, server],
            connected,
            flows: Default::default(),
        })
    }

    fn interests(&self) -> [PollFlags; 2] {
        if !self.connected {
            return [PollFlags::empty(), PollFlags::OUT];
        }
        let interest = |from: &Flow, to: &Flow| {
            let mut interest = PollFlags::empty();
            interest.set(PollFlags::IN, from.has_room());
            interest.set(PollFlags::OUT, to.has_something());
            interest
        };
        let [up, down] = &self.flows;
        [interest(up, down), interest(down, up)]
    }

    fn step(&mut self, seen: [PollFlags; 2]) -> Result<(), Errno> {
        if !self.connected {
            if seen[1].is_empty() {
                return Ok(());
            }
            sockopt::socket_error(&self.ends[1])??;
            self.connected = true;
        }
        let [client, server] = &self.ends;
        let [up, down] = &mut self.flows;
        up.step(client, server)?;
        down.step(server, client)
    }

    fn is_over(&self) -> bool {
        self.flows.iter().all(|flow| flow.told)
    }

    fn reset(&self) {
        for end in &self.ends {
            reset(end);
        }
    }
}

impl Flow {
    fn has_room(&self) -> bool {
        !self.ended && self.buffer.is_empty()
    }

    fn has_something(&self) -> bool {
        !self.buffer.is_empty()
    }

    fn step(&mut self, from: &OwnedFd, to: &OwnedFd) -> Result<(), Errno> {
        if self.has_room() {
            self.buffer.resize(BUFFER, 0);
            let got = read(from, self.buffer.as_mut_slice());
            self.buffer.truncate(got.unwrap_or(0));
            match got {
                Err(Errno::AGAIN | Errno::INTR) => {}
                answer => self.ended = answer? == 0,
            }
        }
        while self.has_something() {
            match send(to, &self.buffer[self.sent..], SendFlags::NOSIGNAL) {
                Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
                answer => self.sent += answer?,
            }
            if self.sent == self.buffer.len() {
                self.sent = 0;
                self.buffer = Vec::new();
            }
        }
        if self.ended && !self.told {
            self.told = true;
            // Who has closed both directions by now need not be told.
            let _ = shutdown(to, Shutdown::Write);
        }
        Ok(())
    }
}

/// Has the peer see a reset, not an end, when the socket is closed.
fn reset(socket: &OwnedFd) {
    let _ = sockopt::set_socket_linger(socket, Some(Duration::ZERO));
}
