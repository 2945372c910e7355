//! From `linux.seccomp` to classic BPF.
//!
//! One binary search per architecture over the ranges of numbers that are
//! answered alike; a call whose arguments matter ends in its rules, of which
//! the first that matches decides.

use std::collections::BTreeMap;

use oci_spec::runtime::{
    LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompOperator, LinuxSyscall,
};

use super::names::{Table, X32_BIT};
use crate::failure::Failure;

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const IF_ABOVE: u16 = 0x25; // BPF_JMP | BPF_JGT | BPF_K
const IF_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

/// Offsets in struct seccomp_data.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// AUDIT_ARCH_*, linux/audit.h.
const AUDIT_X86_64: u32 = 0xc000_003e;
const AUDIT_I386: u32 = 0x4000_0003;

/// The kernel takes no more (BPF_MAXINSNS).
const MOST_STEPS: usize = 4096;
/// The kernel caps what a filter can answer at this (MAX_ERRNO).
const MOST_ERRNO: u32 = 4095;

/// A program, and whether the configuration named calls nobody knows.
pub(super) struct Compiled {
    pub(super) steps: Vec<libc::sock_filter>,
    pub(super) unknown_names: bool,
}

/// What decides about one number: rules with conditions in order, then the
/// answer where none matched.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Decision {
    rules: Vec<(Vec<Condition>, u32)>,
    otherwise: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Condition {
    index: u32,
    operator: LinuxSeccompOperator,
    value: u64,
    second: u64,
}

/// `log_allows` is for kernels that have no SCMP_ACT_LOG.
pub(super) fn compile(config: &LinuxSeccomp, log_allows: bool) -> Result<Compiled, Failure> {
    let default = answer(
        "linux.seccomp.defaultAction",
        config.default_action(),
        config.default_errno_ret(),
        log_allows,
    )?;
    // libseccomp's filters have the machine's own architecture in any case, and
    // kill the thread that uses one that is not listed.
    let mut tables = vec![Table::X86_64];
    for architecture in config.architectures().iter().flatten() {
        if let Some(table) = Table::of(*architecture)
            && !tables.contains(&table)
        {
            tables.push(table);
        }
    }
    let kill = libc::SECCOMP_RET_KILL_THREAD;
    let mut decisions: BTreeMap<(Table, u32), Decision> = BTreeMap::new();
    let mut unknown_names = false;
    for (index, rule) in config.syscalls().iter().flatten().enumerate() {
        let place = format!("linux.seccomp.syscalls[{index}]");
        let answer = answer(&place, rule.action(), rule.errno_ret(), log_allows)?;
        let alternatives = conditions(&place, rule)?;
        for name in rule.names() {
            let everywhere = [Table::X86_64, Table::X86];
            unknown_names |= everywhere.iter().all(|table| table.number(name).is_none());
            for table in &tables {
                let Some(number) = table.number(name) else {
                    continue;
                };
                let decision = decisions.entry((*table, number)).or_insert(Decision {
                    rules: Vec::new(),
                    otherwise: default,
                });
                decision
                    .rules
                    .extend(alternatives.iter().map(|all| (all.clone(), answer)));
            }
        }
    }
    let of = |table: Table| {
        decisions
            .iter()
            .filter(move |((of, _), _)| *of == table)
            .map(|((_, number), decision)| (*number, decision.clone().settled()))
    };
    let constant = |answer| Decision {
        rules: Vec::new(),
        otherwise: answer,
    };
    let x32_default = if tables.contains(&Table::X32) {
        default
    } else {
        kill
    };
    let wide = segments(
        &[(0, constant(default)), (X32_BIT, constant(x32_default))],
        of(Table::X86_64).chain(of(Table::X32)),
    );
    let wide = search(&wide);
    let mut steps = vec![step(LOAD, ARCHITECTURE, 0, 0)];
    let section = |steps: &mut Vec<_>, audit: u32, search: Vec<libc::sock_filter>| {
        // A jump of 32 bits: a section is longer than a branch reaches.
        steps.push(step(IF_EQUAL, audit, 1, 0));
        steps.push(step(JUMP, len(&search) + 1, 0, 0));
        steps.push(step(LOAD, NUMBER, 0, 0));
        steps.extend(search);
    };
    section(&mut steps, AUDIT_X86_64, wide);
    if tables.contains(&Table::X86) {
        let narrow = segments(&[(0, constant(default))], of(Table::X86));
        section(&mut steps, AUDIT_I386, search(&narrow));
    }
    steps.push(step(RETURN, kill, 0, 0));
    if steps.len() > MOST_STEPS {
        return Err(Failure::invalid(
            "linux.seccomp",
            format!("{} steps of BPF, {MOST_STEPS} are the most", steps.len()),
        ));
    }
    Ok(Compiled {
        steps,
        unknown_names,
    })
}

impl Decision {
    /// A rule without conditions decides; what follows it is never asked.
    fn settled(mut self) -> Self {
        if let Some(end) = self.rules.iter().position(|(all, _)| all.is_empty()) {
            self.otherwise = self.rules[end].1;
            self.rules.truncate(end);
        }
        self
    }
}

fn answer(
    place: &str,
    action: LinuxSeccompAction,
    errno: Option<u32>,
    log_allows: bool,
) -> Result<u32, Failure> {
    if let Some(errno) = errno.filter(|errno| *errno > MOST_ERRNO) {
        let problem = format!("errno {errno} is above {MOST_ERRNO}");
        return Err(Failure::invalid(place, problem));
    }
    match action {
        // Somebody would have to listen.
        LinuxSeccompAction::ScmpActNotify => Err(Failure::NotImplemented {
            field: format!("{place}: SCMP_ACT_NOTIFY"),
        }),
        LinuxSeccompAction::ScmpActLog if log_allows => Ok(libc::SECCOMP_RET_ALLOW),
        action => Ok(action.as_u32(errno)),
    }
}

/// The alternatives of one rule, each a list of conditions that must all hold.
/// As runc does: where two are on the same argument, each is a rule of its own.
fn conditions(place: &str, rule: &LinuxSyscall) -> Result<Vec<Vec<Condition>>, Failure> {
    let all: Vec<Condition> = rule
        .args()
        .iter()
        .flatten()
        .map(|argument| condition(place, argument))
        .collect::<Result<_, _>>()?;
    let twice = all
        .iter()
        .enumerate()
        .any(|(at, one)| all[..at].iter().any(|other| other.index == one.index));
    Ok(if twice {
        all.into_iter().map(|one| vec![one]).collect()
    } else {
        vec![all]
    })
}

fn condition(place: &str, argument: &LinuxSeccompArg) -> Result<Condition, Failure> {
    let index = u32::try_from(argument.index())
        .ok()
        .filter(|index| *index < 6)
        .ok_or_else(|| {
            Failure::invalid(
                place,
                format!("a call has no argument {}", argument.index()),
            )
        })?;
    Ok(Condition {
        index,
        operator: argument.op(),
        value: argument.value(),
        second: argument.value_two().unwrap_or(0),
    })
}

/// Ranges by their first number; what lies between two numbers with a decision
/// of their own is the background's.
fn segments(
    background: &[(u32, Decision)],
    decisions: impl Iterator<Item = (u32, Decision)>,
) -> Vec<(u32, Decision)> {
    let behind = |number: u32| {
        let known = background.iter().rev().find(|(start, _)| *start <= number);
        known.map(|(_, decision)| decision.clone())
    };
    let mut starts: BTreeMap<u32, Decision> = background.iter().cloned().collect();
    let mut own: BTreeMap<u32, Decision> = BTreeMap::new();
    own.extend(decisions);
    for (number, decision) in &own {
        starts.insert(*number, decision.clone());
        if let Some(next) = number.checked_add(1)
            && !own.contains_key(&next)
            && let Some(decision) = behind(next)
        {
            starts.insert(next, decision);
        }
    }
    let mut segments: Vec<(u32, Decision)> = Vec::new();
    for (start, decision) in starts {
        if segments.last().is_none_or(|(_, last)| *last != decision) {
            segments.push((start, decision));
        }
    }
    segments
}

fn search(segments: &[(u32, Decision)]) -> Vec<libc::sock_filter> {
    match segments {
        [] => Vec::new(),
        [(_, decision)] => leaf(decision),
        _ => {
            let (low, high) = segments.split_at(segments.len() / 2);
            let (below, above) = (search(low), search(high));
            let mut steps = Vec::with_capacity(below.len() + above.len() + 2);
            match u8::try_from(below.len()) {
                Ok(short) => steps.push(step(IF_AT_LEAST, high[0].0, short, 0)),
                Err(_) => {
                    steps.push(step(IF_AT_LEAST, high[0].0, 0, 1));
                    steps.push(step(JUMP, len(&below), 0, 0));
                }
            }
            steps.extend(below);
            steps.extend(above);
            steps
        }
    }
}

fn leaf(decision: &Decision) -> Vec<libc::sock_filter> {
    let mut steps = Vec::new();
    for (conditions, answer) in &decision.rules {
        let mut rule: Vec<Branch> = conditions.iter().flat_map(Condition::branches).collect();
        rule.push(Branch::straight(RETURN, *answer));
        let end = rule.len();
        steps.extend(rule.iter().enumerate().map(|(at, branch)| {
            let to = |target: Target| match target {
                Target::Skip(count) => count,
                // Six arguments of at most five steps each.
                Target::Fail => u8::try_from(end - at - 1).unwrap_or(u8::MAX),
            };
            step(branch.code, branch.k, to(branch.yes), to(branch.no))
        }));
    }
    // Where a rule's conditions fail, the accumulator holds an argument; nothing
    // after it reads the number.
    steps.push(step(RETURN, decision.otherwise, 0, 0));
    steps
}

#[derive(Clone, Copy)]
enum Target {
    Skip(u8),
    Fail,
}

struct Branch {
    code: u16,
    k: u32,
    yes: Target,
    no: Target,
}

impl Branch {
    fn straight(code: u16, k: u32) -> Self {
        Self::new(code, k, Target::Skip(0), Target::Skip(0))
    }

    fn new(code: u16, k: u32, yes: Target, no: Target) -> Self {
        Self { code, k, yes, no }
    }
}

impl Condition {
    /// Goes on past the last where it holds.
    fn branches(&self) -> Vec<Branch> {
        use LinuxSeccompOperator as Operator;
        use Target::{Fail, Skip};
        let low = ARGUMENTS + 8 * self.index;
        let load = |offset| Branch::straight(LOAD, offset);
        let halves = |value: u64| ((value >> 32) as u32, (value & 0xffff_ffff) as u32);
        let (high_value, low_value) = halves(self.value);
        match self.operator {
            Operator::ScmpCmpEq => vec![
                load(low + 4),
                Branch::new(IF_EQUAL, high_value, Skip(0), Fail),
                load(low),
                Branch::new(IF_EQUAL, low_value, Skip(0), Fail),
            ],
            Operator::ScmpCmpMaskedEq => {
                let (high_wanted, low_wanted) = halves(self.second);
                vec![
                    load(low + 4),
                    Branch::straight(AND, high_value),
                    Branch::new(IF_EQUAL, high_wanted, Skip(0), Fail),
                    load(low),
                    Branch::straight(AND, low_value),
                    Branch::new(IF_EQUAL, low_wanted, Skip(0), Fail),
                ]
            }
            Operator::ScmpCmpNe => vec![
                load(low + 4),
                Branch::new(IF_EQUAL, high_value, Skip(0), Skip(2)),
                load(low),
                Branch::new(IF_EQUAL, low_value, Fail, Skip(0)),
            ],
            Operator::ScmpCmpGe | Operator::ScmpCmpGt => vec![
                load(low + 4),
                Branch::new(IF_ABOVE, high_value, Skip(3), Skip(0)),
                Branch::new(IF_EQUAL, high_value, Skip(0), Fail),
                load(low),
                match self.operator {
                    Operator::ScmpCmpGe => Branch::new(IF_AT_LEAST, low_value, Skip(0), Fail),
                    _ => Branch::new(IF_ABOVE, low_value, Skip(0), Fail),
                },
            ],
            Operator::ScmpCmpLt | Operator::ScmpCmpLe => vec![
                load(low + 4),
                Branch::new(IF_ABOVE, high_value, Fail, Skip(0)),
                Branch::new(IF_EQUAL, high_value, Skip(0), Skip(2)),
                load(low),
                match self.operator {
                    Operator::ScmpCmpLt => Branch::new(IF_AT_LEAST, low_value, Fail, Skip(0)),
                    _ => Branch::new(IF_ABOVE, low_value, Fail, Skip(0)),
                },
            ],
        }
    }
}

fn len(steps: &[libc::sock_filter]) -> u32 {
    u32::try_from(steps.len()).unwrap_or(u32::MAX)
}

const fn step(code: u16, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

#[cfg(test)]
#[path = "compile/tests.rs"]
mod tests;
