//! Containers behind the bridge, on a host that is a network namespace of the
//! test's own: nothing of the machine's network is touched.

mod lacking;
mod names;
mod removal;
mod traffic;
mod world;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use runtime::status::Status;
use serde_json::{Value, json};

use crate::rig::{Outcome, Rig, Running, map_users};
use lacking::Lacking;

const PATIENCE: Duration = Duration::from_secs(20);
const ALL: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// config.json of a container behind the bridge that waits for SIGTERM.
fn bridged(rig: &Rig, ports: &Value) -> Value {
    let mut config = rig.config(&["probe", "wait-for-term"]);
    let network = json!({"mode": "bridge", "ports": ports});
    config["annotations"] = json!({"org.matrix.network": network.to_string()});
    config
}

fn port(address: Ipv4Addr, host: u16, container: u16, protocol: &str) -> Value {
    json!({"address": address, "host": host, "container": container, "protocol": protocol})
}

impl Rig {
    /// What a container would need to have users of its own, where this machine
    /// does not give it.
    fn lacks_user_namespaces(&self) -> Option<String> {
        let mut config = self.config(&["probe", "exit", "0"]);
        map_users(&mut config, 0, 65_536);
        match self.run_config(&config).line.status {
            Status::Unsupported { what } => Some(what),
            _ => None,
        }
    }
}

/// A container whose program runs.
struct Container {
    running: Running,
    /// Its first process.
    pid: u32,
}

impl Container {
    fn start(rig: &Rig, lacking: Lacking, config: &Value) -> Self {
        fs::write(rig.outside("config.json"), config.to_string()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_runtime"));
        command.arg("run").arg("--bundle").arg(rig.outside(""));
        let mut lacks = lacking.filter();
        // SAFETY: prctl is async-signal-safe.
        unsafe { command.pre_exec(move || lacks.enter()) };
        Self::came_up(rig.start_command(command))
    }

    /// Waits until the program says so.
    fn came_up(mut running: Running) -> Self {
        let mut line = String::new();
        let stdout = running.child.stdout.as_mut().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        if line != "waiting\n" {
            panic!("{:?}", running.finish());
        }
        let pid = world::children(running.child.id())
            .into_iter()
            .find(|(_, name)| name == "probe")
            .unwrap()
            .0;
        Self { running, pid }
    }

    fn terminate(self) -> Outcome {
        // SAFETY: a child that has not been waited for.
        unsafe { libc::kill(self.running.child.id() as i32, libc::SIGTERM) };
        let outcome = self.running.finish();
        assert_eq!(
            outcome.line.status,
            Status::Exited { code: 7 },
            "{outcome:?}"
        );
        let network = outcome.line.network.as_ref().unwrap();
        assert_eq!(network.left_behind, None);
        outcome
    }
}

/// Sends `question` and reads the answer to its end.
fn ask(to: (Ipv4Addr, u16), question: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&to.into(), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(question.as_bytes())?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Takes a question, answers it in capitals, and says who has asked.
fn answer(listener: &TcpListener) -> SocketAddr {
    let (mut stream, peer) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut question = String::new();
    stream.read_to_string(&mut question).unwrap();
    stream
        .write_all(question.to_uppercase().as_bytes())
        .unwrap();
    peer
}

/// Asks, of a listener of the container's, and gives who it thinks has asked.
fn exchange(listener: &TcpListener, to: (Ipv4Addr, u16), from: &dyn Fn() -> String) -> SocketAddr {
    std::thread::scope(|scope| {
        let answering = scope.spawn(|| answer(listener));
        assert_eq!(from(), "QUESTION", "{to:?}");
        answering.join().unwrap()
    })
}

/// The same with a datagram.
fn exchange_datagrams(server: &UdpSocket, client: &UdpSocket, to: (Ipv4Addr, u16)) -> SocketAddr {
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    // It takes an answer from that address and port only.
    client.connect(to).unwrap();
    client.send(b"a question").unwrap();
    let mut datagram = [0; 100];
    let (length, peer) = server.recv_from(&mut datagram).unwrap();
    server.send_to(&datagram[..length], peer).unwrap();
    let length = client.recv(&mut datagram).unwrap();
    assert_eq!(&datagram[..length], b"a question", "{to:?}");
    peer
}
