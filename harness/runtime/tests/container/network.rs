//! Containers behind the bridge, on a host that is a network namespace of the
//! test's own: nothing of the machine's network is touched.

mod lacking;
mod world;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use runtime::fallback::Fallback;
use runtime::network::Nat;
use runtime::status::Status;
use serde_json::{Value, json};

use crate::on_both_kernels;
use crate::rig::{Outcome, Rig, Running};
use lacking::Lacking;
use world::{HOST, OTHER, THIRD, World};

on_both_kernels![
    published_ports_reach_the_container,
    the_way_out_is_under_the_hosts_address,
    containers_see_each_other_and_have_addresses_of_their_own,
    a_port_somebody_has_is_named,
    nothing_is_left_when_the_runtime_is_killed,
    the_next_one_clears_what_nobody_could,
    forwarding_that_was_on_stays_on,
    neighbours_are_kept_out,
    dockers_door_gives_names,
    a_kernel_without_veth_is_named,
];

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
        // SAFETY: prctl is async-signal-safe.
        unsafe { command.pre_exec(move || lacking.enter()) };
        let mut running = rig.start_command(command);
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

fn published_ports_reach_the_container(rig: &Rig) {
    let Some(world) = World::new() else { return };
    for lacking in Lacking::ALL {
        let Some(nat) = world.translator(lacking) else {
            continue;
        };
        let ports = json!([
            port(ALL, 8080, 80, "tcp"),
            port(HOST, 8081, 81, "tcp"),
            port(LOOPBACK, 8082, 80, "tcp"),
            port(ALL, 5354, 5353, "udp"),
        ]);
        let container = Container::start(rig, lacking, &bridged(rig, &ports));
        let neighbour = Container::start(
            &Rig::new(rig.kernel).unwrap(),
            lacking,
            &bridged(rig, &json!([])),
        );
        let bind = |port| TcpListener::bind((ALL, port)).unwrap();
        let (http, other) = world.inside(container.pid, || (bind(80), bind(81)));
        let dns = world.inside(container.pid, || UdpSocket::bind((ALL, 5353)).unwrap());
        let gateway = Ipv4Addr::new(10, 213, 0, 1);
        let own = Ipv4Addr::new(10, 213, 0, 2);
        // From where, to what, and whom the container sees.
        let far = if nat == Nat::Forwarder {
            gateway
        } else {
            OTHER
        };
        let near = if nat == Nat::Forwarder { gateway } else { HOST };
        type Place<'a> = &'a dyn Fn(&mut dyn FnMut());
        let outside: Place<'_> = &|work| world.other(work);
        let here: Place<'_> = &|work| work();
        let beside: Place<'_> = &|work| world.inside(neighbour.pid, work);
        let itself: Place<'_> = &|work| world.inside(container.pid, work);
        for (from, to, seen) in [
            (outside, HOST, far),
            (here, HOST, near),
            (here, LOOPBACK, gateway),
            (here, Ipv4Addr::new(127, 0, 0, 9), gateway),
            (beside, HOST, gateway),
            (beside, gateway, gateway),
            (itself, HOST, gateway),
        ] {
            let peer = exchange(&http, (to, 8080), &|| {
                let mut answer = String::new();
                from(&mut || answer = ask((to, 8080), "question").unwrap());
                answer
            });
            assert_eq!(peer.ip(), seen, "{nat:?} {to}");
            let mut client = None;
            from(&mut || client = Some(UdpSocket::bind((ALL, 0)).unwrap()));
            let peer = exchange_datagrams(&dns, &client.unwrap(), (to, 5354));
            assert_eq!(peer.ip(), seen, "{nat:?} {to}, UDP");
        }
        // One address alone.
        let get = |to| world.other(|| ask(to, "question").unwrap());
        let peer = exchange(&other, (HOST, 8081), &|| get((HOST, 8081)));
        assert_eq!(peer.ip(), far);
        assert!(ask((LOOPBACK, 8081), "question").is_err());
        let peer = exchange(&http, (LOOPBACK, 8082), &|| {
            ask((LOOPBACK, 8082), "question").unwrap()
        });
        assert_eq!(peer.ip(), gateway);
        assert!(world.other(|| ask((HOST, 8082), "question")).is_err());
        // Its own ports, from beside.
        let peer = exchange(&http, (own, 80), &|| {
            world.inside(neighbour.pid, || ask((own, 80), "question").unwrap())
        });
        assert_eq!(peer.ip(), Ipv4Addr::new(10, 213, 0, 3));
        drop((http, other, dns));
        for outcome in [neighbour.terminate(), container.terminate()] {
            assert_eq!(outcome.line.network.unwrap().nat, nat);
            for (fallback, taken) in [
                (Fallback::Nftables, nat != Nat::Nftables),
                (Fallback::Iptables, nat == Nat::Forwarder),
            ] {
                let told = outcome.line.fallbacks.contains(&fallback);
                assert_eq!(told, taken, "{fallback:?} {nat:?}");
            }
        }
        world.assert_untouched();
        assert!(world.other(|| ask((HOST, 8080), "question")).is_err());
    }
}

fn the_way_out_is_under_the_hosts_address(rig: &Rig) {
    let Some(world) = World::new() else { return };
    for lacking in Lacking::ALL {
        let Some(nat) = world.translator(lacking) else {
            continue;
        };
        let listener = world.other(|| TcpListener::bind((OTHER, 80)).unwrap());
        let socket = world.other(|| UdpSocket::bind((OTHER, 53)).unwrap());
        let container = Container::start(rig, lacking, &bridged(rig, &json!([])));
        if nat == Nat::Forwarder {
            // Without a way out of its own nothing may leave under an address
            // that nobody can answer to.
            let soon = Duration::from_millis(300);
            let tried = world.inside(container.pid, || {
                TcpStream::connect_timeout(&(OTHER, 80).into(), soon)
            });
            assert!(tried.is_err());
            listener.set_nonblocking(true).unwrap();
            assert!(listener.accept().is_err());
        } else {
            let peer = exchange(&listener, (OTHER, 80), &|| {
                world.inside(container.pid, || ask((OTHER, 80), "question").unwrap())
            });
            assert_eq!(peer.ip(), HOST, "{nat:?}");
            let client = world.inside(container.pid, || UdpSocket::bind((ALL, 0)).unwrap());
            let peer = exchange_datagrams(&socket, &client, (OTHER, 53));
            assert_eq!(peer.ip(), HOST, "{nat:?}");
        }
        container.terminate();
        world.assert_untouched();
    }
}

fn containers_see_each_other_and_have_addresses_of_their_own(rig: &Rig) {
    let Some(world) = World::new() else { return };
    // All at once: each is in the others' way.
    let rigs: Vec<Rig> = (0..4).map(|_| Rig::new(rig.kernel).unwrap()).collect();
    let running: Vec<Running> = rigs
        .iter()
        .zip(9000..)
        .map(|(rig, host)| rig.start(&bridged(rig, &json!([port(ALL, host, 80, "tcp")]))))
        .collect();
    let containers: Vec<Container> = running
        .into_iter()
        .map(|mut running| {
            let mut line = String::new();
            let stdout = running.child.stdout.as_mut().unwrap();
            BufReader::new(stdout).read_line(&mut line).unwrap();
            assert_eq!(line, "waiting\n");
            let children = world::children(running.child.id());
            let pid = children.iter().find(|(_, name)| name == "probe").unwrap().0;
            Container { running, pid }
        })
        .collect();
    let mut addresses: Vec<Ipv4Addr> = Vec::new();
    for (container, host) in containers.iter().zip(9000..) {
        let listener = world.inside(container.pid, || TcpListener::bind((ALL, 80)).unwrap());
        exchange(&listener, (HOST, host), &|| {
            world.other(|| ask((HOST, host), "question").unwrap())
        });
        let own = world.inside(container.pid, || {
            let socket = UdpSocket::bind((ALL, 0)).unwrap();
            socket.connect((OTHER, 9)).unwrap();
            socket.local_addr().unwrap().ip()
        });
        addresses.push(own.to_string().parse().unwrap());
    }
    addresses.sort_unstable();
    let expected: Vec<Ipv4Addr> = (2..6).map(|last| Ipv4Addr::new(10, 213, 0, last)).collect();
    assert_eq!(addresses, expected);
    for container in containers {
        container.terminate();
    }
    world.assert_untouched();
}

fn a_port_somebody_has_is_named(rig: &Rig) {
    let Some(world) = World::new() else { return };
    let others = TcpListener::bind((HOST, 8081)).unwrap();
    let first = Container::start(
        rig,
        Lacking::Nothing,
        &bridged(rig, &json!([port(ALL, 8080, 80, "tcp")])),
    );
    let second = Rig::new(rig.kernel).unwrap();
    for host in [8080, 8081] {
        let config = bridged(&second, &json!([port(ALL, host, 80, "tcp")]));
        let outcome = second.run_config(&config);
        let Status::Trouble { errno, message, .. } = &outcome.line.status else {
            panic!("{outcome:?}");
        };
        assert_eq!(*errno, Some(libc::EADDRINUSE));
        let port = format!("publish the host's port 0.0.0.0:{host}/tcp: ");
        assert!(message.starts_with(&port), "{message}");
        assert_eq!(outcome.code, 125);
    }
    // The other transport's is another port, and it is free again afterwards.
    let config = bridged(&second, &json!([port(ALL, 8080, 80, "udp")]));
    Container::start(&second, Lacking::Nothing, &config).terminate();
    first.terminate();
    let config = bridged(&second, &json!([port(ALL, 8080, 80, "tcp")]));
    Container::start(&second, Lacking::Nothing, &config).terminate();
    drop(others);
    world.assert_untouched();
}

fn nothing_is_left_when_the_runtime_is_killed(rig: &Rig) {
    let Some(world) = World::new() else { return };
    for lacking in Lacking::ALL {
        if world.translator(lacking).is_none() {
            continue;
        }
        let ports = json!([port(ALL, 8080, 80, "tcp"), port(ALL, 5354, 53, "udp")]);
        let container = Container::start(rig, lacking, &bridged(rig, &ports));
        assert!(!world.is_untouched());
        container.running.kill();
        world.wait_untouched();
        let bound = TcpListener::bind((ALL, 8080));
        assert!(bound.is_ok(), "{bound:?}");
    }
}

fn the_next_one_clears_what_nobody_could(rig: &Rig) {
    let Some(world) = World::new() else { return };
    for lacking in Lacking::ALL {
        if world.translator(lacking).is_none() {
            continue;
        }
        let config = bridged(rig, &json!([port(ALL, 8080, 80, "tcp")]));
        let container = Container::start(rig, lacking, &config);
        let children = world::children(container.running.child.id());
        let keeper = children.iter().find(|(_, name)| name == "matrix-network");
        // SAFETY: a process of this test's: its parent lives and has not waited
        // for it.
        unsafe { libc::kill(keeper.unwrap().0 as i32, libc::SIGKILL) };
        container.running.kill();
        world::wait_gone(container.pid);
        assert!(!world.is_untouched());
        // The next has another port and must not keep the old one's.
        let config = bridged(rig, &json!([port(ALL, 8090, 90, "tcp")]));
        let container = Container::start(rig, lacking, &config);
        let listener = world.inside(container.pid, || TcpListener::bind((ALL, 90)).unwrap());
        exchange(&listener, (HOST, 8090), &|| {
            world.other(|| ask((HOST, 8090), "question").unwrap())
        });
        let refused = world.other(|| ask((HOST, 8080), "question"));
        assert!(refused.is_err(), "{refused:?}");
        container.terminate();
        world.assert_untouched();
    }
}

fn forwarding_that_was_on_stays_on(rig: &Rig) {
    let Some(world) = World::new() else { return };
    world.set_forwarding(true);
    let container = Container::start(rig, Lacking::Nothing, &bridged(rig, &json!([])));
    container.terminate();
    assert!(world.forwarding());
    world.set_forwarding(false);
    let container = Container::start(rig, Lacking::Nothing, &bridged(rig, &json!([])));
    assert!(world.forwarding() || world.translator(Lacking::Nothing) == Some(Nat::Forwarder));
    container.terminate();
    assert!(!world.forwarding());
    world.assert_untouched();
}

/// A host that forwards is a way for whoever knows it.
fn neighbours_are_kept_out(rig: &Rig) {
    let Some(world) = World::new() else { return };
    world.route_through_the_host();
    let own = Ipv4Addr::new(10, 213, 0, 2);
    let connect = |to: (Ipv4Addr, u16), patience| {
        world.other(|| TcpStream::connect_timeout(&to.into(), patience))
    };
    let soon = Duration::from_millis(300);
    let third = world.third(|| TcpListener::bind((ALL, 80)).unwrap());
    for lacking in Lacking::ALL {
        let Some(nat) = world.translator(lacking) else {
            continue;
        };
        let ports = json!([port(ALL, 8080, 80, "tcp")]);
        let container = Container::start(rig, lacking, &bridged(rig, &ports));
        let listen = |port| TcpListener::bind((ALL, port)).unwrap();
        let published = world.inside(container.pid, || listen(80));
        let _unpublished = world.inside(container.pid, || listen(81));
        for to in [(own, 81), (own, 80), (THIRD, 80)] {
            assert!(connect(to, soon).is_err(), "{nat:?} {to:?}");
        }
        exchange(&published, (HOST, 8080), &|| {
            world.other(|| ask((HOST, 8080), "question").unwrap())
        });
        container.terminate();
        world.assert_untouched();
    }
    // A host that forwarded before goes on doing so.
    world.set_forwarding(true);
    let container = Container::start(rig, Lacking::Nothing, &bridged(rig, &json!([])));
    connect((THIRD, 80), PATIENCE).unwrap();
    container.terminate();
    drop(third);
    world.set_forwarding(false);
}

/// /etc of the image is not its own affair alone: a link in it stays inside.
fn dockers_door_gives_names(rig: &Rig) {
    let Some(world) = World::new() else { return };
    fs::create_dir_all(rig.inside("etc")).unwrap();
    fs::create_dir_all(rig.inside("run")).unwrap();
    std::os::unix::fs::symlink("/run/resolver", rig.inside("etc/resolv.conf")).unwrap();
    fs::write(rig.inside("etc/hosts"), "the image's\n").unwrap();
    let volume = rig.outside("name");
    fs::write(&volume, "given\n").unwrap();
    let kernel = rig.kernel;
    let read = |options: &[&str], path: &str| {
        let mut runtime = Command::new(env!("CARGO_BIN_EXE_runtime"));
        runtime.arg("run").arg("--rootfs").arg(rig.inside(""));
        runtime.args(options).args(["--hostname", "named"]);
        runtime.args(["--", "probe", "read", path]);
        // SAFETY: prctl is async-signal-safe.
        unsafe { runtime.pre_exec(move || kernel.enter()) };
        let output = runtime.output().unwrap();
        assert!(output.status.success(), "{options:?}: {output:?}");
        assert_eq!(output.stderr, b"", "{options:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let hosts = read(&["--network", "bridge"], "/etc/hosts");
    assert!(hosts.ends_with("\n10.213.0.2\tnamed\n"), "{hosts}");
    assert!(hosts.contains("127.0.0.1\tlocalhost\n"), "{hosts}");
    // A port asks for the bridge, too.
    let name = read(&["-p", "8080:80"], "/etc/hostname");
    assert_eq!(name, "6 bytes\nnamed\n");
    assert!(read(&["-p", "8080:80"], "/etc/resolv.conf").contains("bytes\n"));
    assert!(rig.inside("run/resolver").is_file());
    let given = format!("{}:/etc/hostname", volume.display());
    let name = read(&["-p", "8080:80", "-v", &given], "/etc/hostname");
    assert_eq!(name, "6 bytes\ngiven\n");
    let hosts = read(&["--network", "none"], "/etc/hosts");
    assert_eq!(hosts, "12 bytes\nthe image's\n");
    world.assert_untouched();
    let left = fs::read_dir("/run").unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        let name = name.to_string_lossy();
        name.strip_prefix("matrix-network-")
            .is_some_and(|pid| !fs::exists(format!("/proc/{pid}")).unwrap())
    });
    assert_eq!(left.count(), 0);
}

fn a_kernel_without_veth_is_named(rig: &Rig) {
    let Some(world) = World::new() else { return };
    // A bridge's name that something else has.
    world.make_dummy("matrix0");
    let outcome = rig.run_config(&bridged(rig, &json!([])));
    let Status::Trouble { message, .. } = &outcome.line.status else {
        panic!("{outcome:?}");
    };
    assert!(message.contains("matrix0, which is no bridge"), "{message}");
}
