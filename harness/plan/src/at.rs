//! A kernel at another moment than now: `6.1@6.1.170-1` is its entry at that
//! version of its package, `6.1@20260101T000000Z` the same as Debian's archive had
//! it then. What tells versions apart that one entry has had: a bisection, or a
//! user who saw a difference between two of them.

use crate::{Archive, Kernel, KernelSource};

/// A moment as Debian's archive of snapshots writes it: `20260101T000000Z`.
pub fn is_time(text: &str) -> bool {
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let (Some(day), Some(hour)) = (text.get(..8), text.get(9..15)) else {
        return false;
    };
    text.len() == 16
        && digits(day)
        && digits(hour)
        && text.get(8..9) == Some("T")
        && text.ends_with('Z')
}

/// The name of a kernel's entry, with its variant and without the moment:
/// `6.1+cpu=v2@6.1.170-1` → `6.1+cpu=v2`. A file's name stays what it is.
pub fn base_of(id: &str) -> &str {
    match id.split_once('@') {
        Some((base, _)) if !id.contains('/') => base,
        _ => id,
    }
}

/// The kernel then; the error is why there is no such thing.
pub(crate) fn kernel(mut kernel: Kernel, moment: &str) -> Result<Kernel, String> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b".+~:-_^".contains(&byte);
    if moment.is_empty() || !moment.bytes().all(good) {
        return Err(format!(
            "`{moment}` is neither a package's version nor a moment such as 20260101T000000Z"
        ));
    }
    let then = |source: KernelSource| {
        if is_time(moment) {
            at_time(source, moment)
        } else {
            at_version(source, moment)
        }
    };
    kernel.sources = kernel.sources.into_iter().filter_map(then).collect();
    if kernel.sources.is_empty() {
        return Err(if is_time(moment) {
            format!("{} comes from no archive of Debian's", kernel.id)
        } else {
            format!("{} comes from no archive of packages", kernel.id)
        });
    }
    kernel.id = format!("{}@{moment}", kernel.id);
    Ok(kernel)
}

/// None where the source has no versions.
fn at_version(source: KernelSource, version: &str) -> Option<KernelSource> {
    match source {
        KernelSource::Apt(mut apt) => {
            for package in &mut apt.packages {
                let name = package.split('=').next().unwrap_or_default();
                *package = format!("{name}={version}");
            }
            Some(KernelSource::Apt(apt))
        }
        KernelSource::Rpm(mut rpm) => {
            rpm.version = Some(version.to_owned());
            Some(KernelSource::Rpm(rpm))
        }
        _ => None,
    }
}

/// None where nobody keeps what the source was.
fn at_time(source: KernelSource, time: &str) -> Option<KernelSource> {
    let KernelSource::Apt(mut apt) = source else {
        return None;
    };
    for suite in &mut apt.suites {
        let security = match suite.archive {
            Archive::Debian => false,
            Archive::DebianSecurity => true,
            Archive::Snapshot { security, .. } => security,
            Archive::Url(_) | Archive::Keyed { .. } => return None,
        };
        suite.archive = Archive::Snapshot {
            security,
            time: time.to_owned(),
        };
        suite.allow_expired = true;
    }
    Some(KernelSource::Apt(apt))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_one_way() {
        assert!(is_time("20260101T000000Z"));
        for text in [
            "",
            "20260101",
            "2026-01-01T000000Z",
            "20260101T000000",
            "20260101T0000000Z",
            "2026010äT00000Z",
        ] {
            assert!(!is_time(text), "{text}");
        }
    }

    #[test]
    fn the_moment_is_what_follows_the_at() {
        assert_eq!(base_of("6.1@6.1.170-1~bpo11+1"), "6.1");
        assert_eq!(base_of("6.1+cpu=v2@6.1.170-1+b1"), "6.1+cpu=v2");
        assert_eq!(base_of("6.1+vsyscall=emulate"), "6.1+vsyscall=emulate");
        assert_eq!(base_of("./a@b/bzImage"), "./a@b/bzImage");
    }
}
