//! In which leaves a person was seen, and on which days.

use super::cells::{WindowSet, count_windows};
use super::lookup::Lookup;
use super::pending::Pending;
use super::records::NOBODY;
use super::tally::Surplus;

#[derive(Clone, Copy, Debug)]
struct Stamp {
    person: u64,
    seen: WindowSet,
    day: i64,
}

/// Crossings that wait at most: the stamps that they touch stay in the processor's second cache.
const MANY_CROSSINGS: usize = 1024;

/// A person's visit of a leaf, as one of its cells sees it.
#[derive(Clone, Copy, Debug)]
struct Crossing {
    cell: usize,
    windows: WindowSet,
    day: i64,
    /// Whether it is the person's first of the leaf.
    new_leaf: bool,
}

/// The person whose visits are counted.
#[derive(Clone, Copy)]
pub struct Visitor {
    /// Unique over all threads.
    pub number: u64,
    /// Counted events.
    pub exposures: u64,
}

/// The visits of one person after another.
pub struct Visits {
    /// (day, leaf) of the person's counted events.
    visits: Vec<(i64, u32)>,
    /// So many are kept before those that are equal are taken out.
    limit: usize,
    /// By leaf: the last person seen there.
    leaf_stamps: Vec<u64>,
    /// By cell: the last person seen there.
    stamps: Vec<Stamp>,
    /// Of the person at hand.
    crossings: Vec<Crossing>,
}

impl Default for Visits {
    fn default() -> Self {
        Self {
            visits: Vec::new(),
            limit: Self::MANY,
            leaf_stamps: Vec::new(),
            stamps: Vec::new(),
            crossings: Vec::new(),
        }
    }
}

impl Visits {
    const MANY: usize = 1 << 16;

    /// Leaves that there is room for.
    pub fn leaves(&self) -> usize {
        self.leaf_stamps.len()
    }

    pub fn make_room(&mut self, leaves: usize) {
        self.leaf_stamps.resize(leaves, NOBODY);
    }

    pub fn is_empty(&self) -> bool {
        self.visits.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &(i64, u32)> {
        self.visits.iter()
    }

    #[inline]
    pub fn add(&mut self, day: i64, leaf: u32) {
        if self.visits.last() == Some(&(day, leaf)) {
            return;
        }
        self.visits.push((day, leaf));
        if self.visits.len() >= self.limit {
            // Somebody with very many events: days and leaves are few, events need not be kept.
            self.visits.sort_unstable();
            self.visits.dedup();
            self.limit = (self.visits.len() * 2).max(Self::MANY);
        }
    }

    /// Counts the person, and forgets the visits.
    #[inline]
    pub fn count(
        &mut self,
        person: Visitor,
        lookup: &Lookup<'_>,
        pending: &mut Pending,
        surplus: &mut Vec<Surplus>,
    ) {
        match self.visits.as_slice() {
            [] => {}
            // Mostly: the person's only visit, counted along with its last event.
            [(day, leaf)] => match pending.events.last_mut() {
                Some(event) => event.only_visit = true,
                None => pending.people.push((*leaf, *day, true)),
            },
            // Parts of one event: no two of them have a cell in common.
            visits if person.exposures == 1 => {
                let own = pending.events.len().checked_sub(visits.len());
                match own.and_then(|from| pending.events.get_mut(from..)) {
                    Some(events) => events.iter_mut().for_each(|event| event.only_visit = true),
                    None => {
                        let people = visits.iter().map(|(day, leaf)| (*leaf, *day, true));
                        pending.people.extend(people);
                    }
                }
            }
            [(_, first), ..] => {
                let one_leaf = self.visits.iter().all(|visit| visit.1 == *first);
                self.visits.sort_unstable();
                self.visits.dedup();
                self.count_all(person.number, one_leaf, lookup, (pending, surplus));
            }
        }
        self.visits.clear();
    }

    /// Counts the person once in each leaf, as if leaves had no cell in common; and finds the cells in
    /// which it was counted through more than one.
    fn count_all(
        &mut self,
        person: u64,
        one_leaf: bool,
        lookup: &Lookup<'_>,
        (pending, surplus): (&mut Pending, &mut Vec<Surplus>),
    ) {
        let visits = std::mem::take(&mut self.visits);
        let mut touched = 0;
        for (day, number) in &visits {
            let index = usize::try_from(*number).unwrap_or(usize::MAX);
            let Some(seen_by) = self.leaf_stamps.get_mut(index) else { continue };
            let new_leaf = *seen_by != person;
            *seen_by = person;
            pending.people.push((*number, *day, new_leaf));
            if one_leaf {
                continue;
            }
            let Some(leaf) = lookup.cells(*number) else { continue };
            for (cell, windows) in leaf.exposed {
                let cell = usize::try_from(*cell).unwrap_or(usize::MAX);
                // Stamps lie anywhere in memory: here the processor waits for many at once.
                touched ^= self.stamps.get(cell).map_or(0, |stamp| stamp.person);
                self.crossings.push(Crossing { cell, windows: *windows, day: *day, new_leaf });
            }
            if self.crossings.len() >= MANY_CROSSINGS {
                self.cross(person, surplus);
            }
        }
        std::hint::black_box(touched);
        self.visits = visits;
        self.cross(person, surplus);
    }

    /// Finds the cells in which the person was counted before.
    fn cross(&mut self, person: u64, all: &mut Vec<Surplus>) {
        for Crossing { cell, windows, day, new_leaf } in self.crossings.drain(..) {
            if self.stamps.len() <= cell {
                let empty = Stamp { person: NOBODY, seen: 0, day: i64::MIN };
                self.stamps.resize(cell + 1, empty);
                all.resize_with(cell + 1, Surplus::default);
            }
            let Some(stamp) = self.stamps.get_mut(cell) else { continue };
            if stamp.person != person {
                *stamp = Stamp { person, seen: windows, day };
                continue;
            }
            let Some(surplus) = all.get_mut(cell) else { continue };
            if new_leaf {
                count_windows(&mut surplus.subjects, windows & stamp.seen);
                stamp.seen |= windows;
                surplus.days.entry(day).new += 1;
            }
            if stamp.day == day {
                surplus.days.entry(day).subjects += 1;
            }
            stamp.day = day;
        }
    }
}
