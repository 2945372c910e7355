//! A network namespace: its own loopback, and nobody else's.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use super::rig::{Probing, Rig, expect, trouble};

pub(super) fn probe(rig: &Rig) -> Probing {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 7001)).map_err(trouble("listen"))?;
    let bundle = rig.bundle(
        "bundle",
        &[
            "interfaces",
            "connect 127.0.0.1:7001",
            "listen 7002",
            "connect 127.0.0.1:7002",
            "pause",
        ],
    )?;
    let mut container = rig.start(&bundle)?;
    let said = container.pause()?.clone();
    let interfaces = said.done("interfaces")?;
    expect(interfaces.split(' ').any(|word| word == "lo=up"), || {
        format!("the loopback interface inside is not up: {interfaces}")
    })?;
    said.refused("connect 127.0.0.1:7001", &["ECONNREFUSED"])?;
    said.done("listen 7002")?;
    said.done("connect 127.0.0.1:7002")?;
    let own =
        TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, 7001).into(), Duration::from_secs(5));
    let its =
        TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, 7002).into(), Duration::from_secs(5));
    rig.outside(format_args!(
        "port 7001 answers: {}; port 7002 answers: {}",
        own.is_ok(),
        its.is_ok()
    ));
    expect(its.is_err(), || {
        "outside reaches what listens on the container's loopback".to_owned()
    })?;
    own.map_err(trouble("connect to the machine's own listener"))?;
    drop(listener);
    let process = container.process()?;
    let (its, ours) = process.namespaces("net")?;
    rig.outside(format_args!(
        "the process is in {its}; the machine's is {ours}"
    ));
    expect(its != ours, || {
        "the process is in the machine's network namespace".to_owned()
    })?;
    container.succeed()
}
