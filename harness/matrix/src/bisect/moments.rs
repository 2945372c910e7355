//! The search over the states of an archive between two moments.

use jiff::{SignedDuration, Timestamp};

use super::bench::Answer;
use crate::error::Failure;

/// Two states closer than this are taken for neighbours: Debian's archive is renewed
/// four times a day.
const RENEWAL: SignedDuration = SignedDuration::from_hours(6);

/// An end of what is left: its moment and its answer.
pub(super) type End = (Timestamp, Answer);

/// Where the outcome changes.
#[derive(Clone, Debug)]
pub(super) struct Neighbours {
    pub(super) low: End,
    pub(super) high: End,
    /// The moment at which it had to be given up, and why.
    pub(super) given_up: Option<(Timestamp, String)>,
}

/// What is looked up and asked on the way.
pub(super) trait Past {
    /// The version of the package then: without a boot.
    fn version(&mut self, then: Timestamp) -> Result<Option<String>, String>;
    /// The outcome then; the inner error is why there is none.
    fn ask(&mut self, then: Timestamp) -> Result<Result<Answer, String>, Failure>;
}

/// Halves the time between two moments that end differently. A state whose package is
/// that of one of the ends is not asked: it ends as that one does.
pub(super) fn search(low: End, high: End, past: &mut dyn Past) -> Result<Neighbours, Failure> {
    let mut found = Neighbours {
        low,
        high,
        given_up: None,
    };
    loop {
        let between = found.high.0.duration_since(found.low.0);
        if between <= RENEWAL {
            return Ok(found);
        }
        let middle = found.low.0 + between / 2;
        let answer = match past.version(middle) {
            Ok(Some(version)) if Some(&version) == found.low.1.version.as_ref() => {
                Ok(found.low.1.clone())
            }
            Ok(Some(version)) if Some(&version) == found.high.1.version.as_ref() => {
                Ok(found.high.1.clone())
            }
            Ok(_) => past.ask(middle)?,
            Err(reason) => Err(reason),
        };
        match answer {
            Ok(answer) if answer.outcome == found.low.1.outcome => found.low = (middle, answer),
            Ok(answer) => found.high = (middle, answer),
            Err(reason) => {
                found.given_up = Some((middle, reason));
                return Ok(found);
            }
        }
    }
}

/// `20260101T000000Z`, as a kernel's name has it.
pub(super) fn word(moment: Timestamp) -> String {
    moment.strftime("%Y%m%dT%H%M%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An archive that had a new version every ten days, of which those from
    /// `change` on end otherwise.
    struct Archive {
        change: i64,
        asked: Vec<String>,
        gone: Option<i64>,
    }

    const TEN_DAYS: i64 = 10 * 24 * 3600;

    fn build(then: Timestamp) -> i64 {
        then.as_second() / TEN_DAYS
    }

    impl Archive {
        fn answer(&self, then: Timestamp) -> Answer {
            Answer {
                outcome: if build(then) >= self.change {
                    "exit 1".to_owned()
                } else {
                    "pass".to_owned()
                },
                version: Some(build(then).to_string()),
                ..Answer::default()
            }
        }
    }

    impl Past for Archive {
        fn version(&mut self, then: Timestamp) -> Result<Option<String>, String> {
            if self.gone == Some(build(then)) {
                return Err("no such suite".to_owned());
            }
            Ok(Some(build(then).to_string()))
        }

        fn ask(&mut self, then: Timestamp) -> Result<Result<Answer, String>, Failure> {
            self.asked.push(build(then).to_string());
            Ok(Ok(self.answer(then)))
        }
    }

    fn search_year(change: i64, gone: Option<i64>) -> (Neighbours, Vec<String>) {
        let mut archive = Archive {
            change,
            asked: Vec::new(),
            gone,
        };
        let end = |build: i64| Timestamp::from_second(build * TEN_DAYS + 3600).unwrap();
        let ends = [end(100), end(136)].map(|then| (then, archive.answer(then)));
        let [low, high] = ends;
        let found = search(low, high, &mut archive).unwrap();
        (found, archive.asked)
    }

    #[test]
    fn the_moment_of_a_change_is_found_and_each_version_asked_once() {
        for change in 101..=136 {
            let (found, mut asked) = search_year(change, None);
            assert!(found.given_up.is_none());
            assert_eq!(build(found.low.0), change - 1);
            assert_eq!(build(found.high.0), change);
            assert!(found.high.0.duration_since(found.low.0) <= RENEWAL);
            let count = asked.len();
            asked.sort_unstable();
            asked.dedup();
            assert_eq!(asked.len(), count, "a version was booted twice");
            assert!(count <= 6, "{count}");
        }
    }

    #[test]
    fn a_state_that_is_not_to_be_had_ends_the_search_and_is_told() {
        let (found, _) = search_year(130, Some(118));
        let (then, reason) = found.given_up.unwrap();
        assert_eq!((build(then), reason.as_str()), (118, "no such suite"));
        assert_eq!((build(found.low.0), build(found.high.0)), (100, 136));
    }

    #[test]
    fn moments_are_written_as_selectors_take_them() {
        let text = "20260101T060000Z";
        assert_eq!(word(super::super::line::moment(text).unwrap()), text);
        assert!(plan::is_time(text));
    }
}
