//! Old C libraries call gettimeofday, time and getcpu at fixed addresses in the
//! vsyscall page, which a kernel may have switched off or made execute-only.

use std::sync::LazyLock;

use regex::Regex;
use wire::Vsyscall;

use super::{
    Cause, Observation, Rule,
    fault::{self, Fault, FaultKind},
    rule,
};
use crate::{Outcome, signal};

/// The page, the same on every x86-64 kernel.
const PAGE: std::ops::Range<u64> = 0xffff_ffff_ff60_0000..0xffff_ffff_ff60_1000;

/// `bash[2018] vsyscall attempted with vsyscall=none ip:ffffffffff600400 cs:33 …`.
/// 3.10 as Red Hat ships it prefixes `vsyscall_64: ` and then the level meant for
/// the log, `6` or `\x016` where /dev/kmsg escapes it.
static ATTEMPTED: LazyLock<Regex> = LazyLock::new(|| {
    rule(
        r"^(?:vsyscall(?:_64)?: (?:\\x01|\x01)?[0-7])?(?P<process>.{1,15})\[(?P<pid>\d+)\] vsyscall attempted with vsyscall=none ip:(?P<ip>[0-9a-f]+)",
    )
});

/// `vsyscall-none` and `vsyscall-xonly`.
pub(super) const RULE: Rule = Rule {
    names: &["vsyscall-none", "vsyscall-xonly"],
    looks_at: "the kernel's line \"vsyscall attempted\", or a fault in the vsyscall page that \
               this column does not have",
    find,
};

fn find(observation: Observation<'_>) -> Option<Cause> {
    // The process gets SIGSEGV; who waited for it may make an exit status of it.
    match observation.outcome {
        Outcome::Signal { signal, .. } | Outcome::Child { signal, .. }
            if *signal == signal::SEGV => {}
        Outcome::Exit { .. } | Outcome::Mismatch { .. } => {}
        _ => return None,
    }
    attempted(observation).or_else(|| faulted(observation))
}

/// The process, its PID and the function that a line tells of.
pub(super) fn attempted_call(line: &str) -> Option<(&str, &str, String)> {
    let found = ATTEMPTED.captures(line)?;
    let address = u64::from_str_radix(found.name("ip")?.as_str(), 16).ok()?;
    Some((
        found.name("process")?.as_str(),
        found.name("pid")?.as_str(),
        call(address),
    ))
}

/// The kernel says so itself.
fn attempted(observation: Observation<'_>) -> Option<Cause> {
    let (line, (process, pid, call)) = observation
        .kernel_lines()
        .find_map(|line| Some((line, attempted_call(line)?)))?;
    let mut evidence = vec![line.to_owned()];
    evidence.extend(
        observation
            .kernel_lines()
            .find(|line| fault::parse(line).is_some_and(|fault| fault.pid == pid))
            .map(str::to_owned),
    );
    Some(none(
        format!(
            "{process}[{pid}] called {call} through the vsyscall page, which is off on this kernel \
             (vsyscall=none)"
        ),
        evidence,
        "a kernel started with vsyscall=emulate or vsyscall=xonly",
    ))
}

/// The kernel tells only the fault: it was built without the emulation, or its
/// line fell to the rate limit. The facts must say what the page is.
fn faulted(observation: Observation<'_>) -> Option<Cause> {
    let mode = observation.facts?.vsyscall;
    let fault = observation
        .kernel_lines()
        .filter_map(fault::parse)
        .find(|fault| PAGE.contains(&fault.instruction) || reads_page(fault))?;
    let (process, pid) = (fault.process, fault.pid);
    let evidence = vec![
        fault.line.to_owned(),
        format!("/proc/self/maps: vsyscall {}", word(mode)),
    ];
    match (mode, PAGE.contains(&fault.instruction)) {
        (Vsyscall::None, true) => Some(none(
            format!(
                "{process}[{pid}] called {} through the vsyscall page, which this kernel does \
                 not have",
                call(fault.instruction)
            ),
            evidence,
            "vsyscall=emulate on the kernel's command line, where it was built with \
             CONFIG_X86_VSYSCALL_EMULATION",
        )),
        (Vsyscall::None, false) => Some(none(
            format!("{process}[{pid}] read the vsyscall page, which this kernel does not have"),
            evidence,
            "vsyscall=emulate on the kernel's command line",
        )),
        (Vsyscall::Xonly, false) => Some(Cause {
            name: "vsyscall-xonly".to_owned(),
            explanation: format!(
                "{process}[{pid}] read the vsyscall page, which can only be called on this \
                 kernel (vsyscall=xonly)"
            ),
            evidence,
            remedy: Some("vsyscall=emulate on the kernel's command line".to_owned()),
        }),
        // The page is there and was called: the fault has another reason, such
        // as a bad pointer given to the call.
        (Vsyscall::Xonly, true) | (Vsyscall::Emulate, _) => None,
    }
}

fn reads_page(fault: &Fault<'_>) -> bool {
    const WRITE_OR_FETCH: u64 = 1 << 1 | 1 << 4;
    matches!(fault.kind, FaultKind::Page { address, error }
        if PAGE.contains(&address) && error & WRITE_OR_FETCH == 0)
}

fn none(explanation: String, evidence: Vec<String>, remedy: &str) -> Cause {
    Cause {
        name: "vsyscall-none".to_owned(),
        explanation,
        evidence,
        remedy: Some(remedy.to_owned()),
    }
}

/// The three entries stand 1024 bytes apart.
fn call(address: u64) -> String {
    match address.wrapping_sub(PAGE.start) {
        0x000 => "gettimeofday()".to_owned(),
        0x400 => "time()".to_owned(),
        0x800 => "getcpu()".to_owned(),
        _ => format!("{address:#x}, which is none of its entries,"),
    }
}

fn word(mode: Vsyscall) -> &'static str {
    match mode {
        Vsyscall::Emulate => "emulate",
        Vsyscall::Xonly => "xonly",
        Vsyscall::None => "none",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cause::cause as find, facts_for_tests};

    const LINE: &str = "bash[2018] vsyscall attempted with vsyscall=none ip:ffffffffff600400 \
                        cs:33 sp:7ffc1d3e5d78 ax:ffffffffff600400 si:7ffc1d3e5f00 di:0";
    const FAULT: &str = "bash[2018]: segfault at ffffffffff600400 ip ffffffffff600400 sp \
                         00007ffc1d3e5d78 error 15";
    const READ: &str = "dump[9]: segfault at ffffffffff600000 ip 0000555555555131 sp \
                        00007fffffffe0d0 error 5 in dump[555555555000+1000]";

    const SEGV: Outcome = Outcome::Signal {
        signal: 11,
        core: true,
        syscall: None,
    };

    fn of(outcome: &Outcome, log: &[&str], mode: Option<Vsyscall>) -> Option<Cause> {
        let log: Vec<String> = log.iter().map(|line| (*line).to_owned()).collect();
        let facts = mode.map(|vsyscall| wire::Facts {
            vsyscall,
            ..facts_for_tests()
        });
        find(Observation {
            kernel_log: &log,
            facts: facts.as_ref(),
            ..Observation::new(outcome)
        })
    }

    fn name(outcome: &Outcome, log: &[&str], mode: Option<Vsyscall>) -> Option<String> {
        of(outcome, log, mode).map(|cause| cause.name)
    }

    #[test]
    fn the_kernels_own_line_names_the_call() {
        let cause = of(&SEGV, &["noise", LINE, FAULT], Some(Vsyscall::None)).unwrap();
        assert_eq!(cause.name, "vsyscall-none");
        assert_eq!(
            cause.explanation,
            "bash[2018] called time() through the vsyscall page, which is off on this kernel \
             (vsyscall=none)"
        );
        assert_eq!(cause.evidence, [LINE, FAULT]);
        for (offset, entry) in [("000", "gettimeofday()"), ("800", "getcpu()")] {
            let line = LINE.replace("600400 cs", &format!("600{offset} cs"));
            let cause = of(&SEGV, &[&line], None).unwrap();
            assert!(cause.explanation.contains(entry), "{}", cause.explanation);
        }
    }

    #[test]
    fn the_wording_of_red_hat_3_10() {
        for prefix in [
            "vsyscall_64: 6",
            "vsyscall_64: \\x016",
            "vsyscall_64: \u{1}6",
        ] {
            let cause = of(&SEGV, &[&format!("{prefix}{LINE}")], None).unwrap();
            assert!(
                cause.explanation.starts_with("bash[2018] called time()"),
                "{}",
                cause.explanation
            );
        }
        let stamped = format!("[   12.345678] {LINE}");
        assert_eq!(of(&SEGV, &[&stamped], None).unwrap().evidence, [LINE]);
    }

    #[test]
    fn a_kernel_built_without_emulation_tells_the_fault_only() {
        let fault = FAULT.replace("error 15", "error 14");
        let log = ["show_signal_msg: 3 callbacks suppressed", &fault];
        assert_eq!(
            name(&SEGV, &log, Some(Vsyscall::None)).as_deref(),
            Some("vsyscall-none")
        );
        let trap = "traps: bash[7] general protection ip:ffffffffff600400 sp:7ffd error:0";
        assert_eq!(
            name(&SEGV, &[trap], Some(Vsyscall::None)).as_deref(),
            Some("vsyscall-none")
        );
    }

    #[test]
    fn a_read_is_told_from_a_call() {
        assert_eq!(
            name(&SEGV, &[READ], Some(Vsyscall::Xonly)).as_deref(),
            Some("vsyscall-xonly")
        );
        let off = of(&SEGV, &[READ], Some(Vsyscall::None)).unwrap();
        assert_eq!(off.name, "vsyscall-none");
        assert!(off.explanation.contains("read the vsyscall page"));
    }

    #[test]
    fn what_only_looks_like_it_is_a_segfault_like_any_other() {
        let beside = "x[7]: segfault at ffffffffff601000 ip 0000555555555131 sp 00007fff error 5";
        let write = READ.replace("error 5", "error 7");
        let null = "x[7]: segfault at 0 ip 0000555555555131 sp 00007fff error 4";
        for (line, mode) in [
            // The page is there: a bad pointer was given to gettimeofday().
            (FAULT, Vsyscall::Emulate),
            (FAULT, Vsyscall::Xonly),
            (READ, Vsyscall::Emulate),
            (beside, Vsyscall::None),
            (write.as_str(), Vsyscall::None),
            (null, Vsyscall::None),
        ] {
            assert_eq!(
                name(&SEGV, &[line], Some(mode)).as_deref(),
                Some("segfault"),
                "{line} {mode:?}"
            );
        }
        // Without facts the fault alone does not tell.
        assert_eq!(name(&SEGV, &[FAULT], None).as_deref(), Some("segfault"));
        // Other words of the same kernel file.
        let misaligned = "x[7] misaligned vsyscall (exploit attempt or buggy program) -- look up \
                          the vsyscall kernel parameter if you need a workaround \
                          ip:ffffffffff600401 cs:33 sp:7ffd ax:0 si:0 di:0";
        assert_eq!(name(&SEGV, &[misaligned], Some(Vsyscall::Emulate)), None);
    }

    #[test]
    fn an_end_that_a_dead_child_does_not_explain_is_not_explained_by_it() {
        for (outcome, explained) in [
            (Outcome::Exit { code: 139 }, true),
            (Outcome::Exit { code: 1 }, true),
            (Outcome::Timeout { limit: 1 }, false),
            (
                Outcome::Signal {
                    signal: 6,
                    core: true,
                    syscall: None,
                },
                false,
            ),
        ] {
            assert_eq!(
                of(&outcome, &[LINE], Some(Vsyscall::None)).is_some(),
                explained,
                "{outcome:?}"
            );
        }
    }
}
