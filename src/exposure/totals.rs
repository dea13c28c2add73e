//! Everything counted, by cell.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ExposureError;
use super::cells::{ByWindow, CellKey, Window, WindowSet};
use super::counts::{CellCounts, WindowCounts};
use super::days::Days;
use super::leaf::Leaf;
use super::listed::ListedGroups;
use super::measures::WindowMeasures;
use super::policy::Policy;
use super::reach::Residents;
use super::tally::{DayPeople, DaySums, Exposed, Sums, Surplus, Surpluses, Tally, Terms};

/// The result of a count.
#[derive(Clone, Debug, Default)]
pub struct Exposure {
    /// Cells with at least one event, sorted by key.
    pub cells: Vec<Cell>,
    /// By scope, in the order of `scope_names`.
    pub groups: Vec<ListedGroups>,
    pub scope_names: Vec<String>,
    /// By source and unit.
    pub terms: Vec<Vec<Terms>>,
    /// By source.
    pub conflicts: Vec<u64>,
    /// People reached whom the registry gives two residences at one moment.
    pub residence_contradictions: u64,
    /// Fields that calls of each scope returned, in the order of `scope_names`.
    pub fields: Vec<BTreeSet<String>>,
}

impl Exposure {
    /// The first and the last day with an event that counts.
    pub fn days(&self) -> Option<(i64, i64)> {
        // Those of a cell are in order.
        let first = self.cells.iter().filter_map(|cell| cell.days.first()).map(|day| day.day);
        let last = self.cells.iter().filter_map(|cell| cell.days.last()).map(|day| day.day);
        first.min().zip(last.max())
    }
}

/// One grain's group with its figures.
#[derive(Clone, Debug)]
pub struct Cell {
    pub key: CellKey,
    pub windows: WindowMeasures,
    /// Days with an event, ascending; only for grains without a developer.
    pub days: Vec<Day>,
    /// People after the restriction by residence: index into the residences, or
    /// [`NOWHERE`](super::NOWHERE). Sorted; empty without residency.
    pub residents: Vec<(u32, Residents)>,
}

/// One day of a cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Day {
    /// Days since 1970-01-01, UTC.
    pub day: i64,
    pub requests: i64,
    pub subjects: u64,
    /// People never seen in the cell before that day.
    pub new: u64,
}

/// Adds, or says that the sum does not fit.
pub fn add(sum: &mut i64, value: i64) -> Result<(), ExposureError> {
    match sum.checked_add(value) {
        Some(total) => *sum = total,
        None => return Err(ExposureError::Overflow),
    }
    Ok(())
}

/// Adds counts cell by cell.
pub fn add_counts(into: &mut [ByWindow], from: &[ByWindow]) {
    for (into, from) in into.iter_mut().zip(from) {
        for (a, b) in into.iter_mut().zip(from) {
            *a += b;
        }
    }
}

impl Sums {
    fn merge(&mut self, other: &Self) -> Result<(), ExposureError> {
        self.refused += other.refused;
        self.denied_events += other.denied_events;
        self.exposed.merge(&other.exposed);
        self.records += other.records;
        self.records_known += other.records_known;
        self.subjects_unknown_rows += other.subjects_unknown_rows;
        add(&mut self.denied, other.denied)?;
        add(&mut self.unknown, other.unknown)?;
        add(&mut self.held_only, other.held_only)?;
        for (day, sums) in other.days.iter().filter(|(_, s)| s.events > 0) {
            self.days.entry(day).merge(&sums)?;
        }
        Ok(())
    }

    /// All days together.
    fn total(&self) -> Result<DaySums, ExposureError> {
        let mut total = DaySums::default();
        self.days.iter().try_for_each(|(_, on)| total.merge(&on))?;
        Ok(total)
    }
}

impl Exposed {
    fn merge(&mut self, other: &Self) {
        self.bytes += other.bytes;
        self.bytes_known += other.bytes_known;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

impl DaySums {
    fn merge(&mut self, other: &Self) -> Result<(), ExposureError> {
        self.events += other.events;
        self.people.subjects += other.people.subjects;
        self.people.new += other.people.new;
        add(&mut self.requests, other.requests)
    }
}

impl Surplus {
    fn merge(&mut self, other: &Self) {
        for (a, b) in self.subjects.iter_mut().zip(other.subjects) {
            *a += b;
        }
        for (day, people) in other.days.iter().filter(|(_, p)| p.subjects + p.new > 0) {
            let mine = self.days.entry(day);
            mine.subjects += people.subjects;
            mine.new += people.new;
        }
    }
}

impl Surpluses {
    fn merge(&mut self, other: &Self) {
        let (cells, then) = (&mut self.cells, &mut self.then);
        cells.resize_with(cells.len().max(other.cells.len()), Surplus::default);
        for (mine, theirs) in cells.iter_mut().zip(&other.cells) {
            mine.merge(theirs);
        }
        then.resize(then.len().max(other.then.len()), ByWindow::default());
        add_counts(then, &other.then);
    }
}

impl Tally {
    /// Adds what another thread counted. Associative and commutative.
    ///
    /// # Errors
    /// [`ExposureError::Overflow`].
    pub fn merge(&mut self, other: Self) -> Result<(), ExposureError> {
        if self.sums.len() < other.sums.len() {
            self.sums.resize_with(other.sums.len(), Sums::default);
        }
        for (mine, theirs) in self.sums.iter_mut().zip(&other.sums) {
            mine.merge(theirs)?;
        }
        self.surplus.merge(&other.surplus);
        if self.terms.is_empty() {
            self.terms = other.terms;
        } else {
            for (mine, theirs) in self.terms.iter_mut().flatten().zip(other.terms.iter().flatten())
            {
                for (a, b) in mine.iter_mut().zip(theirs) {
                    *a += b;
                }
            }
        }
        if self.conflicts.is_empty() {
            self.conflicts = other.conflicts;
        } else {
            for (a, b) in self.conflicts.iter_mut().zip(other.conflicts) {
                *a += b;
            }
        }
        Ok(())
    }
}

/// How many cells [`Counts::roll_up`] makes with exposure in them, and how many days they have together, at
/// the least.
pub fn cells_and_days_at_least(policy: &Policy, tally: &Tally) -> (u64, u64) {
    let mut days: Vec<u64> = vec![0; policy.cells.len()];
    for (leaf, sums) in policy.leaves.iter().zip(&tally.sums) {
        let own = sums.days.iter().filter(|(_, on)| on.events > 0).count() as u64;
        for (cell, _) in &leaf.exposed {
            let slot = usize::try_from(*cell).ok().and_then(|cell| days.get_mut(cell));
            if let Some(days) = slot {
                *days = own.max(*days);
            }
        }
    }
    let with_days = policy.cells.iter().zip(&days).filter(|(key, _)| key.grain.has_days());
    (days.iter().filter(|days| **days > 0).count() as u64, with_days.map(|(_, days)| days).sum())
}

/// Cells summed up at once, of so many: an eighth of them, because the sums of a cell take two kilobytes, which are the
/// same memory for the next ones; so many at least that leaves are not looked at again for a few, and at most.
pub fn at_once(cells: usize) -> usize {
    const LEAST: usize = 64;
    const MOST: usize = 64 << 10;
    cells.div_ceil(8).clamp(LEAST, MOST)
}

#[derive(Default)]
struct CellSums {
    rows: u64,
    windows: [WindowCounts; Window::COUNT],
    days: Days<DaySums>,
    /// Exposures by the windows that they lie in. A cell has few sets of these.
    events: Vec<(WindowSet, Days<u64>)>,
}

impl CellSums {
    fn events_in(&mut self, set: WindowSet) -> Option<&mut Days<u64>> {
        let known = self.events.iter().position(|(own, _)| *own == set);
        let at = known.unwrap_or_else(|| {
            self.events.push((set, Days::default()));
            self.events.len() - 1
        });
        self.events.get_mut(at).map(|(_, days)| days)
    }
}

/// What the passes after the first have counted.
#[derive(Default)]
pub struct Second {
    /// By cell.
    pub groups: Vec<ByWindow>,
    pub actors: Vec<ByWindow>,
    /// The same by windows of then, where those are counted, too.
    pub groups_then: Vec<ByWindow>,
    pub actors_then: Vec<ByWindow>,
    pub actors_are_people: bool,
    /// By cell: people observed and members; `None` without memberships.
    pub upper: Option<Vec<ByWindow>>,
    /// By cell and residence; `None` without residency.
    pub residents: Option<Vec<(u64, Residents)>>,
}

/// What all passes have counted, by leaf and by cell.
#[derive(Default)]
pub struct Counts {
    /// By leaf.
    pub sums: Vec<Sums>,
    pub surplus: Surpluses,
    pub second: Second,
}

impl Counts {
    /// Sums of leaves to those of cells with an event, one after another, by number; `keys` are theirs.
    ///
    /// # Errors
    /// [`ExposureError::Overflow`]; [`ExposureError::Internal`] where two ways to count people differ; those of `each`.
    pub fn roll_up<E: From<ExposureError>>(
        self,
        keys: Vec<CellKey>,
        leaves: &[Arc<Leaf>],
        mut each: impl FnMut(CellKey, CellCounts) -> Result<(), E>,
    ) -> Result<(), E> {
        let Self { sums: parts, surplus, second } = self;
        let Second { groups, actors, actors_are_people, upper, residents, .. } = second;
        let (has_members, has_residency) = (upper.is_some(), residents.is_some());
        let mut residents = residents.unwrap_or_default();
        residents.sort_unstable_by_key(|(key, _)| *key);
        let mut residents = residents.into_iter().peekable();
        let mut surplus = surplus.cells;
        surplus.resize_with(keys.len(), Surplus::default);
        let mut upper = upper.unwrap_or_default();
        upper.resize(keys.len(), ByWindow::default());
        let with_days: Vec<bool> = keys.iter().map(|key| key.grain.has_days()).collect();
        let mut rest = keys.into_iter().zip(0u32..).zip(surplus).zip(groups).zip(actors).zip(upper);
        let at_once = at_once(with_days.len());
        for (first, with_days) in (0..).step_by(at_once).zip(with_days.chunks(at_once)) {
            let sums = sum_up(leaves, &parts, first, with_days)?;
            // The sums come first: where they end, nothing of the rest must be taken.
            for (sums, (((((key, number), surplus), groups), actors), upper)) in
                sums.into_iter().zip(rest.by_ref())
            {
                let mut own = Vec::new();
                while let Some((key, people)) =
                    residents.next_if(|(key, _)| key >> 32 == u64::from(number))
                {
                    own.push((
                        u32::try_from(key & u64::from(u32::MAX)).unwrap_or(u32::MAX),
                        people,
                    ));
                }
                if sums.rows == 0 {
                    continue;
                }
                let mut windows = sums.windows;
                for (i, window) in windows.iter_mut().enumerate() {
                    let count = |counts: &ByWindow| counts.get(i).copied().unwrap_or(0);
                    window.subjects = less(window.subjects, count(&surplus.subjects))?;
                    window.groups = count(&groups);
                    window.actors =
                        if actors_are_people { window.subjects } else { count(&actors) };
                }
                let days = if key.grain.has_days() {
                    days_of(&sums.days, &surplus.days)?
                } else {
                    Vec::new()
                };
                if has_residency && key.grain.has_days() {
                    let all = windows.get(Window::AfterRestriction as usize).map(|w| w.subjects);
                    let upper = upper.get(Window::AfterRestriction as usize).copied();
                    let upper = upper.filter(|_| has_members);
                    check_residents(&own, all, upper)?;
                }
                let in_set = |(set, days): (WindowSet, Days<u64>)| {
                    let mut days: Vec<(i64, u64)> = days.iter().filter(|(_, n)| *n > 0).collect();
                    // Those that lie near each other, which are most, are in order.
                    days.sort_unstable_by_key(|day| day.0);
                    (set, days)
                };
                each(
                    key,
                    CellCounts {
                        rows: sums.rows,
                        windows,
                        days,
                        events: sums.events.into_iter().map(in_set).collect(),
                        upper: has_members.then_some(upper),
                        residents: own,
                    },
                )?;
            }
        }
        Ok(())
    }
}

/// People by residence are all people: they were counted in another pass, in another way.
fn check_residents(
    residents: &[(u32, Residents)],
    all: Option<u64>,
    all_upper: Option<u64>,
) -> Result<(), ExposureError> {
    let Some(all) = all else { return Ok(()) };
    let observed: u64 = residents.iter().map(|(_, people)| people.observed).sum();
    let upper: u64 = residents.iter().map(|(_, people)| people.upper).sum();
    if observed == all && all_upper.is_none_or(|all| all == upper) {
        return Ok(());
    }
    Err(ExposureError::Internal {
        what: format!(
            "{observed} to {upper} people by residence are not the {all} to {all_upper:?} of all"
        ),
    })
}

/// The sums of cells from number `first` on; days of those that have any, by cell.
fn sum_up(
    leaves: &[Arc<Leaf>],
    parts: &[Sums],
    first: usize,
    with_days: &[bool],
) -> Result<Vec<CellSums>, ExposureError> {
    let mut sums: Vec<CellSums> = Vec::new();
    sums.resize_with(with_days.len(), CellSums::default);
    let place = |cell: u32| {
        let place = usize::try_from(cell).ok().and_then(|cell| cell.checked_sub(first));
        place.unwrap_or(usize::MAX)
    };
    // Of few people a leaf has few days, which lie among many: they are looked for once, and not for each cell.
    let mut days: Vec<(i64, DaySums)> = Vec::new();
    let is_here = |(cell, _): &(u32, WindowSet)| place(*cell) < with_days.len();
    for (leaf, part) in leaves.iter().zip(parts) {
        let Leaf { refused, held_only, exposed, scopes, .. } = leaf.as_ref();
        if !refused.iter().chain(held_only).chain(exposed).any(is_here) {
            continue;
        }
        let total = part.total()?;
        let rows = total.events + part.refused;
        if rows == 0 {
            continue;
        }
        for (cell, windows) in refused {
            let Some(cell) = sums.get_mut(place(*cell)) else { continue };
            cell.rows += rows;
            for measures in chosen(&mut cell.windows, *windows) {
                add(&mut measures.denied, part.denied)?;
                add(&mut measures.unknown, part.unknown)?;
                measures.unsettled += part.refused - part.denied_events;
            }
        }
        for (cell, windows) in held_only {
            let Some(cell) = sums.get_mut(place(*cell)) else { continue };
            // An allowed event of a leaf with any exercised scope is in `requests`.
            let held = if scopes.is_empty() { part.held_only } else { total.requests };
            for measures in chosen(&mut cell.windows, *windows) {
                add(&mut measures.held_only, held)?;
                measures.unsettled += total.events;
            }
        }
        if total.events == 0 {
            continue;
        }
        days.clear();
        days.extend(part.days.iter().filter(|(_, on)| on.events > 0));
        for (cell, windows) in exposed {
            let place = place(*cell);
            let Some(cell) = sums.get_mut(place) else { continue };
            for measures in chosen(&mut cell.windows, *windows) {
                measures.add_exposed(part, &total)?;
            }
            if with_days.get(place) == Some(&true) {
                for (day, on) in &days {
                    cell.days.entry(*day).merge(on)?;
                }
            }
            if let Some(events) = cell.events_in(*windows) {
                for (day, on) in &days {
                    *events.entry(*day) += on.events;
                }
            }
        }
    }
    Ok(sums)
}

impl WindowCounts {
    /// Adds a leaf whose days sum up to `total`.
    fn add_exposed(&mut self, part: &Sums, total: &DaySums) -> Result<(), ExposureError> {
        let exposed = &part.exposed;
        self.events += total.events;
        add(&mut self.requests, total.requests)?;
        // Some of them also came through other leaves of the cell: what is too much is put down beside.
        self.subjects += total.people.new;
        self.subjects_unknown_rows += part.subjects_unknown_rows;
        self.bytes += exposed.bytes;
        self.bytes_known += exposed.bytes_known;
        self.records += part.records;
        self.records_known += part.records_known;
        self.first = self.first.min(exposed.first);
        self.last = self.last.max(exposed.last);
        Ok(())
    }
}

/// People counted, less those counted too often.
fn less(people: u64, surplus: u64) -> Result<u64, ExposureError> {
    people.checked_sub(surplus).ok_or_else(|| ExposureError::Internal {
        what: format!("{surplus} of {people} people were counted too often"),
    })
}

fn days_of(sums: &Days<DaySums>, surplus: &Days<DayPeople>) -> Result<Vec<Day>, ExposureError> {
    let with_events = sums.iter().filter(|(_, sums)| sums.events > 0);
    let mut days: Vec<Day> = with_events
        .map(|(day, DaySums { requests, people, .. })| Day {
            day,
            requests,
            subjects: people.subjects,
            new: people.new,
        })
        .collect();
    // Those that lie near each other, which are most, are in order.
    days.sort_unstable_by_key(|day| day.day);
    for (day, people) in surplus.iter().filter(|(_, p)| p.subjects + p.new > 0) {
        let at = days.binary_search_by_key(&day, |day| day.day);
        let on = at.ok().and_then(|at| days.get_mut(at));
        let (subjects, new) = on.as_ref().map_or((0, 0), |on| (on.subjects, on.new));
        let (subjects, new) = (less(subjects, people.subjects)?, less(new, people.new)?);
        if let Some(on) = on {
            (on.subjects, on.new) = (subjects, new);
        }
    }
    Ok(days)
}

fn chosen<T>(windows: &mut [T; Window::COUNT], set: WindowSet) -> impl Iterator<Item = &mut T> {
    windows.iter_mut().enumerate().filter(move |(i, _)| set >> i & 1 == 1).map(|(_, m)| m)
}

#[cfg(test)]
mod tests;
