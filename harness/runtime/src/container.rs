//! The container's first process, from fork to execve. It is PID 1 of its
//! namespace from its first instruction on.

use std::path::Path;

use rustix::process::{setsid, umask};
use rustix::system::{setdomainname, sethostname};

use crate::bundle::{Bundle, Namespace};
use crate::failure::{Failure, Step};
use crate::fallback::Fallbacks;
use crate::handshake::{Inside, Message, Stage};
use crate::mount::cgroup::Cgroups;
use crate::{descriptor, device, init, namespace, root, signal};

/// Makes the container around this process and becomes its program. Returns
/// only when that failed and the runtime has been told; false if not even that
/// could be done.
pub(crate) fn start(bundle: &Bundle, mut runtime: Inside) -> bool {
    let fallbacks = Fallbacks::default();
    let failure = match set_up(bundle, &mut runtime, &fallbacks) {
        Err(failure) => failure,
        Ok(()) => {
            let ready = Message::Ready {
                fallbacks: fallbacks.list(),
            };
            if bundle.init {
                match init::split() {
                    Ok(init::Side::Program) => {}
                    // Not the runtime's: its end must be seen when execve closes
                    // the program's.
                    Ok(init::Side::Init(program)) => {
                        drop(runtime);
                        init::reap(program)
                    }
                    Err(failure) => return failed(&mut runtime, failure, &fallbacks),
                }
            }
            if !runtime.tell(&ready) {
                return false;
            }
            bundle.program.start()
        }
    };
    failed(&mut runtime, failure, &fallbacks)
}

fn failed(runtime: &mut Inside, failure: Failure, fallbacks: &Fallbacks) -> bool {
    let failed = Message::Failed {
        status: failure.into(),
        fallbacks: fallbacks.list(),
    };
    runtime.tell(&failed)
}

fn set_up(bundle: &Bundle, runtime: &mut Inside, fallbacks: &Fallbacks) -> Result<(), Failure> {
    runtime.die_with_runtime()?;
    // Before the root is changed: it may need the machine's /proc. What is
    // opened from here on is opened with O_CLOEXEC, and closed by the time the
    // container's own paths are followed.
    descriptor::close_others(runtime.descriptors(), fallbacks)?;
    if bundle.has_part_outside(Stage::Born) {
        runtime.wait_at(Stage::Born)?;
    }
    if let Some(score) = bundle.oom_score {
        let path = Path::new("/proc/self/oom_score_adj");
        std::fs::write(path, score.to_string())
            .map_err(descriptor::errno_of)
            .on("write", path)?;
    }
    setsid().step(|| "setsid".to_owned())?;
    umask(rustix::fs::Mode::empty());
    let cgroups = enter_namespaces(bundle, fallbacks)?;
    if bundle.has_part_outside(Stage::Namespaces) {
        runtime.wait_at(Stage::Namespaces)?;
    }
    make_root(bundle, &cgroups, fallbacks)?;
    if let Some(name) = &bundle.hostname {
        sethostname(name.as_bytes()).step(|| format!("set the host name {name}"))?;
    }
    if let Some(name) = &bundle.domainname {
        setdomainname(name.as_bytes()).step(|| format!("set the domain name {name}"))?;
    }
    umask(bundle.umask);
    bundle.credentials.assume(fallbacks, || {
        // A change of ids has taken it away.
        runtime.die_with_runtime()?;
        signal::reset()?;
        match &bundle.seccomp {
            Some(filter) => filter.install(fallbacks),
            None => Ok(()),
        }
    })
}

fn enter_namespaces(bundle: &Bundle, fallbacks: &Fallbacks) -> Result<Cgroups, Failure> {
    let shown = bundle.mounts.iter().any(|mount| mount.is_cgroup());
    let mut cgroups = if shown {
        Cgroups::read()?
    } else {
        Cgroups::default()
    };
    for kind in &bundle.namespaces {
        // The PID namespace is where this process was born.
        if *kind != Namespace::Pid {
            let entered = namespace::enter(*kind, fallbacks)?;
            if *kind == Namespace::Cgroup {
                cgroups.private = entered;
            }
        }
    }
    Ok(cgroups)
}

fn make_root(bundle: &Bundle, cgroups: &Cgroups, fallbacks: &Fallbacks) -> Result<(), Failure> {
    let tree = root::prepare(&bundle.root, bundle.propagation, fallbacks)?;
    for mount in &bundle.mounts {
        mount.make(&tree, cgroups, fallbacks)?;
    }
    let is_dev = |mount: &&crate::mount::MountPoint| mount.destination == Path::new("/dev");
    // Whoever binds a /dev wants that one, as it is.
    if !bundle
        .mounts
        .iter()
        .filter(is_dev)
        .any(|mount| mount.is_bind())
    {
        device::populate(&tree, &bundle.devices)?;
    }
    root::pivot(&bundle.root, tree, fallbacks)?;
    root::enter_directory(&bundle.directory)?;
    root::seal(
        &bundle.masked,
        &bundle.readonly_paths,
        bundle.readonly,
        bundle.propagation,
    )?;
    // Again, now that everything that may lie on the way is mounted.
    root::enter_directory(&bundle.directory)
}
