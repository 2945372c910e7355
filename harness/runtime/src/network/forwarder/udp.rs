//! UDP: each sender has a socket to the container of its own, so that answers
//! find their way back. One that nothing has come through for a while is
//! forgotten.

use std::collections::BTreeMap;
use std::mem::{MaybeUninit, zeroed};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, recv, send, socket_with,
};

use crate::descriptor::last_errno;

/// As long as docker's proxy remembers a sender.
const FORGOTTEN: Duration = Duration::from_secs(90);

/// The largest datagram.
const LARGEST: usize = 65_536;

/// How many datagrams one socket may bring before the others have their turn.
const AT_ONCE: usize = 64;

/// Who sent a datagram, and to what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Sender {
    client: SocketAddrV4,
    /// The host's address that was sent to.
    asked: Ipv4Addr,
    /// Which of the listeners.
    listener: usize,
}

#[derive(Debug)]
struct Session {
    socket: OwnedFd,
    last: Instant,
}

/// All senders to the published ports.
#[derive(Debug)]
pub(super) struct Sessions {
    listeners: Vec<(OwnedFd, SocketAddrV4)>,
    sessions: BTreeMap<Sender, Session>,
    most: usize,
}

impl Sessions {
    /// At most `most` at a time: a new one takes the place of the one that has
    /// been silent the longest.
    pub(super) fn new(listeners: Vec<(OwnedFd, SocketAddrV4)>, most: usize) -> Self {
        Self {
            listeners,
            sessions: BTreeMap::new(),
            most: most.max(1),
        }
    }

    /// Forgets who has been silent for long, and says when that has to be done
    /// again.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Duration> {
        self.sessions
            .retain(|_, session| now.duration_since(session.last) < FORGOTTEN);
        self.sessions
            .values()
            .map(|session| FORGOTTEN.saturating_sub(now.duration_since(session.last)))
            .min()
            // A time that is rounded down would come early, again and again.
            .map(|wait| wait + Duration::from_millis(1))
    }

    /// What is waited for. [`Sessions::serve`] is told the answers in the same
    /// order.
    pub(super) fn interests<'a>(&'a self, list: &mut Vec<PollFd<'a>>) {
        let listeners = self.listeners.iter().map(|(socket, _)| socket);
        let sessions = self.sessions.values().map(|session| &session.socket);
        list.extend(
            listeners
                .chain(sessions)
                .map(|socket| PollFd::new(socket, PollFlags::IN)),
        );
    }

    /// Does what can be done without waiting.
    pub(super) fn serve(&mut self, ready: &mut impl Iterator<Item = PollFlags>, now: Instant) {
        let come: Vec<bool> = ready
            .by_ref()
            .take(self.listeners.len())
            .map(|seen| !seen.is_empty())
            .collect();
        let answered: Vec<Sender> = self
            .sessions
            .keys()
            .zip(ready)
            .filter_map(|(sender, seen)| (!seen.is_empty()).then_some(*sender))
            .collect();
        for sender in answered {
            self.answer(sender, now);
        }
        for (index, _) in come.iter().enumerate().filter(|(_, come)| **come) {
            self.take(index, now);
        }
    }

    /// Hands on what has come from outside.
    fn take(&mut self, index: usize, now: Instant) {
        let mut datagram = vec![0; LARGEST];
        for _ in 0..AT_ONCE {
            let Some((listener, target)) = self.listeners.get(index) else {
                return;
            };
            let Ok((length, client, asked)) = receive(listener, &mut datagram) else {
                return;
            };
            let (sender, target) = (
                Sender {
                    client,
                    asked,
                    listener: index,
                },
                *target,
            );
            if let Some(session) = self.session(sender, target, now) {
                session.last = now;
                // A datagram may get lost, here as anywhere.
                let _ = send(&session.socket, &datagram[..length], SendFlags::NOSIGNAL);
            }
        }
    }

    fn session(
        &mut self,
        sender: Sender,
        target: SocketAddrV4,
        now: Instant,
    ) -> Option<&mut Session> {
        if !self.sessions.contains_key(&sender) {
            if self.sessions.len() >= self.most {
                let longest = self.sessions.iter().min_by_key(|(_, session)| session.last);
                if let Some(sender) = longest.map(|(sender, _)| *sender) {
                    self.sessions.remove(&sender);
                }
            }
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None).ok()?;
            connect(&socket, &target).ok()?;
            self.sessions.insert(sender, Session { socket, last: now });
        }
        self.sessions.get_mut(&sender)
    }

    /// Hands back what the container has answered.
    fn answer(&mut self, sender: Sender, now: Instant) {
        let (Some(session), Some((listener, _))) = (
            self.sessions.get_mut(&sender),
            self.listeners.get(sender.listener),
        ) else {
            return;
        };
        let mut datagram = vec![0; LARGEST];
        for _ in 0..AT_ONCE {
            match recv(&session.socket, datagram.as_mut_slice(), RecvFlags::empty()) {
                // Nobody listens in the container: said once for each datagram.
                Err(Errno::CONNREFUSED | Errno::INTR) => {}
                Err(_) => return,
                Ok((length, _)) => {
                    session.last = now;
                    let _ = reply(listener, &datagram[..length], sender);
                }
            }
        }
    }
}

/// The size of a control message that carries a struct in_pktinfo.
// SAFETY: CMSG_SPACE computes with its argument alone.
const CONTROL: usize =
    unsafe { libc::CMSG_SPACE(size_of::<libc::in_pktinfo>() as libc::c_uint) } as usize;

/// Room for it, aligned as a struct cmsghdr is.
#[repr(C)]
union Control {
    header: libc::cmsghdr,
    bytes: [u8; CONTROL],
}

/// A datagram's length, who sent it, and which of the host's addresses to.
fn receive(
    socket: &OwnedFd,
    datagram: &mut [u8],
) -> Result<(usize, SocketAddrV4, Ipv4Addr), Errno> {
    let mut address = MaybeUninit::<libc::sockaddr_in>::zeroed();
    let mut control = Control {
        bytes: [0; CONTROL],
    };
    let mut part = libc::iovec {
        iov_base: datagram.as_mut_ptr().cast(),
        iov_len: datagram.len(),
    };
    // SAFETY: all zeros is a valid msghdr.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_name = address.as_mut_ptr().cast();
    message.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = CONTROL as _;
    // SAFETY: the message points to an address, a buffer and a control buffer
    // with their sizes, all of which outlive the call.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT) };
    let length = usize::try_from(length).map_err(|_negative| last_errno())?;
    // SAFETY: it was zeroed, and the kernel wrote an IPv4 socket's address.
    let address = unsafe { address.assume_init() };
    let client = SocketAddrV4::new(
        Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr)),
        u16::from_be(address.sin_port),
    );
    // SAFETY: the message is as recvmsg has left it.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    while !header.is_null() {
        // SAFETY: it is a control message in the buffer; its data is read where
        // it lies, which need not be aligned.
        unsafe {
            if (*header).cmsg_level == libc::IPPROTO_IP && (*header).cmsg_type == libc::IP_PKTINFO {
                let data = libc::CMSG_DATA(header).cast::<libc::in_pktinfo>();
                let information = data.read_unaligned();
                let asked = Ipv4Addr::from(u32::from_be(information.ipi_addr.s_addr));
                return Ok((length, client, asked));
            }
            header = libc::CMSG_NXTHDR(&raw const message, header);
        }
    }
    // The kernel chooses.
    Ok((length, client, Ipv4Addr::UNSPECIFIED))
}

/// Sends an answer under the address that was asked.
fn reply(socket: &OwnedFd, datagram: &[u8], to: Sender) -> Result<(), Errno> {
    // SAFETY: all zeros is a valid sockaddr_in.
    let mut address: libc::sockaddr_in = unsafe { zeroed() };
    address.sin_family = libc::AF_INET as libc::sa_family_t;
    address.sin_port = to.client.port().to_be();
    address.sin_addr.s_addr = u32::from(*to.client.ip()).to_be();
    let mut control = Control {
        bytes: [0; CONTROL],
    };
    let mut part = libc::iovec {
        iov_base: datagram.as_ptr().cast_mut().cast(),
        iov_len: datagram.len(),
    };
    // SAFETY: all zeros is a valid msghdr.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_name = (&raw mut address).cast();
    message.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = CONTROL as _;
    let information = libc::in_pktinfo {
        ipi_ifindex: 0,
        ipi_spec_dst: libc::in_addr {
            s_addr: u32::from(to.asked).to_be(),
        },
        ipi_addr: libc::in_addr { s_addr: 0 },
    };
    // SAFETY: the control buffer has room for exactly this one message, and
    // sendmsg only reads, what it is given outlives the call.
    let sent = unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::IPPROTO_IP;
        (*header).cmsg_type = libc::IP_PKTINFO;
        (*header).cmsg_len = libc::CMSG_LEN(size_of::<libc::in_pktinfo>() as libc::c_uint) as _;
        let data = libc::CMSG_DATA(header).cast::<libc::in_pktinfo>();
        data.write_unaligned(information);
        libc::sendmsg(
            socket.as_raw_fd(),
            &raw const message,
            libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
        )
    };
    if sent < 0 { Err(last_errno()) } else { Ok(()) }
}
