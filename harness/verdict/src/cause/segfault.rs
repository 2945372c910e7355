//! A fault told by the kernel, decoded as far as its line and the image's files go.

use super::{
    Cause, Observation, Rule,
    fault::{self, Fault, FaultKind, access, obstacle},
};
use crate::elf::{self, Mapping};
use crate::{signal, userland};

/// `segfault`, `general-protection` and `aborted`: what a process that got SIGSEGV
/// did.
pub(super) const RULE: Rule = Rule {
    names: &["segfault", "general-protection", "aborted"],
    looks_at: "the kernel's line about the fault of a process that got SIGSEGV, and the symbols \
               of the file it names",
    find,
};

fn find(observation: Observation<'_>) -> Option<Cause> {
    if !observation.ended_by(signal::SEGV) {
        return None;
    }
    // The last: what ended the cell comes after what its children died of.
    let fault = observation
        .kernel_lines()
        .filter_map(fault::parse)
        .rfind(|fault| fault.kind != FaultKind::InvalidOpcode)?;
    let (process, pid) = (fault.process, fault.pid);
    let place = place(observation, &fault);
    let (name, explanation) = match fault.kind {
        // The first process of a PID namespace is not ended by a signal it sends
        // itself: abort(3) finds itself alive and takes a forbidden instruction.
        FaultKind::GeneralProtection if place.function.as_deref() == Some("abort") => (
            "aborted",
            format!(
                "{process}[{pid}] called abort(), which ends the first process of a container in \
                 SIGSEGV: an assertion, an uncaught exception, a damaged heap"
            ),
        ),
        FaultKind::Page { address, error } => (
            "segfault",
            format!(
                "{process}[{pid}] was {} {address:#x}, {}, at {:#x}{}",
                access(error),
                obstacle(error),
                fault.instruction,
                place.words
            ),
        ),
        FaultKind::GeneralProtection | FaultKind::InvalidOpcode => (
            "general-protection",
            format!(
                "{process}[{pid}] used an address that is none, or an instruction that is the \
                 kernel's, at {:#x}{}",
                fault.instruction, place.words
            ),
        ),
    };
    let mut evidence = vec![fault.line.to_owned()];
    evidence.extend(place.evidence);
    Some(Cause {
        name: name.to_owned(),
        explanation,
        evidence,
        remedy: None,
    })
}

/// Where an instruction was.
pub(super) struct Place {
    /// For the end of a sentence: ` in count_nodes() of /lib/liblist.so.1`.
    pub(super) words: String,
    /// Where that was read.
    pub(super) evidence: Option<String>,
    /// The function's name.
    pub(super) function: Option<String>,
}

/// The function, where the image has the file and the file a symbol; else what the
/// line says.
pub(super) fn place(observation: Observation<'_>, fault: &Fault<'_>) -> Place {
    let told = Place {
        words: fault.place(),
        evidence: None,
        function: None,
    };
    let (Some(image), Some(object)) = (observation.image, &fault.object) else {
        return told;
    };
    let Some(into) = fault.instruction.checked_sub(object.start) else {
        return told;
    };
    let mapping = Mapping {
        into,
        size: object.size,
        offset: object.offset,
    };
    let unread = |what: String| Place {
        words: fault.place(),
        evidence: Some(what),
        function: None,
    };
    let files = match userland::named(image, object.name) {
        Ok(files) => files,
        Err(error) => return unread(format!("the image cannot be read: {error}")),
    };
    // Two files of one name: the mapping's length tells most of them apart.
    let mut found = Vec::new();
    for path in &files {
        match image.read(path) {
            Ok(bytes) => match elf::symbol(&bytes, mapping) {
                Ok(Some(symbol)) => found.push((path, symbol)),
                Ok(None) => {}
                Err(error) => return unread(format!("{path}: {error}")),
            },
            Err(error) => return unread(format!("{path}: {error}")),
        }
    }
    match (found.as_slice(), files.as_slice()) {
        ([(path, symbol)], _) => Place {
            words: format!(" in {}() of {path}", symbol.name),
            evidence: Some(format!("{path}: {}+{:#x}", symbol.name, symbol.into)),
            function: Some(symbol.name.clone()),
        },
        ([], [path]) => unread(format!(
            "{path}: no symbol of its tables covers the place (a local or stripped function)"
        )),
        ([], []) => unread(format!("the image has no file called {}", object.name)),
        _ => unread(format!(
            "the image has {} files called {}",
            files.len(),
            object.name
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Outcome, cause::cause as find};

    const NULL: &str = "[    3.141592] a.out[77]: segfault at 0 ip 0000555555555131 sp \
                        00007fffffffe0d0 error 6 in a.out[555555555000+1000]";

    fn of(signal: u8, log: &[&str]) -> Option<Cause> {
        let log: Vec<String> = log.iter().map(|line| (*line).to_owned()).collect();
        let outcome = Outcome::Signal {
            signal,
            core: true,
            syscall: None,
        };
        find(Observation {
            kernel_log: &log,
            ..Observation::new(&outcome)
        })
    }

    #[test]
    fn a_null_pointer_is_decoded() {
        let cause = of(11, &["noise", NULL]).unwrap();
        assert_eq!(cause.name, "segfault");
        assert_eq!(
            cause.explanation,
            "a.out[77] was writing to 0x0, where nothing is mapped, at 0x555555555131 in a.out, \
             0x131 into its mapping"
        );
        assert!(NULL.ends_with(&cause.evidence[0]));
    }

    #[test]
    fn the_fault_of_a_child_explains_a_shells_139_but_no_other_end() {
        let log = [NULL.to_owned()];
        for (outcome, explained) in [
            (Outcome::Exit { code: 139 }, true),
            (Outcome::Exit { code: 1 }, false),
            (Outcome::Timeout { limit: 1 }, false),
        ] {
            let observation = Observation {
                kernel_log: &log,
                ..Observation::new(&outcome)
            };
            assert_eq!(find(observation).is_some(), explained, "{outcome:?}");
        }
        assert_eq!(of(6, &[NULL]), None);
    }

    #[test]
    fn the_function_is_named_from_the_images_file() {
        // This very test program is the image's: where a function of it lies is known.
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let image = userland::InMemory::default().with("/bin/own", own.clone());
        use object::{Object as _, ObjectSegment as _, ObjectSymbol as _};
        let file = object::File::parse(&own[..]).unwrap();
        let symbol = file
            .symbols()
            .find(|symbol| {
                symbol.kind() == object::SymbolKind::Text
                    && symbol.size() > 16
                    && symbol.name().is_ok_and(|name| name.contains("obstacle"))
            })
            .unwrap();
        let segment = file
            .segments()
            .find(|segment| {
                (segment.address()..segment.address() + segment.size()).contains(&symbol.address())
            })
            .unwrap();
        let first = segment.address() / 4096 * 4096;
        let end = (segment.address() + segment.size()).div_ceil(4096) * 4096;
        let load = 0x5555_0000_0000_u64;
        let at = load + symbol.address() + 5;
        let (start, size) = (load + first, end - first);
        let offset = segment.file_range().0 + symbol.address() + 5 - segment.address();
        for object in [
            format!("own[{start:x}+{size:x}]"),
            format!("own[{offset:x},{start:x}+{size:x}]"),
        ] {
            let log = [format!(
                "own[7]: segfault at 0 ip {at:016x} sp 00007fff error 4 in {object}"
            )];
            let outcome = Outcome::Signal {
                signal: 11,
                core: false,
                syscall: None,
            };
            let cause = find(Observation {
                kernel_log: &log,
                image: Some(&image),
                ..Observation::new(&outcome)
            })
            .unwrap();
            let name = symbol.name().unwrap();
            assert_eq!(cause.evidence[1], format!("/bin/own: {name}+0x5"));
            assert!(
                cause
                    .explanation
                    .ends_with(&format!(" in {name}() of /bin/own")),
                "{}",
                cause.explanation
            );
        }
    }
}
