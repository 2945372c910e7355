//! Servers on the loopback that only say who came: a web server, with TLS or
//! without, and a proxy.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// What a server does with a request: its first line, and the connection.
type Answer = dyn Fn(&str, &mut dyn ReadWrite) -> io::Result<()> + Send + Sync;

/// A connection, plain or within TLS.
pub(crate) trait ReadWrite: Read + Write {}

impl<T: Read + Write> ReadWrite for T {}

/// A server that runs until it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// A web server that answers like this; its requests' first lines are kept.
    pub(crate) fn start(
        tls: Option<Arc<rustls::ServerConfig>>,
        answer: impl Fn(&str, &mut dyn ReadWrite) -> io::Result<()> + Send + Sync + 'static,
    ) -> Server {
        let answer: Arc<Answer> = Arc::new(answer);
        Server::serve(move |stream, requests| match &tls {
            None => converse(&mut { stream }, requests, &*answer),
            Some(configuration) => {
                let connection = rustls::ServerConnection::new(Arc::clone(configuration));
                let connection = connection.map_err(io::Error::other)?;
                let mut stream = rustls::StreamOwned::new(connection, stream);
                converse(&mut stream, requests, &*answer)?;
                stream.conn.send_close_notify();
                stream.flush()
            }
        })
    }

    /// A web server that has nothing.
    pub(crate) fn empty(tls: Option<Arc<rustls::ServerConfig>>) -> Server {
        Server::start(tls, |_, stream| not_found(stream))
    }

    /// A proxy: it tunnels what is asked for by CONNECT, and has nothing else.
    pub(crate) fn proxy() -> Server {
        Server::serve(|mut client, requests| {
            let line = request(&mut client, requests)?;
            let Some(target) = line
                .strip_prefix("CONNECT ")
                .and_then(|rest| rest.split(' ').next())
            else {
                return not_found(&mut client);
            };
            let mut server = TcpStream::connect(target)?;
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
            let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
            let there = std::thread::spawn(move || {
                // Whichever end hangs up, the tunnel is over.
                let _ = io::copy(&mut from_client, &mut to_server);
                let _ = to_server.shutdown(std::net::Shutdown::Write);
            });
            let _ = io::copy(&mut server, &mut client);
            let _ = client.shutdown(std::net::Shutdown::Both);
            let _ = there.join();
            Ok(())
        })
    }

    fn serve(
        each: impl Fn(TcpStream, &Mutex<Vec<String>>) -> io::Result<()> + Send + Sync + 'static,
    ) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let stopped = Arc::new(AtomicBool::new(false));
        let (each, kept, stop) = (Arc::new(each), Arc::clone(&requests), Arc::clone(&stopped));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let (each, kept) = (Arc::clone(&each), Arc::clone(&kept));
                // A client that refuses the server hangs up: that is what some
                // tests are about.
                std::thread::spawn(move || drop(each(stream.unwrap(), &kept)));
            }
        });
        Server {
            address,
            requests,
            stopped,
            thread: Some(thread),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// The first lines of all requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn converse(
    stream: &mut dyn ReadWrite,
    requests: &Mutex<Vec<String>>,
    answer: &Answer,
) -> io::Result<()> {
    let line = request(stream, requests)?;
    answer(&line, stream)
}

/// Reads a request's head and keeps its first line.
fn request(stream: &mut dyn ReadWrite, requests: &Mutex<Vec<String>>) -> io::Result<String> {
    let mut head = Vec::new();
    // Byte by byte: what follows a CONNECT is not ours to read.
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        head.push(byte[0]);
    }
    let mut line = String::new();
    BufReader::new(head.as_slice()).read_line(&mut line)?;
    let line = line.trim_end().to_owned();
    requests.lock().unwrap().push(line.clone());
    Ok(line)
}

pub(crate) fn not_found(stream: &mut dyn ReadWrite) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

pub(crate) fn found(stream: &mut dyn ReadWrite, content: &[u8]) -> io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        content.len()
    )?;
    stream.write_all(content)
}
