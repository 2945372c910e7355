//! Probes: checks of the runtime itself on a kernel.
//!
//! [`Probe`] is the one list of them, with what each observes and which kernel
//! modules it needs; the harness asks for one with a [`ProbeRequest`], the guest
//! answers with a [`ProbeResult`]. A probe starts a container through the
//! runtime's own door (`run --bundle`) and looks at the effect from both sides:
//! what the program inside sees and can do, and what the machine outside sees of
//! it.

use serde::{Deserialize, Serialize};

use crate::KernelLine;

/// A check of the runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "`Probe::observes` says it, once")]
pub enum Probe {
    ImageRoot,
    ReadonlyRoot,
    Volume,
    ReadonlyVolume,
    PidNamespace,
    Reaping,
    UserNamespace,
    MappedOwnership,
    NetworkNamespace,
    OutboundNat,
    TcpPort,
    UdpPort,
    MemoryLimit,
    PidsLimit,
    CpuLimit,
    Devices,
    Freezer,
    Seccomp,
    Capabilities,
    MaskedPaths,
    Overlayfs,
    Tmpfs,
    Pty,
    NoNewPrivileges,
}

impl Probe {
    /// All of them, in the table's order.
    pub const ALL: [Probe; 24] = [
        Probe::ImageRoot,
        Probe::ReadonlyRoot,
        Probe::Volume,
        Probe::ReadonlyVolume,
        Probe::PidNamespace,
        Probe::Reaping,
        Probe::UserNamespace,
        Probe::MappedOwnership,
        Probe::NetworkNamespace,
        Probe::OutboundNat,
        Probe::TcpPort,
        Probe::UdpPort,
        Probe::MemoryLimit,
        Probe::PidsLimit,
        Probe::CpuLimit,
        Probe::Devices,
        Probe::Freezer,
        Probe::Seccomp,
        Probe::Capabilities,
        Probe::MaskedPaths,
        Probe::Overlayfs,
        Probe::Tmpfs,
        Probe::Pty,
        Probe::NoNewPrivileges,
    ];

    /// The row's name, as results.json has it.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// The row's title in a table.
    pub fn title(self) -> &'static str {
        self.row().1
    }

    /// What is observed from both sides.
    pub fn observes(self) -> &'static str {
        self.row().2
    }

    /// The probe of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|probe| probe.name() == name)
    }

    /// Modules that have to be in the kernel before it, by today's names and by
    /// those they had before they were merged; a kernel has some of them. There
    /// is no modprobe in the guest, so nothing would load them when they are
    /// missed.
    pub fn modules(self) -> &'static [&'static str] {
        match self {
            Self::OutboundNat | Self::TcpPort | Self::UdpPort => NETWORK_MODULES,
            _ => &[],
        }
    }

    /// Name, title, what is observed.
    fn row(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::ImageRoot => (
                "image-root",
                "root from an image",
                "the program inside has the image's files and none of the machine's; what it writes lands in its own layer, not in the image",
            ),
            Self::ReadonlyRoot => (
                "readonly-root",
                "read-only root",
                "nothing can be written to the root from inside, while outside can",
            ),
            Self::Volume => (
                "volume",
                "volume",
                "files of a folder outside are read and changed inside, and the other way round, while the container runs",
            ),
            Self::ReadonlyVolume => (
                "readonly-volume",
                "read-only volume",
                "changes outside are seen inside and none can be made there, also not in what is mounted below it",
            ),
            Self::PidNamespace => (
                "pid-namespace",
                "PID namespace",
                "the program is PID 1 inside and sees only its own processes, which outside sees under other numbers",
            ),
            Self::Reaping => (
                "reaping",
                "reaping",
                "orphans become children of the container's PID 1 and are gone when it reaps them; whatever still lives ends with it",
            ),
            Self::UserNamespace => (
                "user-namespace",
                "user namespace",
                "root inside is uid 100000 outside, and has no power over what is not the container's",
            ),
            Self::MappedOwnership => (
                "mapped-ownership",
                "mapped ownership",
                "owners of files are seen shifted by the mapping, in both directions",
            ),
            Self::NetworkNamespace => (
                "network-namespace",
                "network namespace",
                "the container has a loopback interface of its own; neither side reaches what the other listens on",
            ),
            Self::OutboundNat => (
                "outbound-nat",
                "outbound NAT",
                "an HTTP server of another network is reached from inside, and sees the machine's address",
            ),
            Self::TcpPort => (
                "tcp-port",
                "TCP port mapping",
                "an HTTP request of another network to the machine's port is answered from inside; no more once the container is gone",
            ),
            Self::UdpPort => (
                "udp-port",
                "UDP port mapping",
                "a datagram of another network to the machine's port is answered from inside",
            ),
            Self::MemoryLimit => (
                "memory-limit",
                "memory limit",
                "a program within its limit lives, one past it is killed by the kernel, which says so in its log",
            ),
            Self::PidsLimit => (
                "pids-limit",
                "pids limit",
                "fork fails with EAGAIN at the limit that the cgroup has outside",
            ),
            Self::CpuLimit => (
                "cpu-limit",
                "cpu limit",
                "a busy loop gets its fifth of a CPU, and outside the cgroup counts its throttling",
            ),
            Self::Devices => (
                "devices",
                "devices",
                "a device that is not allowed cannot be opened inside, though outside can open the same node",
            ),
            Self::Freezer => (
                "freezer",
                "freezer",
                "a busy loop stands still while its cgroup is frozen from outside, and goes on after",
            ),
            Self::Seccomp => (
                "seccomp",
                "seccomp",
                "a filtered system call fails as the profile says, another one kills, and the kernel counts the filter",
            ),
            Self::Capabilities => (
                "capabilities",
                "capabilities",
                "the sets are docker's on both sides, and what they leave out is refused",
            ),
            Self::MaskedPaths => (
                "masked-paths",
                "masked paths",
                "what holds something outside is empty inside, and /proc/sys cannot be written there",
            ),
            Self::Overlayfs => (
                "overlayfs",
                "overlayfs",
                "changes and removals inside land in the layer above, and leave the image below as it was",
            ),
            Self::Tmpfs => (
                "tmpfs",
                "tmpfs",
                "a file system of the size asked for, gone from outside's view of the root",
            ),
            Self::Pty => (
                "pty",
                "pty",
                "a terminal of the container's own is opened, spoken through, and not seen among the machine's; so is the one its program is given",
            ),
            Self::NoNewPrivileges => (
                "no-new-privileges",
                "no_new_privs",
                "a set-user-ID program gives its owner's power without the flag and none with it",
            ),
        }
    }
}

/// What a bridge with network address translation is made of. The nft names up
/// to Linux 5.1 have `_ipv4`; ipt_MASQUERADE became xt_MASQUERADE with 5.2.
const NETWORK_MODULES: &[&str] = &[
    "veth",
    "bridge",
    "nf_conntrack",
    "nf_nat",
    "nf_tables",
    "nft_chain_nat",
    "nft_chain_nat_ipv4",
    "nft_nat",
    "nft_masq",
    "nft_masq_ipv4",
    "nft_ct",
    "nft_meta_bridge",
    "nft_fib_ipv4",
    "nf_conntrack_ipv4",
    "nf_nat_ipv4",
    "ip_tables",
    "iptable_nat",
    "iptable_filter",
    "ipt_MASQUERADE",
    "xt_MASQUERADE",
    "xt_nat",
    "xt_addrtype",
    "xt_conntrack",
    "xt_tcpudp",
    "tun",
];

/// A kernel module on its way into the guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeModule {
    /// Its name.
    pub name: String,
    /// The ELF file, decompressed.
    pub content: Vec<u8>,
}

/// One probe to carry out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeRequest {
    /// Chosen by the harness, given back in [`ProbeResult::id`].
    pub id: u64,
    /// Which.
    pub probe: Probe,
    /// The serial of the disk that holds the program for inside.
    pub disk: String,
    /// Milliseconds from start to kill.
    pub time: u64,
    /// To be loaded first, in this order. Empty where they have been sent before.
    pub modules: Vec<ProbeModule>,
}

/// What came of a [`ProbeRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeResult {
    /// The request's id.
    pub id: u64,
    /// The answer.
    pub outcome: ProbeOutcome,
    /// The evidence of both sides, a line each, in order.
    pub observed: Vec<String>,
    /// What the kernel logged meanwhile.
    pub kernel_log: Vec<KernelLine>,
    /// Microseconds.
    pub duration: u64,
}

/// How a probe ended. There is no default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProbeOutcome {
    /// Both sides saw what they should.
    Passed,
    /// The runtime does not do on this kernel what it is asked.
    Failed {
        /// What was seen instead.
        how: String,
    },
    /// This kernel cannot.
    Unsupported {
        /// What is missing, with the switch or version that brings it.
        what: String,
    },
    /// The probe came to no answer.
    Trouble {
        /// Why.
        message: String,
    },
    /// It was not over in time.
    TimedOut,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_record_and_found_again() {
        for probe in Probe::ALL {
            assert_eq!(Probe::named(probe.name()), Some(probe));
            let kebab = probe
                .name()
                .chars()
                .all(|letter| letter.is_ascii_lowercase() || letter == '-');
            assert!(kebab, "{}", probe.name());
            assert!(!probe.observes().is_empty() && !probe.title().is_empty());
        }
        assert_eq!(Probe::named("no such probe"), None);
        let mut sorted = Probe::ALL.to_vec();
        sorted.sort();
        sorted.dedup();
        assert_eq!(sorted, Probe::ALL, "in the enum's order, each once");
    }
}
