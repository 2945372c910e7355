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
    KernelWord {
        word: "rcupdate.rcu_expedited=1",
        reason: "moving a process to its control group, mounting and unmounting wait until no reader of the old state is left: for some ticks of the clock, a sixth of a short cell on a kernel with CONFIG_PREEMPT_RCU, or at once like this. The same is waited for, a userland sees /sys/kernel/rcu_expedited",
    },
];

/// What only helps where the processor is translated.
const TRANSLATED: KernelWord = KernelWord {
    word: "noreplace-smp",
    reason: "lock prefixes stay as they are on a single processor; without it they are patched out, and all code around them is translated anew",
};

/// Under emulation too, with a single processor and a kernel it was measured on:
/// it takes the local APIC's routing from the MP table, which kernels without
/// CONFIG_X86_MPPARSE do not read for a second processor, and older kernels set up
/// their timer through I/O-APIC code that was written anew since.
const NO_ACPI_ROUTING: KernelWord = KernelWord {
    word: "acpi=noirq",
    reason: "interrupt lines are told by the firmware's tables: through ACPI the kernel runs a loop of 128 rounds of bytecode for each PCI device it turns on, a fifth of a second for each disk. /proc/interrupts shows it and, where the kernel lacks CONFIG_X86_MPPARSE and goes without its local APIC, the flag `apic` of /proc/cpuinfo; with it a cell takes a fifth more. One CPU only, and from 5.10 on, where it was measured",
};

/// The oldest kernel `acpi=noirq` was measured on.
const ROUTING_MEASURED_FROM: (u32, u32) = (5, 10);

/// The words for a machine of this acceleration and number of CPUs, in order.
/// `release` is the kernel's, where it is known before it runs; a kernel that does
/// not say is started as an old one.
#[must_use]
pub fn base_words(acceleration: Acceleration, release: Option<&str>, cpus: u32) -> Vec<KernelWord> {
    let mut words = ALWAYS.to_vec();
    if acceleration == Acceleration::Tcg {
        words.push(TRANSLATED);
        let measured = release
            .and_then(major_and_minor)
            .is_some_and(|version| version >= ROUTING_MEASURED_FROM);
        if cpus == 1 && measured {
            words.push(NO_ACPI_ROUTING);
        }
    }
    words
}

/// [`base_words`] as a command line; what an entry adds goes behind it.
#[must_use]
pub fn base_command_line(acceleration: Acceleration, release: Option<&str>, cpus: u32) -> String {
    let words: Vec<_> = base_words(acceleration, release, cpus)
        .into_iter()
        .map(|word| word.word)
        .collect();
    words.join(" ")
}

/// `4.19.0-27-cloud-amd64` → (4, 19); `7.0-rc1` → (7, 0).
fn major_and_minor(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|character: char| !character.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupts_are_routed_without_acpi_only_where_that_was_measured() {
        for (acceleration, release, cpus, without) in [
            (Acceleration::Tcg, Some("5.10.0-36-cloud-amd64"), 1, true),
            (Acceleration::Tcg, Some("7.3-cloud-amd64"), 1, true),
            (Acceleration::Tcg, Some("6.1.0-50-amd64"), 2, false),
            (Acceleration::Tcg, Some("5.4.0-200-generic"), 1, false),
            (Acceleration::Tcg, Some("3.10.0-1160.el7.x86_64"), 1, false),
            (Acceleration::Tcg, None, 1, false),
            (Acceleration::Kvm, Some("6.1.0-50-amd64"), 1, false),
        ] {
            let line = base_command_line(acceleration, release, cpus);
            assert_eq!(
                line.contains("acpi=noirq"),
                without,
                "{acceleration:?} {release:?} {cpus}: {line}"
            );
            assert!(line.contains("panic=-1"), "{line}");
        }
    }
}
