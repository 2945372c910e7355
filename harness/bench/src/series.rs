//! Samples of one subject, and what is said of them.

use std::time::Duration;

use serde::Serialize;

/// What a subject took, once per round.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Series {
    /// Seconds, in the order of the rounds.
    pub(crate) samples: Vec<f64>,
}

impl Series {
    pub(crate) fn add(&mut self, took: Duration) {
        self.samples.push(took.as_secs_f64());
    }

    /// The middle one; of an even number the mean of the two in the middle. None of
    /// no samples.
    pub(crate) fn median(&self) -> Option<f64> {
        let mut sorted = self.samples.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => None,
            odd if odd % 2 == 1 => Some(sorted[middle]),
            _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
        }
    }

    /// The least and the most.
    pub(crate) fn range(&self) -> Option<(f64, f64)> {
        let least = self.samples.iter().copied().min_by(f64::total_cmp)?;
        let most = self.samples.iter().copied().max_by(f64::total_cmp)?;
        Some((least, most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_odd_and_even_numbers() {
        let series = |samples: &[f64]| Series {
            samples: samples.to_vec(),
        };
        assert_eq!(series(&[]).median(), None);
        assert_eq!(series(&[3.0, 1.0, 2.0]).median(), Some(2.0));
        assert_eq!(series(&[4.0, 1.0, 2.0, 3.0]).median(), Some(2.5));
        assert_eq!(series(&[4.0, 1.0, 2.0]).range(), Some((1.0, 4.0)));
    }
}
