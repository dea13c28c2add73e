//! Repeats taken out of the rows that share one event id, in memory that grows with distinct rows alone.

use std::hash::{BuildHasher, RandomState};

use super::merge::Row;
use crate::scan::batch::NONE;

/// A row that is equal to one that was met before. Of the two, that of the first unit is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeat<T> {
    pub kept: u64,
    /// The unit of the other.
    pub gone: u64,
    /// Whether `gone` is the unit that the row was kept for so far.
    pub moves: bool,
    /// What is known of the row.
    pub value: T,
}

/// A distinct row: 128 bits that stand for it, under keys that nobody outside knows.
#[derive(Debug)]
struct Kept<T> {
    hash: [u64; 2],
    unit: u64,
    value: T,
}

/// The distinct rows of one event id, in the order in which they come, each with what is known of it.
#[derive(Debug)]
pub struct Repeats<T> {
    kept: Vec<Kept<T>>,
    /// The row itself while there is one alone, as there mostly is: then nothing needs a hash.
    only: Option<Row>,
    /// Where rows are in `kept`, each at its hash or behind it; [`NONE`] in more than half of the places.
    /// Empty while rows are few.
    places: Vec<u32>,
    hashers: [RandomState; 2],
}

impl<T> Default for Repeats<T> {
    fn default() -> Self {
        let (kept, places, hashers) = (Vec::new(), Vec::new(), Default::default());
        Self { kept, only: None, places, hashers }
    }
}

impl<T: Copy> Repeats<T> {
    /// Rows compared one by one; above it they are looked up.
    const FEW: usize = 8;

    /// Adds a row of the same event id; gives the repeat that it makes, if it is not new.
    pub fn add(&mut self, unit: u64, row: Row, value: T) -> Option<Repeat<T>> {
        let found = if self.kept.is_empty() {
            self.kept.push(Kept { hash: [0; 2], unit, value });
            self.only = Some(row);
            return None;
        } else if self.only.as_ref() == Some(&row) {
            0
        } else {
            if let (Some(only), Some(first)) = (self.only.take(), self.kept.first_mut()) {
                first.hash = hash(&self.hashers, &only);
            }
            let hash = hash(&self.hashers, &row);
            match self.find(hash) {
                Some(found) => found,
                None => {
                    self.kept.push(Kept { hash, unit, value });
                    self.place_last();
                    return None;
                }
            }
        };
        let kept = self.kept.get_mut(found)?;
        let moves = unit < kept.unit;
        let gone = unit.max(kept.unit);
        kept.unit = unit.min(kept.unit);
        Some(Repeat { kept: kept.unit, gone, moves, value: kept.value })
    }

    fn find(&self, hash: [u64; 2]) -> Option<usize> {
        if self.places.is_empty() {
            return self.kept.iter().position(|kept| kept.hash == hash);
        }
        let mut at = first_place(hash, self.places.len());
        loop {
            let found = self.kept.get(usize::try_from(*self.places.get(at)?).ok()?)?;
            if found.hash == hash {
                return usize::try_from(*self.places.get(at)?).ok();
            }
            at = (at + 1) & (self.places.len() - 1);
        }
    }

    /// Gives the last row a place, and all of them new ones where these become few.
    fn place_last(&mut self) {
        let from = if self.kept.len() <= Self::FEW {
            return;
        } else if self.kept.len() * 2 > self.places.len() {
            let room = (self.kept.len() * 4).next_power_of_two();
            self.places.clear();
            self.places.resize(room, NONE);
            0
        } else {
            self.kept.len() - 1
        };
        let first = u32::try_from(from).unwrap_or(NONE);
        for (kept, number) in self.kept.iter().skip(from).zip(first..) {
            let mut at = first_place(kept.hash, self.places.len());
            while self.places.get(at).is_some_and(|place| *place != NONE) {
                at = (at + 1) & (self.places.len() - 1);
            }
            if let Some(place) = self.places.get_mut(at) {
                *place = number;
            }
        }
    }

    /// What is known of the row that was added last, if it was new.
    pub fn last_mut(&mut self) -> Option<&mut T> {
        self.kept.last_mut().map(|kept| &mut kept.value)
    }

    /// The units that rows are kept for, with what is known of the rows; more than one row means that they
    /// contradict each other.
    pub fn iter(&self) -> impl Iterator<Item = (u64, T)> {
        self.kept.iter().map(|kept| (kept.unit, kept.value))
    }

    /// Takes all rows out. Room is kept for as many as events mostly have.
    pub fn clear(&mut self) {
        const USUAL: usize = 1 << 10;
        self.only = None;
        self.kept.clear();
        self.places.clear();
        if self.kept.capacity() > USUAL {
            (self.kept, self.places) = (Vec::new(), Vec::new());
        }
    }

    /// Bytes that rows are kept in, with what is copied when they get more room.
    pub fn bytes(&self) -> u64 {
        let kept = self.kept.capacity() * size_of::<Kept<T>>();
        let places = self.places.capacity() * size_of::<u32>();
        (kept / 2 * 3 + places) as u64
    }

    pub fn len(&self) -> usize {
        self.kept.len()
    }

    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}

fn hash(hashers: &[RandomState; 2], row: &Row) -> [u64; 2] {
    hashers.each_ref().map(|hasher| hasher.hash_one(row))
}

/// Of `places`, a power of two.
fn first_place([low, _]: [u64; 2], places: usize) -> usize {
    usize::try_from(low & (places as u64 - 1)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::moment::Moment;
    use crate::scan::batch::Outcome;

    fn row(number: i64) -> Row {
        Row {
            at: Moment::from_micros(number),
            app: 0,
            set: 0,
            outcome: Outcome::Allowed,
            reject: None,
            subject: None,
            actor: None,
            group_space: 0,
            group: None,
            group_id: None,
            weight: None,
            bytes: None,
            records: None,
            fields: NONE,
            event: None,
        }
    }

    proptest! {
        #[test]
        fn each_distinct_row_is_kept_once_for_its_first_unit(
            rows in proptest::collection::vec((0u64..9, 0i64..60), 0..200),
            again in proptest::collection::vec((0u64..9, 0i64..4), 0..9),
        ) {
            let mut repeats = Repeats::default();
            for rows in [rows, again] {
                // By row: the unit that keeps it, and the value with which it came first.
                let mut model: BTreeMap<i64, (u64, usize)> = BTreeMap::new();
                for (value, (unit, number)) in rows.into_iter().enumerate() {
                    let found = repeats.add(unit, row(number), value);
                    let expected = model.get_mut(&number).map(|(kept, first)| {
                        let (before, moves) = (*kept, unit < *kept);
                        *kept = unit.min(before);
                        Repeat { kept: *kept, gone: unit.max(before), moves, value: *first }
                    });
                    prop_assert_eq!(found, expected);
                    if found.is_none() {
                        model.insert(number, (unit, value));
                        prop_assert_eq!(repeats.last_mut().copied(), Some(value));
                    }
                }
                let mut kept: Vec<(u64, usize)> = model.into_values().collect();
                kept.sort_by_key(|(_, value)| *value);
                prop_assert_eq!(repeats.iter().collect::<Vec<_>>(), kept);
                repeats.clear();
                prop_assert!(repeats.is_empty());
            }
        }
    }

    #[test]
    fn what_is_kept_does_not_grow_with_repeats() {
        let mut repeats = Repeats::default();
        (0..1_000).for_each(|number| assert_eq!(repeats.add(0, row(number), ()), None));
        let bytes = repeats.bytes();
        (0..100_000).for_each(|number| assert!(repeats.add(0, row(number % 1_000), ()).is_some()));
        assert_eq!((repeats.len(), repeats.bytes()), (1_000, bytes));
        assert!(bytes < 1_024 * 80, "{bytes}");
    }
}
