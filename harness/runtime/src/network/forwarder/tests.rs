use std::io::{PipeWriter, Read, Write, pipe};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::thread::{JoinHandle, spawn};

use super::super::published;
use super::super::request::PortMapping;
use super::*;

const PATIENCE: Option<Duration> = Some(Duration::from_secs(20));

/// A forwarder at work, from a free port to one of 127.0.0.1; 0.0.0.0 is bound.
struct Rig {
    port: u16,
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Rig {
    fn new(protocol: Protocol, container: u16) -> Self {
        // A port that was free a moment ago: several tests at once may find the
        // same.
        let (port, published) = (0..100)
            .find_map(|_| {
                let port = match protocol {
                    Protocol::Tcp => TcpListener::bind("0.0.0.0:0").unwrap().local_addr(),
                    Protocol::Udp => UdpSocket::bind("0.0.0.0:0").unwrap().local_addr(),
                };
                let port = port.unwrap().port();
                let mapping = PortMapping {
                    address: Ipv4Addr::UNSPECIFIED,
                    host: port,
                    container,
                    protocol,
                };
                Some((port, published::take(&[mapping]).ok()?))
            })
            .unwrap();
        let (until, stop) = pipe().unwrap();
        let thread = spawn(move || {
            let mut forwarder = Forwarder::new(published, Ipv4Addr::LOCALHOST);
            forwarder.run(until.as_fd()).unwrap();
        });
        Self {
            port,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(PATIENCE).unwrap();
        stream
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Bytes that say where they belong.
fn pattern(length: usize, seed: usize) -> Vec<u8> {
    (0..length)
        .map(|place| ((place * 31 + seed) % 251) as u8)
        .collect()
}

#[test]
fn both_directions_come_through_whole_and_at_once() {
    const LENGTH: usize = 3_000_001;
    let (listener, port) = listener();
    let rig = Rig::new(Protocol::Tcp, port);
    let server = spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut writer = stream.try_clone().unwrap();
        let writing = spawn(move || {
            writer.write_all(&pattern(LENGTH, 2)).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let mut got = Vec::new();
        (&stream).read_to_end(&mut got).unwrap();
        writing.join().unwrap();
        assert!(got == pattern(LENGTH, 1));
    });
    let client = rig.connect();
    let mut writer = client.try_clone().unwrap();
    let writing = spawn(move || {
        writer.write_all(&pattern(LENGTH, 1)).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut got = Vec::new();
    (&client).read_to_end(&mut got).unwrap();
    writing.join().unwrap();
    server.join().unwrap();
    assert!(got == pattern(LENGTH, 2));
}

#[test]
fn an_end_in_one_direction_leaves_the_other_open() {
    let (listener, port) = listener();
    let rig = Rig::new(Protocol::Tcp, port);
    let server = spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut question = String::new();
        stream.read_to_string(&mut question).unwrap();
        stream
            .write_all(question.to_uppercase().as_bytes())
            .unwrap();
    });
    let mut client = rig.connect();
    client.write_all(b"question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "QUESTION");
    server.join().unwrap();
}

#[test]
fn connections_do_not_wait_for_each_other() {
    let (listener, port) = listener();
    let rig = Rig::new(Protocol::Tcp, port);
    let mut clients: Vec<TcpStream> = (0..50).map(|_| rig.connect()).collect();
    let mut servers: Vec<TcpStream> = (0..50).map(|_| listener.accept().unwrap().0).collect();
    // The last first, while all others are silent.
    for (index, client) in clients.iter_mut().enumerate().rev() {
        client.write_all(&[index as u8]).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
    }
    let mut seen: Vec<u8> = servers
        .iter_mut()
        .map(|server| {
            let mut bytes = Vec::new();
            server.read_to_end(&mut bytes).unwrap();
            server.write_all(&bytes).unwrap();
            bytes[0]
        })
        .collect();
    drop(servers);
    seen.sort_unstable();
    assert_eq!(seen, (0..50).collect::<Vec<u8>>());
    for (index, client) in clients.iter_mut().enumerate() {
        let mut bytes = Vec::new();
        client.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, [index as u8]);
    }
}

#[test]
fn a_port_nobody_listens_on_resets() {
    let (closed, port) = listener();
    drop(closed);
    let rig = Rig::new(Protocol::Tcp, port);
    let mut client = rig.connect();
    let error = client.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn a_reset_is_passed_on() {
    let (listener, port) = listener();
    let rig = Rig::new(Protocol::Tcp, port);
    let mut client = rig.connect();
    let (server, _) = listener.accept().unwrap();
    client.write_all(b"unread").unwrap();
    server.peek(&mut [0]).unwrap();
    // What is closed with something unread is reset.
    drop(server);
    let error = client.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn datagrams_find_back_to_who_sent_the_first() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(PATIENCE).unwrap();
    let rig = Rig::new(Protocol::Udp, server.local_addr().unwrap().port());
    let echo = spawn(move || {
        let mut datagram = [0; 2000];
        for _ in 0..6 {
            let (length, peer) = server.recv_from(&mut datagram).unwrap();
            server.send_to(&datagram[..length], peer).unwrap();
        }
    });
    // Each asks another of the machine's addresses, and takes an answer from
    // that one only.
    let clients: Vec<UdpSocket> = ["127.0.0.1", "127.0.0.2", "127.1.2.3"]
        .iter()
        .map(|address| {
            let client = UdpSocket::bind("127.0.0.1:0").unwrap();
            client.set_read_timeout(PATIENCE).unwrap();
            let asked: SocketAddr = format!("{address}:{}", rig.port).parse().unwrap();
            client.connect(asked).unwrap();
            client
        })
        .collect();
    for round in 0..2 {
        for (index, client) in clients.iter().enumerate() {
            client.send(&pattern(1000 + index, round)).unwrap();
        }
        for (index, client) in clients.iter().enumerate().rev() {
            let mut datagram = [0; 2000];
            let length = client.recv(&mut datagram).unwrap();
            assert!(datagram[..length] == pattern(1000 + index, round));
        }
    }
    echo.join().unwrap();
}

#[test]
fn who_is_silent_is_forgotten() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let SocketAddr::V4(target) = server.local_addr().unwrap() else {
        panic!("an IPv4 socket");
    };
    let listener = UdpSocket::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(listener.local_addr().unwrap()).unwrap();
    let mut sessions = Sessions::new(vec![(listener.into(), target)], 2);
    let begun = Instant::now();
    client.send(b"x").unwrap();
    sessions.serve(&mut [PollFlags::IN].into_iter(), begun);
    let interests = |sessions: &Sessions| {
        let mut list = Vec::new();
        sessions.interests(&mut list);
        list.len()
    };
    assert_eq!(interests(&sessions), 2);
    let later = begun + Duration::from_secs(89);
    assert!(sessions.expire(later).unwrap() <= Duration::from_millis(1001));
    assert_eq!(interests(&sessions), 2);
    assert_eq!(sessions.expire(begun + Duration::from_secs(91)), None);
    assert_eq!(interests(&sessions), 1);
}
