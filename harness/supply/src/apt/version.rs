//! Debian's version numbers and their order (Debian policy 5.6.12).

use std::cmp::Ordering;
use std::fmt;

/// A version number, `[epoch:]upstream[-revision]`, ordered as Debian orders them.
///
/// Equality is that order's: `1.0` and `0:1.0-0` are the same version. Anything is
/// accepted, as dpkg does when it compares; an epoch that is no number counts as
/// part of the upstream version.
#[derive(Clone)]
pub struct Version(String);

impl Version {
    /// From its text.
    pub fn new(text: impl Into<String>) -> Version {
        Version(text.into())
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Epoch, upstream version, revision.
    fn parts(&self) -> (u64, &str, &str) {
        let text = self.0.trim();
        let (epoch, rest) = match text.split_once(':') {
            Some((epoch, rest)) => match epoch.parse() {
                Ok(epoch) => (epoch, rest),
                Err(_) => (0, text),
            },
            None => (0, text),
        };
        // The revision starts at the last hyphen; upstream versions may hold others.
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        (epoch, upstream, revision)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({})", self.0)
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Version) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Version) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Version) -> Ordering {
        let (epoch, upstream, revision) = self.parts();
        let (other_epoch, other_upstream, other_revision) = other.parts();
        epoch
            .cmp(&other_epoch)
            .then_with(|| compare(upstream.as_bytes(), other_upstream.as_bytes()))
            .then_with(|| compare(revision.as_bytes(), other_revision.as_bytes()))
    }
}

/// Compares two upstream versions or revisions: stretches of non-digits in the
/// order of [`weight`] and stretches of digits as numbers, in turn.
fn compare(mut left: &[u8], mut right: &[u8]) -> Ordering {
    while !left.is_empty() || !right.is_empty() {
        let (text, rest) = split(left, |byte| !byte.is_ascii_digit());
        let (other_text, other_rest) = split(right, |byte| !byte.is_ascii_digit());
        let order = compare_text(text, other_text);
        if order != Ordering::Equal {
            return order;
        }
        let (digits, rest) = split(rest, |byte| byte.is_ascii_digit());
        let (other_digits, other_rest) = split(other_rest, |byte| byte.is_ascii_digit());
        let order = compare_digits(digits, other_digits);
        if order != Ordering::Equal {
            return order;
        }
        (left, right) = (rest, other_rest);
    }
    Ordering::Equal
}

fn split(bytes: &[u8], belongs: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let end = bytes
        .iter()
        .position(|byte| !belongs(*byte))
        .unwrap_or(bytes.len());
    bytes.split_at(end)
}

fn compare_text(left: &[u8], right: &[u8]) -> Ordering {
    for place in 0..left.len().max(right.len()) {
        let order = weight(left.get(place)).cmp(&weight(right.get(place)));
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

/// A tilde sorts before the end, the end before letters, letters before all else.
fn weight(byte: Option<&u8>) -> i32 {
    match byte {
        Some(b'~') => -1,
        None => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    }
}

/// As numbers of any length: dates with times outgrow every integer.
fn compare_digits(left: &[u8], right: &[u8]) -> Ordering {
    let (_, left) = split(left, |byte| byte == b'0');
    let (_, right) = split(right, |byte| byte == b'0');
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Each line is in ascending order; the first two are policy 5.6.12's own.
    #[test]
    fn policy_and_real_archives_are_ordered() {
        for line in [
            "~~ ~~a ~ 0 a",
            "1.0~beta1~svc1 1.0~beta1~svn1245 1.0~beta1 1.0 1.0a 1.0b 1.0+b 1.0.1 1.1 1:0.5",
            "6.1.148-1 6.1.170-1~bpo1 6.1.170-1 6.1.170-1+b1 6.12.6-1 6.16.3-1~bpo13+1 1:1",
            "5.2.15-2 5.2.15-2+b8 5.2.15-2.1 5.2.15-10",
            "2.36-9+deb12u9 2.36-9+deb12u10 2.36-9+rpt1 2.36-9.1 2.36-10",
            "20250520T000000Z 20250520T000001Z 99999999999999999999999998 99999999999999999999999999",
            "1.2-3-4 1.2-4-1",
        ] {
            let versions: Vec<Version> = line.split(' ').map(Version::new).collect();
            for (place, left) in versions.iter().enumerate() {
                for right in &versions[place + 1..] {
                    assert!(left < right, "{left} is not below {right}");
                    assert!(right > left, "{right} is not above {left}");
                }
            }
        }
    }

    #[test]
    fn zeros_that_mean_nothing_are_equal() {
        for (left, right) in [
            ("1.0", "0:1.0"),
            ("1.0", "1.0-0"),
            ("1.01", "1.1"),
            ("1.0", "1.00"),
            ("1.a", "1.a0"),
        ] {
            assert_eq!(Version::new(left), Version::new(right), "{left} {right}");
        }
    }

    fn version() -> impl Strategy<Value = Version> {
        "([0-2]:)?[0-9][0-9a-b.+~]{0,5}(-[0-9a-b.+~]{1,3})?".prop_map(Version::new)
    }

    proptest! {
        #[test]
        fn the_order_is_total(a in version(), b in version(), c in version()) {
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            prop_assert_eq!(a.cmp(&a), Ordering::Equal);
            if a <= b && b <= c {
                prop_assert!(a <= c);
            }
            if a == b {
                prop_assert_eq!(a.cmp(&c), b.cmp(&c));
            }
        }

        #[test]
        fn a_tilde_goes_before_and_a_suffix_after(a in "[1-9][0-9.]{0,5}[1-9]") {
            let base = Version::new(a.clone());
            let earlier = Version::new(format!("{a}~rc1"));
            let later = Version::new(format!("{a}+dfsg"));
            prop_assert!(earlier < base);
            prop_assert!(base < later);
        }
    }
}
