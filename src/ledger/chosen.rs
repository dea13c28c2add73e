//! Some people, groups and actors, and the rows of theirs.

use std::sync::Arc;

use arrow::array::AsArray;
use parquet::errors::ParquetError;

use super::LedgerError;
use super::pack::PersonColumn;
use super::shelf::Groups;
use crate::codes::index;
use crate::fetched::Fetched;
use crate::scan::pages::{FlatColumns, Rows};

/// People, groups and actors by the upper halves of their keys, which are spread evenly: a bit for each range of them.
/// Some that were not chosen fall into the same ranges: one in 256 at most where few were, one in 32 where half a million
/// were, and more from two millions on.
#[derive(Debug, Default)]
pub struct Chosen {
    pub people: Halves,
    /// Whether rows without a person are chosen.
    pub nobody: bool,
    pub groups: Halves,
    pub actors: Halves,
}

/// Upper halves of keys.
#[derive(Debug, Default)]
pub struct Halves {
    bits: Vec<u64>,
    /// What of a half is not looked at.
    shift: u32,
}

impl Halves {
    /// Ranges for each half, as long as all of them together take no more than two megabytes, which a processor's caches
    /// hold; where there are many halves, and at most, eight megabytes.
    const SPARSE: usize = 256;
    const MANY: usize = 16 << 20;
    const DENSE: usize = 32;
    const MOST: usize = 64 << 20;

    pub fn of(halves: &[u64]) -> Self {
        if halves.is_empty() {
            return Self::default();
        }
        let ranges = Self::ranges(halves.len());
        let shift = u64::BITS - ranges.trailing_zeros();
        let mut all = Self { bits: vec![0; ranges / 64], shift };
        for half in halves {
            let (word, bit) = all.place(*half);
            if let Some(word) = all.bits.get_mut(word) {
                *word |= bit;
            }
        }
        all
    }

    /// Ranges for so many halves, a power of two.
    fn ranges(halves: usize) -> usize {
        let ranges = |each| halves.saturating_mul(each).min(Self::MOST).next_power_of_two();
        let wanted = ranges(Self::SPARSE).min(ranges(Self::DENSE).max(Self::MANY));
        wanted.clamp(64, Self::MOST)
    }

    fn is_empty(&self) -> bool {
        self.bits.is_empty()
    }

    fn place(&self, half: u64) -> (usize, u64) {
        let range = half >> self.shift;
        (usize::try_from(range / 64).unwrap_or(usize::MAX), 1 << (range % 64))
    }

    #[inline]
    pub fn holds(&self, half: u64) -> bool {
        let (word, bit) = self.place(half);
        self.bits.get(word).is_some_and(|word| word & bit != 0)
    }
}

impl Chosen {
    pub fn is_empty(&self) -> bool {
        let Self { people, nobody, groups, actors } = self;
        !nobody && [people, groups, actors].iter().all(|halves| halves.is_empty())
    }

    #[inline]
    pub fn holds_person(&self, half: Option<u64>) -> bool {
        half.map_or(self.nobody, |half| self.people.holds(half))
    }
}

/// That the person of a row was chosen, or its group or actor: of these only allowed events count.
const PERSON: u8 = 1;
const OTHERS: u8 = 2;

/// The rows of a row group that were chosen: keys are looked at where they lie.
///
/// # Errors
/// Damaged packs.
pub fn chosen_rows(
    groups: &Groups,
    group: usize,
    fetched: &Arc<Fetched>,
    (person, chosen): (PersonColumn, &Chosen),
) -> Result<Vec<u32>, LedgerError> {
    marks(groups, group, fetched, (person, chosen))
        .and_then(|marks| wanted(groups, group, fetched, &marks))
        .map_err(|e| groups.damaged(e))
}

/// The rows that are wanted of those that bear a mark.
fn wanted(
    groups: &Groups,
    group: usize,
    fetched: &Arc<Fetched>,
    marks: &[u8],
) -> Result<Vec<u32>, ParquetError> {
    let count = marks.iter().filter(|mark| **mark != 0).count();
    let rows = collected(count, (0u32..).zip(marks.iter().map(|mark| *mark != 0)));
    if marks.iter().all(|mark| mark & OTHERS == 0) {
        return Ok(rows);
    }
    let missing = || {
        ParquetError::General("its column `allowed` is not there, or not as packs have it".into())
    };
    let leaf = leaf_of(groups, "allowed").ok_or_else(missing)?;
    let (mut column, _) = FlatColumns::open(&groups.metadata, group, [leaf], fetched)?;
    let allowed = column.read(Rows::Some(&rows))?.pop().ok_or_else(missing)?.1;
    let allowed = allowed.as_boolean_opt().ok_or_else(missing)?;
    let is_persons = |row: u32| marks.get(index(row)).is_some_and(|mark| mark & PERSON != 0);
    let wanted = rows.iter().zip(allowed);
    let wanted = wanted.map(|(row, allowed)| (*row, is_persons(*row) | (allowed == Some(true))));
    Ok(collected(count, wanted))
}

/// Those rows that are wanted, at most `most`, which nobody could guess: each is put down, and the next one takes the place
/// of one that is not.
fn collected(most: usize, rows: impl Iterator<Item = (u32, bool)>) -> Vec<u32> {
    let mut all = vec![0; most + 1];
    let mut count = 0;
    for (row, is_wanted) in rows {
        if let Some(place) = all.get_mut(count) {
            *place = row;
        }
        count += usize::from(is_wanted);
    }
    all.truncate(count);
    all
}

fn leaf_of(groups: &Groups, name: &str) -> Option<usize> {
    let columns = groups.metadata.parquet_schema().columns();
    columns.iter().position(|column| column.name() == name)
}

/// By row of a row group: [`PERSON`] and [`OTHERS`].
fn marks(
    groups: &Groups,
    group: usize,
    fetched: &Arc<Fetched>,
    (person, chosen): (PersonColumn, &Chosen),
) -> Result<Vec<u8>, ParquetError> {
    let mut marks = vec![0; groups.rows(group)];
    let place = (groups, group, fetched);
    let person = match person {
        PersonColumn::Subject => "subject_hi",
        PersonColumn::Actor => "actor_hi",
        PersonColumn::None => "",
    };
    let any = chosen.nobody || !chosen.people.is_empty();
    let nobody = if chosen.nobody { PERSON } else { 0 };
    if any && !mark(place, person, (PERSON, nobody), &mut marks, &chosen.people)? {
        marks.fill(nobody);
    }
    for (name, held) in [("group_hi", &chosen.groups), ("actor_hi", &chosen.actors)] {
        if !held.is_empty() {
            mark(place, name, (OTHERS, 0), &mut marks, held)?;
        }
    }
    Ok(marks)
}

/// Marks the rows whose half in a column is held, and with another mark those without one; gives whether there is such a
/// column.
fn mark(
    (groups, group, fetched): (&Groups, usize, &Arc<Fetched>),
    name: &str,
    (mark, of_null): (u8, u8),
    marks: &mut [u8],
    held: &Halves,
) -> Result<bool, ParquetError> {
    let Some(leaf) = leaf_of(groups, name) else { return Ok(false) };
    let of_half = |half| u8::from(held.holds(half)) * mark;
    FlatColumns::mark(&groups.metadata, (group, leaf), fetched, marks, of_half, of_null)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn all_that_were_chosen_are_held_and_few_others(
            halves in proptest::collection::vec(any::<u64>(), 0..200),
            others in proptest::collection::vec(any::<u64>(), 200..400)
        ) {
            let held = Halves::of(&halves);
            prop_assert!(halves.iter().all(|half| held.holds(*half)));
            let wrongly = others.iter().filter(|half| held.holds(**half)).count();
            prop_assert!(wrongly < others.len() / 16, "{wrongly}");
        }
    }

    proptest! {
        #[test]
        fn wanted_rows_are_collected_in_their_order(
            rows in proptest::collection::vec((any::<u32>(), any::<bool>()), 0..50)
        ) {
            let wanted: Vec<u32> = rows.iter().filter(|row| row.1).map(|row| row.0).collect();
            prop_assert_eq!(collected(wanted.len(), rows.iter().copied()), wanted.clone());
            prop_assert_eq!(collected(rows.len(), rows.iter().copied()), wanted);
        }
    }

    #[test]
    fn ranges_are_many_of_few_halves_and_no_more_than_fit() {
        for (halves, ranges) in [
            (1, 256),
            (1_000, 256 << 10),
            (65_536, 16 << 20),
            (100_000, 16 << 20),
            (524_288, 16 << 20),
            (524_289, 32 << 20),
            (2_000_000, 64 << 20),
            (usize::MAX / 2, 64 << 20),
        ] {
            assert_eq!(Halves::ranges(halves), ranges, "{halves}");
        }
    }

    #[test]
    fn nobody_is_held_where_nobody_was_chosen() {
        let chosen = Chosen { people: Halves::of(&[1]), ..Chosen::default() };
        assert!(chosen.holds_person(Some(1)) && !chosen.holds_person(Some(u64::MAX)));
        assert!(!chosen.holds_person(None) && !chosen.groups.holds(1));
        assert!(Chosen { nobody: true, ..chosen }.holds_person(None));
    }
}
