//! A user namespace: root inside, nobody in particular outside.

use super::rig::{MAPPED, Probing, Rig, expect};

pub(super) fn probe(rig: &Rig) -> Probing {
    let own = std::process::id();
    let mut bundle = rig.bundle(
        "bundle",
        &[
            "id",
            "read /proc/self/uid_map",
            "chown /probe-inside 1 1",
            "chown /proc/sys/kernel/hostname 0 0",
            "status CapEff",
            "pause",
        ],
    )?;
    bundle.map_users()?;
    let mut container = rig.start(&bundle)?;
    let said = container.pause()?.clone();
    expect(said.field("id", "uid")? == "0", || {
        "the program is not root inside".to_owned()
    })?;
    let map: Vec<&str> = said.done("read /proc/self/uid_map")?.split(' ').collect();
    let map: Vec<&str> = map.into_iter().filter(|word| !word.is_empty()).collect();
    expect(map == ["0", "100000", "65536"], || {
        format!("the map inside is {}", map.join(" "))
    })?;
    said.done("chown /probe-inside 1 1")?;
    said.refused("chown /proc/sys/kernel/hostname 0 0", &["EPERM", "EROFS"])?;
    let process = container.process()?;
    let (its, ours) = process.namespaces("user")?;
    let uid = process.status("Uid")?.unwrap_or_default();
    rig.outside(format_args!(
        "uid {uid}, in {its}; probe {own} is in {ours}"
    ));
    expect(its != ours, || {
        "the process is in the machine's user namespace".to_owned()
    })?;
    expect(uid == [MAPPED.to_string().as_str(); 4].join(" "), || {
        format!("outside, the process has the uids {uid}")
    })?;
    container.succeed()
}
