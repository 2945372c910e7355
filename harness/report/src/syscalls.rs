//! System calls by name: the numbers of x86-64, from the `syscalls` crate.

use syscalls::Sysno;
use wire::SyscallFacts;

/// Every name there is, in order of their numbers.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    Sysno::iter().map(|call| call.name())
}

/// The names of those that answered ENOSYS.
pub(crate) fn missing(facts: &SyscallFacts) -> Vec<String> {
    facts
        .missing
        .iter()
        .filter_map(|number| Sysno::new(usize::from(*number)))
        .map(|call| call.name().to_owned())
        .collect()
}

/// Those that are there and have no name: `470`.
pub(crate) fn unnamed(facts: &SyscallFacts) -> Vec<String> {
    (0..facts.tried)
        .filter(|number| !facts.missing.contains(number))
        .filter(|number| Sysno::new(usize::from(*number)).is_none())
        .map(|number| number.to_string())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_get_their_names_and_what_has_none_keeps_its_number() {
        let facts = SyscallFacts {
            tried: 512,
            missing: (335..512).filter(|number| *number != 500).collect(),
            untried: vec![60],
        };
        let names = missing(&facts);
        assert!(names.contains(&"clone3".to_owned()) && !names.contains(&"read".to_owned()));
        assert_eq!(unnamed(&facts), ["500"]);
        assert!(unnamed(&SyscallFacts::default()).is_empty());
    }
}
