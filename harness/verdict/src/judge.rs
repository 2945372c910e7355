//! From what the guest saw of a cell, or the host of its machine, to an outcome.

mod demands;

use std::sync::LazyLock;

use regex::{Regex, bytes};
use wire::{Captured, CellResult, End, Trace, Traced};

pub use demands::{Children, Demands};

use crate::{Outcome, signal};

/// What stands for the running kernel's release in a pattern for stdout.
const RELEASE: &str = "{release}";

/// A pattern that is no regular expression.
#[derive(Clone, Debug, thiserror::Error)]
#[error("`{pattern}` is no regular expression: {reason}")]
pub struct PatternError {
    /// As given.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Compiles a check's pattern for stdout; `{release}` in it stands for this
/// release, literally. To be called with any release when a check is read, so
/// that a bad pattern is told with its place.
///
/// # Errors
/// When it is no regular expression.
pub fn pattern(pattern: &str, release: &str) -> Result<bytes::Regex, PatternError> {
    let literal = regex::escape(release);
    bytes::Regex::new(&pattern.replace(RELEASE, &literal)).map_err(|error| PatternError {
        pattern: pattern.to_owned(),
        reason: match error {
            regex::Error::CompiledTooBig(limit) => {
                format!("it compiles to more than {limit} bytes")
            }
            // The last line says what; those before it draw the place.
            other => other
                .to_string()
                .lines()
                .next_back()
                .unwrap_or_default()
                .trim_start_matches("error: ")
                .to_owned(),
        },
    })
}

/// What happened in a cell. `release` is the running kernel's; `limit` is the time
/// limit in milliseconds, after scaling.
pub fn outcome(result: &CellResult, demands: Demands<'_>, release: &str, limit: u64) -> Outcome {
    let lines = || result.kernel_log.iter().map(|line| line.text.as_str());
    match &result.end {
        End::Exited(0) => {
            let passed = match demands.stdout {
                None => Outcome::Pass,
                Some(wanted) => match pattern(wanted, release) {
                    Ok(regex) => matched(&regex, wanted, &result.stdout),
                    Err(error) => Outcome::not_run(error.to_string()),
                },
            };
            match (passed, demands.children) {
                (Outcome::Pass, Children::Fail) => oopsed(lines())
                    .or_else(|| died(lines()))
                    .unwrap_or(Outcome::Pass),
                (other, _) => other,
            }
        }
        End::OutOfMemory => Outcome::Oom,
        // A shell tells 137 of a child that was killed.
        End::Exited(137) if out_of_memory(result) => Outcome::Oom,
        End::Exited(code) => Outcome::Exit { code: *code },
        End::Signaled {
            signal: signal::KILL,
            ..
        } if out_of_memory(result) => Outcome::Oom,
        End::Signaled { signal, core } if (1..=signal::LARGEST).contains(signal) => with_syscall(
            Outcome::Signal {
                signal: *signal,
                core: *core,
                syscall: None,
            },
            lines(),
            result.trace.as_ref(),
        ),
        End::Signaled { signal, .. } => {
            Outcome::not_run(format!("the guest told of signal {signal}, which is none"))
        }
        End::Exec { errno, path } => Outcome::Exec {
            errno: *errno,
            path: path.clone(),
        },
        End::TimedOut => Outcome::Timeout { limit },
        End::Unsupported { what } => Outcome::Unsupported { what: what.clone() },
        End::Trouble { message } => Outcome::not_run(message.clone()),
    }
}

/// SIGSYS with the system call it was for. A trace shows the very signal, so it
/// decides; without one it is the kernel's last line about a process that seccomp
/// ended, which it writes where a filter's answer is to kill and not where it is to
/// trap. Other outcomes are left as they are.
pub fn with_syscall<'a>(
    outcome: Outcome,
    lines: impl DoubleEndedIterator<Item = &'a str>,
    trace: Option<&Trace>,
) -> Outcome {
    let Outcome::Signal {
        signal: signal::SYS,
        core,
        ..
    } = outcome
    else {
        return outcome;
    };
    let traced = trace.and_then(|trace| {
        trace.steps.iter().rev().find_map(|step| match &step.what {
            Traced::Signal { signal, call, .. } if *signal == i32::from(signal::SYS) => {
                Some(call.clone())
            }
            _ => None,
        })
    });
    Outcome::Signal {
        signal: signal::SYS,
        core,
        syscall: traced.unwrap_or_else(|| crate::cause::last_refused_call(lines)),
    }
}

/// The process that the kernel came to harm for, and killed.
fn oopsed<'a>(lines: impl Iterator<Item = &'a str>) -> Option<Outcome> {
    Some(Outcome::Child {
        signal: signal::KILL,
        syscall: None,
        process: crate::cause::victim(lines)?,
    })
}

/// The last process that the kernel tells of as dead.
fn died<'a>(lines: impl DoubleEndedIterator<Item = &'a str>) -> Option<Outcome> {
    let death = lines.rev().find_map(crate::cause::death)?;
    Some(Outcome::Child {
        signal: death.signal,
        syscall: death.syscall,
        process: death.process,
    })
}

/// What the console of a machine that ended while a cell ran says of it: a
/// panic, a lockup, or neither.
pub fn console<'a>(lines: impl IntoIterator<Item = &'a str>) -> Option<Outcome> {
    let mut lockup = None;
    for line in lines {
        if let Some(start) = line.find("Kernel panic - not syncing") {
            // A panic is the end; a lockup before it is how it came to it.
            return Some(Outcome::panic(line[start..].trim_end()));
        }
        if lockup.is_none() && LOCKUP.is_match(line) {
            lockup = Some(Outcome::lockup(
                crate::cause::without_stamp(line).trim_end(),
            ));
        }
    }
    lockup
}

static LOCKUP: LazyLock<Regex> = LazyLock::new(|| {
    // `watchdog: BUG: soft lockup - CPU#0 stuck for 22s!`, before 4.12 `NMI
    // watchdog: `; `NMI watchdog: Watchdog detected hard LOCKUP on cpu 0`;
    // `INFO: rcu_sched self-detected stall on CPU`, from 5.0 on `rcu: INFO: `.
    crate::cause::rule(
        r"BUG: soft lockup - CPU#|Watchdog detected hard LOCKUP|INFO: rcu_\w+ (?:self-)?detected stalls? on CPU",
    )
});

/// The kernel says that its out-of-memory killer killed.
pub(crate) fn is_oom_line(line: &str) -> bool {
    static OOM: LazyLock<Regex> = LazyLock::new(|| {
        // `Out of memory: Kill process 12 (sh) score 9`, from 5.1 on `Killed
        // process`; `Memory cgroup out of memory: …`; and the line after the
        // first of the two old ones, which stands alone where it was limited.
        crate::cause::rule(
            r"[Oo]ut of memory: Kill(?:ed)? process \d+|^Killed process \d+ \(.*\),? .*(?:total|anon)-(?:vm|rss):",
        )
    });
    OOM.is_match(crate::cause::without_stamp(line))
}

/// The process that a line of the out-of-memory killer names: `tail[2018]`.
pub(crate) fn oom_victim(line: &str) -> Option<String> {
    static VICTIM: LazyLock<Regex> =
        LazyLock::new(|| crate::cause::rule(r"Kill(?:ed)? process (\d+) \(([^)]*)\)"));
    if !is_oom_line(line) {
        return None;
    }
    let found = VICTIM.captures(line)?;
    Some(format!("{}[{}]", &found[2], &found[1]))
}

fn out_of_memory(result: &CellResult) -> bool {
    result.kernel_log.iter().any(|line| is_oom_line(&line.text))
}

fn matched(regex: &bytes::Regex, wanted: &str, stdout: &Captured) -> Outcome {
    if stdout.dropped == 0 {
        let end = stdout
            .bytes
            .iter()
            .rposition(|byte| *byte != b'\n')
            .map_or(0, |last| last + 1);
        let text = &stdout.bytes[..end];
        return if regex.is_match(text) {
            Outcome::Pass
        } else {
            Outcome::Mismatch {
                detail: format!("stdout does not match `{wanted}`: {}", excerpt(text)),
            }
        };
    }
    // Of a cut stream only a match that does not lean on the cut says anything:
    // what comes after it could satisfy a pattern, or take its `$` away. An
    // assertion looks at most at one character, four bytes, past its place.
    let kept = stdout.bytes.len();
    match regex.shortest_match(&stdout.bytes) {
        Some(end) if end + 4 <= kept => Outcome::Pass,
        _ => Outcome::not_run(format!(
            "stdout was cut after {kept} bytes ({} more were dropped), too soon to tell whether \
             it matches `{wanted}`",
            stdout.dropped
        )),
    }
}

/// The first line, quoted, and shortened where it is long.
fn excerpt(bytes: &[u8]) -> String {
    const LONGEST: usize = 80;
    if bytes.is_empty() {
        return "it is empty".to_owned();
    }
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().next().unwrap_or_default();
    let mut shown: String = line.chars().take(LONGEST).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

#[cfg(test)]
mod tests;
