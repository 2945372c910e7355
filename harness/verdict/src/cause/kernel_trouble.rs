//! The kernel itself came to harm, or one of its watchdogs barked, while the cell
//! ran.

use std::sync::LazyLock;

use regex::Regex;

use super::{Cause, Observation, Rule, rule};
use crate::{Outcome, signal};

/// `kernel-oops`, `soft-lockup`, `hard-lockup`, `rcu-stall` and `hung-task`.
pub(super) const RULE: Rule = Rule {
    names: &[
        "kernel-oops",
        "soft-lockup",
        "hard-lockup",
        "rcu-stall",
        "hung-task",
    ],
    looks_at: "the kernel's lines about an oops, a lockup, a stall or a hung task",
    find,
};

/// What the kernel's lines tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trouble<'a> {
    pub(super) name: &'static str,
    pub(super) line: &'a str,
}

struct Sign {
    name: &'static str,
    words: &'static str,
    line: LazyLock<Regex>,
}

/// A watchdog's bark explains a cell that came to no end, and no signal: a machine whose
/// host is busy barks, and programs die beside that of what they did themselves. An
/// oops ends the process it happened for.
const OOPS: &str = "kernel-oops";
const STALL: &str = "rcu-stall";

/// The worst first.
static SIGNS: [Sign; 5] = [
    Sign {
        name: OOPS,
        words: "the kernel tried something that is none, and ended the process it did it for",
        // `BUG: kernel NULL pointer dereference, address: …`, `BUG: unable to handle
        // page fault for address: …`, before 5.0 `BUG: unable to handle kernel …`;
        // `kernel BUG at mm/slub.c:305!`; `Oops: 0002 [#1] SMP`, from 6.9 on `Oops:
        // general protection fault, …`; before that `general protection fault: 0000
        // [#1]`, which of a process reads `traps: sh[7] general protection`.
        line: LazyLock::new(|| {
            rule(
                r"^(?:BUG: (?:kernel NULL pointer dereference|unable to handle)|kernel BUG at |Oops: |general protection fault(?:, |: )|invalid opcode: |divide error: )",
            )
        }),
    },
    Sign {
        name: "hard-lockup",
        words: "a CPU took no interrupt any more",
        line: LazyLock::new(|| rule(r"Watchdog detected hard LOCKUP on cpu")),
    },
    Sign {
        name: "soft-lockup",
        words: "the kernel kept a CPU for itself, without letting anything else run",
        line: LazyLock::new(|| rule(r"BUG: soft lockup - CPU#\d+ stuck for \d+s!")),
    },
    Sign {
        name: STALL,
        words: "a CPU or a task kept the kernel's read-copy-update waiting",
        line: LazyLock::new(|| {
            rule(r"INFO: rcu_\w+ (?:self-)?detected (?:expedited )?stalls? on CPU")
        }),
    },
    Sign {
        name: "hung-task",
        words: "a task waited in the kernel and could not be woken",
        line: LazyLock::new(|| rule(r"^INFO: task .+:\d+ blocked for more than \d+ seconds")),
    },
];

/// `RIP: 0010:tcp_v4_rcv+0x123/0xe00`; before 4.10 `RIP: 0010:[<ffffffff810a61d0>]
/// [<ffffffff810a61d0>] tcp_v4_rcv+0x123/0xe00`, and before 5.0 also `IP:` with or
/// without the address, on the line after the first.
static PLACE: LazyLock<Regex> = LazyLock::new(|| {
    rule(r"^(?:RIP: 0010:|IP: ?)(?:\[<[0-9a-f]+>\] *)*(?P<function>[A-Za-z_][\w.]*)\+0x")
});

/// The function that the kernel was in, by such a line.
pub(super) fn place(line: &str) -> Option<&str> {
    PLACE
        .captures(line)?
        .name("function")
        .map(|name| name.as_str())
}

/// `rcu: rcu_preempt kthread starved for 752 jiffies! g-563 f0x2 …`, from 3.19 on: the line,
/// and how long.
fn starved(line: &str) -> Option<(&str, &str)> {
    static STARVED: LazyLock<Regex> =
        LazyLock::new(|| rule(r"\brcu_\w+ kthread starved for (\d+) jiffies!"));
    let jiffies = STARVED.captures(line)?.get(1)?;
    Some((line, jiffies.as_str()))
}

fn find(observation: Observation<'_>) -> Option<Cause> {
    // A panic has a rule of its own, and a program that ended by itself is no
    // victim.
    let stuck = matches!(
        observation.outcome,
        Outcome::Timeout { .. } | Outcome::Lockup { .. }
    );
    let ended = observation.ended_by(signal::KILL) || observation.ended_by(signal::SEGV);
    let trouble = of(observation)?;
    let explained = stuck || (ended && trouble.name == OOPS);
    if !explained {
        return None;
    }
    let sign = SIGNS.iter().find(|sign| sign.name == trouble.name)?;
    let mut evidence = vec![trouble.line.to_owned()];
    let place = observation
        .kernel_lines()
        .skip_while(|line| *line != trouble.line)
        .find_map(|line| Some((line, place(line)?)));
    evidence.extend(place.map(|(line, _)| line.to_owned()));
    let place = place.map_or(String::new(), |(_, function)| format!(", in {function}"));
    let mut words = sign.words.to_owned();
    if trouble.name == STALL
        && let Some((line, jiffies)) = observation.kernel_lines().find_map(starved)
    {
        evidence.insert(1, line.to_owned());
        words += &format!(", whose own thread got no CPU for {jiffies} jiffies");
    }
    Some(Cause {
        name: trouble.name.to_owned(),
        explanation: format!("{words}{place}"),
        evidence,
        remedy: Some(
            "it is the kernel's bug, or the machine's: the whole console is beside the run's \
             record"
                .to_owned(),
        ),
    })
}

/// The process that an oops ended, `trouble[83]`: the one that ran when it came, if it
/// had been a program's call into the kernel. A thread of the kernel's own has no
/// program to go back to (`RIP: 0033:`, `0023` of a 32-bit one). Before Linux 4.10 an oops
/// shows no registers of the program: there the call it came by tells, `[<ffffffff81649909>]
/// system_call_fastpath+0x16/0x1b` or `entry_SYSCALL_64_fastpath+0x22/0xc1`.
pub(crate) fn victim<'a>(lines: impl Iterator<Item = &'a str>) -> Option<String> {
    static WHO: LazyLock<Regex> =
        LazyLock::new(|| rule(r"\bPID: (\d+) Comm: (.+?) (?:Tainted:|Not tainted)"));
    let [oops, ..] = &SIGNS;
    let mut after = lines
        .map(super::without_stamp)
        .skip_while(|line| !oops.line.is_match(line))
        .take_while(|line| !line.starts_with("---[ end trace"));
    let who = after.find_map(|line| WHO.captures(line))?;
    static CALLED: LazyLock<Regex> = LazyLock::new(|| {
        rule(
            r"^(?:RIP: 00[23]3:|\[<[0-9a-f]+>\] (?:system_call_fastpath|entry_SYSCALL_64_fastpath|do_syscall_64|sysenter_dispatch|ia32_sysret|cstar_dispatch)\+0x)",
        )
    });
    after
        .any(|line| CALLED.is_match(line.trim_start()))
        .then(|| format!("{}[{}]", &who[2], &who[1]))
}

/// The worst that the kernel says.
pub(super) fn of(observation: Observation<'_>) -> Option<Trouble<'_>> {
    SIGNS.iter().find_map(|sign| {
        let line = observation
            .kernel_lines()
            .find(|line| sign.line.is_match(line))?;
        Some(Trouble {
            name: sign.name,
            line,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::cause as find;

    const KILLED: Outcome = Outcome::Signal {
        signal: 9,
        core: false,
        syscall: None,
    };

    fn of(outcome: &Outcome, log: &[&str]) -> Option<Cause> {
        let log: Vec<String> = log.iter().map(|line| (*line).to_owned()).collect();
        find(Observation {
            kernel_log: &log,
            ..Observation::new(outcome)
        })
    }

    #[test]
    fn each_sign_has_its_name() {
        for (line, name) in [
            (
                "BUG: kernel NULL pointer dereference, address: 0000000000000000",
                "kernel-oops",
            ),
            ("Oops: 0002 [#1] PREEMPT SMP NOPTI", "kernel-oops"),
            (
                "watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [sh:77]",
                "soft-lockup",
            ),
            (
                "NMI watchdog: Watchdog detected hard LOCKUP on cpu 0",
                "hard-lockup",
            ),
            (
                "rcu: INFO: rcu_sched self-detected stall on CPU",
                "rcu-stall",
            ),
            (
                "INFO: task sync:120 blocked for more than 120 seconds.",
                "hung-task",
            ),
        ] {
            let stuck = Outcome::Timeout { limit: 1 };
            assert_eq!(of(&stuck, &[line]).unwrap().name, name, "{line}");
            assert_eq!(of(&Outcome::Exit { code: 1 }, &[line]), None, "{line}");
            let killed = of(&KILLED, &[line]).map(|cause| cause.name);
            assert_eq!(killed.is_some(), name == OOPS, "{line}");
        }
    }

    #[test]
    fn the_function_of_an_oops_is_named() {
        let log = [
            "BUG: kernel NULL pointer dereference, address: 0000000000000008",
            "#PF: supervisor read access in kernel mode",
            "RIP: 0010:tcp_v4_rcv+0x123/0xe00",
            "RIP: 0033:0x7f0000000000",
        ];
        let cause = of(&KILLED, &log).unwrap();
        assert!(
            cause.explanation.ends_with(", in tcp_v4_rcv"),
            "{}",
            cause.explanation
        );
        assert_eq!(cause.evidence, [log[0], log[2]]);
    }

    #[test]
    fn a_stall_tells_of_the_thread_that_got_no_cpu() {
        let log = [
            "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
            "rcu: rcu_preempt kthread starved for 752 jiffies! g-563 f0x2 RCU_GP_WAIT_FQS(5) ->state=0x0 ->cpu=0",
        ];
        let stuck = Outcome::Timeout { limit: 1 };
        let cause = of(&stuck, &log).unwrap();
        assert_eq!(cause.evidence, log);
        assert_eq!(
            cause.explanation,
            "a CPU or a task kept the kernel's read-copy-update waiting, whose own thread got no \
             CPU for 752 jiffies"
        );
    }

    #[test]
    fn the_function_as_kernels_before_5_0_write_it() {
        for (line, function) in [
            (
                "RIP: 0010:[<ffffffff810a61d0>]  [<ffffffff810a61d0>] __rwsem_do_wake+0x80/0x160",
                Some("__rwsem_do_wake"),
            ),
            (
                "IP: [<ffffffff8127684d>] security_inode_getattr+0xd/0x50",
                Some("security_inode_getattr"),
            ),
            (
                "IP: check_cfs_rq_runtime+0x12/0x50",
                Some("check_cfs_rq_runtime"),
            ),
            ("IP: [<          (null)>]           (null)", None),
            ("RIP: 0033:0x7f0000000000", None),
            ("RIP: 0010:[<ffffffffc01c1e17>]", None),
        ] {
            assert_eq!(place(line), function, "{line}");
        }
    }

    #[test]
    fn an_oops_ends_a_program_and_not_a_thread_of_the_kernels() {
        let oops = "BUG: kernel NULL pointer dereference, address: 0000000000000000";
        let of = |who: &str, back: &str| {
            let end = "---[ end trace 0000000000000000 ]---";
            let lines = [
                who,
                oops,
                who,
                "RIP: 0010:do_it+0x7/0x1000",
                back,
                end,
                "RIP: 0033:0x1",
            ];
            victim(lines.into_iter())
        };
        let trouble =
            "[    5.1] CPU: 0 PID: 83 Comm: my prog Tainted: G        W   E      6.1.0-50";
        assert_eq!(of(trouble, "RIP: 0033:0x43b999").unwrap(), "my prog[83]");
        let newer = "CPU: 0 UID: 0 PID: 83 Comm: sh Not tainted 6.12.117 #1";
        assert_eq!(of(newer, "RIP: 0023:0xf7f").unwrap(), "sh[83]");
        let older = "CPU: 0 PID: 83 Comm: sh Not tainted 3.10.0-1160.el7.x86_64 #1";
        let called = " [<ffffffff81794f92>] system_call_fastpath+0x25/0x2a";
        assert_eq!(of(older, called).unwrap(), "sh[83]");
        let left = " [<ffffffff81794f92>] ? system_call_fastpath+0x25/0x2a";
        assert_eq!(of(older, left), None);
        assert_eq!(
            of(
                "CPU: 0 PID: 9 Comm: kworker/0:1 Not tainted 6.1",
                " </TASK>"
            ),
            None
        );
        assert_eq!(victim([trouble, "RIP: 0033:0x1"].into_iter()), None);
    }

    #[test]
    fn a_process_that_faults_is_no_oops() {
        for line in [
            "traps: sh[7] general protection fault ip:401136 sp:7ffd error:0 in sh[400000+1000]",
            "traps: sh[7] trap invalid opcode ip:401136 sp:7ffd error:0 in sh[401000+1000]",
            "rcu: \tRCU CPU stall warnings timeout set to 21 (rcu_cpu_stall_timeout).",
        ] {
            assert_eq!(of(&KILLED, &[line]), None, "{line}");
        }
    }
}
