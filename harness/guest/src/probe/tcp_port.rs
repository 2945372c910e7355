//! A port of the machine, answered from inside.

use std::net::SocketAddr;

use serde_json::json;

use super::rig::container::succeeded;
use super::rig::network::{self, MACHINE, Other};
use super::rig::{Probing, Rig, expect};

const OUTSIDE: u16 = 8081;
const INSIDE: u16 = 8080;

pub(super) fn probe(rig: &Rig) -> Probing {
    let other = Other::new()?;
    let listen = format!("listen {INSIDE}");
    let mut bundle = rig.bundle(
        "bundle",
        &[
            &listen,
            "interfaces",
            "pause",
            "serve first",
            "serve second",
        ],
    )?;
    bundle.bridge(&json!([
        { "address": "0.0.0.0", "host": OUTSIDE, "container": INSIDE, "protocol": "tcp" }
    ]));
    let mut container = rig.start(&bundle)?;
    let said = container.pause()?;
    network::connected(said)?;
    said.done(&listen)?;
    container.resume()?;
    let address = SocketAddr::from((MACHINE, OUTSIDE));
    let far = other.there(|| Ok(network::get(address, "/far")))?;
    rig.outside(format_args!(
        "GET {address} from the other network: {far:?}"
    ));
    let far = far.map_err(network::failed("from the other network"))?;
    let near = network::get(address, "/near");
    rig.outside(format_args!("GET {address} from the machine: {near:?}"));
    let near = near.map_err(network::failed("from the machine itself"))?;
    let (said, status) = container.end()?;
    succeeded(&status)?;
    expect(far == "first" && near == "second", || {
        format!("the answers were {far:?} and {near:?}")
    })?;
    for (verb, path) in [("serve first", "/far"), ("serve second", "/near")] {
        let request = said.field(verb, "path")?;
        expect(request == path, || {
            format!("inside, {verb} was asked for {request}, not {path}")
        })?;
    }
    let gone = other.there(|| Ok(network::refused(address)))?;
    rig.outside(format_args!("once the container is gone: {gone:?}"));
    gone.map_err(network::failed("once the container is gone"))
}
