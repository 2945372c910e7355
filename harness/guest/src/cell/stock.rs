//! What each cell has one of for itself, and is dear to make and to take apart: some
//! are made ahead in a machine that will be kept as a template, for its clones to find,
//! and as many of those that cells had are kept, since most machines end first. What a
//! cell gets is the same either way: one that nobody had before.
//!
//! As many are kept as are made ahead, so that a machine has as many of them when its
//! last cell runs as when its first did.

use std::collections::VecDeque;

use rustix::system::sysinfo;

use crate::error::Result;

/// At the most: as many as an image has checks, and some more.
const MOST: usize = 32;

/// Bytes of a machine's memory for each. A network namespace takes about 0.2 MiB.
const MEMORY: u64 = 32 << 20;

/// Those of one machine.
#[derive(Debug)]
pub(super) struct Stock<T> {
    size: usize,
    ahead: VecDeque<T>,
    /// The oldest first.
    had: VecDeque<T>,
}

impl<T> Stock<T> {
    /// An empty one of a size that fits this machine's memory.
    pub(super) fn new() -> Self {
        let memory = sysinfo();
        let bytes = u64::from(memory.mem_unit) * memory.totalram;
        Self::of(usize::try_from(bytes / MEMORY).map_or(MOST, |fitting| fitting.min(MOST)))
    }

    fn of(size: usize) -> Self {
        Self {
            size,
            ahead: VecDeque::new(),
            had: VecDeque::new(),
        }
    }

    /// Fills up what is made ahead, as far as `make` gives any.
    ///
    /// # Errors
    /// Those of `make`.
    pub(super) fn fill(&mut self, mut make: impl FnMut() -> Result<Option<T>>) -> Result<()> {
        while self.ahead.len() < self.size
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

    /// Keeps one that a cell had.
    pub(super) fn keep(&mut self, had: T) {
        self.had.push_back(had);
    }

    /// Those that are too many, the oldest first.
    pub(super) fn surplus(&mut self) -> impl Iterator<Item = T> {
        let surplus = self.had.len().saturating_sub(self.size);
        self.had.drain(..surplus)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_is_had_twice_and_the_oldest_goes_first() {
        let mut stock = Stock::of(3);
        let mut made = 0..5;
        stock.fill(|| Ok(made.next())).unwrap();
        stock.fill(|| Ok(made.next())).unwrap();
        assert_eq!(made, 3..5, "what is full is not filled");
        let taken: Vec<usize> = std::iter::from_fn(|| stock.take()).collect();
        assert_eq!(taken, [0, 1, 2]);
        for one in 0..3 {
            stock.keep(one);
            assert_eq!(stock.surplus().count(), 0);
        }
        stock.keep(3);
        stock.keep(4);
        assert_eq!(stock.surplus().collect::<Vec<_>>(), [0, 1]);
        assert_eq!(stock.surplus().count(), 0);
        stock.fill(|| Ok(None)).unwrap();
        assert_eq!(stock.take(), None);
    }

    #[test]
    fn a_machine_of_little_memory_keeps_few() {
        let mut stock: Stock<usize> = Stock::of(0);
        stock.fill(|| Ok(Some(1))).unwrap();
        assert_eq!(stock.take(), None);
        stock.keep(1);
        assert_eq!(stock.surplus().collect::<Vec<_>>(), [1]);
        assert!(Stock::<usize>::new().size <= MOST);
    }
}
