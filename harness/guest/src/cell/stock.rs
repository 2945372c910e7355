//! What each cell has one of for itself, and is dear to make and to take apart: some
//! are made ahead in a machine that will be kept as a template, for its clones to find,
//! and those that cells had are kept for a while, since most machines end first. What a
//! cell gets is the same either way: one that nobody had before.

use std::collections::VecDeque;

use crate::error::Result;

/// As many as a machine of an image of its own has cells, mostly.
const AHEAD: usize = 16;

/// Those that cells had are kept up to this number.
const KEPT: usize = 32;

/// Those of one machine.
#[derive(Debug)]
pub(super) struct Stock<T> {
    ahead: VecDeque<T>,
    /// The oldest first.
    had: VecDeque<T>,
}

impl<T> Default for Stock<T> {
    fn default() -> Self {
        Self {
            ahead: VecDeque::new(),
            had: VecDeque::new(),
        }
    }
}

impl<T> Stock<T> {
    /// Fills up what is made ahead, as far as `make` gives any.
    ///
    /// # Errors
    /// Those of `make`.
    pub(super) fn fill(&mut self, mut make: impl FnMut() -> Result<Option<T>>) -> Result<()> {
        while self.ahead.len() < AHEAD
            && let Some(made) = make()?
        {
            self.ahead.push_back(made);
        }
        Ok(())
    }

    /// One for a cell, if any is left.
    pub(super) fn take(&mut self) -> Option<T> {
        self.ahead.pop_front()
    }

    /// Keeps one that a cell had; gives the one that has to go instead, if any.
    #[must_use = "it is not taken apart here"]
    pub(super) fn keep(&mut self, had: T) -> Option<T> {
        self.had.push_back(had);
        if self.had.len() > KEPT {
            self.had.pop_front()
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_is_had_twice_and_the_oldest_goes_first() {
        let mut stock = Stock::default();
        let mut made = 0..20;
        stock.fill(|| Ok(made.next())).unwrap();
        stock.fill(|| Ok(made.next())).unwrap();
        assert_eq!(made, AHEAD..20, "what is full is not filled");
        let taken: Vec<usize> = std::iter::from_fn(|| stock.take()).collect();
        assert_eq!(taken, (0..AHEAD).collect::<Vec<_>>());
        for one in 0..KEPT {
            assert_eq!(stock.keep(one), None);
        }
        assert_eq!(stock.keep(KEPT), Some(0));
        assert_eq!(stock.keep(KEPT + 1), Some(1));
        stock.fill(|| Ok(None)).unwrap();
        assert_eq!(stock.take(), None);
    }
}
