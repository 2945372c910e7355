//! A mirror on the loopback, which misbehaves as it is told to.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// How a request is answered.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// As a good server would, ranges and If-None-Match included.
    File(Vec<u8>),
    /// A good answer that takes a while to begin.
    Late(Vec<u8>, Duration),
    /// The whole length is announced, then the connection closes after so many bytes.
    Cut(Vec<u8>, usize),
    /// No length is announced, and only so many bytes come.
    Unannounced(Vec<u8>, usize),
    /// A range is answered as if none was asked for.
    NoRanges(Vec<u8>),
    /// A range is answered with another one.
    WrongRange(Vec<u8>),
    /// The headers and so many bytes come, then nothing more.
    HangAfter(Vec<u8>, usize),
    /// Nothing comes at all.
    Hang,
    /// A byte now and then.
    Trickle,
    Redirect(String),
    Status(u16),
    /// Just this.
    Said(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// A login page, with 200.
    Page,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) headers: HashMap<String, String>,
}

#[derive(Default)]
struct State {
    /// The replies to each path, in turn; the last one for good.
    replies: Mutex<HashMap<String, Vec<Reply>>>,
    requests: Mutex<Vec<Request>>,
    stopped: AtomicBool,
}

pub(crate) struct Server {
    address: std::net::SocketAddr,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.stopped.load(Ordering::SeqCst) {
                    break;
                }
                let shared = Arc::clone(&shared);
                // A client that hangs up early is what some tests are about.
                std::thread::spawn(move || drop(serve(stream.unwrap(), &shared)));
            }
        });
        Server {
            address,
            state,
            thread: Some(thread),
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn on(&self, path: &str, reply: Reply) {
        self.on_each(path, vec![reply]);
    }

    pub(crate) fn on_each(&self, path: &str, mut replies: Vec<Reply>) {
        replies.reverse();
        self.state
            .replies
            .lock()
            .unwrap()
            .insert(path.to_owned(), replies);
    }

    /// The requests for paths that end so.
    pub(crate) fn requests(&self, end: &str) -> Vec<Request> {
        let requests = self.state.requests.lock().unwrap();
        requests
            .iter()
            .filter(|request| request.path.ends_with(end))
            .cloned()
            .collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn serve(stream: TcpStream, state: &State) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let request = Request {
        path: path.clone(),
        headers,
    };
    state.requests.lock().unwrap().push(request.clone());
    let reply = {
        let mut replies = state.replies.lock().unwrap();
        match replies.get_mut(&path) {
            None => Reply::Status(404),
            Some(replies) if replies.len() > 1 => replies.pop().unwrap(),
            Some(replies) => replies[0].clone(),
        }
    };
    answer(stream, &request, reply, state)
}

fn answer(
    mut out: TcpStream,
    request: &Request,
    reply: Reply,
    state: &State,
) -> std::io::Result<()> {
    match reply {
        Reply::Late(bytes, wait) => {
            std::thread::sleep(wait);
            answer(out, request, Reply::File(bytes), state)
        }
        Reply::File(bytes) => {
            let etag = format!(
                "\"{}-{}\"",
                bytes.len(),
                bytes.iter().map(|it| u64::from(*it)).sum::<u64>()
            );
            if request.headers.get("if-none-match") == Some(&etag) {
                return head(&mut out, 304, &[]);
            }
            let start = range(request);
            let same = request.headers.get("if-range").is_none_or(|it| *it == etag);
            let etag = ("ETag", etag);
            match start {
                Some(start) if same => {
                    let rest = &bytes[start..];
                    let place = format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len());
                    let length = ("Content-Length", rest.len().to_string());
                    head(&mut out, 206, &[etag, length, ("Content-Range", place)])?;
                    out.write_all(rest)
                }
                _ => {
                    head(
                        &mut out,
                        200,
                        &[etag, ("Content-Length", bytes.len().to_string())],
                    )?;
                    out.write_all(&bytes)
                }
            }
        }
        Reply::Cut(bytes, end) => {
            let start = range(request).unwrap_or(0);
            let length = ("Content-Length", (bytes.len() - start).to_string());
            if start > 0 {
                let place = format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len());
                head(&mut out, 206, &[length, ("Content-Range", place)])?;
            } else {
                head(&mut out, 200, &[length])?;
            }
            out.write_all(&bytes[start..end.max(start)])
        }
        Reply::Unannounced(bytes, end) => {
            head(&mut out, 200, &[])?;
            out.write_all(&bytes[..end])
        }
        Reply::NoRanges(bytes) => {
            head(
                &mut out,
                200,
                &[("Content-Length", bytes.len().to_string())],
            )?;
            out.write_all(&bytes)
        }
        Reply::WrongRange(bytes) => {
            let place = format!("bytes 1-{}/{}", bytes.len() - 1, bytes.len());
            let length = ("Content-Length", (bytes.len() - 1).to_string());
            head(&mut out, 206, &[length, ("Content-Range", place)])?;
            out.write_all(&bytes[1..])
        }
        Reply::HangAfter(bytes, end) => {
            head(
                &mut out,
                200,
                &[("Content-Length", bytes.len().to_string())],
            )?;
            out.write_all(&bytes[..end])?;
            wait_for_hangup(out)
        }
        Reply::Hang => wait_for_hangup(out),
        Reply::Trickle => {
            head(&mut out, 200, &[("Content-Length", "1000000".to_owned())])?;
            while !state.stopped.load(Ordering::SeqCst) {
                out.write_all(b"x")?;
                out.flush()?;
                std::thread::sleep(Duration::from_millis(50));
            }
            Ok(())
        }
        Reply::Redirect(to) => head(&mut out, 302, &[("Location", to)]),
        Reply::Status(status) => head(&mut out, status, &[("Content-Length", "0".to_owned())]),
        Reply::Said(status, mut headers, body) => {
            headers.push(("Content-Length", body.len().to_string()));
            head(&mut out, status, &headers)?;
            out.write_all(&body)
        }
        Reply::Page => {
            let page = b"\n<!DOCTYPE html>\n<html><body>Log in to the network</body></html>\n";
            let length = ("Content-Length", page.len().to_string());
            head(
                &mut out,
                200,
                &[
                    ("Content-Type", "text/html; charset=utf-8".to_owned()),
                    length,
                ],
            )?;
            out.write_all(page)
        }
    }
}

fn head(out: &mut TcpStream, status: u16, headers: &[(&str, String)]) -> std::io::Result<()> {
    let mut text = format!("HTTP/1.1 {status} Said\r\nConnection: close\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    out.write_all(format!("{text}\r\n").as_bytes())
}

fn range(request: &Request) -> Option<usize> {
    request
        .headers
        .get("range")?
        .strip_prefix("bytes=")?
        .strip_suffix('-')?
        .parse()
        .ok()
}

fn wait_for_hangup(mut out: TcpStream) -> std::io::Result<()> {
    out.read(&mut [0]).map(drop)
}
