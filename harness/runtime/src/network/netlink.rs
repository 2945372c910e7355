//! Netlink as the network needs it: a request and its acknowledgement, a dump,
//! a batch of nfnetlink's. Synchronous: the kernel answers within the call that
//! sends.
//!
//! The numbers are those of linux/netlink.h and linux/netfilter/nfnetlink.h.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::netlink::NETFILTER;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with,
};

/// NLM_F_REQUEST and NLM_F_ACK.
pub(super) const ACKNOWLEDGED: u16 = 0x1 | 0x4;
/// NLM_F_EXCL and NLM_F_CREATE.
pub(super) const NEW: u16 = 0x200 | 0x400;
/// NLM_F_REQUEST and NLM_F_DUMP.
const DUMP: u16 = 0x1 | 0x300;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// Part of an attribute's type: it holds attributes.
const NLA_F_NESTED: u16 = 0x8000;
/// The two flags in an attribute's type.
const NLA_TYPE_MASK: u16 = 0x3fff;
/// The size of struct nlmsghdr.
const HEADER: usize = 16;
/// A dump's largest part is 32 KiB.
const ROOM: usize = 65_536;
/// How often a dump is asked for anew that something has changed under.
const DUMPS: usize = 8;
/// NLM_F_DUMP_INTR.
const INTERRUPTED: u16 = 0x10;

/// A message under construction; its length is filled in when it is sent.
#[derive(Clone, Debug)]
pub(super) struct Message(Vec<u8>);

impl Message {
    /// A header, and `body`, the fixed part of messages of this `kind`.
    pub(super) fn new(kind: u16, flags: u16, body: &[u8]) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(body);
        Self(bytes)
    }

    /// Appends an attribute.
    pub(super) fn with(mut self, kind: u16, value: &[u8]) -> Self {
        attribute(&mut self.0, kind, value);
        self
    }

    /// Appends an attribute that holds a name, which ends in a zero.
    pub(super) fn with_name(self, kind: u16, name: &str) -> Self {
        self.with(kind, &[name.as_bytes(), b"\0"].concat())
    }

    /// Appends an attribute that holds others.
    pub(super) fn with_nested(self, kind: u16, attributes: &Attributes) -> Self {
        self.with(kind | NLA_F_NESTED, &attributes.0)
    }

    /// The bytes on the wire.
    fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self.0
    }
}

/// Attributes inside of another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Attributes(Vec<u8>);

impl Attributes {
    /// Attributes after a fixed part.
    pub(super) fn after(body: &[u8]) -> Self {
        Self(body.to_vec())
    }

    /// Appends one.
    pub(super) fn with(mut self, kind: u16, value: &[u8]) -> Self {
        attribute(&mut self.0, kind, value);
        self
    }

    /// Appends a number, as netfilter has them: big-endian.
    pub(super) fn with_number(self, kind: u16, value: u32) -> Self {
        self.with(kind, &value.to_be_bytes())
    }

    /// Appends one that holds a name, which ends in a zero.
    pub(super) fn with_name(self, kind: u16, name: &str) -> Self {
        self.with(kind, &[name.as_bytes(), b"\0"].concat())
    }

    /// Appends one that holds others.
    pub(super) fn with_nested(self, kind: u16, attributes: &Self) -> Self {
        self.with(kind | NLA_F_NESTED, &attributes.0)
    }

    /// As they are without a parent.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Its length, its type, its value, filled to four bytes.
fn attribute(to: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
    to.extend(length.to_ne_bytes());
    to.extend(kind.to_ne_bytes());
    to.extend(value);
    to.resize(to.len().next_multiple_of(4), 0);
}

/// The attributes in `bytes`, type and value; ends at what is none.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?);
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind & NLA_TYPE_MASK, value))
    })
}

/// The first attribute of this type.
pub(super) fn find(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find_map(|(found, value)| (found == kind).then_some(value))
}

/// A name in an attribute, without its zero.
pub(super) fn name(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&value[..end.unwrap_or(value.len())]).into_owned()
}

/// A number in the machine's order.
pub(super) fn number(value: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(value.get(..4)?.try_into().ok()?))
}

/// A message that came: its type, its flags, what follows the header.
struct Answer<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    body: &'a [u8],
}

/// The messages in what was received.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Answer<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(number(bytes)?).ok()?;
        let answer = Answer {
            kind: u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?),
            flags: u16::from_ne_bytes(bytes.get(6..8)?.try_into().ok()?),
            sequence: number(bytes.get(8..)?)?,
            body: bytes.get(HEADER..length)?,
        };
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(answer)
    })
}

/// A struct nlmsgerr begins with an errno, negated; 0 is an acknowledgement.
fn acknowledged(body: &[u8]) -> Result<(), Errno> {
    match number(body).map(u32::cast_signed) {
        Some(0) => Ok(()),
        Some(error) => Err(Errno::from_raw_os_error(error.wrapping_neg())),
        None => Err(Errno::PROTO),
    }
}

/// A socket of the network namespace this process is in as it is opened.
#[derive(Debug)]
pub(super) struct Socket(OwnedFd);

impl Socket {
    /// rtnetlink: interfaces, addresses, routes.
    pub(super) fn route() -> Result<Self, Errno> {
        // NETLINK_ROUTE is 0.
        Self::open(None)
    }

    /// nfnetlink: netfilter's own.
    pub(super) fn netfilter() -> Result<Self, Errno> {
        Self::open(Some(NETFILTER))
    }

    fn open(protocol: Option<Protocol>) -> Result<Self, Errno> {
        let flags = SocketFlags::CLOEXEC;
        socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol).map(Self)
    }

    /// Sends a request made with [`ACKNOWLEDGED`] and reads what came of it.
    pub(super) fn ask(&self, message: Message) -> Result<(), Errno> {
        self.send(&message.finish(1))?;
        let received = self.receive(RecvFlags::empty())?;
        match messages(&received).next() {
            Some(answer) if answer.kind == NLMSG_ERROR => acknowledged(answer.body),
            _ => Err(Errno::PROTO),
        }
    }

    /// All there is of a kind: the bodies of the answers. The request's flags
    /// are set here.
    pub(super) fn dump(&self, kind: u16, body: &[u8]) -> Result<Vec<Vec<u8>>, Errno> {
        for _ in 0..DUMPS {
            self.send(&Message::new(kind, DUMP, body).finish(1))?;
            if let Some(all) = self.collect()? {
                return Ok(all);
            }
        }
        Err(Errno::AGAIN)
    }

    /// The answers to a dump; none where something changed meanwhile, and so
    /// may be missing.
    fn collect(&self) -> Result<Option<Vec<Vec<u8>>>, Errno> {
        let (mut all, mut whole) = (Vec::new(), true);
        loop {
            let received = self.receive(RecvFlags::empty())?;
            if received.is_empty() {
                return Err(Errno::PROTO);
            }
            for answer in messages(&received) {
                whole &= answer.flags & INTERRUPTED == 0;
                match answer.kind {
                    NLMSG_DONE => return Ok(whole.then_some(all)),
                    NLMSG_ERROR => {
                        acknowledged(answer.body)?;
                        return Err(Errno::PROTO);
                    }
                    _ => all.push(answer.body.to_vec()),
                }
            }
        }
    }

    /// Sends messages of one subsystem of nfnetlink's that take effect together
    /// or not at all. Each must be made with [`ACKNOWLEDGED`].
    pub(super) fn batch(&self, subsystem: u8, batch: Vec<Message>) -> Result<(), Errno> {
        /// NFNL_MSG_BATCH_BEGIN and _END.
        const BEGIN: u16 = 0x10;
        const END: u16 = 0x11;
        let count = u32::try_from(batch.len()).map_err(|_many| Errno::TOOBIG)?;
        // struct nfgenmsg: family, version, and here the subsystem, big-endian.
        let around = [0, 0, 0, subsystem];
        let mut bytes = Message::new(BEGIN, 0x1, &around).finish(0);
        for (message, sequence) in batch.into_iter().zip(1..) {
            bytes.extend(message.finish(sequence));
        }
        bytes.extend(Message::new(END, 0x1, &around).finish(count + 1));
        self.send(&bytes)?;
        let mut done = 0;
        while done < count {
            // All has been said by the time the call that sends is over.
            let received = match self.receive(RecvFlags::DONTWAIT) {
                Err(Errno::AGAIN) => return Err(Errno::PROTO),
                answer => answer?,
            };
            for answer in messages(&received).filter(|answer| answer.kind == NLMSG_ERROR) {
                acknowledged(answer.body)?;
                done += u32::from((1..=count).contains(&answer.sequence));
            }
        }
        Ok(())
    }

    fn send(&self, bytes: &[u8]) -> Result<(), Errno> {
        match send(&self.0, bytes, SendFlags::empty())? {
            sent if sent == bytes.len() => Ok(()),
            _ => Err(Errno::MSGSIZE),
        }
    }

    fn receive(&self, flags: RecvFlags) -> Result<Vec<u8>, Errno> {
        let mut bytes = vec![0; ROOM];
        loop {
            match recv(&self.0, bytes.as_mut_slice(), flags) {
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
                Ok((read, _)) => {
                    bytes.truncate(read);
                    return Ok(bytes);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_count_themselves_and_are_read_back() {
        let inner = Attributes::default()
            .with_name(1, "veth")
            .with_number(2, 0x0102_0304);
        assert_eq!(
            inner.bytes(),
            [
                9, 0, 1, 0, b'v', b'e', b't', b'h', 0, 0, 0, 0, 8, 0, 2, 0, 1, 2, 3, 4
            ]
        );
        let message = Message::new(16, ACKNOWLEDGED | NEW, &[9; 4])
            .with(3, b"ab\0")
            .with_nested(18, &inner)
            .finish(7);
        assert_eq!(number(&message), Some(52));
        let answer = messages(&message).next().unwrap();
        assert_eq!((answer.kind, answer.flags), (16, 0x605));
        assert_eq!((answer.sequence, &answer.body[..4]), (7, &[9; 4][..]));
        let found: Vec<_> = attributes(&answer.body[4..]).collect();
        assert_eq!(found, [(3, &b"ab\0"[..]), (18, inner.bytes())]);
        assert_eq!(find(inner.bytes(), 1).map(name).as_deref(), Some("veth"));
        assert_eq!(find(inner.bytes(), 9), None);
    }

    #[test]
    fn what_is_cut_short_ends_the_list() {
        let whole = Attributes::default().with(1, &[1; 8]).with(2, &[2; 8]);
        for length in 0..whole.bytes().len() {
            assert!(attributes(&whole.bytes()[..length]).count() < 2);
        }
        // A length of nothing would otherwise never come to an end.
        assert_eq!(attributes(&[0; 8]).count(), 0);
        assert_eq!(messages(&[0; 32]).count(), 0);
    }

    #[test]
    fn an_acknowledgement_is_an_errno_or_none() {
        assert_eq!(acknowledged(&[0; 4]), Ok(()));
        assert_eq!(
            acknowledged(&(-95_i32).to_ne_bytes()),
            Err(Errno::OPNOTSUPP)
        );
        assert_eq!(acknowledged(&[]), Err(Errno::PROTO));
    }

    /// Every kernel has a loopback interface, and shows it to everyone.
    #[test]
    fn a_real_kernel_answers() {
        const RTM_GETLINK: u16 = 18;
        let socket = Socket::route().unwrap();
        let links = socket.dump(RTM_GETLINK, &[0; 16]).unwrap();
        let names: Vec<_> = links
            .iter()
            .filter_map(|link| find(&link[16..], 3).map(name))
            .collect();
        assert!(names.iter().any(|name| name == "lo"), "{names:?}");
        // No such message.
        let odd = Message::new(9999, ACKNOWLEDGED, &[0; 16]);
        assert_eq!(socket.ask(odd), Err(Errno::OPNOTSUPP));
    }
}
