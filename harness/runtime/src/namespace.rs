//! The container's namespaces.

use rustix::fd::AsRawFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::bundle::Namespace;
use crate::descriptor::last_errno;
use crate::failure::{Failure, Step};
use crate::fallback::{Fallback, Fallbacks};

/// Makes one, and goes into it (of a PID namespace: the next child does). False
/// where the kernel has none and the container can do without.
pub(crate) fn enter(namespace: Namespace, fallbacks: &Fallbacks) -> Result<bool, Failure> {
    let (flag, switch) = match namespace {
        Namespace::Pid => (UnshareFlags::NEWPID, "PID namespaces (CONFIG_PID_NS)"),
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
                loopback_up()?;
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
        // user.max_*_namespaces, Linux 4.9.
        Err(Errno::NOSPC) => Err(Failure::Unsupported {
            what: format!("room for more {switch}: user.max_*_namespaces"),
        }),
        Err(errno) => Err(errno).step(|| format!("unshare {namespace:?}")),
    }
}

/// A new network namespace has its loopback interface down; docker's is up.
fn loopback_up() -> Result<(), Failure> {
    let step = || "set the interface lo up".to_owned();
    let socket = socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .step(step)?;
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
        Err(last_errno()).step(step)
    }
}
