//! Verbs on the network.

use std::ffi::CStr;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

/// How long a connection or a datagram is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

fn address(text: &str) -> io::Result<SocketAddr> {
    super::number(text)
}

pub(crate) fn connect(to: &str) -> io::Result<String> {
    TcpStream::connect_timeout(&address(to)?, PATIENCE).map(|_| "ok".to_owned())
}

/// The body of an answer in HTTP/1.0.
pub(crate) fn get(from: &str, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address(from)?, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {from}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.0 200 ") => Ok(body.to_owned()),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Answers one request: `path=/x peer=192.0.2.2:4000`.
pub(crate) fn serve(listener: Option<&TcpListener>, body: &str) -> io::Result<String> {
    let listener = listener.ok_or(io::ErrorKind::NotConnected)?;
    let (stream, peer) = listener.accept()?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(&stream);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    // The rest of the head: an answer before it is read would reset the line.
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let length = body.len();
    write!(
        &stream,
        "HTTP/1.0 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    let path = request.split_whitespace().nth(1).unwrap_or("none");
    Ok(format!("path={path} peer={peer}"))
}

/// Answers one datagram with its own text.
pub(crate) fn echo(socket: Option<&UdpSocket>) -> io::Result<String> {
    let socket = socket.ok_or(io::ErrorKind::NotConnected)?;
    let mut datagram = [0; 100];
    let (length, peer) = socket.recv_from(&mut datagram)?;
    let answer = [b"inside: ", &datagram[..length]].concat();
    socket.send_to(&answer, peer)?;
    Ok(format!("peer={peer}"))
}

/// CAP_NET_RAW.
pub(crate) fn raw_socket() -> io::Result<String> {
    use rustix::net::{AddressFamily, SocketType, ipproto, socket};
    socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP))?;
    Ok("ok".to_owned())
}

/// `eth0=up lo=up`, sorted.
pub(crate) fn interfaces() -> io::Result<String> {
    let mut words = Vec::new();
    let mut list: *mut libc::ifaddrs = std::ptr::null_mut();
    // SAFETY: the call fills in the head of a list that is freed below.
    if unsafe { libc::getifaddrs(&raw mut list) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut next = list;
    // SAFETY: each entry is valid until the list is freed, its name ends in a zero.
    while let Some(entry) = unsafe { next.as_ref() } {
        // SAFETY: as above.
        let name = unsafe { CStr::from_ptr(entry.ifa_name) }.to_string_lossy();
        let up = entry.ifa_flags & libc::IFF_UP.cast_unsigned() != 0;
        words.push(format!("{name}={}", if up { "up" } else { "down" }));
        next = entry.ifa_next;
    }
    // SAFETY: the list came from getifaddrs, and nothing points into it any more.
    unsafe { libc::freeifaddrs(list) };
    words.sort();
    words.dedup();
    Ok(words.join(" "))
}
