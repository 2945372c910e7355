//! From inside to another network, through the machine's address.

use std::net::TcpListener;

use serde_json::json;

use super::rig::container::{came_up, succeeded};
use super::rig::network::{self, MACHINE, OTHER, Other};
use super::rig::{Probing, Rig, Stop, expect, trouble};

const PORT: u16 = 8080;

pub(super) fn probe(rig: &Rig) -> Probing {
    let other = Other::new()?;
    let listener = other.there(|| TcpListener::bind((OTHER, PORT)).map_err(trouble("listen")))?;
    let verb = format!("get {OTHER}:{PORT} /from-inside");
    let mut bundle = rig.bundle("bundle", &["interfaces", "pause", &verb])?;
    bundle.bridge(&json!([]));
    let mut container = rig.start(&bundle)?;
    network::connected(container.pause()?)?;
    container.resume()?;
    let asked = network::answer(&listener, "outside-answers")?;
    let (said, status) = container.end()?;
    came_up(&status)?;
    let Some((peer, request)) = asked else {
        let answer = said.of(&verb)?;
        return Err(Stop::Failed(format!(
            "no request came to the other network; inside: {answer}"
        )));
    };
    rig.outside(format_args!("{request} came from {peer}"));
    succeeded(&status)?;
    expect(said.done(&verb)? == "outside-answers", || {
        "the answer did not come back whole".to_owned()
    })?;
    expect(peer.ip() == MACHINE, || {
        format!("the other network saw {peer}, not the machine's {MACHINE}")
    })
}
