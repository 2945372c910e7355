//! The words every kernel is started with.
//!
//! A word may make a boot faster or surer; it may not change what a userland
//! sees, or a result would be one of the harness's making.
//!
//! Left out on purpose: `mitigations=off` (prctl's PR_GET_SPECULATION_CTRL and the
//! page-table isolation that vsyscall has a case of its own for; no gain beyond
//! the noise), `apparmor=0` and `audit=0` (what a userland meets), `loglevel=0`
//! (a panic is silent then), `nolapic_timer` and `tsc_early_khz` (no gain beyond
//! the noise once `acpi=noirq` is there, and a wrong figure skews the clock),
//! `lpj=` (its figure depends on CONFIG_HZ; a kernel that knows its TSC needs
//! none).

use crate::Acceleration;

/// A word of the kernel's command line, and why it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelWord {
    /// The word: `panic=-1`.
    pub word: &'static str,
    /// What it is for, and why no userland sees it.
    pub reason: &'static str,
}

const ALWAYS: &[KernelWord] = &[
    KernelWord {
        word: "console=ttyS0",
        reason: "the console the harness keeps",
    },
    KernelWord {
        word: "panic=-1",
        reason: "a panic reboots at once, which ends QEMU",
    },
    KernelWord {
        word: "quiet",
        reason: "only errors go to the slow serial port; the kernel's log has all. Not loglevel=0: at 0 a panic is silent too",
    },
    KernelWord {
        word: "cryptomgr.notests",
        reason: "self-tests of the kernel's ciphers take a fifth of an emulated boot; the ciphers are the same without them",
    },
    KernelWord {
        word: "random.trust_cpu=on",
        reason: "the random pool is ready at once, as on hardware whose vendor is trusted; the harness mixes in more before any cell",
    },
    KernelWord {
        word: "no_timer_check",
        reason: "the check of the timer's wiring counts ticks against a busy loop, which an emulated machine can fail by being slow",
    },
];

/// What only helps where the processor is translated.
const TRANSLATED: &[KernelWord] = &[
    KernelWord {
        word: "noreplace-smp",
        reason: "lock prefixes stay as they are on a single processor; without it they are patched out, and all code around them is translated anew",
    },
    KernelWord {
        word: "acpi=noirq",
        reason: "interrupt lines are told by the firmware's tables: through ACPI the kernel runs a loop of 128 rounds of bytecode for each PCI device it turns on, a fifth of a second for each disk. Only /proc/interrupts shows it; one CPU only",
    },
];

/// The words for a machine of this acceleration, in order.
#[must_use]
pub fn base_words(acceleration: Acceleration) -> Vec<KernelWord> {
    let translated = match acceleration {
        Acceleration::Kvm => [].iter(),
        Acceleration::Tcg => TRANSLATED.iter(),
    };
    ALWAYS.iter().chain(translated).cloned().collect()
}

/// [`base_words`] as a command line; what an entry adds goes behind it.
#[must_use]
pub fn base_command_line(acceleration: Acceleration) -> String {
    let words: Vec<_> = base_words(acceleration)
        .into_iter()
        .map(|word| word.word)
        .collect();
    words.join(" ")
}
