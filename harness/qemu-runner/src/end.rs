//! The ways a virtual machine fails to start, and the ways it ends.

use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// Why a virtual machine was not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The program could not be executed.
    #[error("start {program}: {source}", program = program.display())]
    Spawn {
        /// QEMU, or its loader.
        program: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file for the console could not be made.
    #[error("write the console to {path}: {source}", path = path.display())]
    Console {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file the machine is made of is not there.
    #[error("read {path}: {source}", path = path.display())]
    File {
        /// Kernel, initramfs or disk.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The socket pair for the channel, or a thread, could not be made.
    #[error("make the {what} of a virtual machine: {source}")]
    Resources {
        /// What was to be made.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// A serial does not fit.
    #[error("the disk serial {serial:?} is longer than virtio-blk's 20 bytes")]
    SerialTooLong {
        /// The serial.
        serial: String,
    },
    /// Two disks could not be told apart.
    #[error("two disks have the serial {serial:?}")]
    SerialTwice {
        /// The serial.
        serial: String,
    },
    /// More than the PCI bus has room for.
    #[error("{count} disks do not fit in one virtual machine\nhint: at most {max} do; run the images in several machines", max = crate::MAX_DISKS)]
    TooManyDisks {
        /// How many were asked for.
        count: usize,
    },
    /// The acceleration cannot show such a processor.
    #[error("no {cpu} processor under {acceleration}: {reason}")]
    CpuLevel {
        /// `x86-64-v4`.
        cpu: String,
        /// `kvm` or `tcg`.
        acceleration: &'static str,
        /// Why not.
        reason: String,
    },
    /// The thread that spawns is gone.
    #[error("the thread that starts QEMU is gone")]
    SpawnerGone,
}

/// A line of the console that says something about the kernel's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsoleLine {
    /// What it says.
    pub kind: LineKind,
    /// The line, without the kernel's time stamp.
    pub text: String,
}

/// What a line of the console says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LineKind {
    /// `Kernel panic - not syncing: …`
    Panic,
    /// The guest cannot go on and has no channel to say it over.
    Fatal,
    /// Soft or hard lockup, RCU stall, hung task.
    Lockup,
    /// `reboot: Power down`, `reboot: Restarting system`, …
    Reboot,
    /// Not the kernel's: the console's file could not be written any more.
    NotKept,
}

impl ConsoleLine {
    pub(crate) fn not_kept(error: &std::io::Error) -> Self {
        Self {
            kind: LineKind::NotKept,
            text: error.to_string(),
        }
    }
}

/// How a virtual machine ended when nobody had asked it to, or would not go on.
/// Each is told apart, because each means something else for the cell that ran.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VmEnd {
    /// The kernel panicked.
    #[error("kernel panic: {message}")]
    Panic {
        /// What follows `Kernel panic - not syncing: `.
        message: String,
        /// The end of the console, the trace before the panic included.
        lines: Vec<String>,
    },
    /// The machine was reset (a triple fault, a reboot) or powered off, and no
    /// panic was seen.
    #[error("the machine went down without a panic{}", said.as_ref().map(|line| format!(": {line}")).unwrap_or_default())]
    Reset {
        /// The kernel's `reboot: …` line, where there was one; without, the
        /// kernel was reset without a word.
        said: Option<String>,
    },
    /// Nothing came over the channel in time.
    #[error("no answer for {:.1} s{}", waited.as_secs_f64(), lockup.as_ref().or(last_line.as_ref()).map(|line| format!(", the console last said: {line}")).unwrap_or_default())]
    Silent {
        /// How long was waited.
        waited: Duration,
        /// A soft lockup or stall the kernel reported while it was waited for.
        lockup: Option<String>,
        /// The last line of the console.
        last_line: Option<String>,
    },
    /// The guest was not up in time.
    #[error("not up within {:.1} s{}", deadline.as_secs_f64(), last_line.as_ref().map(|line| format!(", the console last said: {line}")).unwrap_or_else(|| ", not a word on the console".to_owned()))]
    BootDeadline {
        /// How long was waited.
        deadline: Duration,
        /// The last line of the console; none says the kernel did not start.
        last_line: Option<String>,
    },
    /// QEMU itself failed.
    #[error("QEMU ended ({status}){}", stderr.lines().next().map(|line| format!(": {line}")).unwrap_or_default())]
    QemuExited {
        /// Its exit status.
        status: ExitStatus,
        /// What it said, bounded.
        stderr: String,
    },
    /// The acceleration failed and QEMU stopped the machine, without ending.
    #[error("the emulator stopped the machine: {message}")]
    Stopped {
        /// QEMU's line.
        message: String,
    },
    /// The guest said that it cannot go on.
    #[error("the guest cannot go on: {reason}")]
    GuestFatal {
        /// What is missing, and the switch that would bring it.
        reason: String,
    },
    /// The console could not be kept any more, so its evidence is incomplete.
    #[error("the console could not be kept: {message}")]
    ConsoleLost {
        /// What the system said.
        message: String,
    },
    /// What was kept of an earlier boot did not start.
    #[error("the machine was not restored: {message}")]
    NotRestored {
        /// Why.
        message: String,
    },
    /// The channel broke, or carried what has no place there.
    #[error("the channel to the guest failed: {message}")]
    Channel {
        /// What happened.
        message: String,
    },
}
