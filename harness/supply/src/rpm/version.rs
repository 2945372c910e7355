//! Versions of packages, and their order.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Epoch, version and release: `3.10.0-1160.el7`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evr {
    /// Comes before everything else.
    pub epoch: u32,
    /// The software's own.
    pub version: String,
    /// The packager's.
    pub release: String,
}

impl Evr {
    /// Reads what [`Evr`] is shown as; also without a release, and with the architecture
    /// that uname's release has.
    pub(crate) fn parse(text: &str) -> Evr {
        let text = text.strip_suffix(".x86_64").unwrap_or(text);
        let (epoch, rest) = match text.split_once(':') {
            Some((epoch, rest)) => (epoch.parse().unwrap_or(0), rest),
            None => (0, text),
        };
        let (version, release) = rest.rsplit_once('-').unwrap_or((rest, ""));
        Evr {
            epoch,
            version: version.to_owned(),
            release: release.to_owned(),
        }
    }
}

impl fmt::Display for Evr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.epoch > 0 {
            write!(formatter, "{}:", self.epoch)?;
        }
        write!(formatter, "{}-{}", self.version, self.release)
    }
}

impl Ord for Evr {
    fn cmp(&self, other: &Self) -> Ordering {
        self.epoch
            .cmp(&other.epoch)
            .then_with(|| compare(&self.version, &other.version))
            .then_with(|| compare(&self.release, &other.release))
    }
}

impl PartialOrd for Evr {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// RPM's order of two versions or releases, rpmvercmp(): runs of digits and runs of
/// letters are compared one by one, what stands between them only parts them. `~`
/// comes before the end (1.0~rc1 < 1.0), `^` after the end and before all else
/// (1.0 < 1.0^git1 < 1.0.1).
pub(super) fn compare(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.as_bytes(), right.as_bytes());
    loop {
        left = after_separators(left);
        right = after_separators(right);
        match (left.first(), right.first()) {
            (Some(b'~'), Some(b'~')) | (Some(b'^'), Some(b'^')) => {
                (left, right) = (&left[1..], &right[1..]);
                continue;
            }
            (Some(b'~'), _) => return Ordering::Less,
            (_, Some(b'~')) => return Ordering::Greater,
            (Some(b'^'), None) => return Ordering::Greater,
            (None, Some(b'^')) => return Ordering::Less,
            (Some(b'^'), Some(_)) => return Ordering::Less,
            (Some(_), Some(b'^')) => return Ordering::Greater,
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(one), Some(other)) => {
                // A number is newer than a word.
                match (one.is_ascii_digit(), other.is_ascii_digit()) {
                    (true, false) => return Ordering::Greater,
                    (false, true) => return Ordering::Less,
                    (digits, _) => {
                        let (mine, rest) = run(left, digits);
                        let (theirs, other_rest) = run(right, digits);
                        let order = if digits {
                            let (mine, theirs) = (without_zeros(mine), without_zeros(theirs));
                            mine.len().cmp(&theirs.len()).then_with(|| mine.cmp(theirs))
                        } else {
                            mine.cmp(theirs)
                        };
                        if order.is_ne() {
                            return order;
                        }
                        (left, right) = (rest, other_rest);
                    }
                }
            }
        }
    }
}

fn after_separators(text: &[u8]) -> &[u8] {
    let end = text
        .iter()
        .position(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'~' | b'^'));
    &text[end.unwrap_or(text.len())..]
}

/// The run of digits or of letters that `text` begins with, and the rest.
fn run(text: &[u8], digits: bool) -> (&[u8], &[u8]) {
    let end = text
        .iter()
        .position(|byte| match digits {
            true => !byte.is_ascii_digit(),
            false => !byte.is_ascii_alphabetic(),
        })
        .unwrap_or(text.len());
    text.split_at(end)
}

fn without_zeros(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    &digits[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_of_vendors_are_in_the_order_they_were_published_in() {
        // Each list from old to new, as the vendors' repositories have them.
        let lists: [&[&str]; 5] = [
            &[
                "123.el7",
                "229.el7",
                "693.el7",
                "862.el7",
                "957.el7",
                "957.1.3.el7",
                "1062.el7",
                "1160.el7",
                "1160.2.2.el7",
                "1160.11.1.el7",
                "1160.119.1.el7",
            ],
            &[
                "80.el8",
                "305.el8",
                "348.7.1.el8_5",
                "477.10.1.el8_8",
                "477.27.1.el8_8",
                "553.el8_10",
                "553.5.1.el8_10",
                "553.16.1.el8_10",
            ],
            &[
                "70.13.1.el9_0",
                "284.11.1.el9_2",
                "427.13.1.el9_4",
                "503.el9",
                "570.12.1.el9_6",
            ],
            &[
                "150600.21.3",
                "150600.23.7.3",
                "150600.23.14.2",
                "150600.23.17.1",
            ],
            &[
                "0.rc0.20240115.1.fc40",
                "0.rc1.14.fc40",
                "63.fc40",
                "300.fc40",
                "301.fc40",
            ],
        ];
        for list in lists {
            for (at, older) in list.iter().enumerate() {
                for newer in &list[at + 1..] {
                    assert_eq!(compare(older, newer), Ordering::Less, "{older} {newer}");
                    assert_eq!(compare(newer, older), Ordering::Greater, "{older} {newer}");
                }
                assert_eq!(compare(older, older), Ordering::Equal);
            }
        }
    }

    #[test]
    fn rpms_own_cases_hold() {
        // From tests/rpmvercmp.at of rpm.
        for (left, right, order) in [
            ("1.0", "1.0", 0),
            ("1.0", "2.0", -1),
            ("2.0.1", "2.0", 1),
            ("2.0.1a", "2.0.1", 1),
            ("5.5p1", "5.5p2", -1),
            ("5.5p10", "5.5p1", 1),
            ("10xyz", "10.1xyz", -1),
            ("xyz10", "xyz10.1", -1),
            ("xyz.4", "8", -1),
            ("xyz.4", "2", -1),
            ("5.5p2", "5.6p1", -1),
            ("6.0.rc1", "6.0", 1),
            ("10b2", "10a1", 1),
            ("1.0aa", "1.0aa", 0),
            ("1.0a", "1.0aa", -1),
            ("10.0001", "10.1", 0),
            ("10.0001", "10.0039", -1),
            ("4.999.9", "5.0", -1),
            ("20101121", "20101122", -1),
            ("2_0", "2.0", 0),
            ("a+", "a_", 0),
            ("+", "_", 0),
            ("1.0~rc1", "1.0", -1),
            ("1.0~rc1", "1.0~rc2", -1),
            ("1.0~rc1~git123", "1.0~rc1", -1),
            ("1.0^", "1.0", 1),
            ("1.0^git1", "1.0", 1),
            ("1.0^git1", "1.0^git2", -1),
            ("1.0^git1", "1.01", -1),
            ("1.0^20160101", "1.0.1", -1),
            ("1.0^20160101^git1", "1.0^20160102", -1),
            ("1.0~rc1^git1", "1.0~rc1", 1),
            ("1.0^git1~pre", "1.0^git1", -1),
        ] {
            let found = compare(left, right) as i32;
            assert_eq!(found, order, "{left} {right}");
            assert_eq!(compare(right, left) as i32, -order, "{right} {left}");
        }
    }

    #[test]
    fn an_epoch_comes_first() {
        let evr = |epoch, version: &str, release: &str| Evr {
            epoch,
            version: version.to_owned(),
            release: release.to_owned(),
        };
        assert!(evr(1, "1", "1") > evr(0, "9", "9"));
        assert!(evr(0, "4.18.0", "9.el8") < evr(0, "4.18.0", "10.el8"));
        assert_eq!(evr(1, "5.14.0", "503.el9").to_string(), "1:5.14.0-503.el9");
    }
}
