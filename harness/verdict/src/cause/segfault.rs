//! A fault told by the kernel, decoded as far as its line goes.

use super::{
    Cause, Observation,
    fault::{self, FaultKind, access, obstacle},
};
use crate::{Outcome, signal};

/// `segfault` and `general-protection`: what a process that got SIGSEGV did.
pub(super) fn cause(observation: Observation<'_>) -> Option<Cause> {
    if !ended_by(observation.outcome, signal::SEGV) {
        return None;
    }
    // The last: what ended the cell comes after what its children died of.
    let fault = observation
        .kernel_lines()
        .filter_map(fault::parse)
        .rfind(|fault| fault.kind != FaultKind::InvalidOpcode)?;
    let (process, pid, place) = (fault.process, fault.pid, fault.place());
    let (name, explanation) = match fault.kind {
        FaultKind::Page { address, error } => (
            "segfault",
            format!(
                "{process}[{pid}] was {} {address:#x}, {}, at {:#x}{place}",
                access(error),
                obstacle(error),
                fault.instruction,
            ),
        ),
        FaultKind::GeneralProtection | FaultKind::InvalidOpcode => (
            "general-protection",
            format!(
                "{process}[{pid}] used an address that is none, or an instruction that is the \
                 kernel's, at {:#x}{place}",
                fault.instruction,
            ),
        ),
    };
    Some(Cause {
        name: name.to_owned(),
        explanation,
        evidence: vec![fault.line.to_owned()],
        remedy: None,
    })
}

/// `invalid-opcode`: what a process that got SIGILL did.
pub(super) fn invalid_opcode(observation: Observation<'_>) -> Option<Cause> {
    if !ended_by(observation.outcome, signal::ILL) {
        return None;
    }
    let fault = observation
        .kernel_lines()
        .filter_map(fault::parse)
        .rfind(|fault| fault.kind == FaultKind::InvalidOpcode)?;
    let cpu = match observation.facts {
        Some(facts) => format!("this CPU (x86-64-v{})", facts.cpu_level),
        None => "this CPU".to_owned(),
    };
    Some(Cause {
        name: "invalid-opcode".to_owned(),
        explanation: format!(
            "{}[{}] came to an instruction that {cpu} does not have, or that stops a program on \
             purpose, at {:#x}{}",
            fault.process,
            fault.pid,
            fault.instruction,
            fault.place()
        ),
        evidence: vec![fault.line.to_owned()],
        remedy: Some("another `cpu` in the kernel's entry, where the instruction is real".into()),
    })
}

/// By the signal itself, or as a shell tells it of a child.
fn ended_by(outcome: &Outcome, number: u8) -> bool {
    match outcome {
        Outcome::Signal { signal, .. } => *signal == number,
        Outcome::Exit { code } => *code == 128 + number,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::cause as find;

    const NULL: &str = "[    3.141592] a.out[77]: segfault at 0 ip 0000555555555131 sp \
                        00007fffffffe0d0 error 6 in a.out[555555555000+1000]";

    fn of(signal: u8, log: &[&str]) -> Option<Cause> {
        let log: Vec<String> = log.iter().map(|line| (*line).to_owned()).collect();
        let outcome = Outcome::Signal { signal, core: true };
        find(Observation {
            kernel_log: &log,
            ..Observation::new(&outcome)
        })
    }

    #[test]
    fn a_null_pointer_is_decoded() {
        let cause = of(11, &["noise", NULL]).unwrap();
        assert_eq!(cause.name, "segfault");
        assert_eq!(
            cause.explanation,
            "a.out[77] was writing to 0x0, where nothing is mapped, at 0x555555555131 in a.out, \
             0x131 into its mapping"
        );
        assert!(NULL.ends_with(&cause.evidence[0]));
    }

    #[test]
    fn the_fault_of_a_child_explains_a_shells_139_but_no_other_end() {
        let log = [NULL.to_owned()];
        for (outcome, explained) in [
            (Outcome::Exit { code: 139 }, true),
            (Outcome::Exit { code: 1 }, false),
            (Outcome::Timeout { limit: 1 }, false),
        ] {
            let observation = Observation {
                kernel_log: &log,
                ..Observation::new(&outcome)
            };
            assert_eq!(find(observation).is_some(), explained, "{outcome:?}");
        }
        assert_eq!(of(6, &[NULL]), None);
    }

    #[test]
    fn an_invalid_opcode_explains_sigill_only() {
        let line = "traps: sh[7] trap invalid opcode ip:401136 sp:7ffd error:0 in sh[401000+1000]";
        assert_eq!(of(4, &[line]).unwrap().name, "invalid-opcode");
        assert_eq!(of(11, &[line]), None);
    }
}
