//! Another network, beside the machine: a namespace at the other end of a veth
//! pair. It knows the machine's address and no route to any container, so only
//! what is translated gets an answer.
//!
//! A socket belongs to the namespace it was made in, so one thread plays all
//! parts: it goes there to make a socket, and comes back.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

use super::container::Said;
use super::{Probing, Stop, trouble, veth};

/// The machine's address in the other network.
pub(in crate::probe) const MACHINE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// The other network's end.
pub(in crate::probe) const OTHER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// How long a connection or a datagram is waited for.
pub(in crate::probe) const PATIENCE: Duration = Duration::from_secs(5);

/// The other network.
#[derive(Debug)]
pub(in crate::probe) struct Other {
    namespace: OwnedFd,
    home: OwnedFd,
}

/// A new network namespace has its loopback interface down.
pub(super) fn loopback_up() -> Probing {
    veth::up(c"lo")
}

fn namespace() -> Probing<OwnedFd> {
    let path = "/proc/self/ns/net";
    Ok(File::open(path).map_err(trouble(path))?.into())
}

impl Other {
    /// Makes it and connects the machine to it.
    pub(in crate::probe) fn new() -> Probing<Self> {
        let home = namespace()?;
        // SAFETY: one thread; the flag unshares no table of descriptors.
        unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.map_err(trouble("unshare"))?;
        let other = Self {
            namespace: namespace()?,
            home,
        };
        loopback_up()?;
        other.go(&other.home)?;
        veth::make("other0", "machine0", other.namespace.as_fd())?;
        veth::set_up(c"other0", MACHINE)?;
        other.there(|| veth::set_up(c"machine0", OTHER))?;
        Ok(other)
    }

    /// Does something there.
    pub(in crate::probe) fn there<T>(&self, work: impl FnOnce() -> Probing<T>) -> Probing<T> {
        self.go(&self.namespace)?;
        let result = work();
        self.go(&self.home)?;
        result
    }

    fn go(&self, to: &OwnedFd) -> Probing {
        move_into_link_name_space(to.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(trouble("setns"))
    }
}

/// The container has an interface besides its loopback. A runtime that passes
/// over what it is asked says nothing about the kernel.
pub(in crate::probe) fn connected(said: &Said) -> Probing {
    match said.done("interfaces")? {
        "lo=up" => Err(Stop::Trouble(
            "the runtime passes over org.matrix.network: inside there is only lo".to_owned(),
        )),
        _ => Ok(()),
    }
}

/// A GET in HTTP/1.0, and the whole answer's body; an error in words.
pub(in crate::probe) fn get(address: SocketAddr, path: &str) -> Result<String, String> {
    let words = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(words)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(words)?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").map_err(words)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(words)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.0 200 ") => Ok(body.to_owned()),
        _ => Err(format!("{answer:?} is no answer")),
    }
}

/// Takes one connection and answers its request with `body`; who asked, and for
/// what.
pub(in crate::probe) fn answer(
    listener: &TcpListener,
    body: &str,
) -> Probing<Option<(SocketAddr, String)>> {
    listener.set_nonblocking(true).map_err(trouble("listen"))?;
    let begun = Instant::now();
    let (stream, peer) = loop {
        match listener.accept() {
            Ok(connection) => break connection,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(trouble("accept")(error)),
        }
        if begun.elapsed() > PATIENCE {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    stream.set_nonblocking(false).map_err(trouble("accept"))?;
    stream
        .set_read_timeout(Some(PATIENCE))
        .map_err(trouble("accept"))?;
    let mut reader = BufReader::new(&stream);
    let mut request = String::new();
    reader
        .read_line(&mut request)
        .map_err(trouble("read a request"))?;
    // The rest of the head: an answer before it is read would reset the line.
    let mut line = String::new();
    while reader
        .read_line(&mut line)
        .map_err(trouble("read a request"))?
        > 2
    {
        line.clear();
    }
    let length = body.len();
    write!(
        &stream,
        "HTTP/1.0 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .map_err(trouble("answer a request"))?;
    Ok(Some((peer, request.trim_end().to_owned())))
}

/// Waits for what never comes: the machine's word that nothing is listening.
pub(in crate::probe) fn refused(address: SocketAddr) -> Result<(), String> {
    match TcpStream::connect_timeout(&address, PATIENCE) {
        Ok(_) => Err(format!("{address} still takes connections")),
        Err(_) => Ok(()),
    }
}

/// For `map_err` on an exchange that has to succeed.
pub(in crate::probe) fn failed(what: &str) -> impl FnOnce(String) -> Stop {
    move |error| Stop::Failed(format!("{what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_answered_and_its_answer_read() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asker = std::thread::spawn(move || get(address, "/a/path"));
        let (peer, request) = answer(&listener, "the body").unwrap().unwrap();
        assert_eq!(request, "GET /a/path HTTP/1.0");
        assert_eq!(peer.ip(), address.ip());
        assert_eq!(asker.join().unwrap().unwrap(), "the body");
        assert!(refused(address).is_err());
        drop(listener);
        assert!(refused(address).is_ok());
        assert!(get(address, "/").is_err());
    }
}
