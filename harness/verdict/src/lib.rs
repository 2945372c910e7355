//! From what was observed to what it means: an outcome, whether it was
//! expected, and its cause.
//!
//! Pure: nothing here reads a file or starts a process; the files of an image are
//! asked for through [`userland::Userland`].

mod cause;
pub mod elf;
pub mod errno;
mod expectation;
pub mod judge;
mod near;
mod outcome;
pub mod predict;
pub mod signal;
pub mod survey;
pub mod userland;
mod verdict;

pub use cause::{
    Cause, Noticed, Observation, cause, examined, harmed, noticed, rules, step_words,
    trace_would_tell,
};
pub use expectation::{
    Condition, ConditionError, Conditions, Expectation, ExpectedOutcome, ExpectedOutcomeError,
    Fact, Range, RangeError, Setting, expected,
};
pub use outcome::{Colour, Kind, Outcome, RecordError, Severity};
pub use verdict::{Verdict, verdict};
pub use wire::{AddedCapabilities, Capability, Seccomp};

#[cfg(test)]
pub(crate) fn setting_for_tests(facts: &wire::Facts) -> Setting<'_> {
    Setting {
        facts,
        runtime: "bundled",
        seccomp: Seccomp::None,
    }
}

#[cfg(test)]
pub(crate) fn facts_for_tests() -> wire::Facts {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect();
    wire::Facts {
        release: "6.1.0-50-cloud-amd64".into(),
        build: "#1 SMP PREEMPT_DYNAMIC Debian 6.1.170-1 (2026-05-01)".into(),
        machine: "x86_64".into(),
        command_line: "console=ttyS0".into(),
        vsyscall: wire::Vsyscall::None,
        cgroup: wire::CgroupFacts {
            layout: wire::Cgroup::V2,
            controllers: words("cpu memory pids"),
        },
        overlayfs: true,
        namespaces: wire::NamespaceFacts {
            kinds: words("cgroup ipc mnt net pid time user uts"),
            user: false,
            user_refusal: Some("EPERM: kernel.unprivileged_userns_clone is 0".into()),
        },
        seccomp: wire::SeccompFacts {
            filter: true,
            actions: words("kill_process errno allow"),
        },
        lsms: words("lockdown capability apparmor"),
        lsm_modes: [("apparmor".into(), "enforce".into())].into(),
        sysctls: [("kernel.yama.ptrace_scope".into(), "0".into())].into(),
        config: [("USER_NS".into(), "y".into())].into(),
        syscalls: wire::SyscallFacts::default(),
        ia32: true,
        cpu_level: 3,
        cpu_model: "QEMU TCG CPU version 2.5+".into(),
        cpus: 1,
        memory: 500_000,
        filesystems: words("ext4 squashfs"),
        modules: words("virtio_blk ext4"),
    }
}
