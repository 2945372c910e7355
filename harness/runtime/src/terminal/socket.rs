//! A descriptor over a socket.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::cmsg_space;
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// The terminal's name, as runc sends it along; some bytes must be sent.
const NAME: &[u8] = b"/dev/ptmx";

pub(super) fn send(socket: &UnixStream, descriptor: &OwnedFd) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [descriptor.as_fd()];
    if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(Errno::NOBUFS);
    }
    let sent = sendmsg(
        socket,
        &[IoSlice::new(NAME)],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    if sent == NAME.len() {
        Ok(())
    } else {
        Err(Errno::IO)
    }
}

pub(super) fn receive(socket: &UnixStream) -> Result<OwnedFd, Errno> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut name = [0; 64];
    let _name = recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut name)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    control
        .drain()
        .find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        })
        // Its sender has gone without sending it.
        .ok_or(Errno::CONNRESET)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write, pipe};

    use super::*;

    #[test]
    fn a_descriptor_comes_through_and_its_absence_is_told() {
        let (one, other) = UnixStream::pair().unwrap();
        let (mut reader, writer) = pipe().unwrap();
        send(&one, &writer.into()).unwrap();
        drop(one);
        let mut writer = std::fs::File::from(receive(&other).unwrap());
        writer.write_all(b"through").unwrap();
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
        assert_eq!(receive(&other).unwrap_err(), Errno::CONNRESET);
    }
}
