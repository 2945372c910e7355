//! Ranges of versions: `>=5.10`, `<4.4`, `>=3.10, <4.0`.

use std::{cmp::Ordering, fmt, str::FromStr};

/// Why text is no range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// A bound is no number.
    #[error(
        "`{bound}` is no bound; one looks like `>=5.10` or `<4.4`, several are joined by commas"
    )]
    Bound {
        /// The bound as given.
        bound: String,
    },
    /// No version satisfies all bounds.
    #[error("no version is both `{left}` and `{right}`")]
    Empty {
        /// One bound.
        left: String,
        /// One that excludes it.
        right: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
}

/// Longest first, since `>` begins `>=`.
const OPERATORS: [(&str, Operator); 6] = [
    (">=", Operator::GreaterOrEqual),
    ("<=", Operator::LessOrEqual),
    ("==", Operator::Equal),
    (">", Operator::Greater),
    ("<", Operator::Less),
    ("=", Operator::Equal),
];

#[derive(Clone, Debug, PartialEq, Eq)]
struct Bound {
    operator: Operator,
    /// One to three numbers; only as many are compared.
    numbers: Vec<u32>,
}

/// Bounds that all must hold. A bound compares as many numbers as it has, so
/// that `=4.19` and `<=4.19` hold for 4.19.108, and `>4.19` does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range(Vec<Bound>);

impl Range {
    /// A version given by its numbers lies within.
    pub fn contains(&self, version: [u32; 3]) -> bool {
        self.0.iter().all(|bound| bound.holds(version))
    }

    /// A kernel's release (`6.1.0-50-cloud-amd64`) lies within; false where no
    /// version can be read from it.
    pub fn contains_release(&self, release: &str) -> bool {
        release_numbers(release).is_some_and(|version| self.contains(version))
    }
}

/// The leading numbers of a release: 3.10.0 of `3.10.0-1160.el7.x86_64`, 7.3.0
/// of `7.3-rc1`.
pub(crate) fn release_numbers(release: &str) -> Option<[u32; 3]> {
    let end = release
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(release.len());
    let mut numbers = release[..end].trim_end_matches('.').split('.');
    let major = numbers.next()?.parse().ok()?;
    let mut version = [major, 0, 0];
    for slot in &mut version[1..] {
        match numbers.next() {
            Some(number) => *slot = number.parse().ok()?,
            None => break,
        }
    }
    Some(version)
}

impl Bound {
    fn holds(&self, version: [u32; 3]) -> bool {
        let order = version[..self.numbers.len()].cmp(&self.numbers);
        match self.operator {
            Operator::Less => order == Ordering::Less,
            Operator::LessOrEqual => order != Ordering::Greater,
            Operator::Equal => order == Ordering::Equal,
            Operator::GreaterOrEqual => order != Ordering::Less,
            Operator::Greater => order == Ordering::Greater,
        }
    }

    /// The least and the greatest version it holds for, ends included.
    fn ends(&self) -> Option<([u32; 3], [u32; 3])> {
        let filled = |with: u32| {
            let mut version = [with; 3];
            version[..self.numbers.len()].copy_from_slice(&self.numbers);
            version
        };
        let (least, greatest) = (filled(0), filled(u32::MAX));
        Some(match self.operator {
            Operator::Less => ([0; 3], predecessor(least)?),
            Operator::LessOrEqual => ([0; 3], greatest),
            Operator::Equal => (least, greatest),
            Operator::GreaterOrEqual => (least, [u32::MAX; 3]),
            Operator::Greater => (successor(greatest)?, [u32::MAX; 3]),
        })
    }
}

fn predecessor(version: [u32; 3]) -> Option<[u32; 3]> {
    let [major, minor, patch] = version;
    if let Some(patch) = patch.checked_sub(1) {
        Some([major, minor, patch])
    } else if let Some(minor) = minor.checked_sub(1) {
        Some([major, minor, u32::MAX])
    } else {
        Some([major.checked_sub(1)?, u32::MAX, u32::MAX])
    }
}

fn successor(version: [u32; 3]) -> Option<[u32; 3]> {
    let [major, minor, patch] = version;
    if let Some(patch) = patch.checked_add(1) {
        Some([major, minor, patch])
    } else if let Some(minor) = minor.checked_add(1) {
        Some([major, minor, 0])
    } else {
        Some([major.checked_add(1)?, 0, 0])
    }
}

impl FromStr for Bound {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let error = || RangeError::Bound {
            bound: text.to_owned(),
        };
        let (operator, rest) = OPERATORS
            .iter()
            .find_map(|(sign, operator)| Some((*operator, text.strip_prefix(sign)?)))
            .unwrap_or((Operator::Equal, text));
        let numbers = rest
            .trim()
            .split('.')
            .map(|number| {
                // `parse` would take a sign.
                let digits = number.bytes().all(|byte| byte.is_ascii_digit());
                digits.then(|| number.parse().ok()).flatten()
            })
            .collect::<Option<Vec<u32>>>()
            .filter(|numbers| numbers.len() <= 3)
            .ok_or_else(error)?;
        Ok(Self { operator, numbers })
    }
}

impl FromStr for Range {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let bounds: Vec<Bound> = text
            .split(',')
            .map(|bound| bound.trim().parse())
            .collect::<Result<_, _>>()?;
        // An expectation that can never apply is a slip of its author's.
        for (index, left) in bounds.iter().enumerate() {
            for right in &bounds[index..] {
                let apart = match (left.ends(), right.ends()) {
                    (Some(left), Some(right)) => left.0 > right.1 || right.0 > left.1,
                    _ => true,
                };
                if apart {
                    return Err(RangeError::Empty {
                        left: left.to_string(),
                        right: right.to_string(),
                    });
                }
            }
        }
        Ok(Self(bounds))
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.operator {
            Operator::Less => "<",
            Operator::LessOrEqual => "<=",
            Operator::Equal => "=",
            Operator::GreaterOrEqual => ">=",
            Operator::Greater => ">",
        };
        let numbers: Vec<String> = self.numbers.iter().map(u32::to_string).collect();
        write!(formatter, "{sign}{}", numbers.join("."))
    }
}

impl fmt::Display for Range {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bounds: Vec<String> = self.0.iter().map(Bound::to_string).collect();
        formatter.write_str(&bounds.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn releases_of_real_kernels() {
        for (release, numbers) in [
            ("3.10.0-1160.el7.x86_64", Some([3, 10, 0])),
            ("6.1.0-50-cloud-amd64", Some([6, 1, 0])),
            ("4.9.229", Some([4, 9, 229])),
            ("7.3-rc1-amd64", Some([7, 3, 0])),
            ("6.12.57+deb13-cloud-amd64", Some([6, 12, 57])),
            ("2.6.32.1-foo", Some([2, 6, 32])),
            ("next-20261124", None),
            ("", None),
        ] {
            assert_eq!(release_numbers(release), numbers, "{release}");
        }
    }

    #[test]
    fn a_bound_compares_as_many_numbers_as_it_has() {
        for (range, release, within) in [
            (">=5.10", "5.10.0-33-amd64", true),
            (">=5.10", "5.9.16", false),
            (">=5.10", "5.2", false),
            ("<4.4", "4.3.9", true),
            ("<4.4", "4.4.0", false),
            (">=3.10, <4.0", "3.10.108", true),
            (">=3.10, <4.0", "4.0.1", false),
            ("=4.19", "4.19.108", true),
            ("4.19", "4.19.108", true),
            ("<=4.19", "4.19.108", true),
            (">4.19", "4.19.108", false),
            (">4.19", "4.20.0", true),
            ("<6", "5.19.0", true),
            (">=5.10", "next-20261124", false),
        ] {
            let parsed: Range = range.parse().unwrap();
            assert_eq!(
                parsed.contains_release(release),
                within,
                "{range} {release}"
            );
        }
    }

    #[test]
    fn what_is_no_range_and_what_no_version_satisfies() {
        for text in [
            "", ">=", ">=5.x", "5.10,", "1.2.3.4", ">= +5", "~5.10", "!=5",
        ] {
            assert!(
                matches!(text.parse::<Range>(), Err(RangeError::Bound { .. })),
                "{text}"
            );
        }
        for text in [
            ">=5, <4",
            "<0",
            "=4.19, >4.19",
            "=4.19, =4.20",
            "<5, >=5.0.0",
        ] {
            assert!(
                matches!(text.parse::<Range>(), Err(RangeError::Empty { .. })),
                "{text}"
            );
        }
        assert!(">4.19, <=4.20".parse::<Range>().is_ok());
    }

    proptest! {
        #[test]
        fn what_is_shown_parses_to_the_same(text in "(>=|<=|<|>|=)?[0-9]{1,3}(\\.[0-9]{1,3}){0,2}") {
            if let Ok(range) = text.parse::<Range>() {
                prop_assert_eq!(range.to_string().parse(), Ok(range));
            }
        }
    }
}
