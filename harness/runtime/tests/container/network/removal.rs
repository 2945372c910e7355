//! What is taken, and that all of it is given back, whoever is killed.

use std::net::TcpListener;

use runtime::network::Nat;
use runtime::status::Status;
use serde_json::json;

use super::lacking::Lacking;
use super::world::{self, HOST, World};
use super::{ALL, Container, ask, bridged, exchange, port};
use crate::on_both_kernels;
use crate::rig::Rig;

on_both_kernels![
    a_port_somebody_has_is_named,
    nothing_is_left_when_the_runtime_is_killed,
    the_next_one_clears_what_nobody_could,
    forwarding_that_was_on_stays_on,
    a_bridges_name_that_is_none_is_left_alone,
];

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

fn a_bridges_name_that_is_none_is_left_alone(rig: &Rig) {
    let Some(world) = World::new() else { return };
    // A bridge's name that something else has.
    world.make_dummy("matrix0");
    let outcome = rig.run_config(&bridged(rig, &json!([])));
    let Status::Trouble { message, .. } = &outcome.line.status else {
        panic!("{outcome:?}");
    };
    assert!(message.contains("matrix0, which is no bridge"), "{message}");
}
