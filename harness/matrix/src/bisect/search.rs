//! The search itself, over a line of kernels.

use super::bench::Answer;
use crate::error::Failure;

/// Where an outcome changes.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// The last that ends as the first of the line does, and its place.
    pub(super) low: (usize, Answer),
    /// The first known that does not.
    pub(super) high: (usize, Answer),
    /// Places that gave no result, with why.
    pub(super) skipped: Vec<(usize, String)>,
}

/// A kernel's answer, or why it gives none; the outer error ends the search.
type Asked = Result<Result<Answer, String>, Failure>;

/// Halves the line until two neighbours are left that end differently, but for those
/// that give no result. `ask` gives a kernel's answer; its inner error is why there
/// is none.
pub(super) fn search(
    line: &[String],
    ask: &mut dyn FnMut(&str) -> Asked,
) -> Result<Found, Failure> {
    let last = line.len() - 1;
    let mut end = |at: usize| {
        ask(&line[at])?.map_err(|reason| Failure::BisectEnd {
            kernel: line[at].clone(),
            reason,
        })
    };
    let (low, high) = (end(0)?, end(last)?);
    if low.outcome == high.outcome {
        return Err(Failure::BisectSame {
            first: line[0].clone(),
            second: line[last].clone(),
            outcome: low.outcome,
        });
    }
    let mut found = Found {
        low: (0, low),
        high: (last, high),
        skipped: Vec::new(),
    };
    while let Some(middle) = next(found.low.0, found.high.0, &found.skipped) {
        match ask(&line[middle])? {
            Ok(answer) if answer.outcome == found.low.1.outcome => found.low = (middle, answer),
            Ok(answer) => found.high = (middle, answer),
            Err(reason) => found.skipped.push((middle, reason)),
        }
    }
    Ok(found)
}

/// The place to look at next: the nearest to the middle that was not skipped.
fn next(low: usize, high: usize, skipped: &[(usize, String)]) -> Option<usize> {
    let middle = low.midpoint(high);
    (low + 1..high)
        .filter(|at| !skipped.iter().any(|(skipped, _)| skipped == at))
        .min_by_key(|at| at.abs_diff(middle))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_asked_and_what_was_skipped_is_not_asked_again() {
        assert_eq!(next(0, 8, &[]), Some(4));
        let skipped = |places: &[usize]| -> Vec<(usize, String)> {
            places.iter().map(|at| (*at, String::new())).collect()
        };
        assert_eq!(next(0, 8, &skipped(&[4])), Some(3));
        assert_eq!(next(2, 4, &skipped(&[3])), None);
        assert_eq!(next(2, 3, &[]), None);
    }

    fn answer(outcome: &str) -> Answer {
        Answer {
            outcome: outcome.to_owned(),
            ..Answer::default()
        }
    }

    fn line(length: usize) -> Vec<String> {
        (0..length).map(|at| at.to_string()).collect()
    }

    #[test]
    fn every_place_of_a_change_is_found_in_few_steps() {
        for length in 2..20 {
            for change in 1..length {
                let mut asked = 0;
                let found = search(&line(length), &mut |id| {
                    asked += 1;
                    let after = id.parse::<usize>().unwrap() >= change;
                    Ok(Ok(answer(if after { "SIGSEGV" } else { "pass" })))
                });
                let found = found.unwrap();
                assert_eq!((found.low.0, found.high.0), (change - 1, change));
                assert!(asked <= 7, "{asked} of {length}");
            }
        }
    }

    #[test]
    fn what_gives_no_result_is_gone_around_and_told() {
        // 3 to 5 do not boot; the change is among them.
        let found = search(&line(9), &mut |id| {
            Ok(match id.parse::<usize>().unwrap() {
                0..3 => Ok(answer("pass")),
                3..6 => Err("no such package".to_owned()),
                _ => Ok(answer("exit 1")),
            })
        });
        let found = found.unwrap();
        assert_eq!((found.low.0, found.high.0), (2, 6));
        let mut places: Vec<usize> = found.skipped.iter().map(|(at, _)| *at).collect();
        places.sort_unstable();
        assert_eq!(places, [3, 4, 5]);
    }

    #[test]
    fn ends_that_tell_nothing_are_errors() {
        let same = search(&line(3), &mut |_| Ok(Ok(answer("pass"))));
        assert!(matches!(same, Err(Failure::BisectSame { .. })));
        let none = search(&line(3), &mut |_| Ok(Err("gone".to_owned())));
        assert!(
            matches!(none, Err(Failure::BisectEnd { kernel, reason }) if kernel == "0" && reason == "gone")
        );
    }
}
