//! What goes from where to where, and whom it seems to be from.

use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use runtime::fallback::Fallback;
use runtime::network::Nat;
use serde_json::json;

use super::lacking::Lacking;
use super::world::{self, HOST, OTHER, THIRD, World};
use super::{ALL, Container, LOOPBACK, PATIENCE, ask, bridged, exchange, exchange_datagrams, port};
use crate::on_all_kernels;
use crate::rig::{Rig, Running, give, map_users, skip};

on_all_kernels![
    published_ports_reach_the_container,
    the_way_out_is_under_the_hosts_address,
    containers_see_each_other_and_have_addresses_of_their_own,
    neighbours_are_kept_out,
    packets_fit_the_way_out,
    who_goes_on_asking_finds_the_next_container,
    a_user_namespace_makes_no_difference,
];

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
    let containers: Vec<Container> = running.into_iter().map(Container::came_up).collect();
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

fn packets_fit_the_way_out(rig: &Rig) {
    let Some(world) = World::new() else { return };
    world.default_route();
    for (way_out, inside) in [(1420, 1420), (9000, 1500)] {
        world.set_mtu(way_out);
        let container = Container::start(rig, Lacking::Nothing, &bridged(rig, &json!([])));
        let seen = world.inside(container.pid, || world::mtu("eth0"));
        assert_eq!((seen, world::mtu("matrix0")), (inside, inside));
        container.terminate();
        world.assert_untouched();
    }
}

/// One socket, and so one connection as the kernel remembers it.
fn who_goes_on_asking_finds_the_next_container(rig: &Rig) {
    let Some(world) = World::new() else { return };
    if !world::has_conntrack() {
        skip("this kernel does not show the connections it remembers");
        return;
    }
    let config = bridged(rig, &json!([port(ALL, 5354, 5353, "udp")]));
    let bind = || UdpSocket::bind((ALL, 5353)).unwrap();
    let client = world.other(|| UdpSocket::bind((OTHER, 4000)).unwrap());
    let first = Container::start(rig, Lacking::Nothing, &config);
    let server = world.inside(first.pid, bind);
    exchange_datagrams(&server, &client, (HOST, 5354));
    drop(server);
    first.terminate();
    // The first's address is another's now, who listens there, too.
    let other = Rig::new(rig.kernel).unwrap();
    let other = Container::start(&other, Lacking::Nothing, &bridged(&other, &json!([])));
    let _wrong = world.inside(other.pid, bind);
    let next = Container::start(rig, Lacking::Nothing, &config);
    let server = world.inside(next.pid, bind);
    exchange_datagrams(&server, &client, (HOST, 5354));
    next.terminate();
    other.terminate();
    world.assert_untouched();
}

/// The network namespace belongs to the container's users; what joins it to the
/// host is made by the host's.
fn a_user_namespace_makes_no_difference(rig: &Rig) {
    const FIRST: u32 = 100_000;
    let Some(world) = World::new() else { return };
    if let Some(what) = rig.lacks_user_namespaces() {
        skip(&what);
        return;
    }
    give(&rig.inside(""), FIRST);
    for lacking in Lacking::ALL {
        let Some(nat) = world.translator(lacking) else {
            continue;
        };
        let mut config = bridged(rig, &json!([port(ALL, 8080, 80, "tcp")]));
        map_users(&mut config, FIRST, 65_536);
        let container = Container::start(rig, lacking, &config);
        let listener = world.inside(container.pid, || TcpListener::bind((ALL, 80)).unwrap());
        let peer = exchange(&listener, (HOST, 8080), &|| {
            world.other(|| ask((HOST, 8080), "question").unwrap())
        });
        assert_eq!(peer.ip() == OTHER, nat != Nat::Forwarder, "{nat:?}");
        drop(listener);
        container.terminate();
        world.assert_untouched();
    }
}
