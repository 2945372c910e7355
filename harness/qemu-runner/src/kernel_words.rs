//! The words every kernel is started with.
//!
//! A word may make a boot faster or surer; it may not change what a userland
//! sees, or a result would be one of the harness's making.

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
];

/// The words for a machine of this acceleration, in order.
#[must_use]
pub fn base_words(acceleration: Acceleration) -> Vec<KernelWord> {
    let _ = acceleration;
    ALWAYS.to_vec()
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
