//! What a check adds to docker's 14 capabilities, as this kernel has it.

use runtime::config::{self, every_capability};
use rustix::io::Errno;
use rustix::thread::{CapabilitySet, capability_is_in_bounding_set};
use wire::{AddedCapabilities, Capability};

/// What the container gets besides docker's. Of all, the runtime leaves out what the
/// kernel does not know.
pub(super) fn added(asked: &AddedCapabilities) -> Vec<config::Capability> {
    match asked {
        AddedCapabilities::All => every_capability().collect(),
        AddedCapabilities::Named(named) => named
            .iter()
            .filter_map(|one| config::capability(one.name()))
            .collect(),
    }
}

/// In words, what was asked for by name and this kernel does not know: without it the
/// check would be another one, and what became of it no answer.
pub(super) fn unknown(asked: &AddedCapabilities) -> Option<String> {
    let AddedCapabilities::Named(named) = asked else {
        return None;
    };
    let unknown: Vec<String> = named
        .iter()
        .filter(|one| !is_known(one.number()))
        .map(words)
        .collect();
    (!unknown.is_empty()).then(|| unknown.join(", "))
}

fn words(one: &Capability) -> String {
    let since = one
        .since()
        .map_or_else(String::new, |release| format!(" (Linux {release})"));
    format!("the capability {}{since}", one.name())
}

/// EINVAL of PR_CAPBSET_READ is past the kernel's last.
fn is_known(number: u8) -> bool {
    let set = CapabilitySet::from_bits_retain(1 << number);
    !matches!(capability_is_in_bounding_set(set), Err(Errno::INVAL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_its_capability_in_the_runtime() {
        let every: Vec<Capability> = Capability::every().collect();
        let names: Vec<String> = added(&AddedCapabilities::Named(every.clone()))
            .iter()
            .map(ToString::to_string)
            .collect();
        let wanted: Vec<&str> = every.iter().map(|one| one.name()).collect();
        assert_eq!(names, wanted);
        let all: Vec<String> = added(&AddedCapabilities::All)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(all, wanted);
        assert!(added(&AddedCapabilities::default()).is_empty());
    }

    #[test]
    fn what_the_kernel_does_not_know_is_named_with_the_one_that_brought_it() {
        let admin = Capability::named("SYS_ADMIN").unwrap();
        assert_eq!(unknown(&AddedCapabilities::Named(vec![admin])), None);
        assert_eq!(unknown(&AddedCapabilities::All), None);
        assert!(is_known(0) && !is_known(63));
        let newest = Capability::named("CHECKPOINT_RESTORE").unwrap();
        assert_eq!(
            words(&newest),
            "the capability CHECKPOINT_RESTORE (Linux 5.9)"
        );
    }
}
