//! `[[quarantine]]`: a check that is known to be flaky, whose it is, and until
//! when that is put up with.

use crate::Quarantine;
use crate::diagnostic::Located;
use crate::document::{Refusal, Table};

/// A `[[quarantine]]`, with the place of the check's name.
pub(crate) struct QuarantineEntry {
    pub(crate) check: Option<Located<String>>,
    /// None where there are mistakes in it.
    pub(crate) quarantine: Option<Quarantine>,
}

impl QuarantineEntry {
    pub(crate) fn read(table: &Table<'_>) -> QuarantineEntry {
        let check = table
            .required("check", "\"sort\"")
            .and_then(|value| value.string());
        let owner = table
            .required("owner", "\"toolchain team\"")
            .and_then(|value| value.parsed(owner));
        let until = table
            .required("until", "\"2027-01-31\"")
            .and_then(|value| value.parsed(date));
        let because = table.string("because").map(|because| because.value);
        table.finish();
        let quarantine = match (&check, owner, until) {
            (Some(check), Some(owner), Some(until)) => Some(Quarantine {
                check: check.value.clone(),
                owner,
                until,
                because,
            }),
            _ => None,
        };
        QuarantineEntry { check, quarantine }
    }
}

fn owner(text: &str) -> Result<String, Refusal> {
    if text.trim().is_empty() {
        return Err(Refusal::new("the owner is empty")
            .hint("a quarantine without somebody who ends it lasts for ever"));
    }
    Ok(text.to_owned())
}

/// A day, as ISO 8601 writes it, so that days compare as text.
fn date(text: &str) -> Result<String, Refusal> {
    let wrong = || {
        Refusal::new(format!("`{text}` is not a day")).hint("year, month and day: \"2027-01-31\"")
    };
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts[..] else {
        return Err(wrong());
    };
    let number = |part: &str, digits: usize| {
        (part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| part.parse::<u32>().ok())
            .flatten()
    };
    let (Some(year), Some(month), Some(day)) = (number(year, 4), number(month, 2), number(day, 2))
    else {
        return Err(wrong());
    };
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return Err(wrong()),
    };
    if (1..=days).contains(&day) {
        Ok(text.to_owned())
    } else {
        Err(wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_one_of_the_calendar() {
        for good in ["2027-01-31", "2028-02-29", "2000-02-29", "2026-12-01"] {
            assert!(date(good).is_ok(), "{good}");
        }
        for wrong in [
            "",
            "2027-1-31",
            "2027-02-29",
            "1900-02-29",
            "2027-13-01",
            "2027-04-31",
            "2027-00-10",
            "2027-01-00",
            "tomorrow",
            "2027-01-31T00:00:00Z",
        ] {
            assert!(date(wrong).is_err(), "{wrong}");
        }
    }
}
