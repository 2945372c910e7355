//! Why a kernel makes no user namespace: the switch that governs it.

use std::fs;

use rustix::io::Errno;

/// Settings that refuse user namespaces.
const SWITCHES: [(&str, &str); 4] = [
    (
        "user.max_user_namespaces",
        "/proc/sys/user/max_user_namespaces",
    ),
    (
        "kernel.unprivileged_userns_clone",
        "/proc/sys/kernel/unprivileged_userns_clone",
    ),
    (
        "kernel.apparmor_restrict_unprivileged_userns",
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
    ),
    // RHEL 7's 3.10 has it as a parameter.
    (
        "user_namespace.enable",
        "/sys/module/user_namespace/parameters/enable",
    ),
];

/// The errno's name and the switch that governs it, of a namespace that was to be
/// made with root's rights or without.
pub fn explain(errno: Errno, unprivileged: bool) -> String {
    let switches: Vec<(&str, String)> = SWITCHES
        .iter()
        .filter_map(|(name, path)| {
            let value = fs::read_to_string(path).ok()?;
            Some((*name, value.trim().to_owned()))
        })
        .collect();
    word(errno, unprivileged, &switches)
}

/// One line, from the switches there are and their values.
fn word(errno: Errno, unprivileged: bool, switches: &[(&str, String)]) -> String {
    let value = |name: &str| {
        switches
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.as_str())
    };
    let blamed = match errno {
        // ENOSPC since Linux 4.9, EUSERS before where there is a limit.
        Errno::NOSPC | Errno::USERS if value("user.max_user_namespaces").is_some() => Some((
            "user.max_user_namespaces",
            value("user.max_user_namespaces"),
        )),
        Errno::INVAL if value("user_namespace.enable").is_some() => {
            Some(("user_namespace.enable", value("user_namespace.enable")))
        }
        Errno::PERM | Errno::ACCESS if value("kernel.unprivileged_userns_clone") == Some("0") => {
            Some(("kernel.unprivileged_userns_clone", Some("0")))
        }
        Errno::PERM | Errno::ACCESS
            if value("kernel.apparmor_restrict_unprivileged_userns") == Some("1") =>
        {
            Some(("kernel.apparmor_restrict_unprivileged_userns", Some("1")))
        }
        _ => None,
    };
    let cause = match (blamed, errno) {
        (Some((name, Some(value))), _) => format!("{name} = {value}"),
        (_, Errno::INVAL) => "CONFIG_USER_NS is not set".to_owned(),
        _ => "no known switch".to_owned(),
    };
    let whom = if unprivileged {
        "without privilege: "
    } else {
        ""
    };
    format!("{whom}{}: {cause}", errno_name(errno))
}

/// Names of the errno these calls give.
fn errno_name(errno: Errno) -> String {
    match errno {
        Errno::NOSPC => "ENOSPC".to_owned(),
        Errno::USERS => "EUSERS".to_owned(),
        Errno::INVAL => "EINVAL".to_owned(),
        Errno::PERM => "EPERM".to_owned(),
        Errno::ACCESS => "EACCES".to_owned(),
        Errno::NOSYS => "ENOSYS".to_owned(),
        Errno::NOMEM => "ENOMEM".to_owned(),
        other => format!("errno {}", other.raw_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_switch_that_governs_it() {
        let max = ("user.max_user_namespaces", "0".to_owned());
        let clone = ("kernel.unprivileged_userns_clone", "0".to_owned());
        let allowed = ("kernel.unprivileged_userns_clone", "1".to_owned());
        let apparmor = (
            "kernel.apparmor_restrict_unprivileged_userns",
            "1".to_owned(),
        );
        for (errno, unprivileged, switches, expected) in [
            (
                Errno::NOSPC,
                false,
                vec![max.clone()],
                "ENOSPC: user.max_user_namespaces = 0",
            ),
            (
                Errno::INVAL,
                false,
                vec![max.clone()],
                "EINVAL: CONFIG_USER_NS is not set",
            ),
            (
                Errno::INVAL,
                false,
                vec![("user_namespace.enable", "N".to_owned())],
                "EINVAL: user_namespace.enable = N",
            ),
            (
                Errno::PERM,
                true,
                vec![max, clone],
                "without privilege: EPERM: kernel.unprivileged_userns_clone = 0",
            ),
            (
                Errno::PERM,
                true,
                vec![allowed.clone(), apparmor],
                "without privilege: EPERM: kernel.apparmor_restrict_unprivileged_userns = 1",
            ),
            (Errno::PERM, false, vec![allowed], "EPERM: no known switch"),
        ] {
            assert_eq!(word(errno, unprivileged, &switches), expected);
        }
    }
}
