//! The container's namespaces.

use std::fs::File;
use std::path::Path;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::process::{Pid, geteuid};
use rustix::thread::{
    LinkNameSpaceType, UnshareFlags, gettid, move_into_link_name_space, unshare_unsafe,
};

use crate::bundle::Namespace;
use crate::descriptor::{errno_of, last_errno};
use crate::failure::{Failure, Step};
use crate::fallback::{Fallback, Fallbacks};
use crate::user_namespace::explain;

const PID_SWITCH: &str = "PID namespaces (CONFIG_PID_NS)";

/// Forks the first process off, in a PID namespace of its own and, if asked, a
/// user namespace which that belongs to. `None` in the first process. The caller
/// must have one thread.
///
/// By clone, not by unshare and fork: the runtime itself stays outside, and other
/// children it may need do too.
pub(crate) fn first_process(user: bool) -> Result<Option<Pid>, Failure> {
    let mut flags = libc::CLONE_NEWPID | libc::SIGCHLD;
    if user {
        flags |= libc::CLONE_NEWUSER;
    }
    // SAFETY: without a stack and without CLONE_VM clone is fork, and the process
    // has one thread, so the child may do all it likes.
    let answer = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    match answer {
        -1 => Err(not_born(last_errno(), user)),
        child => Ok(libc::pid_t::try_from(child).ok().and_then(Pid::from_raw)),
    }
}

fn not_born(errno: Errno, user: bool) -> Failure {
    let missing = |kind: &str| !Path::new("/proc/self/ns").join(kind).exists();
    let unsupported = |what: String| Failure::Unsupported { what };
    match errno {
        Errno::INVAL if missing("pid") => unsupported(PID_SWITCH.to_owned()),
        Errno::INVAL | Errno::NOSPC | Errno::USERS if user => {
            let why = explain(errno, !geteuid().is_root());
            unsupported(format!("user namespace for this container ({why})"))
        }
        Errno::PERM | Errno::ACCESS if user => {
            let why = explain(errno, !geteuid().is_root());
            unsupported(format!("user namespace for this caller ({why})"))
        }
        Errno::INVAL => unsupported(PID_SWITCH.to_owned()),
        Errno::NOSPC => unsupported(full(PID_SWITCH)),
        Errno::PERM if !geteuid().is_root() => Failure::System {
            step: "make a container without root's rights, for which its configuration has no \
                   namespace of type user (docker's dialect: --userns)"
                .to_owned(),
            errno,
        },
        errno => Failure::System {
            step: "clone the first process".to_owned(),
            errno,
        },
    }
}

/// user.max_*_namespaces, Linux 4.9.
fn full(switch: &str) -> String {
    format!("room for more {switch}: user.max_*_namespaces")
}

/// Makes one, and goes into it; `user` tells whether it belongs to a user
/// namespace of the container's. False where the kernel has none and the
/// container can do without.
pub(crate) fn make(
    namespace: Namespace,
    user: bool,
    fallbacks: &Fallbacks,
) -> Result<bool, Failure> {
    let (flag, switch) = match namespace {
        // They are where this process was born.
        Namespace::User | Namespace::Pid => return Ok(true),
        Namespace::Cgroup => (
            UnshareFlags::NEWCGROUP,
            "cgroup namespaces (CONFIG_CGROUPS)",
        ),
        Namespace::Mount => (UnshareFlags::NEWNS, "mount namespaces"),
        Namespace::Uts => (UnshareFlags::NEWUTS, "UTS namespaces (CONFIG_UTS_NS)"),
        Namespace::Ipc => (UnshareFlags::NEWIPC, "IPC namespaces (CONFIG_IPC_NS)"),
        Namespace::Network => (UnshareFlags::NEWNET, "network namespaces (CONFIG_NET_NS)"),
    };
    // SAFETY: the process has one thread, and none of these flags unshares a
    // table of descriptors.
    match unsafe { unshare_unsafe(flag) } {
        Ok(()) => {
            if namespace == Namespace::Network {
                loopback_up().step(|| "set the interface lo up".to_owned())?;
            }
            Ok(true)
        }
        // Cgroup namespaces came with Linux 4.6.
        Err(Errno::INVAL) if namespace == Namespace::Cgroup => {
            fallbacks.record(Fallback::CgroupNamespace);
            Ok(false)
        }
        Err(Errno::INVAL) => Err(Failure::Unsupported {
            what: switch.to_owned(),
        }),
        Err(Errno::NOSPC) => Err(Failure::Unsupported { what: full(switch) }),
        // AppArmor's restriction lets a user namespace be made, and gives nobody
        // any rights in it.
        Err(errno @ (Errno::PERM | Errno::ACCESS)) if user => Err(Failure::Unsupported {
            what: format!(
                "rights in a user namespace of this caller's ({})",
                explain(errno, true)
            ),
        }),
        Err(errno) => Err(errno).step(|| format!("unshare {namespace:?}")),
    }
}

/// Goes into one that somebody else has made, as it is.
pub(crate) fn join(namespace: Namespace, path: &Path) -> Result<(), Failure> {
    let kind = match namespace {
        Namespace::User => LinkNameSpaceType::User,
        Namespace::Pid => LinkNameSpaceType::ProcessID,
        Namespace::Cgroup => LinkNameSpaceType::ControlGroup,
        Namespace::Mount => LinkNameSpaceType::Mount,
        Namespace::Uts => LinkNameSpaceType::HostNameAndNISDomainName,
        Namespace::Ipc => LinkNameSpaceType::InterProcessCommunication,
        Namespace::Network => LinkNameSpaceType::Network,
    };
    let descriptor = File::open(path).map_err(errno_of).on("open", path)?;
    move_into_link_name_space(descriptor.as_fd(), Some(kind)).step(|| {
        format!(
            "join the namespace for {} at {}",
            namespace.of_what(),
            path.display()
        )
    })
}

/// Makes a network namespace as a container without another network has it, for one
/// that is to join it ([`crate::config::Container::network`]). None where it cannot be
/// made: a container that is to have one made is refused in the words that say why.
/// It lasts as long as the descriptor, or what is in it. The calling thread, which is
/// in `home`, is there again afterwards.
///
/// # Errors
/// When the thread cannot go back.
pub fn new_network(home: BorrowedFd<'_>) -> Result<Option<OwnedFd>, Errno> {
    // SAFETY: the flag unshares no table of descriptors.
    if unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.is_err() {
        return Ok(None);
    }
    let made = loopback_up().and_then(|()| own_network()).ok();
    move_into_link_name_space(home, Some(LinkNameSpaceType::Network))?;
    Ok(made)
}

/// The calling thread's network namespace.
///
/// # Errors
/// When /proc is not mounted or the kernel has none.
pub fn own_network() -> Result<OwnedFd, Errno> {
    // /proc/thread-self came with Linux 3.17.
    let path = format!("/proc/self/task/{}/ns/net", gettid().as_raw_nonzero());
    let file = File::open(path).map_err(errno_of)?;
    Ok(file.into())
}

/// A new network namespace has its loopback interface down; docker's is up.
fn loopback_up() -> Result<(), Errno> {
    let socket = socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    // SAFETY: all zeros is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(c"lo".to_bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads an ifreq, which outlives the call.
    let answer = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    if answer == 0 {
        Ok(())
    } else {
        Err(last_errno())
    }
}
