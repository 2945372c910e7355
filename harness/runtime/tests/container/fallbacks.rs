//! Every second way, taken: what a filter for system calls cannot take away from
//! this machine's kernel is answered for it (`EINVAL` to a flag) or hidden (what is
//! not mounted). One that is in no test here is a mistake the compiler finds.

use std::fs;
use std::io;

use runtime::fallback::Fallback;
use runtime::layer::Kind;
use serde_json::{Value, json};

use crate::kernel::{Filter, Kernel};
use crate::rig::{Outcome, Rig, bind, give, map_users, push, skip};

/// How a fallback is shown to be taken, and to do.
enum Shown {
    /// By a container under this filter, after this change to its surroundings.
    Here {
        lacks: Filter,
        surroundings: Option<fn() -> io::Result<()>>,
        config: fn(&Rig) -> Value,
        holds: fn(&Outcome),
    },
    /// By a test of its own.
    In(&'static str),
}

fn shown(fallback: Fallback) -> Shown {
    let filtered = |lacks: Filter, config, holds| Shown::Here {
        lacks,
        surroundings: None,
        config,
        holds,
    };
    let none = Filter::default();
    match fallback {
        Fallback::Openat2 => filtered(none.call(libc::SYS_openat2, libc::ENOSYS), plain, fine),
        Fallback::CloseRange => filtered(
            none.call(libc::SYS_close_range, libc::ENOSYS),
            plain,
            no_descriptors,
        ),
        Fallback::CgroupNamespace => filtered(
            none.bits(
                libc::SYS_unshare,
                0,
                libc::CLONE_NEWCGROUP as u32,
                libc::EINVAL,
            ),
            plain,
            fine,
        ),
        Fallback::AmbientCapabilities => filtered(
            none.value(
                libc::SYS_prctl,
                0,
                libc::PR_CAP_AMBIENT as u32,
                libc::EINVAL,
            ),
            ambient,
            |outcome| assert_eq!(outcome.value("CapAmb"), ["0000000000000000"]),
        ),
        // As if the kernel ended at CAP_AUDIT_READ, 37: it knows none of those after it.
        Fallback::NewerCapability => filtered(
            none.value(libc::SYS_prctl, 1, 38, libc::EINVAL)
                .value(libc::SYS_prctl, 1, 39, libc::EINVAL)
                .value(libc::SYS_prctl, 1, 40, libc::EINVAL),
            newer_capability,
            // What this machine's kernel has above those was not taken away.
            |outcome| assert!(outcome.value("CapEff")[0].ends_with("a80425fb")),
        ),
        Fallback::NoCgroups => Shown::Here {
            lacks: none,
            surroundings: Some(no_cgroups),
            config: list_cgroups,
            holds: |outcome| assert_eq!(outcome.said(), ""),
        },
        Fallback::InitialRoot => Shown::In("initial_root"),
        Fallback::UnknownSystemCall => filtered(none, unknown_call, fine),
        Fallback::SeccompLog | Fallback::SeccompFlags => filtered(
            none.call(libc::SYS_seccomp, libc::ENOSYS),
            logging,
            |outcome| assert_eq!(outcome.said(), "0"),
        ),
        Fallback::MemfdCreate => {
            filtered(none.call(libc::SYS_memfd_create, libc::ENOSYS), plain, fine)
        }
        Fallback::MountSetattr => filtered(
            none.call(libc::SYS_mount_setattr, libc::ENOSYS),
            readonly_volume,
            |outcome| assert_eq!(outcome.said(), "EROFS"),
        ),
        // The runtime mounts silently what it can do without.
        Fallback::NoMessageQueues => filtered(
            none.bits(libc::SYS_mount, 3, libc::MS_SILENT as u32, libc::ENODEV),
            list_mqueue,
            // The mount point, with nothing on it.
            |outcome| assert_eq!(outcome.said(), ""),
        ),
        Fallback::BoundSysfs => filtered(none, no_network_namespace, fine),
        // By a unit test, on plain files: this machine's cgroups are as they are.
        Fallback::NoSwapLimit => Shown::In("../../src/cgroup"),
        Fallback::Nftables | Fallback::Iptables => Shown::In("network/traffic"),
    }
}

#[test]
fn every_fallback_is_taken_and_does() {
    for fallback in Fallback::ALL {
        let Shown::Here {
            lacks,
            surroundings,
            config,
            holds,
        } = shown(fallback)
        else {
            continue;
        };
        let Some(mut rig) = Rig::new(Kernel::This) else {
            return;
        };
        rig.lacks = lacks;
        rig.surroundings = surroundings;
        let outcome = rig.run_config(&config(&rig));
        assert!(
            outcome.line.fallbacks.contains(&fallback),
            "{fallback:?}: {outcome:?}"
        );
        holds(&outcome);
    }
}

#[test]
fn those_shown_elsewhere_are_there() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/container");
    for fallback in Fallback::ALL {
        if let Shown::In(place) = shown(fallback) {
            let text = fs::read_to_string(format!("{folder}/{place}.rs")).unwrap();
            let name = format!("Fallback::{fallback:?}");
            assert!(text.contains(&name), "{name} in {place}.rs");
        }
    }
}

fn plain(rig: &Rig) -> Value {
    rig.config(&["probe", "report"])
}

fn fine(outcome: &Outcome) {
    assert_eq!(outcome.value("uid"), ["0 0"]);
}

fn no_descriptors(outcome: &Outcome) {
    assert_eq!(outcome.value("descriptors"), ["0 1 2"]);
}

fn ambient(rig: &Rig) -> Value {
    let mut config = plain(rig);
    config["process"]["user"]["uid"] = json!(1000);
    for set in ["ambient", "inheritable"] {
        config["process"]["capabilities"][set] = json!(["CAP_NET_BIND_SERVICE"]);
    }
    config
}

fn newer_capability(rig: &Rig) -> Value {
    let mut config = plain(rig);
    for set in ["bounding", "effective", "permitted"] {
        push(
            &mut config["process"]["capabilities"],
            set,
            json!("CAP_PERFMON"),
        );
    }
    config
}

fn list_cgroups(rig: &Rig) -> Value {
    rig.config(&["probe", "list", "/sys/fs/cgroup"])
}

fn list_mqueue(rig: &Rig) -> Value {
    rig.config(&["probe", "list", "/dev/mqueue"])
}

fn unknown_call(rig: &Rig) -> Value {
    let mut config = plain(rig);
    config["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["of_linux_99"], "action": "SCMP_ACT_ERRNO"}]});
    config
}

fn logging(rig: &Rig) -> Value {
    let mut config = rig.config(&["probe", "call", &libc::SYS_getppid.to_string()]);
    config["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW",
        "flags": ["SECCOMP_FILTER_FLAG_LOG"],
        "syscalls": [{"names": ["getppid"], "action": "SCMP_ACT_LOG"}]});
    config
}

fn readonly_volume(rig: &Rig) -> Value {
    let mut config = rig.config(&["probe", "write", "/volume/x"]);
    let volume = rig.outside("volume");
    fs::create_dir(&volume).unwrap();
    push(
        &mut config,
        "mounts",
        bind(&volume, "/volume", &["rbind", "rro"]),
    );
    config
}

fn no_network_namespace(rig: &Rig) -> Value {
    give(&rig.inside(""), 100_000);
    let mut config = plain(rig);
    map_users(&mut config, 100_000, 65_536);
    if let Some(list) = config["linux"]["namespaces"].as_array_mut() {
        list.retain(|namespace| namespace["type"] != json!("network"));
    }
    config
}

/// As on a machine that mounts none.
fn no_cgroups() -> io::Result<()> {
    // SAFETY: the string outlives the call.
    match unsafe { libc::umount2(c"/sys/fs/cgroup".as_ptr(), libc::MNT_DETACH) } {
        0 => Ok(()),
        _ => match io::Error::last_os_error() {
            // There is none.
            error if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
            error => Err(error),
        },
    }
}

/// /proc with nothing but processes in it, an empty /sys: no setting of the
/// kernel's can be read, no security module's file, no cgroup by its path.
fn bare() -> io::Result<()> {
    // SAFETY: the strings outlive the calls.
    let answers = unsafe {
        [
            libc::mount(
                c"proc".as_ptr(),
                c"/proc".as_ptr(),
                c"proc".as_ptr(),
                0,
                c"subset=pid".as_ptr().cast(),
            ),
            libc::umount2(c"/sys".as_ptr(), libc::MNT_DETACH),
        ]
    };
    if answers == [0, 0] {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[test]
fn files_of_proc_and_sys_may_be_missing() {
    for kernel in [Kernel::This, Kernel::Old] {
        let Some(mut rig) = Rig::new(kernel) else {
            return;
        };
        rig.surroundings = Some(bare);
        let config = plain(&rig);
        let started = rig.try_config(&config);
        let outcome = match started {
            Ok(outcome) => outcome,
            // subset= came with Linux 5.8.
            Err(error) => return skip(&format!("no bare /proc: {error}")),
        };
        fine(&outcome);
        assert_eq!(outcome.value("CapEff"), ["00000000a80425fb"]);
    }
}

/// A writable layer without overlayfs: the kernel is made to have none for who
/// asks for it silently, in a process that does nothing else.
#[test]
fn a_layer_without_overlayfs_is_a_copy() {
    let Some(rig) = Rig::new(Kernel::This) else {
        return;
    };
    for (errno, name) in [
        (libc::ENODEV, "ENODEV"),
        (libc::EPERM, "EPERM"),
        (libc::EINVAL, "EINVAL"),
    ] {
        let (lower, scratch) = (rig.inside(""), rig.outside(name));
        let lacks = Filter::default().bits(libc::SYS_mount, 3, libc::MS_SILENT as u32, errno);
        let mut lacks = lacks.finished();
        // A filter is for good, and its thread ends with it.
        let kind = std::thread::spawn(move || {
            lacks.enter().unwrap();
            let layer = runtime::layer::make(&lower, &scratch).unwrap();
            let kind = layer.kind.clone();
            let copied = fs::metadata(layer.path.join("bin/probe")).unwrap().len();
            layer.remove().unwrap();
            (kind, copied)
        });
        let (kind, copied) = kind.join().unwrap();
        assert!(
            matches!(kind, Kind::Copy { errno: told, .. } if told == errno),
            "{kind:?}"
        );
        assert!(copied > 0);
    }
}
