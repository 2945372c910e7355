//! The container's first process, from its birth to execve. It is PID 1 of its
//! namespace from its first instruction on.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::process::{setsid, umask};
use rustix::system::{setdomainname, sethostname};

use crate::bundle::{Bundle, Namespace, Origin};
use crate::device::Nodes;
use crate::failure::{Failure, Step};
use crate::fallback::Fallbacks;
use crate::handshake::{Inside, Message, Stage};
use crate::mount::MountPoint;
use crate::mount::cgroup::Cgroups;
use crate::mount::options::Propagation;
use crate::program::Search;
use crate::terminal::Console;
use crate::user_namespace::Groups;
use crate::{descriptor, device, init, namespace, root, signal};

/// Makes the container around this process and becomes its program. Returns
/// only when that failed and the runtime has been told; false if not even that
/// could be done.
///
/// `console` is where the other end of its terminal goes, if it has one.
pub(crate) fn start(bundle: &Bundle, runtime: &mut Inside, console: Option<Console>) -> bool {
    let fallbacks = Fallbacks::default();
    let failure = match set_up(bundle, runtime, console, &fallbacks) {
        Err(failure) => failure,
        Ok(search) => {
            let ready = Message::Ready {
                fallbacks: fallbacks.list(),
            };
            if bundle.init {
                match init::split() {
                    Ok(init::Side::Program) => {}
                    // Not the runtime's: its end must be seen when execve closes
                    // the program's.
                    Ok(init::Side::Init(program)) => {
                        for descriptor in runtime.descriptors() {
                            // SAFETY: this process never comes back to who owns
                            // them.
                            unsafe { libc::close(descriptor) };
                        }
                        init::reap(program)
                    }
                    Err(failure) => return failed(runtime, failure, &fallbacks),
                }
            }
            if !runtime.tell(ready) {
                return false;
            }
            search.start()
        }
    };
    failed(runtime, failure, &fallbacks)
}

fn failed(runtime: &mut Inside, failure: Failure, fallbacks: &Fallbacks) -> bool {
    let failed = Message::Failed {
        status: failure.into(),
        fallbacks: fallbacks.list(),
    };
    runtime.tell(failed)
}

/// Gives where the program is.
fn set_up<'a>(
    bundle: &'a Bundle,
    runtime: &mut Inside,
    console: Option<Console>,
    fallbacks: &Fallbacks,
) -> Result<Search<'a>, Failure> {
    runtime.die_with_runtime()?;
    // Before the root is changed: it may need the machine's /proc. What is
    // opened from here on is opened with O_CLOEXEC, and closed by the time the
    // container's own paths are followed.
    let own = console.as_ref().map(Console::descriptor);
    descriptor::close_others(runtime.descriptors().chain(own), fallbacks)?;
    if bundle.has_part_outside(Stage::Born) {
        runtime.wait_at(Stage::Born)?;
    }
    setsid().step(|| "setsid".to_owned())?;
    umask(rustix::fs::Mode::empty());
    let cgroups = enter_namespaces(bundle, fallbacks)?;
    if bundle.has_part_outside(Stage::Namespaces) {
        runtime.wait_at(Stage::Namespaces)?;
    }
    let groups = make_root(bundle, &cgroups, runtime, console, fallbacks)?;
    if bundle.has_part_outside(Stage::Root) {
        runtime.wait_at(Stage::Root)?;
    }
    if let Some(name) = &bundle.hostname {
        sethostname(name.as_bytes()).step(|| format!("set the host name {name}"))?;
    }
    if let Some(name) = &bundle.domainname {
        setdomainname(name.as_bytes()).step(|| format!("set the domain name {name}"))?;
    }
    umask(bundle.umask);
    bundle
        .credentials
        .assume(groups, bundle.seccomp.is_some(), fallbacks, || {
            // A change of ids has taken it away.
            runtime.die_with_runtime()?;
            signal::reset()?;
            let search = bundle.program.look();
            if let Some(filter) = &bundle.seccomp {
                filter.install(fallbacks)?;
            }
            Ok(search)
        })
}

fn enter_namespaces(bundle: &Bundle, fallbacks: &Fallbacks) -> Result<Cgroups, Failure> {
    let shown = bundle.mounts.iter().any(|mount| mount.is_cgroup());
    let mut cgroups = if shown {
        Cgroups::read()?
    } else {
        Cgroups::default()
    };
    for (kind, origin) in &bundle.namespaces {
        let user = bundle.user_namespace.is_some();
        let entered = match origin {
            Origin::Made => namespace::make(*kind, user, fallbacks)?,
            Origin::Joined(path) => namespace::join(*kind, path).map(|()| true)?,
        };
        if *kind == Namespace::Cgroup {
            cgroups.private = entered;
        }
    }
    Ok(cgroups)
}

/// Makes the root and all that is mounted in it, and goes there. Gives what can
/// become of supplementary groups.
fn make_root(
    bundle: &Bundle,
    cgroups: &Cgroups,
    runtime: &Inside,
    console: Option<Console>,
    fallbacks: &Fallbacks,
) -> Result<Groups, Failure> {
    let tree = root::prepare(&bundle.root, bundle.propagation, fallbacks)?;
    let sources: Vec<Option<OwnedFd>> = bundle
        .mounts
        .iter()
        .map(MountPoint::open_source)
        .collect::<Result<_, _>>()?;
    // All that may be private to the caller is open; what is made from here on
    // must belong to the container.
    let (groups, nodes) = match &bundle.user_namespace {
        None => (Groups::Set, Nodes::Made),
        Some(namespace) => {
            let groups = namespace.become_root()?;
            // A change of ids has taken it away.
            runtime.die_with_runtime()?;
            (groups, Nodes::Bound)
        }
    };
    for (mount, source) in bundle.mounts.iter().zip(sources) {
        mount.make(&tree, source, cgroups, fallbacks)?;
    }
    let is_dev = |mount: &&MountPoint| mount.destination == Path::new("/dev");
    // Whoever binds a /dev wants that one, as it is.
    let own_dev = !bundle
        .mounts
        .iter()
        .filter(is_dev)
        .any(|mount| mount.is_bind());
    if own_dev {
        device::populate(&tree, &bundle.devices, nodes)?;
    }
    if let (Some(terminal), Some(console)) = (&bundle.terminal, console) {
        let place = own_dev.then_some(Path::new("/dev/console"));
        terminal.make(&tree, bundle.credentials.user(), console, place)?;
    }
    root::pivot(&bundle.root, bundle.propagation, tree, fallbacks)?;
    root::enter_directory(&bundle.directory)?;
    // All mounts of this namespace have been made private, and what was mounted since
    // is private where it does not say otherwise.
    let is_private = bundle.propagation == Propagation::PRIVATE
        && bundle.mounts.iter().all(MountPoint::is_private);
    if !is_private {
        root::propagate(bundle.propagation)?;
    }
    root::seal(&bundle.masked, &bundle.readonly_paths, bundle.readonly)?;
    // Again, now that everything that may lie on the way is mounted.
    root::enter_directory(&bundle.directory)?;
    Ok(groups)
}
