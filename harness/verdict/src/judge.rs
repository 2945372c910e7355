//! From what the guest saw of a cell, or the host of its machine, to an outcome.

use std::sync::LazyLock;

use regex::{Regex, bytes};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wire::{Captured, CellResult, End, Trace, Traced};

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

/// What a check demands for a pass, beside exit status 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct Demands<'a> {
    /// A pattern for stdout, held against it without its trailing newlines, as
    /// `$(command)` gives it.
    pub stdout: Option<&'a str>,
    /// What the death of another process than the first means.
    pub children: Children,
}

/// What it means for a check that another process of it died, its first ending with
/// status 0: `children = "fail"`.
///
/// Told by the kernel's log: faults that no handler took, seccomp's kills and those of
/// the out-of-memory killer. Of a child that calls abort(3) or is sent a signal the
/// kernel logs nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Children {
    /// It is noticed, and no part of the outcome.
    #[default]
    Noticed,
    /// The check is no pass.
    Fail,
}

impl Children {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Noticed, Self::Fail];

    /// The word of a check's file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Noticed => "noticed",
            Self::Fail => "fail",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// It is the default.
    pub fn is_noticed(&self) -> bool {
        *self == Self::Noticed
    }
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
                (Outcome::Pass, Children::Fail) => died(lines()).unwrap_or(Outcome::Pass),
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
mod tests {
    use wire::KernelLine;

    use super::*;

    fn result(end: End, stdout: &str) -> CellResult {
        CellResult {
            id: 1,
            end,
            stdout: Captured {
                bytes: stdout.into(),
                dropped: 0,
            },
            stderr: Captured::default(),
            kernel_log: Vec::new(),
            duration: 12_000,
            survivors: Vec::new(),
            trace: None,
        }
    }

    fn with_log(end: End, line: &str) -> CellResult {
        let mut result = result(end, "");
        result.kernel_log.push(KernelLine {
            level: 3,
            time: 1,
            text: line.into(),
        });
        result
    }

    fn judged(result: &CellResult, pattern: Option<&str>) -> Outcome {
        let demands = Demands {
            stdout: pattern,
            ..Demands::default()
        };
        outcome(result, demands, "6.1.0-50-cloud-amd64", 60_000)
    }

    const FAULT: &str = "perl[77]: segfault at 1 ip 00007f12ab3d1131 sp 00007fffffffe0d0 error 4 \
                         in libc.so.6[28131,7f12ab3d0000+155000]";
    const AUDIT: &str = "audit: type=1326 audit(1764500000.123:2): auid=4294967295 uid=0 gid=0 \
                         ses=4294967295 subj=unconfined pid=78 comm=\"trouble\" exe=\"/trouble\" \
                         sig=31 arch=c000003e syscall=110 compat=0 ip=0x44e0d7 code=0x0";

    #[test]
    fn a_childs_death_counts_where_the_check_says_so() {
        let counts = |cell: &CellResult, stdout| {
            let demands = Demands {
                stdout,
                children: Children::Fail,
            };
            outcome(cell, demands, "6.1", 60_000).label().into_owned()
        };
        let mut cell = with_log(End::Exited(0), FAULT);
        assert_eq!(judged(&cell, None), Outcome::Pass);
        assert_eq!(counts(&cell, None), "child SIGSEGV");
        // What is no pass for another reason keeps it.
        assert_eq!(counts(&cell, Some("x")), "mismatch");
        cell.end = End::Exited(3);
        assert_eq!(counts(&cell, None), "exit 3");
        for (line, label) in [
            ("EXT4-fs (vdb): mounted filesystem", "pass"),
            (AUDIT, "child SIGSYS (getppid)"),
            (
                "traps: sh[7] trap invalid opcode ip:401136 sp:7ffd error:0 in sh[401000+1000]",
                "child SIGILL",
            ),
            (
                "traps: sh[7] general protection fault ip:401136 sp:7ffd error:0 in sh[400000+1000]",
                "child SIGSEGV",
            ),
            (
                "sh[7] vsyscall attempted with vsyscall=none ip:ffffffffff600400 cs:33",
                "child SIGSEGV",
            ),
            (
                "Out of memory: Killed process 2018 (tail) total-vm:1040612kB, anon-rss:424204kB",
                "child SIGKILL",
            ),
        ] {
            assert_eq!(
                counts(&with_log(End::Exited(0), line), None),
                label,
                "{line}"
            );
        }
        let who = outcome(
            &with_log(End::Exited(0), AUDIT),
            Demands {
                children: Children::Fail,
                ..Demands::default()
            },
            "6.1",
            60_000,
        );
        assert_eq!(who.detail().as_deref(), Some("trouble[78] died"));
        for children in Children::ALL {
            assert_eq!(Children::named(children.name()), Some(children));
        }
    }

    #[test]
    fn sigsys_tells_the_call_that_the_kernel_or_a_trace_names() {
        let refused = || End::Signaled {
            signal: 31,
            core: false,
        };
        assert_eq!(
            judged(&with_log(refused(), AUDIT), None).label(),
            "SIGSYS 159 (getppid)"
        );
        assert_eq!(judged(&result(refused(), ""), None).label(), "SIGSYS 159");
        let segv = with_log(
            End::Signaled {
                signal: 11,
                core: false,
            },
            AUDIT,
        );
        assert_eq!(judged(&segv, None).label(), "SIGSEGV 139");
        // A trace shows who sent it: nobody but the process itself, here.
        let mut traced = with_log(refused(), AUDIT);
        for (call, label) in [(None, "SIGSYS 159"), (Some("statx"), "SIGSYS 159 (statx)")] {
            traced.trace = Some(Trace {
                steps: vec![wire::Step {
                    process: 7,
                    what: Traced::Signal {
                        signal: 31,
                        code: 1,
                        address: None,
                        instruction: 0x1000,
                        call: call.map(str::to_owned),
                    },
                    times: 1,
                }],
                dropped: 0,
            });
            assert_eq!(judged(&traced, None).label(), label);
        }
    }

    #[test]
    fn ends_become_outcomes() {
        let of = |end| judged(&result(end, ""), None);
        assert_eq!(of(End::Exited(0)), Outcome::Pass);
        assert_eq!(of(End::Exited(3)), Outcome::Exit { code: 3 });
        assert_eq!(
            of(End::Signaled {
                signal: 11,
                core: true
            }),
            Outcome::Signal {
                signal: 11,
                core: true,
                syscall: None
            }
        );
        assert_eq!(of(End::OutOfMemory), Outcome::Oom);
        assert_eq!(of(End::TimedOut), Outcome::Timeout { limit: 60_000 });
        assert_eq!(
            of(End::Exec {
                errno: 8,
                path: "/x".into()
            }),
            Outcome::Exec {
                errno: 8,
                path: "/x".into()
            }
        );
        let unsupported = of(End::Unsupported {
            what: "no user namespaces".into(),
        });
        assert_eq!(unsupported.kind(), crate::Kind::Unsupported);
    }

    #[test]
    fn trouble_of_ours_is_never_a_result() {
        for end in [
            End::Trouble {
                message: "mount /dev/vdb: EIO".into(),
            },
            End::Signaled {
                signal: 0,
                core: false,
            },
            End::Signaled {
                signal: 200,
                core: false,
            },
        ] {
            assert!(!judged(&result(end, ""), None).is_result());
        }
        let bad_pattern = judged(&result(End::Exited(0), "x"), Some("("));
        assert!(
            matches!(&bad_pattern, Outcome::NotRun { reason } if reason.contains("unclosed group")),
            "{bad_pattern:?}"
        );
    }

    #[test]
    fn stdout_is_held_against_the_pattern() {
        let cases = [
            ("ok\n", "^ok$", true),
            ("ok\n\n", "^ok$", true),
            ("ok\nmore\n", "^ok$", false),
            ("not", "^ok$", false),
            ("6.1.0-50-cloud-amd64\n", "^{release}$", true),
            // The dots of a release are dots.
            ("6x1x0-50-cloud-amd64\n", "^{release}$", false),
            ("", "", true),
            ("", ".", false),
        ];
        for (stdout, wanted, passes) in cases {
            let outcome = judged(&result(End::Exited(0), stdout), Some(wanted));
            assert_eq!(
                outcome.is_pass(),
                passes,
                "{stdout:?} {wanted}: {outcome:?}"
            );
            assert_eq!(!passes, matches!(outcome, Outcome::Mismatch { .. }));
        }
        // A pattern does not make a failure a pass.
        let failed = judged(&result(End::Exited(3), "ok"), Some("ok"));
        assert_eq!(failed, Outcome::Exit { code: 3 });
    }

    #[test]
    fn bytes_that_are_no_text_do_not_match_by_accident() {
        let mut cell = result(End::Exited(0), "");
        cell.stdout.bytes = vec![0xff, 0xfe];
        let outcome = judged(&cell, Some("^..$"));
        assert!(matches!(outcome, Outcome::Mismatch { .. }), "{outcome:?}");
    }

    #[test]
    fn a_cut_stream_passes_only_by_what_is_sure() {
        for (kept, pattern, expected) in [
            ("version 6.1 and so on", "version 6", true),
            // May still come.
            ("first lines", "last line", false),
            // The end seen is not the end.
            ("all is ok", "ok$", false),
            ("all is ok", r"\bok\b", false),
            ("ok, and more", r"\bok\b", true),
        ] {
            let mut cell = result(End::Exited(0), kept);
            cell.stdout.dropped = 100;
            let outcome = judged(&cell, Some(pattern));
            assert_eq!(outcome.is_pass(), expected, "{kept} {pattern}: {outcome:?}");
            assert_eq!(outcome.is_result(), expected, "not known is not a result");
        }
    }

    #[test]
    fn killed_for_memory_is_told_from_killed() {
        let killed = || End::Signaled {
            signal: 9,
            core: false,
        };
        for line in [
            "Out of memory: Kill process 2018 (tail) score 905 or sacrifice child",
            "Out of memory: Killed process 2018 (tail) total-vm:1040612kB, anon-rss:424204kB",
            "Memory cgroup out of memory: Killed process 77 (tail) total-vm:9kB, anon-rss:1kB",
            "Killed process 2018 (tail) total-vm:1040612kB, anon-rss:424204kB, file-rss:0kB",
        ] {
            assert_eq!(
                judged(&with_log(killed(), line), None),
                Outcome::Oom,
                "{line}"
            );
            assert_eq!(
                judged(&with_log(End::Exited(137), line), None),
                Outcome::Oom
            );
            // Another process was killed; this one said what it had to say.
            assert_eq!(
                judged(&with_log(End::Exited(1), line), None),
                Outcome::Exit { code: 1 }
            );
            assert_eq!(judged(&with_log(End::Exited(0), line), None), Outcome::Pass);
        }
        for line in [
            "",
            "tail invoked oom-killer: gfp_mask=0x100cca, order=0, oom_score_adj=0",
            "systemd[1]: Killed process group 2018",
            "swap: running out of memory soon",
        ] {
            assert_eq!(
                judged(&with_log(killed(), line), None).label(),
                "SIGKILL 137",
                "{line}"
            );
        }
    }

    #[test]
    fn a_console_tells_a_panic_from_a_lockup() {
        let lockup = "[  48.1] watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [sh:77]";
        let panic = "[  49.000000] Kernel panic - not syncing: softlockup: hung tasks\r";
        assert_eq!(
            console([lockup, panic]),
            Some(Outcome::panic(
                "Kernel panic - not syncing: softlockup: hung tasks"
            ))
        );
        assert_eq!(
            console(["booting", lockup]),
            Some(Outcome::lockup(
                "watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [sh:77]"
            ))
        );
        assert_eq!(console(["[    1.0] reboot: Power down"]), None);
        assert!(console(["rcu: INFO: rcu_sched self-detected stall on CPU"]).is_some());
        assert_eq!(
            console(["rcu: \tRCU CPU stall warnings timeout set to 21 (rcu_cpu_stall_timeout)."]),
            None
        );
    }
}
