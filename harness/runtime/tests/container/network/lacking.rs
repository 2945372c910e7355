//! A kernel without one or the other of netfilter's interfaces, as a seccomp
//! filter can make it: the calls that reach them are refused as that kernel
//! would refuse them.

use std::io;

use crate::kernel::{ALLOW, IF_EQUAL, LOAD, NUMBER, RETURN, install, step};

/// What the kernel does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lacking {
    /// It has all.
    Nothing,
    /// nfnetlink, and so nf_tables.
    Nftables,
    /// That, and ip_tables.
    Netfilter,
}

/// Offsets in struct seccomp_data: the low halves of the second and the third
/// argument.
const SECOND: u32 = 24;
const THIRD: u32 = 32;

const NETLINK_NETFILTER: u32 = 12;
const IPT_SO_GET_INFO: u32 = 64;

impl Lacking {
    pub(super) const ALL: [Self; 3] = [Self::Nothing, Self::Nftables, Self::Netfilter];

    /// Becomes this kernel for the calling process and its children; for
    /// `pre_exec`, so it allocates nothing.
    pub(super) fn enter(self) -> io::Result<()> {
        let refused = |errno: i32| libc::SECCOMP_RET_ERRNO | errno.cast_unsigned();
        if self != Self::Nothing {
            // socket(AF_NETLINK, …, NETLINK_NETFILTER).
            install([
                step(LOAD, NUMBER, 0, 0),
                step(IF_EQUAL, libc::SYS_socket as u32, 0, 5),
                step(LOAD, 16, 0, 0),
                step(IF_EQUAL, libc::AF_NETLINK as u32, 0, 3),
                step(LOAD, THIRD, 0, 0),
                step(IF_EQUAL, NETLINK_NETFILTER, 0, 1),
                step(RETURN, refused(libc::EPROTONOSUPPORT), 0, 0),
                step(RETURN, ALLOW, 0, 0),
            ])?;
        }
        if self == Self::Netfilter {
            // getsockopt(…, IPPROTO_IP, IPT_SO_GET_INFO, …).
            install([
                step(LOAD, NUMBER, 0, 0),
                step(IF_EQUAL, libc::SYS_getsockopt as u32, 0, 5),
                step(LOAD, SECOND, 0, 0),
                step(IF_EQUAL, libc::IPPROTO_IP as u32, 0, 3),
                step(LOAD, THIRD, 0, 0),
                step(IF_EQUAL, IPT_SO_GET_INFO, 0, 1),
                step(RETURN, refused(libc::ENOPROTOOPT), 0, 0),
                step(RETURN, ALLOW, 0, 0),
            ])?;
        }
        Ok(())
    }
}
