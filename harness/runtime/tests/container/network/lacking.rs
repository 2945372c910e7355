//! A kernel without one or the other of netfilter's interfaces, as a seccomp
//! filter can make it: the calls that reach them are refused as that kernel
//! would refuse them.

use crate::kernel::Filter;

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

const NETLINK_NETFILTER: u32 = 12;
const IPT_SO_GET_INFO: u32 = 64;

impl Lacking {
    pub(super) const ALL: [Self; 3] = [Self::Nothing, Self::Nftables, Self::Netfilter];

    /// What such a kernel refuses. No socket and no option of another kind that is
    /// used here has these numbers.
    pub(super) fn filter(self) -> Filter {
        let mut filter = Filter::default();
        if self != Self::Nothing {
            // socket(AF_NETLINK, …, NETLINK_NETFILTER).
            filter = filter.value(
                libc::SYS_socket,
                2,
                NETLINK_NETFILTER,
                libc::EPROTONOSUPPORT,
            );
        }
        if self == Self::Netfilter {
            // getsockopt(…, IPPROTO_IP, IPT_SO_GET_INFO, …).
            filter = filter.value(libc::SYS_getsockopt, 2, IPT_SO_GET_INFO, libc::ENOPROTOOPT);
        }
        filter.finished()
    }
}
