//! Why it happened, with the evidence.
//!
//! One rule a file. A rule speaks only where a line was seen that says so; what
//! no rule knows has no cause.

mod cpu_level;
mod exec;
mod fault;
mod kernel_too_old;
mod oom;
mod panic;
mod segfault;
mod vsyscall;

use std::sync::LazyLock;

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Outcome;

/// Why an outcome came about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cause {
    /// The rule's name: `vsyscall-none`.
    pub name: String,
    /// One sentence for people.
    pub explanation: String,
    /// What it rests on, quoted.
    pub evidence: Vec<String>,
    /// What to try; none where nothing helps.
    pub remedy: Option<String>,
}

/// All that was observed of a cell.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// What it came to.
    pub outcome: &'a Outcome,
    /// What it wrote to file descriptor 1.
    pub stdout: &'a str,
    /// What it wrote to file descriptor 2.
    pub stderr: &'a str,
    /// What the kernel logged meanwhile; of a machine that went down, the end of
    /// its console, whose time stamps do not matter.
    pub kernel_log: &'a [String],
    /// What is known of the kernel.
    pub facts: Option<&'a wire::Facts>,
    /// The image has the file that could not be executed; none where nobody
    /// looked.
    pub program_exists: Option<bool>,
}

impl<'a> Observation<'a> {
    /// An outcome of which nothing else was observed.
    pub fn new(outcome: &'a Outcome) -> Self {
        Self {
            outcome,
            stdout: "",
            stderr: "",
            kernel_log: &[],
            facts: None,
            program_exists: None,
        }
    }

    /// The kernel's lines, without time stamps.
    fn kernel_lines(self) -> impl DoubleEndedIterator<Item = &'a str> {
        self.kernel_log
            .iter()
            .map(|line| without_stamp(line).trim_end())
    }

    /// The program's lines, those of stderr first.
    fn lines(self) -> impl Iterator<Item = &'a str> {
        self.stderr
            .lines()
            .chain(self.stdout.lines())
            .map(str::trim)
    }
}

/// The rules, the most telling first.
const RULES: [fn(Observation<'_>) -> Option<Cause>; 8] = [
    oom::cause,
    panic::cause,
    vsyscall::cause,
    kernel_too_old::cause,
    cpu_level::cause,
    exec::cause,
    segfault::cause,
    segfault::invalid_opcode,
];

/// Why it happened, where a rule knows. A pass has no cause, nor has a cell that
/// was not run: its reason says it.
pub fn cause(observation: Observation<'_>) -> Option<Cause> {
    if observation.outcome.is_pass() || !observation.outcome.is_result() {
        return None;
    }
    RULES.iter().find_map(|rule| rule(observation))
}

/// A console line without `[   12.345678] ` or `[   12.345678][   T1] `.
pub(crate) fn without_stamp(line: &str) -> &str {
    static STAMP: LazyLock<Regex> =
        LazyLock::new(|| rule(r"^(?:<\d+>)?\[ *\d+\.\d+\](?:\[ *[TC]\d+\])? ?"));
    STAMP.find(line).map_or(line, |stamp| &line[stamp.end()..])
}

/// Compiles a pattern of ours.
pub(crate) fn rule(pattern: &str) -> Regex {
    #[expect(
        clippy::expect_used,
        reason = "the pattern is a constant, and each is used by a test"
    )]
    Regex::new(pattern).expect("a pattern of ours is a regular expression")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_of_consoles() {
        for (line, rest) in [
            ("[    1.234567] text", "text"),
            ("[  101.5][   T77] text", "text"),
            ("<6>[    1.234567] text", "text"),
            ("bash[2018] text", "bash[2018] text"),
            ("[vsyscall] text", "[vsyscall] text"),
        ] {
            assert_eq!(without_stamp(line), rest);
        }
    }

    #[test]
    fn a_pass_and_a_cell_not_run_have_no_cause_whatever_was_logged() {
        let log = [
            "bash[2018] vsyscall attempted with vsyscall=none ip:ffffffffff600400 cs:33 \
                    sp:7ffe ax:ffffffffff600400 si:0 di:0"
                .to_owned(),
        ];
        for outcome in [Outcome::Pass, Outcome::not_run("lost")] {
            let observation = Observation {
                kernel_log: &log,
                stderr: "FATAL: kernel too old",
                ..Observation::new(&outcome)
            };
            assert_eq!(cause(observation), None);
        }
    }

    #[test]
    fn what_no_rule_knows_has_no_cause() {
        let outcome = Outcome::Exit { code: 1 };
        let log = ["EXT4-fs (vdb): mounted filesystem with ordered data mode".to_owned()];
        let observation = Observation {
            kernel_log: &log,
            stderr: "ls: cannot access '/x': No such file or directory",
            ..Observation::new(&outcome)
        };
        assert_eq!(cause(observation), None);
        let segv = Outcome::Signal {
            signal: 11,
            core: false,
        };
        assert_eq!(cause(Observation::new(&segv)), None);
    }
}
