//! An instruction that the CPU does not have, or that stops a program on purpose.

use super::{
    Cause, Observation, Rule,
    fault::{self, FaultKind},
    segfault,
};
use crate::signal;

/// `invalid-opcode`.
pub(super) const RULE: Rule = Rule {
    names: &["invalid-opcode"],
    looks_at: "the kernel's line \"invalid opcode\" of a process that got SIGILL",
    find,
};

fn find(observation: Observation<'_>) -> Option<Cause> {
    if !observation.ended_by(signal::ILL) {
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
    let place = segfault::place(observation, &fault);
    let mut evidence = vec![fault.line.to_owned()];
    evidence.extend(place.evidence);
    Some(Cause {
        name: "invalid-opcode".to_owned(),
        explanation: format!(
            "{}[{}] came to an instruction that {cpu} does not have, or that stops a program on \
             purpose, at {:#x}{}",
            fault.process, fault.pid, fault.instruction, place.words
        ),
        evidence,
        remedy: Some("another `cpu` in the kernel's entry, where the instruction is real".into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Outcome, cause::cause as find};

    #[test]
    fn an_invalid_opcode_explains_sigill_only() {
        let log = [
            "traps: sh[7] trap invalid opcode ip:401136 sp:7ffd error:0 in sh[401000+1000]"
                .to_owned(),
        ];
        for (signal, named) in [(4, Some("invalid-opcode")), (11, None)] {
            let outcome = Outcome::Signal {
                signal,
                core: true,
                syscall: None,
            };
            let cause = find(Observation {
                kernel_log: &log,
                ..Observation::new(&outcome)
            });
            assert_eq!(cause.map(|cause| cause.name).as_deref(), named);
        }
    }
}
