//! A userland built for a newer micro-architecture level of x86-64 than the CPU
//! has.

use super::{Cause, Observation, Rule};
use crate::Outcome;
use crate::elf::Elf;
use crate::userland;

/// `cpu-level`.
pub(super) const RULE: Rule = Rule {
    names: &["cpu-level"],
    looks_at: "what glibc's start says of the CPU, and the ISA note of the file it names",
    find,
};

fn find(observation: Observation<'_>) -> Option<Cause> {
    let (line, wanted) = observation
        .lines()
        .find_map(|line| wanted(line).map(|wanted| (line, wanted)))?;
    // glibc ends with 127. Who ends otherwise may have started it, or quotes it: then
    // the CPU has to lack that level.
    let lacks = |level: &str| {
        let level = level.trim_start_matches("x86-64-v").parse::<u8>().ok();
        let level = level.filter(|level| (2..=4).contains(level));
        matches!((level, observation.facts), (Some(level), Some(facts)) if level > facts.cpu_level)
    };
    let by_itself = *observation.outcome == (Outcome::Exit { code: 127 });
    if !by_itself && !matches!(wanted, Wanted::Level(level) if lacks(level)) {
        return None;
    }
    let has = match observation.facts {
        Some(facts) => format!("which is x86-64-v{}", facts.cpu_level),
        None => "which has less".to_owned(),
    };
    let mut evidence = vec![line.to_owned()];
    let built_for = match wanted {
        Wanted::Level(level) => level.to_owned(),
        Wanted::OfFile(file) => match note(observation, file) {
            Some((path, level)) => {
                evidence.push(format!("{path}: ISA note: x86-64-v{level}"));
                format!("x86-64-v{level}")
            }
            None => "a higher x86-64 level".to_owned(),
        },
    };
    evidence.extend(
        observation
            .facts
            .map(|facts| format!("CPU: {}, x86-64-v{}", facts.cpu_model, facts.cpu_level)),
    );
    Some(Cause {
        name: "cpu-level".to_owned(),
        explanation: format!("the image was built for {built_for}, not for this CPU, {has}"),
        evidence,
        remedy: Some("a `cpu` of that level in the kernel's entry".to_owned()),
    })
}

/// What a line says.
enum Wanted<'a> {
    /// The level.
    Level(&'a str),
    /// The file whose note asks for it.
    OfFile(&'a str),
}

/// What a line of ld.so or of a static program's start asks for.
fn wanted(line: &str) -> Option<Wanted<'_>> {
    if let Some(level) = line.strip_prefix("Fatal glibc error: CPU does not support ") {
        return Some(Wanted::Level(level));
    }
    // ld.so, of a library it loads and of the program itself.
    let before = line.strip_suffix(": CPU ISA level is lower than required")?;
    let file = before.rsplit(": ").next().unwrap_or(before);
    Some(Wanted::OfFile(file))
}

/// The highest level that a file of this name asks for.
fn note(observation: Observation<'_>, file: &str) -> Option<(String, u8)> {
    let image = observation.image?;
    let base = file.rsplit('/').next().unwrap_or(file);
    let mut paths = userland::named(image, base).ok()?;
    // A library is named by its link, and found by its file.
    for folder in [
        "/lib/x86_64-linux-gnu",
        "/usr/lib/x86_64-linux-gnu",
        "/lib64",
        "/usr/lib64",
        "/lib",
    ] {
        if let Ok(userland::Found::File { path, .. }) = image.find(&format!("{folder}/{base}")) {
            paths.push(path);
        }
    }
    paths
        .into_iter()
        .filter_map(|path| {
            let level = Elf::parse(&image.read(&path).ok()?)?.ok()?.level?;
            Some((path, level))
        })
        .max_by_key(|(_, level)| *level)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cause::cause as find, facts_for_tests};

    fn of(stderr: &str) -> Option<Cause> {
        let facts = wire::Facts {
            cpu_level: 2,
            ..facts_for_tests()
        };
        let outcome = Outcome::Exit { code: 127 };
        find(Observation {
            stderr,
            facts: Some(&facts),
            ..Observation::new(&outcome)
        })
    }

    #[test]
    fn glibc_says_what_it_needs() {
        let cause = of("Fatal glibc error: CPU does not support x86-64-v3\n").unwrap();
        assert_eq!(cause.name, "cpu-level");
        assert_eq!(
            cause.explanation,
            "the image was built for x86-64-v3, not for this CPU, which is x86-64-v2"
        );
        assert_eq!(
            cause.evidence,
            [
                "Fatal glibc error: CPU does not support x86-64-v3",
                "CPU: QEMU TCG CPU version 2.5+, x86-64-v2"
            ]
        );
        let loader = "ls: error while loading shared libraries: libc.so.6: CPU ISA level is lower \
                      than required";
        assert_eq!(of(loader).unwrap().name, "cpu-level");
    }

    #[test]
    fn the_note_of_the_file_says_which_level() {
        let image = userland::InMemory::default().with(
            "/level3",
            crate::elf::tests::Made {
                level: Some(0b100),
                ..crate::elf::tests::Made::x86_64()
            }
            .bytes(),
        );
        let outcome = Outcome::Exit { code: 127 };
        let cause = find(Observation {
            stderr: "/level3: CPU ISA level is lower than required",
            image: Some(&image),
            ..Observation::new(&outcome)
        })
        .unwrap();
        assert_eq!(
            cause.explanation,
            "the image was built for x86-64-v3, not for this CPU, which has less"
        );
        assert_eq!(cause.evidence[1], "/level3: ISA note: x86-64-v3");
    }

    #[test]
    fn another_end_than_its_own_needs_a_cpu_that_lacks_the_level() {
        let facts = facts_for_tests();
        for (level, told) in [(3, false), (4, true), (9, false)] {
            let stderr = format!("Fatal glibc error: CPU does not support x86-64-v{level}");
            let outcome = Outcome::Exit { code: 3 };
            let found = find(Observation {
                stderr: &stderr,
                facts: Some(&facts),
                ..Observation::new(&outcome)
            });
            assert_eq!(found.is_some(), told, "{level}");
        }
    }

    #[test]
    fn other_fatal_errors_of_glibc_are_not_about_the_cpu() {
        for stderr in [
            "Fatal glibc error: malloc.c:2599 (sysmalloc): assertion failed: (old_top == \
             initial_top (av) && old_size == 0)",
            "Fatal glibc error: cannot get entropy for arc4random",
            "ls: error while loading shared libraries: libc.so.6: cannot open shared object file",
        ] {
            assert_eq!(of(stderr), None, "{stderr}");
        }
    }
}
