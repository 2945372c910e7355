//! A program that could not be executed: what execve's errno means, and what a
//! shell says of the same.

use std::sync::LazyLock;

use regex::Regex;

use super::{Cause, Observation, Rule, rule};
use crate::elf::Machine;
use crate::userland::{self, Start};
use crate::{Outcome, errno};

/// `missing-program`, `missing-interpreter`, `exec-format`, `no-ia32`,
/// `exec-permission`.
pub(super) const RULE: Rule = Rule {
    names: &[
        "missing-program",
        "missing-interpreter",
        "exec-format",
        "no-ia32",
        "exec-permission",
    ],
    looks_at: "execve's errno, or a shell's words for it, and the file itself",
    find,
};

fn find(observation: Observation<'_>) -> Option<Cause> {
    match observation.outcome {
        Outcome::Exec { errno, path } => refused(observation, *errno, path),
        // The statuses of a shell that could not execute.
        Outcome::Exit { code: 126 | 127 } => told(observation),
        _ => None,
    }
}

fn refused(observation: Observation<'_>, errno: i32, path: &str) -> Option<Cause> {
    let evidence = vec![format!("execve {path}: {}", errno::name(errno))];
    match errno {
        errno::ENOENT => Some(missing(observation, path, evidence)),
        errno::ENOEXEC => Some(format(observation, path, evidence)),
        errno::EACCES => Some(Cause {
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
    // bash up to 5.1 names the interpreter, bash from 5.2 on does not.
    let bad = observation.lines().find_map(|line| {
        let before = line
            .strip_suffix(": bad ELF interpreter: No such file or directory")
            .or_else(|| line.strip_suffix(": bad interpreter: No such file or directory"))?;
        Some((line, before.rsplit(": ").next().unwrap_or(before)))
    });
    if let Some((line, interpreter)) = bad {
        return Some(Cause {
            name: "missing-interpreter".to_owned(),
            explanation: without_interpreter(named(line), Some(interpreter)),
            evidence: vec![line.to_owned()],
            remedy: None,
        });
    }
    // It says so only of a file that is there.
    let required = observation
        .lines()
        .find(|line| line.ends_with(": cannot execute: required file not found"));
    if let Some(line) = required {
        let found = missing(observation, named(line), vec![line.to_owned()]);
        return Some(match found.name.as_str() {
            "missing-interpreter" => found,
            _ => Cause {
                name: "missing-interpreter".to_owned(),
                explanation: without_interpreter(named(line), None),
                ..found
            },
        });
    }
    let format_error = observation.lines().find(|line| {
        line.ends_with(": Exec format error") || line.ends_with(": cannot execute binary file")
    });
    if let Some(line) = format_error {
        return Some(format(observation, named(line), vec![line.to_owned()]));
    }
    absent(observation)
}

/// What a shell, or a program that starts others (env, unshare, nice), did not find.
/// Of "No such file or directory" a shell's path, or the word behind "failed to
/// execute" or in env's quotes: other programs say the same of what they read.
static ABSENT: LazyLock<Regex> = LazyLock::new(|| {
    rule(
        r"(?:(?:^|: )(?P<word>[^\s:]+): (?:command not found|not found)|(?:^|: )(?P<path>/[^\s:]+): No such file or directory|failed to execute (?P<started>[^\s:]+): No such file or directory|^(?:/\S*/)?env: ['‘](?P<quoted>[^'’]+)['’]: No such file or directory)$",
    )
});

fn absent(observation: Observation<'_>) -> Option<Cause> {
    if *observation.outcome != (Outcome::Exit { code: 127 }) {
        return None;
    }
    // The last: what a script could not start first it may have done without.
    let mut absent: Vec<_> = observation
        .lines()
        .filter_map(|line| Some((line, ABSENT.captures(line)?)))
        .collect();
    let (line, found) = absent.pop()?;
    let word = ["word", "path", "started", "quoted"]
        .iter()
        .find_map(|name| found.name(name))?
        .as_str();
    let evidence = vec![line.to_owned()];
    if word.contains('/') {
        return Some(missing(observation, word, evidence));
    }
    Some(Cause {
        name: "missing-program".to_owned(),
        explanation: format!("the image has no {word} in its PATH"),
        evidence,
        remedy: None,
    })
}

/// The program in `/bin/sh: line 1: /opt/x: cannot execute: …`: the first word
/// with a slash behind the shell's own name.
fn named(line: &str) -> &str {
    line.split(": ")
        .skip(1)
        .find(|word| word.contains('/'))
        .unwrap_or("the program")
}

/// ENOENT: the program, or what it names. It does not say which.
fn missing(observation: Observation<'_>, path: &str, mut evidence: Vec<String>) -> Cause {
    let start = observation.image.map(|image| userland::start(image, path));
    match start {
        Some(Ok(Start::Missing {
            named_by: Some(file),
            path: interpreter,
        })) => {
            evidence.push(format!(
                "{file} names {interpreter}, which is not in the image"
            ));
            Cause {
                name: "missing-interpreter".to_owned(),
                explanation: without_interpreter(&file, Some(&interpreter)),
                evidence,
                remedy: remedy_for(&interpreter),
            }
        }
        Some(Ok(Start::Missing { named_by: None, .. })) if is_started_itself(observation) => {
            Cause {
                name: "missing-program".to_owned(),
                explanation: format!("the image has no {path}"),
                evidence,
                remedy: None,
            }
        }
        _ => Cause {
            name: "missing-program".to_owned(),
            explanation: format!(
                "{} no {path}, or not the interpreter that it names (an ELF program's loader, a \
                 script's #! line)",
                // What a shell started may have been made in the cell.
                match is_started_itself(observation) {
                    true => "the image has",
                    false => "there is",
                }
            ),
            evidence,
            remedy: None,
        },
    }
}

/// The runtime started it, so nothing was written into the container before.
fn is_started_itself(observation: Observation<'_>) -> bool {
    matches!(observation.outcome, Outcome::Exec { .. })
}

fn without_interpreter(path: &str, interpreter: Option<&str>) -> String {
    match interpreter {
        Some(interpreter) => {
            format!("the image has {path}, but not {interpreter}, the interpreter that it names")
        }
        None => format!("the image has {path}, but not the interpreter that it names"),
    }
}

/// Loaders by which one knows what is lacking.
fn remedy_for(interpreter: &str) -> Option<String> {
    let lacking = if interpreter.contains("ld-musl") {
        "it is a program for musl (Alpine): an image with musl, or a build for glibc"
    } else if interpreter.ends_with("/ld-linux.so.2") {
        "it is a 32-bit program for glibc: an image with the 32-bit C library"
    } else if interpreter.contains("/ld-linux-x86-64.so") {
        "it is a program for glibc: an image with glibc, or a static build"
    } else {
        return None;
    };
    Some(lacking.to_owned())
}

fn format(observation: Observation<'_>, path: &str, mut evidence: Vec<String>) -> Cause {
    let ia32 = observation.facts.map(|facts| facts.ia32);
    let start = observation
        .image
        .map(|image| userland::executed(image, path));
    let remedy = "a kernel built with CONFIG_IA32_EMULATION, and without ia32_emulation=0";
    match start {
        Some(Ok(Start::Elf { path, elf }))
            if elf.machine == Machine::I386 && ia32 == Some(false) =>
        {
            evidence.push(format!("{path}: {}", elf.words()));
            evidence.push("the kernel runs no 32-bit x86 programs".to_owned());
            Cause {
                name: "no-ia32".to_owned(),
                explanation: format!(
                    "{path} is a 32-bit x86 program, and this kernel runs none: it was built or \
                     started without IA32 emulation"
                ),
                evidence,
                remedy: Some(remedy.to_owned()),
            }
        }
        Some(Ok(Start::Elf { path, elf })) => {
            evidence.push(format!("{path}: {}", elf.words()));
            Cause {
                name: "exec-format".to_owned(),
                explanation: match elf.machine {
                    Machine::Other(_) => {
                        format!("{path} is a program for another machine: {}", elf.machine)
                    }
                    _ => format!(
                        "{path} is no program that this kernel takes, though it is for its machine"
                    ),
                },
                evidence,
                remedy: None,
            }
        }
        Some(Ok(Start::NoProgram { path, reason })) => {
            evidence.push(format!("{path}: {reason}"));
            Cause {
                name: "exec-format".to_owned(),
                explanation: format!("{path} is no program: {reason}"),
                evidence,
                remedy: None,
            }
        }
        _ if ia32 == Some(false) => {
            evidence.push("the kernel runs no 32-bit x86 programs".to_owned());
            Cause {
                name: "exec-format".to_owned(),
                explanation: format!(
                    "{path} is no program for this kernel: a 32-bit one, which it has no \
                     emulation for, or one of another architecture"
                ),
                evidence,
                remedy: Some(format!("for a 32-bit program, {remedy}")),
            }
        }
        _ => Cause {
            name: "exec-format".to_owned(),
            explanation: format!(
                "{path} is no program for this kernel: of another architecture, damaged, or a \
                 script without a #! line"
            ),
            evidence,
            remedy: None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::tests::Made;
    use crate::userland::InMemory;
    use crate::{cause::cause as find, facts_for_tests};

    fn refused(errno: i32, image: Option<&InMemory>, ia32: bool) -> Option<Cause> {
        let outcome = Outcome::Exec {
            errno,
            path: "/bin/x".into(),
        };
        let facts = wire::Facts {
            ia32,
            ..facts_for_tests()
        };
        find(Observation {
            image: image.map(|image| image as _),
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
        let here = InMemory::default().with(
            "/bin/x",
            Made {
                interpreter: Some("/lib/ld-musl-x86_64.so.1"),
                ..Made::x86_64()
            }
            .bytes(),
        );
        let cause = refused(errno::ENOENT, Some(&here), true).unwrap();
        assert_eq!(cause.name, "missing-interpreter");
        assert!(cause.explanation.contains("/lib/ld-musl-x86_64.so.1"));
        assert!(cause.remedy.unwrap().contains("musl"));
        let script = InMemory::default().with("/bin/x", "#!/usr/bin/gone -w\n");
        let cause = refused(errno::ENOENT, Some(&script), true).unwrap();
        assert!(
            cause.explanation.contains("not /usr/bin/gone"),
            "{}",
            cause.explanation
        );
        let none = InMemory::default();
        let cause = refused(errno::ENOENT, Some(&none), true).unwrap();
        assert_eq!(cause.name, "missing-program");
        assert_eq!(cause.explanation, "the image has no /bin/x");
        let unknown = refused(errno::ENOENT, None, true).unwrap();
        assert!(unknown.explanation.contains("or not the interpreter"));
        assert_eq!(unknown.evidence, ["execve /bin/x: ENOENT"]);
    }

    #[test]
    fn enoexec_is_explained_by_the_file() {
        let narrow = InMemory::default().with("/bin/x", Made::i386().bytes());
        let cause = |image: &InMemory, ia32| refused(errno::ENOEXEC, Some(image), ia32).unwrap();
        assert_eq!(cause(&narrow, false).name, "no-ia32");
        assert_eq!(cause(&narrow, true).name, "exec-format");
        let other = InMemory::default().with(
            "/bin/x",
            Made {
                machine: 183,
                ..Made::x86_64()
            }
            .bytes(),
        );
        assert!(
            cause(&other, false)
                .explanation
                .ends_with("another machine: ARM64")
        );
        let text = InMemory::default().with("/bin/x", "echo\n");
        assert!(cause(&text, false).explanation.contains("#! line"));
        let without = refused(errno::ENOEXEC, None, false).unwrap();
        assert_eq!(without.name, "exec-format");
        assert!(without.explanation.contains("32-bit"));
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
        for (said, explained) in [
            (
                "sh: 1: nosuch: not found",
                "the image has no nosuch in its PATH",
            ),
            (
                "/usr/bin/env: ‘nosuch’: No such file or directory",
                "the image has no nosuch in its PATH",
            ),
            (
                "unshare: failed to execute nosuch: No such file or directory",
                "the image has no nosuch in its PATH",
            ),
            (
                "bash: line 1: /opt/x: No such file or directory",
                "there is no /opt/x, or not",
            ),
            ("dash: 1: /opt/x: not found", "there is no /opt/x, or not"),
        ] {
            let cause = told(127, said).unwrap();
            assert_eq!(cause.name, "missing-program");
            assert!(
                cause.explanation.starts_with(explained),
                "{}",
                cause.explanation
            );
            assert_eq!(told(126, said), None);
        }
        // A loader's words are the library's business.
        let library = "x: error while loading shared libraries: libx.so.1: cannot open shared \
                       object file: No such file or directory";
        assert_eq!(told(127, library).unwrap().name, "missing-library");
    }
}
