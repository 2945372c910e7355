//! Packet filters whose half in the kernel is not there.

use std::sync::LazyLock;

use regex::Regex;

use super::{Cause, Observation, Rule, rule};

/// `nf-tables-missing` and `ip-tables-missing`.
pub(super) const RULE: Rule = Rule {
    names: &["nf-tables-missing", "ip-tables-missing"],
    looks_at: "what iptables and nft say of a netlink family or a table that is not there",
    find,
};

/// iptables 1.8 over nf_tables, also of a step it takes (`TABLE_ADD failed (Invalid
/// argument): table filter`), and nft itself. Without the right to ask, EPERM, the
/// answer says nothing of the kernel.
static NF_TABLES: LazyLock<Regex> = LazyLock::new(|| {
    rule(
        r"^iptables v\S+ \(nf_tables\): +[A-Z]+_[A-Z]+ failed \((?:Invalid argument|Operation not supported|No such file or directory)\)|(?:Could not fetch rule set generation id|Failed to initialize nft|Unable to initialize Netlink socket|cache initialization failed|Could not process rule): (?:Invalid argument|Operation not supported|Protocol not supported|Function not implemented|No such file or directory|Address family not supported by protocol)",
    )
});

/// iptables over ip_tables.
static IP_TABLES: LazyLock<Regex> = LazyLock::new(|| {
    rule(
        r"can't initialize ip6?tables table `\w+': (?:Table does not exist|iptables who\?|No such file or directory|Protocol not available)",
    )
});

fn find(observation: Observation<'_>) -> Option<Cause> {
    if !observation.spoke() {
        return None;
    }
    let (name, module, switch, line) = observation.lines().find_map(|line| {
        if NF_TABLES.is_match(line) {
            Some(("nf-tables-missing", "nf_tables", "NF_TABLES", line))
        } else if IP_TABLES.is_match(line) {
            Some(("ip-tables-missing", "ip_tables", "IP_NF_IPTABLES", line))
        } else {
            None
        }
    })?;
    let mut evidence = vec![line.to_owned()];
    let configured = observation.facts.and_then(|facts| facts.config.get(switch));
    let why = match configured.map(String::as_str) {
        Some("m") => {
            evidence.push(format!("CONFIG_{switch}=m"));
            "built as a module that is not loaded"
        }
        Some("n") => {
            evidence.push(format!("CONFIG_{switch}=n"));
            "built without it"
        }
        _ => "without it, or with a module that is not loaded",
    };
    Some(Cause {
        name: name.to_owned(),
        explanation: format!("a packet filter asks for {module}, and the kernel is {why}"),
        evidence,
        remedy: Some(format!(
            "a kernel with CONFIG_{switch}=y, or its module loaded on the host before the \
             container starts: a container loads none"
        )),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Outcome, cause::cause as find};

    #[test]
    fn a_missing_table_is_told_from_a_missing_right() {
        let outcome = Outcome::Exit { code: 4 };
        let named = |stderr| {
            let observation = Observation {
                stderr,
                ..Observation::new(&outcome)
            };
            find(observation).map(|cause| cause.name)
        };
        for (said, name) in [
            (
                "iptables v1.8.7 (nf_tables): Could not fetch rule set generation id: Invalid \
                 argument",
                Some("nf-tables-missing"),
            ),
            (
                "iptables v1.8.2 (nf_tables):  TABLE_ADD failed (Invalid argument): table filter",
                Some("nf-tables-missing"),
            ),
            (
                "iptables v1.8.2 (nf_tables):  RULE_APPEND failed (Permission denied): rule in \
                 chain INPUT",
                None,
            ),
            (
                "iptables/1.8.9 Failed to initialize nft: Protocol not supported",
                Some("nf-tables-missing"),
            ),
            (
                "iptables v1.4.21: can't initialize iptables table `nat': Table does not exist (do \
                 you need to insmod?)",
                Some("ip-tables-missing"),
            ),
            (
                "iptables v1.8.9 (nf_tables): Could not fetch rule set generation id: Permission \
                 denied (you must be root)",
                None,
            ),
            (
                "iptables v1.4.21: can't initialize iptables table `filter': Permission denied \
                 (you must be root)",
                None,
            ),
        ] {
            assert_eq!(named(said).as_deref(), name, "{said}");
        }
    }
}
