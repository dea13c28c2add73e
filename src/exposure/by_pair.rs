//! Numbers by two codes.

use crate::key::MixMap;

/// Numbers by two codes, of which the second is mostly below `WIDTH`: those of low codes lie side by side, and are
/// found by one look into memory. A table that mixes both codes takes three, each of which waits for the one before.
#[derive(Debug, Default)]
pub struct ByPair<const WIDTH: u32> {
    /// Of low codes a cell for each pair: 0 where nothing is known, else the number and one.
    near: Vec<u32>,
    far: MixMap<u64, u32>,
}

impl<const WIDTH: u32> ByPair<WIDTH> {
    /// First codes with such cells.
    const HEIGHT: u32 = 1 << 14;

    /// Bytes of the cells of one first code.
    pub const ROW: u64 = WIDTH as u64 * size_of::<u32>() as u64;

    /// First codes that there are cells for, where this is the last one.
    pub fn rows(last: u32) -> u32 {
        if last < Self::HEIGHT { last + 1 } else { 0 }
    }

    #[inline]
    fn cell(one: u32, other: u32) -> Option<usize> {
        let near = other < WIDTH && one < Self::HEIGHT;
        usize::try_from(one.wrapping_mul(WIDTH).wrapping_add(other)).ok().filter(|_| near)
    }

    /// Inlined always: what a call gives back passes through memory.
    #[inline(always)]
    pub fn get(&self, one: u32, other: u32) -> Option<u32> {
        match Self::cell(one, other) {
            Some(cell) => self.near.get(cell)?.checked_sub(1),
            None => self.far.get(&both(one, other)).copied(),
        }
    }

    /// Numbers lie below [`u32::MAX`].
    pub fn insert(&mut self, one: u32, other: u32, number: u32) {
        let Some(cell) = Self::cell(one, other) else {
            self.far.insert(both(one, other), number);
            return;
        };
        if cell >= self.near.len() {
            self.near.resize(cell + 1, 0);
        }
        if let Some(slot) = self.near.get_mut(cell) {
            *slot = number.saturating_add(1);
        }
    }
}

/// Two codes as one.
pub fn both(one: u32, other: u32) -> u64 {
    u64::from(one) << 32 | u64::from(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::batch::NONE;

    #[test]
    fn numbers_of_low_codes_and_of_others_are_kept_apart() {
        const WIDTH: u32 = 64;
        let mut numbers = ByPair::<WIDTH>::default();
        let high = ByPair::<WIDTH>::HEIGHT;
        let pairs =
            [(0, 0), (1, 63), (1, 64), (2, 0), (high, 0), (high - 1, 63), (NONE, 0), (NONE, NONE)];
        for (number, (one, other)) in (0..).zip(pairs) {
            assert_eq!(numbers.get(one, other), None);
            numbers.insert(one, other, number);
        }
        for (number, (one, other)) in (0..).zip(pairs) {
            assert_eq!(numbers.get(one, other), Some(number));
        }
        numbers.insert(1, 63, 99);
        assert_eq!(
            (numbers.get(1, 63), numbers.get(2, 0), numbers.get(1, 62)),
            (Some(99), Some(3), None)
        );
    }
}
