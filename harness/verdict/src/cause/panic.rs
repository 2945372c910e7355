//! The kernel panicked, or stopped answering.

use std::sync::LazyLock;

use regex::Regex;

use super::{Cause, Observation, Rule, kernel_trouble, rule};
use crate::{Outcome, signal};

/// `panic`.
pub(super) const RULE: Rule = Rule {
    names: &["panic"],
    looks_at: "the console's line \"Kernel panic\", and the first BUG or Oops before it",
    find,
};

fn find(observation: Observation<'_>) -> Option<Cause> {
    let Outcome::Panic { message } = observation.outcome else {
        return None;
    };
    let said = message
        .trim_start_matches("Kernel panic - not syncing")
        .trim_start_matches(": ");
    // What was wrong is told before the panic: the first BUG or Oops, and where.
    // Or a watchdog's bark, where the kernel was told to panic of that.
    let bug = observation
        .kernel_lines()
        .find(|line| BUG.is_match(line))
        .or_else(|| {
            let trouble = || kernel_trouble::of(observation).map(|trouble| trouble.line);
            BARKED.is_match(said).then(trouble).flatten()
        });
    // A warning before it has a place, too.
    let place = observation
        .kernel_lines()
        .skip_while(|line| bug.is_some_and(|bug| bug != *line))
        .find_map(|line| Some((line, kernel_trouble::place(line)?)));
    let mut evidence: Vec<String> = bug
        .into_iter()
        .chain(place.map(|(line, _)| line))
        .map(str::to_owned)
        .collect();
    evidence.push(message.clone());
    // Without a BUG it panicked of its own will, where that was is no news.
    let function = bug
        .and(place)
        .map_or(String::new(), |(_, function)| format!(", in {function}"));
    Some(Cause {
        name: "panic".to_owned(),
        explanation: match init(message) {
            Some(how) => format!("the kernel panicked: its first process was {how}"),
            None => format!("the kernel panicked: {said}{function}"),
        },
        evidence,
        remedy: None,
    })
}

static BUG: LazyLock<Regex> = LazyLock::new(|| {
    rule(r"^(?:BUG: |kernel BUG at |general protection fault|Oops: |divide error)")
});

/// What a watchdog says that was told to panic: `softlockup: hung tasks`, `Hard LOCKUP`,
/// `hung_task: blocked tasks`, `RCU Stall`.
static BARKED: LazyLock<Regex> =
    LazyLock::new(|| rule(r"^(?:softlockup: |Hard LOCKUP|hung_task: |RCU Stall)"));

/// `Attempted to kill init! exitcode=0x0000000b`, a wait status in hexadecimal.
fn init(message: &str) -> Option<String> {
    static INIT: LazyLock<Regex> =
        LazyLock::new(|| rule(r"Attempted to kill init! exitcode=0x([0-9a-f]+)"));
    let status = u32::from_str_radix(INIT.captures(message)?.get(1)?.as_str(), 16).ok()?;
    let number = u8::try_from(status & 0x7f).ok()?;
    Some(if number == 0 {
        format!("gone with exit status {}", status >> 8 & 0xff)
    } else {
        format!("ended by {}", signal::name(number))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::cause as find;

    fn of(said: &str, lines: &[&str]) -> Cause {
        let outcome = Outcome::panic(format!("Kernel panic - not syncing: {said}"));
        let log: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        let observation = Observation {
            kernel_log: &log,
            ..Observation::new(&outcome)
        };
        find(observation).unwrap()
    }

    #[test]
    fn the_first_oops_and_its_place_are_the_evidence() {
        let lines = [
            "[    9.000001] EXT4-fs (vdb): mounted filesystem",
            "[    9.100000] BUG: kernel NULL pointer dereference, address: 0000000000000008",
            "[    9.100001] #PF: supervisor read access in kernel mode",
            "[    9.100002] RIP: 0010:tcp_v4_rcv+0x123/0xe00",
            "[    9.100003] RIP: 0033:0x7f0000000000",
            "[    9.200000] Kernel panic - not syncing: Fatal exception in interrupt",
        ];
        let cause = of("Fatal exception in interrupt", &lines);
        assert_eq!(cause.name, "panic");
        assert_eq!(
            cause.explanation,
            "the kernel panicked: Fatal exception in interrupt, in tcp_v4_rcv"
        );
        assert_eq!(
            cause.evidence,
            [
                "BUG: kernel NULL pointer dereference, address: 0000000000000008",
                "RIP: 0010:tcp_v4_rcv+0x123/0xe00",
                "Kernel panic - not syncing: Fatal exception in interrupt",
            ]
        );
    }

    #[test]
    fn a_watchdog_that_panics_is_told_by_its_bark() {
        let lines = [
            "[    9.1] watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [sh:77]",
            "[    9.2] RIP: 0010:do_it+0x12/0xff0",
            "[    9.3] Kernel panic - not syncing: softlockup: hung tasks",
        ];
        let cause = of("softlockup: hung tasks", &lines);
        assert_eq!(
            cause.explanation,
            "the kernel panicked: softlockup: hung tasks, in do_it"
        );
        assert!(cause.evidence[0].contains("stuck for 22s"), "{cause:?}");
    }

    #[test]
    fn what_came_before_the_bug_is_not_where_it_was() {
        for (said, lines, wanted) in [
            (
                "Fatal exception",
                [
                    "[    8.1] WARNING: CPU: 0 PID: 1 at kernel/x.c:1 warned+0x1/0x2",
                    "[    8.2] RIP: 0010:warned+0x1/0x2",
                    "[    9.1] BUG: kernel NULL pointer dereference, address: 0000000000000008",
                    "[    9.2] RIP: 0010:failed+0x1/0x2",
                ],
                "the kernel panicked: Fatal exception, in failed",
            ),
            (
                "sysrq triggered crash",
                [
                    "[    8.1] rcu: INFO: rcu_preempt self-detected stall on CPU",
                    "[    8.2] RIP: 0010:stalled+0x1/0x2",
                    "[    9.1] sysrq: Trigger a crash",
                    "[    9.2] CPU: 0 PID: 7 Comm: sh Not tainted",
                ],
                "the kernel panicked: sysrq triggered crash",
            ),
        ] {
            assert_eq!(of(said, &lines).explanation, wanted);
        }
    }

    #[test]
    fn the_end_of_init_is_decoded() {
        for (status, how) in [
            ("0x0000000b", "ended by SIGSEGV"),
            ("0x0000008b", "ended by SIGSEGV"),
            ("0x00000100", "gone with exit status 1"),
        ] {
            let outcome = Outcome::panic(format!(
                "Kernel panic - not syncing: Attempted to kill init! exitcode={status}"
            ));
            let cause = find(Observation::new(&outcome)).unwrap();
            assert!(cause.explanation.ends_with(how), "{}", cause.explanation);
        }
    }

    #[test]
    fn words_about_a_panic_are_none() {
        let outcome = Outcome::Exit { code: 1 };
        let log = ["Kernel panic - not syncing: quoted".to_owned()];
        let observation = Observation {
            kernel_log: &log,
            ..Observation::new(&outcome)
        };
        assert_eq!(find(observation), None);
    }
}
