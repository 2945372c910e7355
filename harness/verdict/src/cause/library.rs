//! A loader that did not find a library, or found one that lacks something.

use std::sync::LazyLock;

use regex::Regex;

use super::{Cause, Observation, Rule, rule};
use crate::{Outcome, userland};

/// `missing-library` and `library-too-old`.
pub(super) const RULE: Rule = Rule {
    names: &["missing-library", "library-too-old"],
    looks_at: "what ld.so or musl's loader says before the program begins, and the image's files",
    find,
};

/// glibc's and musl's words.
static NOT_FOUND: LazyLock<Regex> = LazyLock::new(|| {
    rule(
        r"(?:error while loading shared libraries: (?P<glibc>[^:]+): cannot open shared object file: No such file or directory$|^Error loading shared library (?P<musl>[^:]+): No such file or directory(?: \(needed by .*\))?$)",
    )
});

/// `/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found (required by x)`;
/// musl names the symbol.
static LACKS: LazyLock<Regex> = LazyLock::new(|| {
    rule(
        r"(?:(?P<library>\S+): version [`'](?P<version>[^']+)' not found \(required by (?P<by>[^)]+)\)$|^Error relocating (?P<file>[^:]+): (?P<symbol>[^:]+): symbol not found$|symbol lookup error: (?P<in>[^:]+): undefined symbol: (?P<lookup>\S+))",
    )
});

fn find(observation: Observation<'_>) -> Option<Cause> {
    if !matches!(observation.outcome, Outcome::Exit { .. }) {
        return None;
    }
    if let Some((line, name)) = not_found(observation) {
        return Some(missing(observation, line, name));
    }
    let (line, found) = observation
        .lines()
        .find_map(|line| Some((line, LACKS.captures(line)?)))?;
    let text = |name: &str| found.name(name).map(|text| text.as_str());
    let explanation = match (text("library"), text("version"), text("by")) {
        (Some(library), Some(version), Some(by)) => {
            format!(
                "{by} was built against a newer {library}, which has {version}; the image's has not"
            )
        }
        _ => {
            let file = text("file").or(text("in")).unwrap_or("a file");
            let symbol = text("symbol").or(text("lookup")).unwrap_or("a symbol");
            format!("{file} wants {symbol}, which none of the image's libraries has")
        }
    };
    Some(Cause {
        name: "library-too-old".to_owned(),
        explanation,
        evidence: vec![line.to_owned()],
        remedy: Some(
            "the kernel has no part in it: a program built for this image, or a newer image"
                .to_owned(),
        ),
    })
}

/// The line, and the library it names.
pub(super) fn not_found(observation: Observation<'_>) -> Option<(&str, &str)> {
    if !matches!(observation.outcome, Outcome::Exit { .. }) {
        return None;
    }
    observation.lines().find_map(|line| {
        let found = NOT_FOUND.captures(line)?;
        let name = found.name("glibc").or(found.name("musl"))?;
        Some((line, &line[name.range()]))
    })
}

fn missing(observation: Observation<'_>, line: &str, name: &str) -> Cause {
    let mut evidence = vec![line.to_owned()];
    let base = name.rsplit('/').next().unwrap_or(name);
    let elsewhere = observation
        .image
        .and_then(|image| userland::named(image, base).ok());
    let explanation = match elsewhere.as_deref() {
        Some([]) => format!("the image has no {name}"),
        Some([path, ..]) => {
            evidence.push(format!("the image has {path}"));
            format!("the image has {base}, but not where the loader looks for it")
        }
        None => format!("the loader did not find {name}"),
    };
    Cause {
        name: "missing-library".to_owned(),
        explanation,
        evidence,
        remedy: Some("the kernel has no part in it: the image lacks a package".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::cause as find;
    use crate::userland::InMemory;

    fn of(stderr: &str) -> Option<Cause> {
        let outcome = Outcome::Exit { code: 127 };
        let image = InMemory::default().with("/opt/lib/libhere.so.1", "");
        find(Observation {
            stderr,
            image: Some(&image),
            ..Observation::new(&outcome)
        })
    }

    #[test]
    fn what_two_loaders_say() {
        for (said, name, words) in [
            (
                "x: error while loading shared libraries: libgone.so.1: cannot open shared object \
                 file: No such file or directory",
                "missing-library",
                "the image has no libgone.so.1",
            ),
            (
                "Error loading shared library libhere.so.1: No such file or directory (needed by \
                 /bin/x)",
                "missing-library",
                "not where the loader looks",
            ),
            (
                "/x: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found (required by \
                 /x)",
                "library-too-old",
                "which has GLIBC_2.38",
            ),
            (
                "Error relocating /x: getrandom: symbol not found",
                "library-too-old",
                "/x wants getrandom",
            ),
        ] {
            let cause = of(said).unwrap();
            assert_eq!(cause.name, name, "{said}");
            assert!(cause.explanation.contains(words), "{}", cause.explanation);
        }
        assert_eq!(
            of("ls: cannot access 'libgone.so.1': No such file or directory"),
            None
        );
    }
}
