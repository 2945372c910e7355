//! seccomp and the security modules.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rustix::io::Errno;
use wire::SeccompFacts;

use super::read;
use crate::error::{Error, Result};
use crate::kernel_log::last_errno;

/// What seccomp offers.
///
/// # Errors
/// When its list of actions is there but cannot be read.
pub(super) fn seccomp() -> Result<SeccompFacts> {
    let actions = "/proc/sys/kernel/seccomp/actions_avail";
    Ok(SeccompFacts {
        filter: understands_filters()?,
        // Since Linux 4.14.
        actions: if Path::new(actions).exists() {
            words(&read(actions)?, char::is_whitespace)
        } else {
            Vec::new()
        },
    })
}

/// Asks for a filter without giving one: EFAULT where filters are understood
/// (Linux 3.5, CONFIG_SECCOMP_FILTER), EINVAL where they are not. Installs
/// nothing.
fn understands_filters() -> Result<bool> {
    let nothing = std::ptr::null::<libc::sock_fprog>();
    // SAFETY: the kernel checks the pointer, and refuses this one.
    let result = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, nothing) };
    let errno = if result == 0 {
        Errno::PROTO
    } else {
        last_errno()
    };
    match errno {
        Errno::FAULT => Ok(true),
        Errno::INVAL => Ok(false),
        other => Err(Error::call("prctl PR_SET_SECCOMP")(other)),
    }
}

/// /sys/kernel/security/lsm (Linux 4.16), else what each module shows of
/// itself.
pub(super) fn lsms() -> Vec<String> {
    match fs::read_to_string("/sys/kernel/security/lsm") {
        Ok(list) => words(list.trim(), |character| character == ','),
        Err(_) => lsms_by_trace(|path| fs::read_to_string(path).ok(), |path| path.exists()),
    }
}

/// Each of these modules leaves a trace in /sys or /proc while it is active.
fn lsms_by_trace(
    content: impl Fn(&Path) -> Option<String>,
    exists: impl Fn(&Path) -> bool,
) -> Vec<String> {
    // Always there, and first.
    let mut found = vec!["capability".to_owned()];
    for (name, trace) in [
        ("yama", "/proc/sys/kernel/yama"),
        ("selinux", "/sys/fs/selinux"),
        ("smack", "/sys/fs/smackfs"),
        ("tomoyo", "/sys/kernel/security/tomoyo"),
    ] {
        if exists(Path::new(trace)) {
            found.push(name.to_owned());
        }
    }
    let apparmor = content(Path::new("/sys/module/apparmor/parameters/enabled"));
    if apparmor.is_some_and(|enabled| enabled.trim() == "Y") {
        found.push("apparmor".to_owned());
    }
    found
}

/// The mode of each module that has one.
pub(super) fn modes() -> BTreeMap<String, String> {
    modes_by(|path| fs::read_to_string(path).ok())
}

fn modes_by(content: impl Fn(&str) -> Option<String>) -> BTreeMap<String, String> {
    let mut modes = BTreeMap::new();
    let mut found = |name: &str, mode: &str| modes.insert(name.to_owned(), mode.to_owned());
    // /sys/fs/selinux is mounted by userlands alone; a module without a policy
    // enforces nothing.
    if let Some(enforce) = content("/sys/fs/selinux/enforce") {
        let enforcing = enforce.trim() == "1";
        found(
            "selinux",
            if enforcing { "enforcing" } else { "permissive" },
        );
    }
    if let Some(enabled) = content("/sys/module/apparmor/parameters/enabled") {
        if enabled.trim() != "Y" {
            found("apparmor", "off");
        } else if let Some(mode) = content("/sys/module/apparmor/parameters/mode") {
            found("apparmor", mode.trim());
        }
    }
    // `[none] integrity confidentiality`: the brackets tell (Linux 5.4).
    if let Some(list) = content("/sys/kernel/security/lockdown")
        && let Some(mode) = list
            .split_whitespace()
            .find_map(|word| word.strip_prefix('[')?.strip_suffix(']'))
    {
        found("lockdown", mode);
    }
    modes
}

fn words(text: &str, separator: impl Fn(char) -> bool) -> Vec<String> {
    text.split(separator)
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_told_by_their_traces_where_there_is_no_list() {
        let found = lsms_by_trace(
            |path| path.ends_with("enabled").then(|| "Y\n".to_owned()),
            |path| path.ends_with("yama"),
        );
        assert_eq!(found, ["capability", "yama", "apparmor"]);
        let found = lsms_by_trace(|_| Some("N\n".to_owned()), |_| false);
        assert_eq!(found, ["capability"]);
    }

    #[test]
    fn modes_are_read_where_the_module_shows_them() {
        let modes = modes_by(|path| {
            Some(match path {
                "/sys/fs/selinux/enforce" => "0".to_owned(),
                "/sys/module/apparmor/parameters/enabled" => "Y\n".to_owned(),
                "/sys/module/apparmor/parameters/mode" => "enforce\n".to_owned(),
                "/sys/kernel/security/lockdown" => "none [integrity] confidentiality\n".to_owned(),
                _ => return None,
            })
        });
        let modes: Vec<_> = modes
            .iter()
            .map(|(name, mode)| (&**name, &**mode))
            .collect();
        assert_eq!(
            modes,
            [
                ("apparmor", "enforce"),
                ("lockdown", "integrity"),
                ("selinux", "permissive")
            ]
        );
        assert!(modes_by(|_| None).is_empty());
    }

    #[test]
    fn asking_for_no_filter_installs_none() {
        // Every kernel this is built on has filters, and the process lives on.
        assert!(understands_filters().unwrap());
        assert!(understands_filters().unwrap());
    }
}
