//! Kernel versions: numbers with dots between them.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// `6.1`, `6.1.112`, `7.3-rc7`.
#[derive(Clone, Debug)]
pub struct Version {
    /// Two to four numbers; `6.1` and `6.1.0` are one version.
    numbers: Vec<u32>,
    /// The number after `-rc`.
    candidate: Option<u32>,
}

/// The text is no kernel version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a kernel version such as 6.1, 6.1.112 or 7.3-rc7")]
pub struct NotAVersion {
    /// The text.
    pub text: String,
}

impl FromStr for Version {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Version, NotAVersion> {
        Version::with_numbers(text, 2)
    }
}

impl Version {
    /// A version to compare with, where one number will do: `6` is all of 6.
    pub(crate) fn bound(text: &str) -> Result<Version, NotAVersion> {
        Version::with_numbers(text, 1)
    }

    fn with_numbers(text: &str, least: usize) -> Result<Version, NotAVersion> {
        let wrong = || NotAVersion {
            text: text.to_owned(),
        };
        let (numbers, candidate) = match text.split_once("-rc") {
            Some((numbers, candidate)) => (numbers, Some(number(candidate).ok_or_else(wrong)?)),
            None => (text, None),
        };
        let numbers = numbers
            .split('.')
            .map(number)
            .collect::<Option<Vec<u32>>>()
            .filter(|numbers| (least..=4).contains(&numbers.len()))
            .ok_or_else(wrong)?;
        Ok(Version { numbers, candidate })
    }
}

/// Digits only: `u32::from_str` alone would take `+6`.
fn number(text: &str) -> Option<u32> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

impl Version {
    /// The first number.
    pub fn major(&self) -> u32 {
        self.numbers[0]
    }

    /// Whether it is of the series `prefix`: 6.1.112 is of 6 and of 6.1, not of
    /// 6.11.
    pub fn is_of_series(&self, prefix: &[u32]) -> bool {
        let own = self.numbers.iter().copied().chain(std::iter::repeat(0));
        own.zip(prefix).all(|(own, wanted)| own == *wanted)
    }

    /// Compared no deeper than `other` is written: 6.1.112 equals 6.1, as someone
    /// who asks for everything up to 6.1 means all of 6.1.
    pub fn compare_as_written(&self, other: &Version) -> Ordering {
        let own = self.numbers.iter().copied().chain(std::iter::repeat(0));
        let numbers: Vec<u32> = own.take(other.numbers.len()).collect();
        let order = numbers.cmp(&other.numbers);
        match other.candidate {
            Some(_) => order.then_with(|| compare_candidates(self.candidate, other.candidate)),
            None => order,
        }
    }
}

/// A release is newer than its candidates.
fn compare_candidates(left: Option<u32>, right: Option<u32>) -> Ordering {
    let rank = |candidate: Option<u32>| candidate.unwrap_or(u32::MAX);
    rank(left).cmp(&rank(right))
}

impl Ord for Version {
    fn cmp(&self, other: &Version) -> Ordering {
        let length = self.numbers.len().max(other.numbers.len());
        let padded = |version: &Version| {
            let mut numbers = version.numbers.clone();
            numbers.resize(length, 0);
            numbers
        };
        padded(self)
            .cmp(&padded(other))
            .then_with(|| compare_candidates(self.candidate, other.candidate))
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

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.numbers.iter().map(u32::to_string).collect();
        formatter.write_str(&numbers.join("."))?;
        match self.candidate {
            Some(candidate) => write!(formatter, "-rc{candidate}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn versions_are_ordered_by_number_not_by_letter() {
        let mut all = ["6.12", "4.9", "7.3-rc7", "6.1.112", "3.10", "6.1", "7.3"].map(version);
        all.sort();
        assert_eq!(
            all.map(|version| version.to_string()),
            ["3.10", "4.9", "6.1", "6.1.112", "6.12", "7.3-rc7", "7.3"]
        );
    }

    #[test]
    fn trailing_zeros_do_not_matter() {
        assert_eq!(version("6.1"), version("6.1.0"));
        assert_ne!(version("6.1"), version("6.10"));
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in [
            "",
            "6",
            "6.",
            ".6",
            "6.x",
            "6.1-rc",
            "6.1-rcx",
            "six.one",
            "+6.1",
            "1.2.3.4.5",
            "6 .1",
            "99999999999.1",
        ] {
            assert!(text.parse::<Version>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_series_is_numbers_not_a_prefix_of_the_text() {
        assert!(version("6.1.112").is_of_series(&[6]));
        assert!(version("6.1.112").is_of_series(&[6, 1]));
        assert!(version("6.1").is_of_series(&[6, 1, 0]));
        assert!(!version("6.12").is_of_series(&[6, 1]));
        assert!(!version("7.0").is_of_series(&[6]));
    }

    #[test]
    fn a_comparison_goes_no_deeper_than_it_is_written() {
        let compare = |own: &str, other: &str| version(own).compare_as_written(&version(other));
        assert_eq!(compare("6.1.112", "6.1"), Ordering::Equal);
        assert_eq!(compare("6.1.112", "6.1.100"), Ordering::Greater);
        assert_eq!(compare("6.1", "6.1.100"), Ordering::Less);
        assert_eq!(compare("7.3-rc7", "7.3"), Ordering::Equal);
        assert_eq!(compare("7.3", "7.3-rc7"), Ordering::Greater);
    }
}
