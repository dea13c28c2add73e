//! In which leaves a person was seen, and on which days.

use super::cells::{ByWindow, WindowSet, count_windows, now_and_then};
use super::fetch::fetch;
use super::lookup::Lookup;
use super::pending::Pending;
use super::records::NOBODY;
use super::tally::{Surplus, Surpluses};

#[derive(Clone, Copy, Debug)]
struct Stamp {
    person: u64,
    seen: WindowSet,
    day: i64,
}

/// Crossings that wait at most: the stamps that they touch stay in the processor's second cache.
const MANY_CROSSINGS: usize = 1024;

/// Visits that wait at most: what they have in common is found for many people at once.
const MANY_WAITING: usize = 256;

/// A person's visit of a leaf.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    person: u64,
    leaf: u32,
    day: i64,
    /// Whether it is the person's first of the leaf.
    new_leaf: bool,
}

/// A person's visit of a leaf, as one of its cells sees it.
#[derive(Clone, Copy, Debug)]
struct Crossing {
    person: u64,
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
    /// Visits of people of several leaves, whose cells were not looked at yet.
    waiting: Vec<Waiting>,
    crossings: Vec<Crossing>,
}

impl Default for Visits {
    fn default() -> Self {
        Self {
            visits: Vec::new(),
            limit: Self::MANY,
            leaf_stamps: Vec::new(),
            stamps: Vec::new(),
            waiting: Vec::new(),
            crossings: Vec::new(),
        }
    }
}

/// Cells for which there is room at once: memory that is not touched costs nothing.
const MANY_CELLS: usize = 8192;

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

    /// Counts the person, and forgets the visits. After the last one [`Self::find_surplus`] must be called.
    #[inline]
    pub fn count(
        &mut self,
        person: Visitor,
        lookup: &Lookup<'_>,
        pending: &mut Pending,
        surplus: &mut Surpluses,
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

    /// Counts the person once in each leaf, as if leaves had no cell in common; the cells in which it was counted
    /// through more than one are found later.
    fn count_all(
        &mut self,
        person: u64,
        one_leaf: bool,
        lookup: &Lookup<'_>,
        (pending, surplus): (&mut Pending, &mut Surpluses),
    ) {
        for (day, number) in &self.visits {
            let index = usize::try_from(*number).unwrap_or(usize::MAX);
            let Some(seen_by) = self.leaf_stamps.get_mut(index) else { continue };
            let new_leaf = *seen_by != person;
            *seen_by = person;
            pending.people.push((*number, *day, new_leaf));
            if !one_leaf {
                self.waiting.push(Waiting { person, leaf: *number, day: *day, new_leaf });
            }
        }
        if self.waiting.len() >= MANY_WAITING {
            self.find_surplus(lookup, surplus);
        }
    }

    /// Finds the cells in which people that wait were counted through more than one leaf.
    pub fn find_surplus(&mut self, lookup: &Lookup<'_>, surplus: &mut Surpluses) {
        fetch(
            self.waiting
                .iter()
                .filter_map(|visit| Some(u64::from(lookup.cells(visit.leaf)?.exposed.first()?.0))),
        );
        let mut waiting = std::mem::take(&mut self.waiting);
        for Waiting { person, leaf, day, new_leaf } in waiting.drain(..) {
            let Some(leaf) = lookup.cells(leaf) else { continue };
            for (cell, windows) in leaf.exposed {
                let cell = usize::try_from(*cell).unwrap_or(usize::MAX);
                self.crossings.push(Crossing { person, cell, windows: *windows, day, new_leaf });
            }
            if self.crossings.len() >= MANY_CROSSINGS {
                self.cross(surplus);
            }
        }
        self.waiting = waiting;
        self.cross(surplus);
    }

    /// Finds the cells in which people were counted before.
    fn cross(&mut self, Surpluses { cells: all, then, are_joint }: &mut Surpluses) {
        let stamps = self.crossings.iter().filter_map(|crossing| self.stamps.get(crossing.cell));
        fetch(stamps.map(|stamp| stamp.person));
        for Crossing { person, cell, windows, day, new_leaf } in self.crossings.drain(..) {
            if self.stamps.len() <= cell {
                if self.stamps.is_empty() {
                    // To grow from nothing copies all over and over.
                    self.stamps.reserve(MANY_CELLS);
                    all.reserve(MANY_CELLS);
                }
                let empty = Stamp { person: NOBODY, seen: 0, day: i64::MIN };
                self.stamps.resize(cell + 1, empty);
                all.resize_with(cell + 1, Surplus::default);
                if *are_joint {
                    then.resize(cell + 1, ByWindow::default());
                }
            }
            let Some(stamp) = self.stamps.get_mut(cell) else { continue };
            if stamp.person != person {
                *stamp = Stamp { person, seen: windows, day };
                continue;
            }
            let Some(surplus) = all.get_mut(cell) else { continue };
            if new_leaf {
                let again = windows & stamp.seen;
                count_windows(&mut surplus.subjects, again);
                if let Some(then) = then.get_mut(cell) {
                    count_windows(then, now_and_then(again).1);
                }
                stamp.seen |= windows;
            }
            // By windows of then rows lie on the days that they lie on now: nobody asks.
            if *are_joint {
                continue;
            }
            if new_leaf {
                surplus.days.entry(day).new += 1;
            }
            if stamp.day == day {
                surplus.days.entry(day).subjects += 1;
            }
            stamp.day = day;
        }
    }
}
