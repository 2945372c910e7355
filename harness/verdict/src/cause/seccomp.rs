//! A seccomp filter: it ends a process for a call, or answers EPERM in the kernel's
//! place.

use std::sync::LazyLock;

use regex::Regex;
use syscalls::{x86, x86_64};
use wire::Traced;

use super::{Cause, Observation, Rule, rule};
use crate::signal;

/// `seccomp-killed`.
pub(super) const KILLED: Rule = Rule {
    names: &["seccomp-killed"],
    looks_at: "the audit line of a process that seccomp ended, or a trace's SIGSYS",
    find: killed,
};

/// `seccomp-refused`.
pub(super) const REFUSED: Rule = Rule {
    names: &["seccomp-refused"],
    looks_at: "the check's seccomp profile, and EPERM of a call that needs no right",
    find: refused,
};

/// `audit: type=1326 audit(1.2:3): … comm="x" exe="/x" sig=31 arch=c000003e
/// syscall=110 compat=0 ip=0x… code=0x0`.
static AUDIT: LazyLock<Regex> = LazyLock::new(|| {
    rule(
        r#"^(?:audit: )?type=1326 audit\(.*\bpid=(?P<pid>\d+) .*\bcomm="(?P<process>[^"]*)".* sig=31 arch=(?P<arch>[0-9a-f]+) syscall=(?P<number>\d+)"#,
    )
});

/// The process (`trouble[77]`) and the call of an audit line about seccomp.
pub(super) fn audited(line: &str) -> Option<(String, String)> {
    const I386: &str = "40000003";
    /// What marks a call of the x32 ABI, which has x86-64's architecture.
    const X32: usize = 0x4000_0000;
    let found = AUDIT.captures(line)?;
    let number: usize = found.name("number")?.as_str().parse().ok()?;
    let name = if found.name("arch")?.as_str() == I386 {
        x86::Sysno::new(number).map(|call| call.name())
    } else {
        x86_64::Sysno::new(number & !X32).map(|call| call.name())
    };
    let call = name.map_or_else(|| format!("syscall {number}"), str::to_owned);
    let process = format!("{}[{}]", &found["process"], &found["pid"]);
    Some((process, call))
}

/// The call of the last audit line among these.
pub(crate) fn last_refused_call<'a>(
    lines: impl DoubleEndedIterator<Item = &'a str>,
) -> Option<String> {
    lines.rev().find_map(audited).map(|(_, call)| call)
}

fn killed(observation: Observation<'_>) -> Option<Cause> {
    if !observation.ended_by(signal::SYS) {
        return None;
    }
    let traced = observation.trace.and_then(|trace| {
        trace.steps.iter().rev().find_map(|step| match &step.what {
            Traced::Signal {
                call: Some(call), ..
            } => Some((call.clone(), super::step_words(step))),
            _ => None,
        })
    });
    let (call, line) = traced.or_else(|| {
        observation
            .kernel_lines()
            .rev()
            .find_map(|line| Some((audited(line)?.1, line.to_owned())))
    })?;
    let by = match observation.seccomp {
        Some(profile) => format!("the seccomp profile {profile}"),
        None => "a seccomp filter that the program installed itself".to_owned(),
    };
    Some(Cause {
        name: "seccomp-killed".to_owned(),
        explanation: format!("it called {call}, for which {by} ends a process"),
        evidence: vec![line],
        remedy: Some(format!(
            "a profile that allows {call}, or answers ENOSYS to it"
        )),
    })
}

/// Calls for which the kernel itself has no reason to say EPERM, so that a filter
/// said it: those by which newer C libraries do what older ones did by others.
const NEED_NO_RIGHT: [&str; 17] = [
    "clock_getres_time64",
    "clock_gettime64",
    "clock_nanosleep_time64",
    "clone3",
    "close_range",
    "epoll_pwait2",
    "faccessat2",
    "fchmodat2",
    "futex_time64",
    "futex_waitv",
    "getppid",
    "getrandom",
    "pidfd_open",
    "ppoll_time64",
    "pselect6_time64",
    "statx",
    "utimensat_time64",
];

fn refused(observation: Observation<'_>) -> Option<Cause> {
    let profile = observation
        .seccomp
        .filter(|profile| !matches!(*profile, "none" | "unconfined"));
    if !observation.spoke() && !observation.ended_by(signal::ABRT) {
        return None;
    }
    let (call, line) = traced(observation, profile.is_some())
        .or_else(|| profile.and_then(|_| said(observation)))?;
    let mut evidence = vec![line];
    let by = match profile {
        Some(profile) => {
            evidence.push(format!("seccomp profile of the check: {profile}"));
            format!("the seccomp profile {profile}")
        }
        None => "a seccomp filter that the program installed itself".to_owned(),
    };
    let number = x86_64::Sysno::iter()
        .find(|known| known.name() == call)
        .and_then(|known| u16::try_from(known.id()).ok());
    let lacks = observation
        .facts
        .zip(number)
        .is_some_and(|(facts, number)| facts.syscalls.missing.contains(&number));
    if lacks {
        evidence.push(format!("{call} is missing on this kernel"));
    }
    Some(Cause {
        name: "seccomp-refused".to_owned(),
        explanation: format!(
            "{by} answers EPERM to {call}, where a kernel that lacks the call answers ENOSYS and \
             the C library falls back"
        ),
        evidence,
        remedy: Some(
            "a profile that allows the call, or answers ENOSYS to what it does not know (docker \
             20.10.10, libseccomp 2.5 and later)"
                .to_owned(),
        ),
    })
}

/// The last call among those refused. clone3 can ask for namespaces, which take a
/// right: it counts where a filter is known to be there.
fn traced(observation: Observation<'_>, profiled: bool) -> Option<(String, String)> {
    const EPERM: i32 = 1;
    let steps = observation.trace?.steps.iter().rev();
    steps
        .filter_map(|step| match &step.what {
            Traced::Failed { call, errno, .. } if *errno == EPERM => Some((step, call)),
            _ => None,
        })
        .find(|(_, call)| {
            NEED_NO_RIGHT.contains(&call.as_str()) && (profiled || call.as_str() != "clone3")
        })
        .map(|(step, call)| (call.clone(), super::step_words(step)))
}

/// Words from which the call can be told.
fn said(observation: Observation<'_>) -> Option<(String, String)> {
    observation.lines().find_map(|line| {
        let before = line.strip_suffix(": Operation not permitted")?;
        let words = before
            .split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'))
            .collect::<Vec<_>>();
        let named = NEED_NO_RIGHT.iter().find(|call| words.contains(call));
        let call = match named {
            Some(call) => *call,
            // glibc 2.34 and later start threads by clone3.
            None if before.contains("pthread_create") => "clone3",
            None => return None,
        };
        Some((call.to_owned(), line.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Outcome, cause::cause as find};

    const AUDITED: &str = "audit: type=1326 audit(1764500000.123:2): auid=4294967295 uid=0 gid=0 \
                           ses=4294967295 subj=unconfined pid=77 comm=\"trouble\" \
                           exe=\"/trouble\" sig=31 arch=c000003e syscall=110 compat=0 \
                           ip=0x44e0d7 code=0x0";

    const SYS: Outcome = Outcome::Signal {
        signal: 31,
        core: true,
        syscall: None,
    };

    #[test]
    fn the_audit_line_names_the_call() {
        let log = [AUDITED.to_owned()];
        let observation = Observation {
            kernel_log: &log,
            ..Observation::new(&SYS)
        };
        let cause = find(observation).unwrap();
        assert_eq!(cause.name, "seccomp-killed");
        assert_eq!(
            cause.explanation,
            "it called getppid, for which a seccomp filter that the program installed itself ends \
             a process"
        );
        let narrow = AUDITED.replace("c000003e syscall=110", "40000003 syscall=403");
        let log = [narrow];
        let cause = find(Observation {
            kernel_log: &log,
            seccomp: Some("docker"),
            ..Observation::new(&SYS)
        })
        .unwrap();
        assert!(
            cause
                .explanation
                .starts_with("it called clock_gettime64, for which the seccomp")
        );
        assert_eq!(find(Observation::new(&SYS)), None, "SIGSYS can be sent");
    }

    #[test]
    fn eperm_is_seccomps_only_under_a_profile_and_for_a_call_that_needs_no_right() {
        let outcome = Outcome::Exit { code: 1 };
        let named = |seccomp, stderr| {
            let observation = Observation {
                stderr,
                seccomp,
                ..Observation::new(&outcome)
            };
            find(observation).map(|cause| cause.name)
        };
        let thread = "x: pthread_create: Operation not permitted";
        assert_eq!(
            named(Some("docker"), thread).as_deref(),
            Some("seccomp-refused")
        );
        assert_eq!(named(None, thread), None);
        assert_eq!(named(Some("unconfined"), thread), None);
        let mount = "mount: /mnt: Operation not permitted";
        assert_eq!(named(Some("docker"), mount), None);
    }

    #[test]
    fn a_trace_shows_a_filter_that_nobody_told_of() {
        let outcome = Outcome::Exit { code: 1 };
        let named = |call: &str, seccomp| {
            let trace = wire::Trace {
                steps: vec![wire::Step {
                    process: 7,
                    what: Traced::Failed {
                        call: call.to_owned(),
                        arguments: "0x0, 0x0, 0x0".into(),
                        errno: 1,
                    },
                    times: 1,
                }],
                dropped: 0,
            };
            let observation = Observation {
                trace: Some(&trace),
                seccomp,
                ..Observation::new(&outcome)
            };
            find(observation).map(|cause| cause.name)
        };
        let refused = Some("seccomp-refused");
        assert_eq!(named("getppid", None).as_deref(), refused);
        assert_eq!(named("clone3", Some("docker")).as_deref(), refused);
        assert_eq!(named("clone3", None), None);
        assert_eq!(named("mount", Some("docker")), None);
    }
}
