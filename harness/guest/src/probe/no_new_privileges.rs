//! `process.noNewPrivileges`, and what a set-user-ID program gives with and
//! without it.

use super::rig::{Probing, Rig, expect};

const UID: u32 = 1000;

pub(super) fn probe(rig: &Rig) -> Probing {
    for (flag, euid) in [(false, 0), (true, UID)] {
        let mut bundle = rig.bundle(
            if flag { "with" } else { "without" },
            &["id", "run /set-uid id", "status NoNewPrivs", "pause"],
        )?;
        bundle.program("set-uid", 0o4755)?;
        bundle.config["process"]["user"]["uid"] = UID.into();
        bundle.config["process"]["user"]["gid"] = UID.into();
        bundle.config["process"]["noNewPrivileges"] = flag.into();
        let mut container = rig.start(&bundle)?;
        let said = container.pause()?.clone();
        expect(said.field("id", "uid")? == UID.to_string(), || {
            "the program does not run as uid 1000".to_owned()
        })?;
        let given = said.field("run /set-uid id", "euid")?;
        // Linux 4.10 shows it.
        let shown = container.process()?.status("NoNewPrivs")?;
        rig.outside(format_args!(
            "asked for {flag}: NoNewPrivs {}",
            shown.as_deref().unwrap_or("not told by this kernel")
        ));
        expect(given == euid.to_string(), || {
            format!("with the flag {flag} a set-user-ID program runs as {given}, not {euid}")
        })?;
        expect(
            shown.is_none_or(|shown| shown == u8::from(flag).to_string()),
            || "outside, the flag is not the one asked for".to_owned(),
        )?;
        container.succeed()?;
    }
    Ok(())
}
