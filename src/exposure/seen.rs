//! Who was counted in which cell, while all events of one stand together.

use super::cells::{ByWindow, WindowSet, count_windows, now_and_then};
use crate::codes::index;

/// A cell, in one line of the processor's cache: events ask for cells in no order.
#[derive(Clone, Debug, Default)]
#[repr(C, align(64))]
struct Cell {
    /// The number of the last one seen there, and in the lowest sixteen bits the windows.
    last: u64,
    counts: ByWindow,
}

/// Counts groups or actors by cell and window: each once, as long as all that is said of one is said before the
/// next. They are numbered from 1 on.
#[derive(Debug)]
pub struct Seen {
    cells: Vec<Cell>,
    /// By windows of then, where they are counted.
    then: Vec<ByWindow>,
}

impl Seen {
    /// Windows of then are counted, too, where they are `joint` with those of now.
    pub fn new(cells: usize, joint: bool) -> Self {
        let then = if joint { vec![ByWindow::default(); cells] } else { Vec::new() };
        Self { cells: vec![Cell::default(); cells], then }
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
        let index = index(cell);
        let Some(cell) = self.cells.get_mut(index) else { return };
        let number = number << WindowSet::BITS;
        let before = cell.last ^ number;
        // Of another one nothing is left.
        let before = WindowSet::try_from(before).unwrap_or(0);
        let new = windows & !before;
        count_windows(&mut cell.counts, new);
        if let Some(then) = self.then.get_mut(index) {
            count_windows(then, now_and_then(new).1);
        }
        cell.last = number | u64::from(before | windows);
    }

    /// Something of a cell. Asked for many cells in a short loop, the processor fetches several of them at once
    /// for what comes then.
    #[inline]
    pub fn touch(&self, cell: u32) -> u64 {
        self.get(cell).map_or(0, |cell| cell.last)
    }

    /// Adds those by cell to `into`, and those of then to what is beside.
    pub fn add_to(&self, (now, then): (&mut Vec<ByWindow>, &mut Vec<ByWindow>)) {
        let add = |into: &mut Vec<ByWindow>, counts: &mut dyn Iterator<Item = &ByWindow>| {
            for (place, counts) in counts.enumerate() {
                match into.get_mut(place) {
                    Some(into) => {
                        into.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
                    }
                    None => into.push(*counts),
                }
            }
        };
        add(now, &mut self.cells.iter().map(|cell| &cell.counts));
        add(then, &mut self.then.iter());
    }
}

#[cfg(test)]
mod tests {
    use super::super::cells::of_then;
    use super::*;

    #[test]
    fn each_is_counted_once_in_a_window() {
        let mut seen = [Seen::new(2, false), Seen::new(2, true)];
        for (number, cell, windows) in [
            (1, 0, 0b011),
            (1, 0, 0b110),
            (2, 0, 0b010),
            (2, 1, 0b001),
            (2, 0, 0b010),
            (9, 1, 0b001),
        ] {
            seen[0].add(cell, number, windows);
            // Of then one window is another.
            seen[1].add(cell, number, windows | of_then(windows << 1));
        }
        for seen in &seen {
            assert!(seen.is_new(0, 9) && !seen.is_new(1, 9) && !seen.is_new(0, 2));
            let (mut now, mut then) = (Vec::new(), Vec::new());
            seen.add_to((&mut now, &mut then));
            seen.add_to((&mut now, &mut then));
            assert_eq!(now[0][..3], [2, 4, 2]);
            assert_eq!(now[1][..3], [4, 0, 0]);
            if !then.is_empty() {
                assert_eq!(then[0][..4], [0, 2, 4, 2]);
                assert_eq!(then[1][..4], [0, 4, 0, 0]);
            }
        }
        assert_eq!((seen[0].then.len(), seen[1].then.len()), (0, 2));
    }
}
