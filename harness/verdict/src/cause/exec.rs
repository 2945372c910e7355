//! A program that could not be executed: what execve's errno means, and what a
//! shell says of the same.

use super::{Cause, Observation};
use crate::{Outcome, errno};

/// `missing-program`, `missing-interpreter`, `exec-format`, `exec-permission`.
pub(super) fn cause(observation: Observation<'_>) -> Option<Cause> {
    match observation.outcome {
        Outcome::Exec { errno, path } => refused(observation, *errno, path),
        // The statuses of a shell that could not execute.
        Outcome::Exit { code: 126 | 127 } => told(observation),
        _ => None,
    }
}

fn refused(observation: Observation<'_>, errno: i32, path: &str) -> Option<Cause> {
    let evidence = vec![format!("execve {path}: {}", errno::name(errno))];
    match (errno, observation.program_exists) {
        (errno::ENOENT, Some(true)) => Some(missing_interpreter(path, evidence)),
        (errno::ENOENT, Some(false)) => Some(Cause {
            name: "missing-program".to_owned(),
            explanation: format!("the image has no {path}"),
            evidence,
            remedy: None,
        }),
        // ENOENT does not say which of the two is missing.
        (errno::ENOENT, None) => Some(Cause {
            name: "missing-program".to_owned(),
            explanation: format!(
                "the image has no {path}, or not the interpreter that it names (an ELF program's \
                 loader, a script's #! line)"
            ),
            evidence,
            remedy: None,
        }),
        (errno::ENOEXEC, _) => Some(format(observation, path, evidence)),
        (errno::EACCES, _) => Some(Cause {
            name: "exec-permission".to_owned(),
            explanation: format!(
                "{path} may not be executed: it or its interpreter lacks the permission, is no \
                 plain file, or lies on a file system mounted noexec"
            ),
            evidence,
            remedy: None,
        }),
        _ => None,
    }
}

fn told(observation: Observation<'_>) -> Option<Cause> {
    let interpreter = observation.lines().find(|line| {
        // bash up to 5.1, with the interpreter's name; bash from 5.2 on.
        line.ends_with(": bad ELF interpreter: No such file or directory")
            || line.ends_with(": bad interpreter: No such file or directory")
            || line.ends_with(": cannot execute: required file not found")
    });
    if let Some(line) = interpreter {
        return Some(missing_interpreter(named(line), vec![line.to_owned()]));
    }
    let line = observation.lines().find(|line| {
        line.ends_with(": Exec format error") || line.ends_with(": cannot execute binary file")
    })?;
    Some(format(observation, named(line), vec![line.to_owned()]))
}

/// The program in `/bin/sh: line 1: /opt/x: cannot execute: …`: the first word
/// with a slash behind the shell's own name.
fn named(line: &str) -> &str {
    line.split(": ")
        .skip(1)
        .find(|word| word.contains('/'))
        .unwrap_or("the program")
}

fn missing_interpreter(path: &str, evidence: Vec<String>) -> Cause {
    Cause {
        name: "missing-interpreter".to_owned(),
        explanation: format!(
            "the image has {path}, but not the interpreter that it names (an ELF program's \
             loader, a script's #! line)"
        ),
        evidence,
        remedy: None,
    }
}

fn format(observation: Observation<'_>, path: &str, mut evidence: Vec<String>) -> Cause {
    let ia32 = observation.facts.map(|facts| facts.ia32);
    if ia32 == Some(false) {
        evidence.push("the kernel runs no 32-bit x86 programs".to_owned());
        return Cause {
            name: "exec-format".to_owned(),
            explanation: format!(
                "{path} is no program for this kernel: a 32-bit one, which it has no emulation \
                 for, or one of another architecture"
            ),
            evidence,
            remedy: Some(
                "for a 32-bit program, a kernel built with CONFIG_IA32_EMULATION".to_owned(),
            ),
        };
    }
    Cause {
        name: "exec-format".to_owned(),
        explanation: format!(
            "{path} is no program for this kernel: of another architecture, damaged, or a script \
             without a #! line"
        ),
        evidence,
        remedy: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cause::cause as find, facts_for_tests};

    fn refused(errno: i32, exists: Option<bool>, ia32: bool) -> Option<Cause> {
        let outcome = Outcome::Exec {
            errno,
            path: "/bin/x".into(),
        };
        let facts = wire::Facts {
            ia32,
            ..facts_for_tests()
        };
        find(Observation {
            program_exists: exists,
            facts: Some(&facts),
            ..Observation::new(&outcome)
        })
    }

    fn told(code: u8, stderr: &str) -> Option<Cause> {
        let outcome = Outcome::Exit { code };
        find(Observation {
            stderr,
            ..Observation::new(&outcome)
        })
    }

    #[test]
    fn enoent_of_a_file_that_is_there_is_its_interpreter() {
        let name = |exists| refused(errno::ENOENT, exists, true).unwrap().name;
        assert_eq!(name(Some(true)), "missing-interpreter");
        assert_eq!(name(Some(false)), "missing-program");
        let unknown = refused(errno::ENOENT, None, true).unwrap();
        assert!(unknown.explanation.contains("or not the interpreter"));
        assert_eq!(unknown.evidence, ["execve /bin/x: ENOENT"]);
    }

    #[test]
    fn enoexec_speaks_of_32_bits_where_the_kernel_has_none() {
        let without = refused(errno::ENOEXEC, None, false).unwrap();
        assert_eq!(without.name, "exec-format");
        assert!(without.explanation.contains("32-bit"));
        let with = refused(errno::ENOEXEC, None, true).unwrap();
        assert!(!with.explanation.contains("32-bit"));
        assert_eq!(refused(12, None, true), None, "ENOMEM is not decoded");
    }

    #[test]
    fn what_shells_say() {
        for (stderr, name) in [
            (
                "bash: /opt/x: /lib/ld-linux.so.2: bad ELF interpreter: No such file or directory",
                "missing-interpreter",
            ),
            (
                "bash: line 1: /opt/x: cannot execute: required file not found",
                "missing-interpreter",
            ),
            (
                "/bin/sh: /opt/x: /usr/bin/perl: bad interpreter: No such file or directory",
                "missing-interpreter",
            ),
            (
                "bash: /opt/x: cannot execute binary file: Exec format error",
                "exec-format",
            ),
        ] {
            let cause = told(126, stderr).unwrap();
            assert_eq!(cause.name, name, "{stderr}");
            assert!(
                cause.explanation.contains("/opt/x"),
                "{}",
                cause.explanation
            );
            assert_eq!(cause.evidence, [stderr]);
            assert_eq!(told(1, stderr), None, "another status");
        }
        assert_eq!(told(127, "sh: 1: nosuch: not found"), None);
    }
}
