//! User namespaces that this kernel, or how it is set up, does not give.

use std::sync::LazyLock;

use regex::Regex;

use super::{Cause, Observation, Rule, rule};

/// `user-namespaces-off`.
pub(super) const RULE: Rule = Rule {
    names: &["user-namespaces-off"],
    looks_at: "a refused unshare or clone, and whether this column gives user namespaces",
    find,
};

/// util-linux's unshare, bubblewrap, runc, podman and rootlesskit, and our own words
/// for it.
static REFUSED: LazyLock<Regex> = LazyLock::new(|| {
    rule(
        r"(?:unshare(?: failed)?|unshare user ns|[Cc]reating new namespace failed|unshare\([^)]*\)|[Cc]annot clone|clone(?: failed)?|[Nn]o permissions to create (?:a )?new (?:user )?namespace|user namespaces?)(?:: .*)?: (?:Operation not permitted|No space left on device|Invalid argument|Permission denied)|No permissions to create (?:a )?new namespace|failed to start the child: fork/exec /proc/self/exe: (?:operation not permitted|no space left on device|invalid argument)",
    )
});

/// What an unshare can be answered, and how a column's fact says it.
const ANSWERS: [(&str, &str); 4] = [
    ("Operation not permitted", "EPERM"),
    ("No space left on device", "ENOSPC"),
    ("Invalid argument", "EINVAL"),
    ("Permission denied", "EACCES"),
];

fn find(observation: Observation<'_>) -> Option<Cause> {
    let facts = observation.facts?;
    if !observation.spoke() {
        return None;
    }
    let line = observation
        .lines()
        .find(|line| REFUSED.is_match(line))
        .map(str::to_owned)
        .or_else(|| traced(observation))?;
    // A namespace of another kind, or a lacking capability, gives the same words:
    // the column's own facts decide.
    let limit = facts.sysctls.get("user.max_user_namespaces");
    let refusal = match (&facts.namespaces.user_refusal, limit) {
        (Some(refusal), _) => refusal.clone(),
        (None, Some(limit)) if limit == "0" => "user.max_user_namespaces is 0".to_owned(),
        (None, _) if !facts.namespaces.user => "none can be made".to_owned(),
        (None, _) => return None,
    };
    // What refuses them answers always alike; another answer is to something else, a
    // namespace of another kind that takes a right.
    let answer = ANSWERS.iter().find(|(words, _)| line.ends_with(words));
    if let Some((_, errno)) = answer
        && ANSWERS.iter().any(|(_, known)| refusal.starts_with(known))
        && !refusal.starts_with(errno)
    {
        return None;
    }
    Some(Cause {
        name: "user-namespaces-off".to_owned(),
        explanation: "a program wants a user namespace, and this kernel, as it is set up, gives \
                      it none"
            .to_owned(),
        evidence: vec![line, format!("user namespaces of the column: {refusal}")],
        remedy: Some(
            "sysctl in the kernel's entry: user.max_user_namespaces above 0, \
             kernel.unprivileged_userns_clone = 1, or (Ubuntu) \
             kernel.apparmor_restrict_unprivileged_userns = 0; a kernel with CONFIG_USER_NS"
                .to_owned(),
        ),
    })
}

/// unshare, clone or clone3 among the refused calls.
fn traced(observation: Observation<'_>) -> Option<String> {
    const NEW_USER: u64 = 0x1000_0000;
    observation.trace?.steps.iter().rev().find_map(|step| {
        let wire::Traced::Failed {
            call, arguments, ..
        } = &step.what
        else {
            return None;
        };
        let flags = arguments.split(", ").next()?.strip_prefix("0x")?;
        let flags = u64::from_str_radix(flags, 16).ok()?;
        (matches!(call.as_str(), "unshare" | "clone") && flags & NEW_USER != 0)
            .then(|| super::step_words(step))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Outcome, cause::cause as find, facts_for_tests};

    #[test]
    fn the_columns_facts_decide_what_a_refusal_means() {
        let outcome = Outcome::Exit { code: 1 };
        let named = |refusal: Option<&str>, stderr| {
            let mut facts = facts_for_tests();
            facts.namespaces.user = refusal.is_none();
            facts.namespaces.user_refusal = refusal.map(str::to_owned);
            let observation = Observation {
                stderr,
                facts: Some(&facts),
                ..Observation::new(&outcome)
            };
            find(observation).map(|cause| cause.name)
        };
        let off = Some("ENOSPC: user.max_user_namespaces is 0");
        for said in [
            "unshare: unshare failed: No space left on device",
            "trouble: unshare: No space left on device",
            "bwrap: No permissions to create new namespace, likely because the kernel does not \
             allow non-privileged user namespaces",
        ] {
            assert_eq!(
                named(off, said).as_deref(),
                Some("user-namespaces-off"),
                "{said}"
            );
            assert_eq!(named(None, said), None, "{said}");
        }
        assert_eq!(named(off, "mount: /mnt: permission denied."), None);
        // A mount namespace takes a right, which says EPERM.
        let right = "unshare: unshare failed: Operation not permitted";
        assert_eq!(named(off, right), None);
        let patched = Some("EPERM: kernel.unprivileged_userns_clone is 0");
        assert_eq!(
            named(patched, right).as_deref(),
            Some("user-namespaces-off")
        );
    }
}
