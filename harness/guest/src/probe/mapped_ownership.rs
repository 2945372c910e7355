//! Owners of files under a user namespace's mapping.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use super::rig::container::succeeded;
use super::rig::{MAPPED, Probing, Rig, expect, trouble};

/// What an id without a mapping is shown as: /proc/sys/kernel/overflowuid.
const NOBODY: u64 = 65534;

pub(super) fn probe(rig: &Rig) -> Probing {
    let folder = rig.folder("volume")?;
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).map_err(trouble("volume"))?;
    let file = |name: &str| folder.join(name);
    for (name, owner) in [("root", 0), ("thousand", MAPPED + 1000)] {
        fs::write(file(name), name).map_err(trouble(name))?;
        chown(file(name), Some(owner), Some(owner)).map_err(trouble(name))?;
    }
    let mut bundle = rig.bundle(
        "bundle",
        &[
            "stat /data/root",
            "stat /data/thousand",
            "write /data/new x",
            "write /data/given x",
            "chown /data/given 7 8",
            "chown /data/root 0 0",
        ],
    )?;
    let source = folder.display().to_string();
    bundle.mount("/data", "bind", &source, &["rbind", "rw"]);
    bundle.map_users()?;
    let container = rig.start(&bundle)?;
    let (said, status) = container.end()?;
    succeeded(&status)?;
    rig.outside(format_args!(
        "made root as 0 and thousand as {}",
        MAPPED + 1000
    ));
    for (verb, owner) in [("stat /data/root", NOBODY), ("stat /data/thousand", 1000)] {
        let seen = said.number(verb, "uid")?;
        expect(seen == owner, || {
            format!("inside, `{verb}` says uid {seen}, not {owner}")
        })?;
    }
    said.refused("chown /data/root 0 0", &["EPERM"])?;
    for (name, uid, gid) in [("new", MAPPED, MAPPED), ("given", MAPPED + 7, MAPPED + 8)] {
        let seen = fs::metadata(file(name)).map_err(trouble(name))?;
        rig.outside(format_args!("{name} is of {}:{}", seen.uid(), seen.gid()));
        expect((seen.uid(), seen.gid()) == (uid, gid), || {
            format!(
                "outside, {name} is of {}:{}, not {uid}:{gid}",
                seen.uid(),
                seen.gid()
            )
        })?;
    }
    Ok(())
}
