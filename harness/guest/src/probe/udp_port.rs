//! A UDP port of the machine, answered from inside.

use std::net::UdpSocket;

use serde_json::json;

use super::rig::container::succeeded;
use super::rig::network::{self, MACHINE, OTHER, Other, PATIENCE};
use super::rig::{Probing, Rig, Stop, expect, trouble};

const OUTSIDE: u16 = 5354;
const INSIDE: u16 = 5353;

pub(super) fn probe(rig: &Rig) -> Probing {
    let other = Other::new()?;
    let bind = format!("bind {INSIDE}");
    let mut bundle = rig.bundle("bundle", &[&bind, "interfaces", "pause", "echo"])?;
    bundle.bridge(&json!([
        { "address": "0.0.0.0", "host": OUTSIDE, "container": INSIDE, "protocol": "udp" }
    ]));
    let mut container = rig.start(&bundle)?;
    let said = container.pause()?;
    network::connected(said)?;
    said.done(&bind)?;
    container.resume()?;
    let socket = other.there(|| {
        let socket = UdpSocket::bind((OTHER, 0)).map_err(trouble("bind"))?;
        socket
            .connect((MACHINE, OUTSIDE))
            .map_err(trouble("connect"))?;
        Ok(socket)
    })?;
    socket
        .set_read_timeout(Some(PATIENCE))
        .map_err(trouble("socket"))?;
    socket.send(b"a datagram").map_err(trouble("send"))?;
    let mut answer = [0; 100];
    // A connected socket takes datagrams of that address and port only.
    let length = socket.recv(&mut answer).map_err(|error| {
        Stop::Failed(format!(
            "no answer to a datagram to {MACHINE}:{OUTSIDE}: {error}"
        ))
    })?;
    let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
    rig.outside(format_args!("{MACHINE}:{OUTSIDE} answers {answer:?}"));
    let (said, status) = container.end()?;
    succeeded(&status)?;
    said.done("echo")?;
    expect(answer == "inside: a datagram", || {
        format!("the answer was {answer:?}")
    })
}
