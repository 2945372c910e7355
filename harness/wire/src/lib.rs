//! The messages between the harness on the host and PID 1 in the guest.
//!
//! They travel over one virtio-serial port ([`PORT`]), each as a frame: a
//! little-endian `u32` length and that many bytes of postcard. Both ends are
//! built from the same source in one build, so there is no version to agree
//! on; the bytes of the guest are part of every key a boot is cached under. Contents
//! of files are taken as they are (`serde_bytes`), not element by element, which an
//! emulated guest takes a tenth of a second for.
//!
//! A guest comes up knowing nothing of the run. It says [`FromGuest::Ready`]
//! and waits: images are disks it finds by their serial, everything else (the
//! clock, randomness, host settings, the runtime, the cells) arrives after that
//! point, so that a waiting guest can be kept and cloned.
//!
//! The order of a session:
//!
//! ```text
//! guest   Ready
//! host    Begin          guest   Facts
//! host    Put …          (a runtime other than the initramfs has; no answer)
//! host    Run            guest   Finished
//! host    Probe          guest   Probed
//! host    PowerOff       (the machine ends)
//! ```
//!
//! A guest that has answered Begin can be kept as a template, after a
//! [`ToGuest::Settle`]: what was learned of it holds for each of its clones. A clone is told [`ToGuest::Wake`] first, and
//! answers [`FromGuest::Awake`]; its session goes on behind the facts.
//!
//! [`FromGuest::Fatal`] can come at any time, and is the last message then. When
//! the channel itself cannot be had, the guest says so on the console in a line
//! that starts with [`FATAL_MARK`].

mod capability;
mod cell;
mod facts;
mod frame;
mod probe;
mod trace;

pub use capability::{AddedCapabilities, Capability};
pub use cell::{Captured, CellRequest, CellResult, Command, End, KernelLine, Limits, Seccomp};
pub use facts::{Cgroup, CgroupFacts, Facts, NamespaceFacts, SeccompFacts, SyscallFacts, Vsyscall};
pub use frame::{FrameError, MAX_FRAME, read, write};
pub use probe::{Probe, ProbeModule, ProbeOutcome, ProbeRequest, ProbeResult};
pub use trace::{Step, Trace, Traced};

use serde::{Deserialize, Serialize};

/// The virtio-serial port's name, found in the guest as
/// `/sys/class/virtio-ports/*/name`.
pub const PORT: &str = "matrix.0";

/// What a line on the console starts with when the guest cannot go on and has
/// no channel to say it over.
pub const FATAL_MARK: &str = "matrix-guest: fatal: ";

/// Where the initramfs has the runtime, and the guest keeps it.
pub const RUNTIME_PATH: &str = "/matrix/runtime";

/// Rounds of the loop both sides run to learn how much slower the guest is than
/// the host; see [`spin`].
pub const SPIN_ITERATIONS: u64 = 200_000;

/// Words of the table that [`spin`] works on: 64 KiB, past the first-level cache
/// of most processors, within the second.
const SPIN_TABLE: usize = 8192;

/// A fixed amount of work that no compiler can fold away. Run on the host and in
/// the guest, the ratio of the two times says how far a time limit must be
/// stretched under emulation.
///
/// Arithmetic alone is translated nearly one to one; what emulation makes slow is
/// each access to memory and each jump whose target is known only at run time. So
/// each round does some of all three, as programs do.
pub fn spin(iterations: u64) -> u64 {
    let steps: [fn(u64) -> u64; 4] = std::hint::black_box([
        |state| state.rotate_left(7) ^ 0x9e37_79b9,
        |state| state.wrapping_mul(0x2545_f491_4f6c_dd1d),
        |state| state ^ (state >> 29),
        |state| state.wrapping_add(0x632b_e59b_d9b4_e019).swap_bytes(),
    ]);
    let mut table = vec![1_u64; SPIN_TABLE];
    let mut state = std::hint::black_box(0x9e37_79b9_7f4a_7c15_u64);
    for _ in 0..iterations {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let from = state as usize % SPIN_TABLE;
        let to = (state >> 32) as usize % SPIN_TABLE;
        table[to] = table[to].wrapping_add(table[from] ^ state);
        state = steps[(table[to] & 3) as usize](state) | 1;
    }
    std::hint::black_box(table[0] ^ state)
}

/// From the harness to the guest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToGuest {
    /// Work begins: how this host is set up.
    Begin(Begin),
    /// The machine was started from a template: set the clock,
    /// stir the random pool, answer with [`FromGuest::Awake`].
    Wake(Moment),
    /// The machine is about to be kept as a template: make ahead what every cell needs,
    /// let the kernel get done what it put off at boot, for this long, and answer with
    /// [`FromGuest::Settled`].
    Settle {
        /// Milliseconds.
        wait: u32,
    },
    /// Write a file where nothing in the machine can write to it; its folder is
    /// created and has no other. For the runtime under test, where another one is in
    /// the initramfs.
    Put {
        /// Absolute path in the guest's own root.
        path: String,
        /// Permission bits.
        mode: u32,
        /// The whole content.
        #[serde(with = "serde_bytes")]
        content: Vec<u8>,
    },
    /// Run one cell and answer with [`FromGuest::Finished`].
    Run(Box<CellRequest>),
    /// Carry out one probe and answer with [`FromGuest::Probed`].
    Probe(Box<ProbeRequest>),
    /// Sync nothing, stop the machine.
    PowerOff,
}

/// What no two starts of a guest may have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// The host's wall clock, nanoseconds since 1970-01-01 UTC.
    pub clock: u64,
    /// Mixed into the guest's random pool and credited (RNDADDENTROPY).
    #[serde(with = "serde_bytes")]
    pub entropy: Vec<u8>,
}

/// What a guest is told when work begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Begin {
    /// Clock and randomness.
    pub moment: Moment,
    /// How the cgroup hierarchies are mounted.
    pub cgroup: Cgroup,
    /// Written to /proc/sys before anything runs: (`kernel.panic`, `-1`).
    pub sysctl: Vec<(String, String)>,
}

/// From the guest to the harness.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FromGuest {
    /// The guest is up and waits.
    Ready {
        /// How long [`spin`] of [`SPIN_ITERATIONS`] took here, nanoseconds.
        spin: u64,
        /// Uptime at this moment, milliseconds (/proc/uptime).
        uptime: u64,
    },
    /// The answer to [`ToGuest::Begin`].
    Facts {
        /// What the kernel is and can do.
        facts: Box<Facts>,
        /// The kernel's log from boot to now.
        boot_log: Vec<KernelLine>,
    },
    /// The answer to [`ToGuest::Wake`].
    Awake,
    /// The answer to [`ToGuest::Settle`].
    Settled,
    /// What the kernel logged since the cell before, or since the facts: it belongs
    /// to no cell. Sent before the answer to a [`ToGuest::Run`], where there is any.
    Log(Vec<KernelLine>),
    /// The answer to [`ToGuest::Run`].
    Finished(Box<CellResult>),
    /// The answer to [`ToGuest::Probe`].
    Probed(Box<ProbeResult>),
    /// The guest cannot go on; the reason names what is missing and the switch
    /// that would bring it.
    Fatal {
        /// One line.
        reason: String,
    },
}
