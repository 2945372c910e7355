//! A userland that asks for a newer kernel: its ABI note names the least version,
//! and ld.so, or a static program's start, refuses below it.

use super::{Cause, Observation, Rule, library};
use crate::elf::{Elf, KernelVersion};
use crate::userland;
use crate::{Outcome, signal};

/// `kernel-too-old`.
pub(super) const RULE: Rule = Rule {
    names: &["kernel-too-old"],
    looks_at: "\"FATAL: kernel too old\", or a library that is there and not found, and the ABI \
               notes of the image's files",
    find,
};

/// Where C libraries are, for one that ld.so loads before it says anything.
const LIBRARIES: [&str; 6] = [
    "/lib/x86_64-linux-gnu/libc.so.6",
    "/lib64/libc.so.6",
    "/usr/lib64/libc.so.6",
    "/lib/i386-linux-gnu/libc.so.6",
    "/usr/lib/libc.so.6",
    "/lib/libc.so.6",
];

fn find(observation: Observation<'_>) -> Option<Cause> {
    said(observation).or_else(|| passed_over(observation))
}

/// The C library says so itself.
fn said(observation: Observation<'_>) -> Option<Cause> {
    let line = observation
        .lines()
        .find(|line| *line == "FATAL: kernel too old")?;
    let mut evidence = vec![line.to_owned()];
    let note = highest_note(observation);
    // It ends with 127, or aborts. Who ends otherwise may have started it, or quotes
    // it: then the note has to bear it out.
    let by_itself = *observation.outcome == (Outcome::Exit { code: 127 })
        || [signal::ABRT, signal::SEGV, signal::ILL]
            .iter()
            .any(|number| observation.ended_by(*number));
    let running = observation
        .facts
        .and_then(|facts| KernelVersion::of_release(&facts.release));
    let is_borne_out =
        matches!((&note, running), (Some((_, least)), Some(running)) if *least > running);
    if !by_itself && !is_borne_out {
        return None;
    }
    let wanted = match &note {
        Some((path, least)) => {
            evidence.push(format!("{path}: ABI note: Linux {least} and later"));
            format!("Linux {least} and later")
        }
        None => "newer kernels".to_owned(),
    };
    Some(Cause {
        name: "kernel-too-old".to_owned(),
        explanation: format!(
            "the image's C library was built for {wanted}, and this is {}",
            release(observation)
        ),
        evidence,
        remedy: Some(match note {
            Some((_, least)) => format!("a kernel from {least} on, or an older userland"),
            None => "a newer kernel, or an older userland".to_owned(),
        }),
    })
}

/// ld.so passes over a library whose note asks for more, and says that it is not
/// there.
fn passed_over(observation: Observation<'_>) -> Option<Cause> {
    let (line, name) = library::not_found(observation)?;
    let image = observation.image?;
    let running = KernelVersion::of_release(&observation.facts?.release)?;
    let (path, least) = userland::named(image, base(name))
        .ok()?
        .into_iter()
        .find_map(|path| {
            let least = elf(observation, &path)?.least_kernel?;
            (least > running).then_some((path, least))
        })?;
    Some(Cause {
        name: "kernel-too-old".to_owned(),
        explanation: format!(
            "the image has {name}, built for Linux {least} and later, and the loader passes over \
             it on {}",
            release(observation)
        ),
        evidence: vec![
            line.to_owned(),
            format!("{path}: ABI note: Linux {least} and later"),
        ],
        remedy: Some(format!(
            "a kernel from {least} on; or, where the library copes with less, `strip \
             --remove-section=.note.ABI-tag {path}`"
        )),
    })
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn release(observation: Observation<'_>) -> String {
    match observation.facts {
        Some(facts) => format!("Linux {}", facts.release),
        None => "an older one".to_owned(),
    }
}

fn elf(observation: Observation<'_>, path: &str) -> Option<Elf> {
    Elf::parse(&observation.image?.read(path).ok()?)?.ok()
}

/// The note that asks for most: the program's, its loader's, or the C library's.
fn highest_note(observation: Observation<'_>) -> Option<(String, KernelVersion)> {
    let image = observation.image?;
    let (program, own) = observation.executed()?;
    let mut notes: Vec<(String, KernelVersion)> = Vec::new();
    notes.extend(own.least_kernel.map(|least| (program, least)));
    if own.interpreter.is_some() {
        for library in LIBRARIES.iter().copied().chain(own.interpreter.as_deref()) {
            if let Ok(userland::Found::File { path, .. }) = image.find(library)
                && let Some(other) = elf(observation, &path)
                && other.machine == own.machine
                && let Some(least) = other.least_kernel
            {
                notes.push((path, least));
            }
        }
    }
    notes.into_iter().max_by_key(|(_, least)| *least)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::tests::Made;
    use crate::userland::InMemory;
    use crate::{cause::cause as find, facts_for_tests};

    fn of(outcome: &Outcome, stderr: &str, image: Option<&InMemory>) -> Option<Cause> {
        let facts = facts_for_tests();
        find(Observation {
            stderr,
            facts: Some(&facts),
            program: Some("/bin/x"),
            image: image.map(|image| image as _),
            ..Observation::new(outcome)
        })
    }

    #[test]
    fn ld_so_says_so_and_the_note_says_what_it_wants() {
        let image = InMemory::default()
            .with(
                "/bin/x",
                Made {
                    interpreter: Some("/lib64/ld.so"),
                    least_kernel: Some([3, 2, 0]),
                    ..Made::x86_64()
                }
                .bytes(),
            )
            .with("/lib64/ld.so", Made::x86_64().bytes())
            .with(
                "/lib64/libc.so.6",
                Made {
                    least_kernel: Some([99, 0, 0]),
                    ..Made::x86_64()
                }
                .bytes(),
            );
        for outcome in [
            Outcome::Exit { code: 127 },
            Outcome::Signal {
                signal: 6,
                core: true,
                syscall: None,
            },
        ] {
            let cause = of(&outcome, "FATAL: kernel too old\n", Some(&image)).unwrap();
            assert_eq!(cause.name, "kernel-too-old");
            assert_eq!(
                cause.explanation,
                "the image's C library was built for Linux 99.0.0 and later, and this is Linux \
                 6.1.0-50-cloud-amd64"
            );
            assert_eq!(
                cause.evidence,
                [
                    "FATAL: kernel too old",
                    "/lib64/libc.so.6: ABI note: Linux 99.0.0 and later"
                ]
            );
            let unseen = of(&outcome, "FATAL: kernel too old\n", None).unwrap();
            assert!(unseen.explanation.contains("newer kernels"));
        }
    }

    #[test]
    fn a_library_that_is_there_and_passed_over() {
        let outcome = Outcome::Exit { code: 127 };
        let said = "x: error while loading shared libraries: libQt5Core.so.5: cannot open shared \
                    object file: No such file or directory";
        let image = |least| {
            InMemory::default().with(
                "/usr/lib/libQt5Core.so.5",
                Made {
                    least_kernel: Some(least),
                    ..Made::x86_64()
                }
                .bytes(),
            )
        };
        let cause = of(&outcome, said, Some(&image([6, 2, 0]))).unwrap();
        assert_eq!(cause.name, "kernel-too-old");
        assert!(cause.explanation.contains("passes over"));
        let there = of(&outcome, said, Some(&image([3, 2, 0]))).unwrap();
        assert_eq!(there.name, "missing-library");
    }

    #[test]
    fn another_end_than_its_own_needs_the_note() {
        let of_linux = |least| {
            InMemory::default().with(
                "/bin/x",
                Made {
                    least_kernel: Some(least),
                    ..Made::x86_64()
                }
                .bytes(),
            )
        };
        let outcome = Outcome::Exit { code: 3 };
        let said = "FATAL: kernel too old";
        assert_eq!(of(&outcome, said, None), None);
        assert_eq!(of(&outcome, said, Some(&of_linux([3, 2, 0]))), None);
        assert!(of(&outcome, said, Some(&of_linux([6, 2, 0]))).is_some());
    }

    #[test]
    fn who_quotes_it_does_not_say_it() {
        let outcome = Outcome::Exit { code: 1 };
        assert_eq!(
            of(&outcome, "boot.log:3: FATAL: kernel too old", None),
            None
        );
        assert_eq!(
            of(&outcome, "your kernel is too old for io_uring", None),
            None
        );
    }
}
