//! Docker's 14 capabilities, and what lies outside them.

use super::rig::{Probing, Rig, expect};

/// CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP,
/// NET_BIND_SERVICE, NET_RAW, SYS_CHROOT, MKNOD, AUDIT_WRITE, SETFCAP.
const DOCKER: u64 = 0xa804_25fb;

pub(super) fn probe(rig: &Rig) -> Probing {
    let bundle = rig.bundle(
        "bundle",
        &[
            "status CapEff",
            "status CapBnd",
            "status CapInh",
            "write /file x",
            "chown /file 7 7",
            "mknod /node 1 3",
            "raw-socket",
            "sethostname x",
            "mount-tmpfs /tmp",
            "pause",
        ],
    )?;
    let mut container = rig.start(&bundle)?;
    let said = container.pause()?.clone();
    let process = container.process()?;
    for (field, wanted) in [("CapEff", DOCKER), ("CapBnd", DOCKER), ("CapInh", 0)] {
        let inside = said.done(&format!("status {field}"))?;
        let outside = process.status(field)?.unwrap_or_default();
        rig.outside(format_args!("{field} {outside}"));
        for (side, text) in [("inside", inside), ("outside", outside.as_str())] {
            expect(u64::from_str_radix(text, 16) == Ok(wanted), || {
                format!("{side}, {field} is {text}, not {wanted:016x}")
            })?;
        }
    }
    said.done("chown /file 7 7")?;
    said.done("mknod /node 1 3")?;
    said.done("raw-socket")?;
    said.refused("sethostname x", &["EPERM"])?;
    said.refused("mount-tmpfs /tmp", &["EPERM"])?;
    container.end()?;
    Ok(())
}
