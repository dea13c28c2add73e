//! Who was counted in which cell, while all events of one stand together.

use super::cells::{Window, WindowSet, count_windows};

/// A cell, in one line of the processor's cache: events ask for cells in no order.
#[derive(Clone, Debug, Default)]
#[repr(C, align(64))]
struct Cell {
    /// The number of the last one seen there, and in the lowest eight bits the windows.
    last: u64,
    counts: [u64; Window::COUNT],
}

/// Counts groups or actors by cell and window: each once, as long as all that is said of one is said before the
/// next. They are numbered from 1 on.
#[derive(Debug)]
pub struct Seen {
    cells: Vec<Cell>,
}

impl Seen {
    pub fn new(cells: usize) -> Self {
        Self { cells: vec![Cell::default(); cells] }
    }

    fn get(&self, cell: u32) -> Option<&Cell> {
        self.cells.get(usize::try_from(cell).ok()?)
    }

    /// Whether it has not been seen in the cell.
    #[inline]
    pub fn is_new(&self, cell: u32, number: u64) -> bool {
        self.get(cell).is_some_and(|cell| cell.last >> WindowSet::BITS != number)
    }

    #[inline]
    pub fn add(&mut self, cell: u32, number: u64, windows: WindowSet) {
        let Some(cell) = usize::try_from(cell).ok().and_then(|cell| self.cells.get_mut(cell))
        else {
            return;
        };
        let number = number << WindowSet::BITS;
        let before = cell.last ^ number;
        // Of another one nothing is left.
        let before = WindowSet::try_from(before).unwrap_or(0);
        count_windows(&mut cell.counts, windows & !before);
        cell.last = number | u64::from(before | windows);
    }

    /// Something of a cell. Asked for many cells in a short loop, the processor fetches several of them at once
    /// for what comes then.
    #[inline]
    pub fn touch(&self, cell: u32) -> u64 {
        self.get(cell).map_or(0, |cell| cell.last)
    }

    /// Adds those by cell to `into`.
    pub fn add_to(&self, into: &mut [[u64; Window::COUNT]]) {
        for (into, cell) in into.iter_mut().zip(&self.cells) {
            into.iter_mut().zip(cell.counts).for_each(|(sum, count)| *sum += count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted_once_in_a_window() {
        let mut seen = Seen::new(2);
        for (number, cell, windows) in [
            (1, 0, 0b011),
            (1, 0, 0b110),
            (2, 0, 0b010),
            (2, 1, 0b001),
            (2, 0, 0b010),
            (9, 1, 0b001),
        ] {
            seen.add(cell, number, windows);
        }
        assert!(seen.is_new(0, 9) && !seen.is_new(1, 9) && !seen.is_new(0, 2));
        let mut sums = vec![[0; Window::COUNT]; 2];
        seen.add_to(&mut sums);
        assert_eq!(sums[0][..3], [1, 2, 1]);
        assert_eq!(sums[1][..3], [2, 0, 0]);
    }
}
