//! What the kernel told of that the outcome does not: a child that died though the
//! shell went on, an oops that the cell outlived.
//!
//! It is recorded and shown, and changes no outcome. What a check is held against is
//! its own end and its own output: a shell that goes on after a child's death has
//! decided that the death does not matter, and configure scripts kill children by
//! the dozen. Who wants the death to count lets the check say so:
//! `children = "fail"`, which makes an outcome of what [`death`] reads.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Cause, Observation,
    fault::{self, FaultKind},
    kernel_trouble, seccomp, vsyscall, without_stamp,
};
use crate::{Outcome, judge, signal};

/// Something the kernel told of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Noticed {
    /// One sentence for people.
    pub what: String,
    /// The kernel's line.
    pub evidence: String,
}

/// The most that are told of one cell.
const MOST: usize = 8;

/// What was noticed besides the outcome and its cause; of a machine that went down
/// nothing, its console is the evidence.
pub fn noticed(observation: Observation<'_>, cause: Option<&Cause>) -> Vec<Noticed> {
    let kind = observation.outcome.kind();
    if matches!(
        kind,
        crate::Kind::Panic | crate::Kind::Lockup | crate::Kind::NotRun
    ) {
        return Vec::new();
    }
    let mut found: Vec<Noticed> = Vec::new();
    let told = |line: &str| {
        cause.is_some_and(|cause| cause.evidence.iter().any(|evidence| evidence == line))
    };
    // A process has one death: its first line names it best.
    let mut processes: Vec<String> = Vec::new();
    for line in observation.kernel_lines() {
        let Some(death) = death(line) else {
            continue;
        };
        if processes.contains(&death.process) {
            continue;
        }
        processes.push(death.process);
        if told(line) || is_the_end(observation, line) {
            continue;
        }
        found.push(Noticed {
            what: death.what,
            evidence: line.to_owned(),
        });
    }
    if let Some(trouble) = kernel_trouble::of(observation)
        && !told(trouble.line)
    {
        found.push(Noticed {
            what: format!(
                "the kernel came to harm ({}): {}",
                trouble.name, trouble.line
            ),
            evidence: trouble.line.to_owned(),
        });
    }
    found.truncate(MOST);
    found
}

/// The kernel's line, where it came to harm: such a machine is no place for another
/// cell.
pub fn harmed(observation: Observation<'_>) -> Option<&str> {
    kernel_trouble::of(observation).map(|trouble| trouble.line)
}

/// A process that the kernel tells of as dead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Death {
    /// `perl[195]`.
    pub(crate) process: String,
    /// What ended it.
    pub(crate) signal: u8,
    /// The call that seccomp ended it for.
    pub(crate) syscall: Option<String>,
    /// One sentence for people.
    what: String,
}

/// Who died by this line, and how.
pub(crate) fn death(line: &str) -> Option<Death> {
    let line = without_stamp(line).trim_end();
    if let Some((process, pid, call)) = vsyscall::attempted_call(line) {
        let process = format!("{process}[{pid}]");
        return Some(Death {
            what: format!(
                "{process} died: it called {call} through the vsyscall page, which is off"
            ),
            process,
            signal: signal::SEGV,
            syscall: None,
        });
    }
    if let Some(fault) = fault::parse(line) {
        let process = format!("{}[{}]", fault.process, fault.pid);
        let (how, signal) = match fault.kind {
            FaultKind::Page { address, .. } => (format!("segfault at {address:#x}"), signal::SEGV),
            FaultKind::GeneralProtection => ("general protection".to_owned(), signal::SEGV),
            FaultKind::InvalidOpcode => ("invalid opcode".to_owned(), signal::ILL),
        };
        return Some(Death {
            what: format!("{process} died: {how}{}", fault.place()),
            process,
            signal,
            syscall: None,
        });
    }
    if let Some((process, call)) = seccomp::audited(line) {
        return Some(Death {
            what: format!("{process} was ended by seccomp for calling {call}"),
            process,
            signal: signal::SYS,
            syscall: Some(call),
        });
    }
    judge::oom_victim(line).map(|process| Death {
        what: format!("{process} was killed because memory ran out"),
        process,
        signal: signal::KILL,
        syscall: None,
    })
}

/// The line is about the process whose end the outcome is: the last death, where a
/// signal is the outcome.
fn is_the_end(observation: Observation<'_>, line: &str) -> bool {
    let by_signal = matches!(
        observation.outcome,
        Outcome::Signal { .. } | Outcome::Child { .. }
    );
    by_signal
        && observation
            .kernel_lines()
            .rfind(|other| death(other).is_some())
            == Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::cause as find;

    const FAULT: &str = "perl[77]: segfault at 1 ip 00007f12ab3d1131 sp 00007fffffffe0d0 error 4 \
                         in libc.so.6[28131,7f12ab3d0000+155000]";

    fn of(outcome: &Outcome, log: &[&str]) -> Vec<String> {
        let log: Vec<String> = log.iter().map(|line| (*line).to_owned()).collect();
        let observation = Observation {
            kernel_log: &log,
            ..Observation::new(outcome)
        };
        let cause = find(observation);
        noticed(observation, cause.as_ref())
            .into_iter()
            .map(|noticed| noticed.what)
            .collect()
    }

    #[test]
    fn a_childs_death_is_noticed_though_the_shell_returned_0() {
        assert_eq!(
            of(&Outcome::Pass, &[FAULT, "Code: 48 89"]),
            ["perl[77] died: segfault at 0x1 in libc.so.6+0x28131"]
        );
        assert_eq!(
            of(&Outcome::Exit { code: 2 }, &[FAULT]).len(),
            1,
            "the shell ended for another reason"
        );
    }

    #[test]
    fn what_the_cause_rests_on_is_told_once() {
        let segv = Outcome::Signal {
            signal: 11,
            core: false,
            syscall: None,
        };
        assert_eq!(of(&segv, &[FAULT]), [""; 0]);
        let child = FAULT.replace("perl[77]", "child[78]");
        assert_eq!(of(&segv, &[&child, FAULT]).len(), 1);
        assert_eq!(of(&Outcome::Exit { code: 139 }, &[FAULT]), [""; 0]);
        let vsyscall = "bash[9] vsyscall attempted with vsyscall=none ip:ffffffffff600400 cs:33";
        let fault = "bash[9]: segfault at ffffffffff600400 ip ffffffffff600400 sp 7ffd error 15";
        assert_eq!(
            of(&Outcome::Pass, &[vsyscall, fault]),
            ["bash[9] died: it called time() through the vsyscall page, which is off"]
        );
    }

    #[test]
    fn an_oops_that_was_outlived_is_noticed() {
        let oops = "BUG: kernel NULL pointer dereference, address: 0000000000000008";
        let noticed = of(&Outcome::Pass, &[oops]);
        assert!(noticed[0].contains("kernel-oops"), "{noticed:?}");
    }
}
