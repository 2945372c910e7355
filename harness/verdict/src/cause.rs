//! Why it happened, with the evidence.
//!
//! One rule a file: the names it gives, what it looks at, and the function that
//! speaks. A rule speaks only where something was seen that says so: a line of the
//! kernel's, a program's words, a note in one of the image's files, a refused
//! system call of a trace. Words about a cause are not the cause: a message counts
//! where it stands as the C library writes it, at a line's end. What no rule knows
//! has no cause, and [`examined`] says what was looked at.

mod cgroup;
mod cpu_level;
mod disk_full;
mod exec;
mod fault;
mod invalid_opcode;
mod kernel_too_old;
mod kernel_trouble;
mod library;
mod missing_syscall;
mod nf_tables;
mod no_memory;
mod noticed;
mod oom;
mod panic;
mod seccomp;
mod segfault;
mod time64;
mod traced;
mod user_namespace;
mod vsyscall;

use std::sync::LazyLock;

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Outcome;
use crate::userland::{self, Start, Userland};

pub(crate) use kernel_trouble::victim;
pub(crate) use noticed::death;
pub use noticed::{Noticed, harmed, noticed};
pub(crate) use seccomp::last_refused_call;
pub use traced::words as step_words;

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
    /// The seccomp profile it ran under; none: without one, or it is not known.
    pub seccomp: Option<&'a str>,
    /// The program that was run, as the image has it: `/bin/bash`.
    pub program: Option<&'a str>,
    /// The files of its image; none where nobody can look.
    pub image: Option<&'a dyn Userland>,
    /// What its processes were refused, where it was traced.
    pub trace: Option<&'a wire::Trace>,
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
            seccomp: None,
            program: None,
            image: None,
            trace: None,
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

    /// The last of the program's lines that tells an error in the C library's words,
    /// where these are its words: what was told before it the program has outlived.
    fn last_error(self, words: &str) -> Option<&'a str> {
        [self.stderr, self.stdout].into_iter().find_map(|text| {
            let told = |line: &&str| ERRORS.iter().any(|error| says(line, error));
            let last = text.lines().map(str::trim).rfind(told)?;
            says(last, words).then_some(last)
        })
    }

    /// It ended by itself, and had the chance to say why.
    fn spoke(self) -> bool {
        matches!(
            self.outcome,
            Outcome::Exit { .. } | Outcome::Mismatch { .. }
        )
    }

    /// A signal ended it or, where that counts, a child; or a shell tells so of a
    /// child.
    fn ended_by(self, number: u8) -> bool {
        match self.outcome {
            Outcome::Signal { signal, .. } | Outcome::Child { signal, .. } => *signal == number,
            Outcome::Exit { code } => u16::from(*code) == 128 + u16::from(number),
            _ => false,
        }
    }

    /// The ELF file that is executed in the end, with its path. An image that cannot
    /// be read says nothing.
    fn executed(self) -> Option<(String, crate::elf::Elf)> {
        match userland::start(self.image?, self.program?).ok()? {
            Start::Elf { path, elf } => Some((path, *elf)),
            Start::Missing { .. } | Start::NoProgram { .. } => None,
        }
    }
}

/// strerror's words for what programs commonly meet, glibc's and musl's.
const ERRORS: [&str; 24] = [
    "Address family not supported by protocol",
    "Bad file descriptor",
    "Broken pipe",
    "Cannot allocate memory",
    "Connection refused",
    "Device or resource busy",
    "Exec format error",
    "File exists",
    "Function not implemented",
    "Input/output error",
    "Invalid argument",
    "Is a directory",
    "No space left on device",
    "No such device",
    "No such device or address",
    "No such file or directory",
    "No such process",
    "Not a directory",
    "Operation not permitted",
    "Operation not supported",
    "Permission denied",
    "Protocol not supported",
    "Read-only file system",
    "Resource temporarily unavailable",
];

/// The line ends as perror(3) writes it.
fn says(line: &str, error: &str) -> bool {
    line.strip_suffix(error)
        .is_some_and(|before| before.ends_with(": "))
}

/// A rule.
struct Rule {
    /// The causes it can name.
    names: &'static [&'static str],
    /// What it goes by.
    looks_at: &'static str,
    /// Speaks where it knows.
    find: fn(Observation<'_>) -> Option<Cause>,
}

/// The rules, the most telling first: what the kernel says by name, what the loader
/// says, what programs say, and last what only tells where it happened.
const RULES: [&Rule; 19] = [
    &oom::RULE,
    &panic::RULE,
    &kernel_trouble::RULE,
    &vsyscall::RULE,
    &seccomp::KILLED,
    &kernel_too_old::RULE,
    &cpu_level::RULE,
    &library::RULE,
    &exec::RULE,
    &cgroup::RULE,
    &nf_tables::RULE,
    &user_namespace::RULE,
    &time64::RULE,
    &seccomp::REFUSED,
    &missing_syscall::RULE,
    &disk_full::RULE,
    &no_memory::RULE,
    &invalid_opcode::RULE,
    &segfault::RULE,
];

/// Why it happened, where a rule knows. A pass has no cause, nor has a cell that
/// was not run: its reason says it.
pub fn cause(observation: Observation<'_>) -> Option<Cause> {
    if observation.outcome.is_pass() || !observation.outcome.is_result() {
        return None;
    }
    let found = RULES.iter().find_map(|rule| {
        let cause = (rule.find)(observation)?;
        debug_assert!(rule.names.contains(&cause.name.as_str()), "{}", cause.name);
        Some(cause)
    })?;
    Some(found)
}

/// Whether the cell under ptrace would say more: it ended by itself or by a signal
/// and nobody knows why, or it is known that a call is missing and not which.
pub fn trace_would_tell(outcome: &Outcome, cause: Option<&Cause>) -> bool {
    let ended = matches!(
        outcome,
        Outcome::Exit { .. } | Outcome::Mismatch { .. } | Outcome::Signal { .. }
    );
    ended && cause.is_none_or(|cause| missing_syscall::RULE.names.contains(&cause.name.as_str()))
}

/// Every cause there is a rule for, with what the rule looks at.
pub fn rules() -> impl Iterator<Item = (&'static [&'static str], &'static str)> {
    RULES.iter().map(|rule| (rule.names, rule.looks_at))
}

/// What was looked at, for a cell whose cause no rule knows.
pub fn examined(observation: Observation<'_>) -> Vec<String> {
    let counted = |name: &str, text: &str| match text.lines().count() {
        0 => format!("{name}: nothing"),
        1 => format!("{name}: 1 line"),
        lines => format!("{name}: {lines} lines"),
    };
    let mut looked = vec![
        counted("stderr", observation.stderr),
        counted("stdout", observation.stdout),
        match observation.kernel_log.len() {
            0 => "kernel log: nothing was logged meanwhile".to_owned(),
            1 => "kernel log: 1 line".to_owned(),
            lines => format!("kernel log: {lines} lines"),
        },
    ];
    looked.push(match (observation.image, observation.program) {
        (None, _) => "the image's files: not looked at".to_owned(),
        (Some(_), None) => "the program: not in the image".to_owned(),
        (Some(image), Some(program)) => match userland::start(image, program) {
            Ok(Start::Elf { path, elf }) => format!("{path}: {}", elf.words()),
            Ok(Start::Missing { path, .. }) => format!("{program}: needs {path}, which is missing"),
            Ok(Start::NoProgram { path, reason }) => format!("{path}: {reason}"),
            Err(error) => format!("{program}: the image cannot be read: {error}"),
        },
    });
    looked.push(match observation.trace {
        None => "system calls: not traced".to_owned(),
        Some(trace) => format!(
            "system calls: traced, {} failed",
            trace
                .steps
                .iter()
                .filter(|step| matches!(step.what, wire::Traced::Failed { .. }))
                .map(|step| step.times)
                .sum::<u64>()
        ),
    });
    let names: Vec<&str> = RULES.iter().flat_map(|rule| rule.names).copied().collect();
    looked.push(format!("none of these was seen: {}", names.join(", ")));
    looked
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
    fn the_last_error_that_is_told_is_what_it_ended_of() {
        let outcome = Outcome::Exit { code: 1 };
        let words = "No space left on device";
        for (stderr, stdout, told) in [
            ("x: No space left on device", "", true),
            ("x: No space left on device\nErrors were met", "", true),
            (
                "x: No space left on device\ncat: /gone: No such file or directory",
                "",
                false,
            ),
            ("x: said No space left on device", "", false),
            ("", "x: No space left on device", true),
        ] {
            let observation = Observation {
                stderr,
                stdout,
                ..Observation::new(&outcome)
            };
            assert_eq!(observation.last_error(words).is_some(), told, "{stderr}");
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
    fn what_no_rule_knows_has_no_cause_and_says_what_was_looked_at() {
        let outcome = Outcome::Exit { code: 1 };
        let log = ["EXT4-fs (vdb): mounted filesystem with ordered data mode".to_owned()];
        let observation = Observation {
            kernel_log: &log,
            stderr: "ls: cannot access '/x': No such file or directory",
            ..Observation::new(&outcome)
        };
        assert_eq!(cause(observation), None);
        let looked = examined(observation);
        assert_eq!(looked[0], "stderr: 1 line");
        assert_eq!(looked[2], "kernel log: 1 line");
        assert!(looked.last().unwrap().contains("vsyscall-none"));
        let segv = Outcome::Signal {
            signal: 11,
            core: false,
            syscall: None,
        };
        assert_eq!(cause(Observation::new(&segv)), None);
    }

    #[test]
    fn no_two_rules_give_the_same_name() {
        let names: Vec<&str> = rules().flat_map(|(names, _)| names).copied().collect();
        let mut unique = names.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), names.len());
    }
}
