//! What changes between two counts of the same people, groups and actors: one as they were, and one as they are.
//!
//! Both are sums of the same leaves, and most leaves have what they had: what is left of the others is rolled up into
//! cells, and added to those that are kept. Numbers have signs here. People of a day may be fewer than they were even
//! where rows only came: those whom a new row shows earlier are new on another day.
//!
//! Where no row comes, and none stands otherwise than it did, both are counted in one, by windows of now and of then.

use std::sync::Arc;

use crate::codes::index;
use crate::exposure::cells::{ByWindow, CellKey, Window, WindowSet, now_and_then};
use crate::exposure::counts::{CellCounts, Misfit, WindowCounts};
use crate::exposure::days::Days;
use crate::exposure::leaf::Leaf;
use crate::exposure::tally::{DayPeople, DaySums, Sums};
use crate::exposure::totals::{Counts, Day, at_once};
use crate::moment::Moment;

/// What changes on a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DayChange {
    events: i64,
    requests: i128,
    subjects: i64,
    new: i64,
}

/// What changes in a window of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowChange {
    numbers: Numbers,
    /// Of what there is now, and in a joint count of what there was; [`Moment::MAX`] and [`Moment::MIN`] where there is
    /// nothing.
    first: Moment,
    last: Moment,
}

/// As those of [`WindowCounts`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Numbers {
    events: i64,
    unsettled: i64,
    bytes_known: i64,
    records_known: i64,
    subjects: i64,
    actors: i64,
    groups: i64,
    subjects_unknown_rows: i64,
    requests: i128,
    denied: i128,
    unknown: i128,
    held_only: i128,
    bytes: i128,
    records: i128,
}

impl Default for WindowChange {
    fn default() -> Self {
        Self { numbers: Numbers::default(), first: Moment::MAX, last: Moment::MIN }
    }
}

/// What changes in a cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CellChange {
    rows: i64,
    /// With their places; without those in which nothing changes, which are most.
    windows: Box<[(u8, WindowChange)]>,
    /// Ascending; only of grains that have days.
    days: Vec<(i64, DayChange)>,
    /// As [`CellCounts::events`].
    events: Vec<(WindowSet, Vec<(i64, i64)>)>,
}

/// A number as one of those that others are taken from. None comes near the end of 63 bits: rows do not.
fn signed(number: u64) -> i64 {
    number.cast_signed()
}

/// A number with a change.
fn changed(number: &mut u64, change: i64) -> Result<(), Misfit> {
    *number = number.checked_add_signed(change).ok_or(Misfit)?;
    Ok(())
}

/// A sum with a change. One that does not fit any more is counted in full, which says so.
fn weighed(sum: &mut i64, change: i128) -> Result<(), Misfit> {
    *sum = i64::try_from(i128::from(*sum) + change).map_err(|_| Misfit)?;
    Ok(())
}

impl DayChange {
    fn between(then: &DaySums, now: &DaySums) -> Self {
        Self {
            events: signed(now.events) - signed(then.events),
            requests: i128::from(now.requests) - i128::from(then.requests),
            subjects: signed(now.people.subjects) - signed(then.people.subjects),
            new: signed(now.people.new) - signed(then.people.new),
        }
    }

    fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.requests += other.requests;
        self.subjects += other.subjects;
        self.new += other.new;
    }
}

/// What changes in a leaf.
struct LeafChange<'a> {
    leaf: &'a Leaf,
    /// Of exposures.
    total: DayChange,
    refused: i64,
    denied_events: i64,
    denied: i128,
    unknown: i128,
    held_only: i128,
    bytes: i128,
    bytes_known: i64,
    records: i128,
    records_known: i64,
    subjects_unknown_rows: i64,
    first: Moment,
    last: Moment,
    /// Those that change.
    days: Vec<(i64, DayChange)>,
}

impl<'a> LeafChange<'a> {
    /// `None` where nothing changes.
    fn between(leaf: &'a Leaf, then: &Sums, now: &Sums) -> Option<Self> {
        let nothing = DaySums::default();
        let there = now.days.iter().filter(|(_, on)| on.events > 0);
        let there = there.map(|(day, on)| (day, DayChange::between(&then.days.get(day), &on)));
        let gone = then.days.iter().filter(|(day, _)| now.days.get(*day).events == 0);
        let gone = gone.map(|(day, on)| (day, DayChange::between(&on, &nothing)));
        let days = there.chain(gone).filter(|(_, change)| *change != DayChange::default());
        let days: Vec<(i64, DayChange)> = days.collect();
        let mut total = DayChange::default();
        days.iter().for_each(|(_, change)| total.add(change));
        let change = Self {
            leaf,
            total,
            refused: signed(now.refused) - signed(then.refused),
            denied_events: signed(now.denied_events) - signed(then.denied_events),
            denied: i128::from(now.denied) - i128::from(then.denied),
            unknown: i128::from(now.unknown) - i128::from(then.unknown),
            held_only: i128::from(now.held_only) - i128::from(then.held_only),
            bytes: now.exposed.bytes - then.exposed.bytes,
            bytes_known: signed(now.exposed.bytes_known) - signed(then.exposed.bytes_known),
            records: now.records - then.records,
            records_known: signed(now.records_known) - signed(then.records_known),
            subjects_unknown_rows: signed(now.subjects_unknown_rows)
                - signed(then.subjects_unknown_rows),
            first: now.exposed.first,
            last: now.exposed.last,
            days,
        };
        change.is_any().then_some(change)
    }

    fn is_any(&self) -> bool {
        let counts = [
            self.refused,
            self.denied_events,
            self.bytes_known,
            self.records_known,
            self.subjects_unknown_rows,
        ];
        let sums = [self.denied, self.unknown, self.held_only, self.bytes, self.records];
        !self.days.is_empty() || counts != [0; 5] || sums != [0; 5]
    }
}

/// The changes of one cell while leaves are looked at.
#[derive(Default)]
struct CellSums {
    rows: i64,
    windows: [WindowChange; Window::COUNT],
    days: Days<DayChange>,
    /// A cell has few sets of windows.
    events: Vec<(WindowSet, Days<i64>)>,
}

impl CellSums {
    fn windows(&mut self, set: WindowSet) -> impl Iterator<Item = &mut WindowChange> {
        let windows = self.windows.iter_mut().enumerate();
        windows.filter(move |(i, _)| set >> i & 1 == 1).map(|(_, window)| window)
    }

    fn events_in(&mut self, set: WindowSet) -> Option<&mut Days<i64>> {
        let known = self.events.iter().position(|(own, _)| *own == set);
        let at = known.unwrap_or_else(|| {
            self.events.push((set, Days::default()));
            self.events.len() - 1
        });
        self.events.get_mut(at).map(|(_, days)| days)
    }

    /// Adds events that were refused, so many times.
    fn refuse(&mut self, set: WindowSet, times: i64, of: &LeafChange<'_>) {
        for WindowChange { numbers, .. } in self.windows(set) {
            numbers.denied += i128::from(times) * of.denied;
            numbers.unknown += i128::from(times) * of.unknown;
            numbers.unsettled += times * (of.refused - of.denied_events);
        }
    }

    fn hold(&mut self, set: WindowSet, times: i64, of: &LeafChange<'_>) {
        // An allowed event of a leaf with any exercised scope is an exposure.
        let held = if of.leaf.scopes.is_empty() { of.held_only } else { of.total.requests };
        for WindowChange { numbers, .. } in self.windows(set) {
            numbers.held_only += i128::from(times) * held;
            numbers.unsettled += times * of.total.events;
        }
    }

    fn expose(&mut self, set: WindowSet, times: i64, of: &LeafChange<'_>) {
        for WindowChange { numbers, first, last } in self.windows(set) {
            numbers.events += times * of.total.events;
            numbers.requests += i128::from(times) * of.total.requests;
            numbers.subjects += times * of.total.new;
            numbers.subjects_unknown_rows += times * of.subjects_unknown_rows;
            numbers.bytes += i128::from(times) * of.bytes;
            numbers.bytes_known += times * of.bytes_known;
            numbers.records += i128::from(times) * of.records;
            numbers.records_known += times * of.records_known;
            *first = of.first.min(*first);
            *last = of.last.max(*last);
        }
    }

    fn expose_on_days(&mut self, set: WindowSet, times: i64, of: &LeafChange<'_>) {
        if let Some(events) = self.events_in(set) {
            of.days.iter().for_each(|(day, on)| *events.entry(*day) += times * on.events);
        }
    }

    /// Takes people out who were counted more than once, so many times.
    fn take_surplus(&mut self, times: i64, subjects: &ByWindow) {
        for (window, subjects) in self.windows.iter_mut().zip(subjects) {
            window.numbers.subjects -= times * signed(*subjects);
        }
    }

    fn take_surplus_of_days(&mut self, times: i64, days: &Days<DayPeople>) {
        for (day, DayPeople { subjects, new }) in days.iter() {
            if subjects + new > 0 {
                let on = self.days.entry(day);
                on.subjects -= times * signed(subjects);
                on.new -= times * signed(new);
            }
        }
    }

    /// Adds groups and actors, so many times.
    fn reach(&mut self, times: i64, groups: &ByWindow, actors: &ByWindow) {
        for (window, (groups, actors)) in self.windows.iter_mut().zip(groups.iter().zip(actors)) {
            window.numbers.groups += times * signed(*groups);
            window.numbers.actors += times * signed(*actors);
        }
    }

    /// `None` where nothing changes.
    fn finish(self) -> Option<CellChange> {
        let is_any = |window: &WindowChange| window.numbers != Numbers::default();
        // As many as there are: what grows, and is then cut, is copied over and over.
        let mut windows = Vec::with_capacity(self.windows.iter().filter(|w| is_any(w)).count());
        windows.extend((0..).zip(self.windows).filter(|(_, window)| is_any(window)));
        let of_set = |(set, days): (WindowSet, Days<i64>)| {
            let days = in_order(&days);
            (!days.is_empty()).then_some((set, days))
        };
        let change = CellChange {
            rows: self.rows,
            windows: windows.into(),
            days: in_order(&self.days),
            events: self.events.into_iter().filter_map(of_set).collect(),
        };
        (change != CellChange::default()).then_some(change)
    }
}

/// Days on which something changes, ascending.
fn in_order<T: Copy + Default + PartialEq>(days: &Days<T>) -> Vec<(i64, T)> {
    let mut days: Vec<(i64, T)> = days.iter().filter(|(_, on)| *on != T::default()).collect();
    // Those that lie near each other, which are most, are in order.
    days.sort_unstable_by_key(|(day, _)| *day);
    days
}

/// A cell of those who were counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Rows that were theirs then: no kept cell has fewer.
    pub rows_then: u64,
    pub change: Option<CellChange>,
}

/// Two counts, by the leaves and cells of one policy.
pub struct Counted {
    pub now: Counts,
    /// `None` where `now` is joint: by windows of then, too.
    pub then: Option<Counts>,
}

impl Counted {
    /// What changes in the leaves of a policy, and how many rows there were in each of so many cells. The days of their
    /// sums are freed on the way.
    fn take_leaves<'a>(
        &mut self,
        leaves: &'a [Arc<Leaf>],
        cells: usize,
    ) -> (Vec<LeafChange<'a>>, Vec<u64>) {
        let mut rows_then = vec![0; cells];
        let mut sums = std::mem::take(&mut self.now.sums).into_iter();
        let then = self.then.as_mut().map(|then| std::mem::take(&mut then.sums));
        let (is_joint, mut then) = (then.is_none(), then.unwrap_or_default().into_iter());
        let change = |leaf: &'a Arc<Leaf>| {
            let (now, then) = (sums.next().unwrap_or_default(), then.next().unwrap_or_default());
            let Sums { days, refused, .. } = if is_joint { &now } else { &then };
            let rows = days.iter().map(|(_, on)| on.events).sum::<u64>() + refused;
            for (cell, _) in &leaf.refused {
                if let Some(all) = rows_then.get_mut(index(*cell)) {
                    *all += rows;
                }
            }
            let lists = leaf.refused.iter().chain(&leaf.held_only).chain(&leaf.exposed);
            let mut windows = lists.map(|(_, windows)| now_and_then(*windows));
            if is_joint && windows.all(|(now, then)| now == then) {
                return None;
            }
            let then = if is_joint { Sums::default() } else { then };
            LeafChange::between(leaf, &then, &now)
        };
        let changes = leaves.iter().filter_map(change).collect();
        (changes, rows_then)
    }

    /// Adds the changes of leaves to cells from number `first` on.
    fn sum_up(&self, leaves: &[LeafChange<'_>], first: usize, keys: &[CellKey]) -> Vec<CellSums> {
        let mut sums: Vec<CellSums> = Vec::new();
        sums.resize_with(keys.len(), CellSums::default);
        let place = |cell: u32| index(cell).checked_sub(first).unwrap_or(usize::MAX);
        // In both of a joint count a row lies in the same cells.
        let is_joint = self.then.is_none();
        let sides = |windows: WindowSet| {
            let (now, then) = now_and_then(windows);
            [(now & !then, 1), (then & !now, -1)]
        };
        for of in leaves {
            for (cell, windows) in &of.leaf.refused {
                let Some(cell) = sums.get_mut(place(*cell)) else { continue };
                for (set, times) in sides(*windows) {
                    cell.refuse(set, times, of);
                }
                cell.rows += if is_joint { 0 } else { of.total.events + of.refused };
            }
            for (cell, windows) in &of.leaf.held_only {
                let Some(cell) = sums.get_mut(place(*cell)) else { continue };
                for (set, times) in sides(*windows) {
                    cell.hold(set, times, of);
                }
            }
            for (cell, windows) in &of.leaf.exposed {
                let place = place(*cell);
                let Some(cell) = sums.get_mut(place) else { continue };
                for (set, times) in sides(*windows) {
                    cell.expose(set, times, of);
                }
                let (now, then) = now_and_then(*windows);
                if now != then {
                    cell.expose_on_days(now, 1, of);
                    if is_joint {
                        cell.expose_on_days(then, -1, of);
                    }
                }
                if !is_joint && keys.get(place).is_some_and(|key| key.grain.has_days()) {
                    of.days.iter().for_each(|(day, on)| cell.days.entry(*day).add(on));
                }
            }
        }
        sums
    }

    /// What was counted by cell alone.
    fn add_to(&self, sums: &mut CellSums, number: usize, has_days: bool) {
        let of = |counts: &[ByWindow]| counts.get(number).copied().unwrap_or_default();
        let Counts { surplus, second, .. } = &self.now;
        if let Some(of_cell) = surplus.cells.get(number) {
            sums.take_surplus(1, &of_cell.subjects);
            if has_days && self.then.is_some() {
                sums.take_surplus_of_days(1, &of_cell.days);
            }
        }
        sums.reach(1, &of(&second.groups), &of(&second.actors));
        if let Some(Counts { surplus, second, .. }) = &self.then {
            if let Some(of_cell) = surplus.cells.get(number) {
                sums.take_surplus(-1, &of_cell.subjects);
                if has_days {
                    sums.take_surplus_of_days(-1, &of_cell.days);
                }
            }
            sums.reach(-1, &of(&second.groups), &of(&second.actors));
        } else {
            sums.take_surplus(-1, &of(&surplus.then));
            sums.reach(-1, &of(&second.groups_then), &of(&second.actors_then));
        }
        if second.actors_are_people {
            let windows = sums.windows.iter_mut();
            windows.for_each(|window| window.numbers.actors = window.numbers.subjects);
        }
    }

    /// What there was in each cell and what changes, by number; in so many at most.
    ///
    /// # Errors
    /// `too_many` where more change.
    pub fn changes<E>(
        mut self,
        cells: &[CellKey],
        leaves: &[Arc<Leaf>],
        (most, too_many): (u64, impl FnOnce() -> E),
    ) -> Result<Vec<Difference>, E> {
        let (leaves, rows_then) = self.take_leaves(leaves, cells.len());
        let mut rows_then = rows_then.into_iter();
        let mut found = 0;
        let mut changes = Vec::with_capacity(cells.len());
        let step = at_once(cells.len());
        for (first, keys) in (0..).step_by(step).zip(cells.chunks(step)) {
            let sums = self.sum_up(&leaves, first, keys);
            for ((number, key), mut sums) in (first..).zip(keys).zip(sums) {
                self.add_to(&mut sums, number, key.grain.has_days());
                let change = sums.finish();
                found += u64::from(change.is_some());
                if found > most {
                    return Err(too_many());
                }
                changes.push(Difference { rows_then: rows_then.next().unwrap_or(0), change });
            }
        }
        Ok(changes)
    }
}

impl WindowCounts {
    fn change(&mut self, of: &WindowChange) -> Result<(), Misfit> {
        let WindowChange { numbers, first, last } = of;
        changed(&mut self.events, numbers.events)?;
        changed(&mut self.unsettled, numbers.unsettled)?;
        changed(&mut self.bytes_known, numbers.bytes_known)?;
        changed(&mut self.records_known, numbers.records_known)?;
        changed(&mut self.subjects, numbers.subjects)?;
        changed(&mut self.actors, numbers.actors)?;
        changed(&mut self.groups, numbers.groups)?;
        changed(&mut self.subjects_unknown_rows, numbers.subjects_unknown_rows)?;
        weighed(&mut self.requests, numbers.requests)?;
        weighed(&mut self.denied, numbers.denied)?;
        weighed(&mut self.unknown, numbers.unknown)?;
        weighed(&mut self.held_only, numbers.held_only)?;
        self.bytes += numbers.bytes;
        self.records += numbers.records;
        // What was first and is gone is not known without a look at what is left: such moments are told from elsewhere.
        self.first = self.first.min(*first);
        self.last = self.last.max(*last);
        Ok(())
    }
}

impl CellCounts {
    /// Adds what changes.
    ///
    /// # Errors
    /// Where there is less than what is taken.
    pub fn change(&mut self, change: CellChange) -> Result<(), Misfit> {
        changed(&mut self.rows, change.rows)?;
        for (place, window) in &change.windows {
            if let Some(own) = self.windows.get_mut(usize::from(*place)) {
                own.change(window)?;
            }
        }
        let day = |day| Day { day, ..Day::default() };
        put(
            &mut self.days,
            change.days,
            |own| own.day,
            day,
            |own, change| {
                weighed(&mut own.requests, change.requests)?;
                changed(&mut own.subjects, change.subjects)?;
                changed(&mut own.new, change.new)
            },
        )?;
        for (set, events) in change.events {
            let own = self.events.entry(set).or_default();
            put(
                own,
                events,
                |own| own.0,
                |day| (day, 0),
                |own, change| changed(&mut own.1, change),
            )?;
        }
        Ok(())
    }

    /// Leaves out days without an exposure.
    ///
    /// # Errors
    /// Where such a day still has people.
    pub fn tidy(&mut self) -> Result<(), Misfit> {
        self.events.retain(|_, events| {
            events.retain(|(_, count)| *count > 0);
            !events.is_empty()
        });
        let all_there = self.only_set().is_some_and(|(_, events)| events.len() == self.days.len());
        if !all_there && !self.days.is_empty() {
            let with_events = self.by_day();
            let mut left = with_events.iter().map(|(day, _)| *day).peekable();
            let mut fits = true;
            self.days.retain(|day| {
                while left.next_if(|with| *with < day.day).is_some() {}
                let has_events = left.peek() == Some(&day.day);
                fits &= has_events || (day.subjects, day.new, day.requests) == (0, 0, 0);
                has_events
            });
            if !fits {
                return Err(Misfit);
            }
        }
        for window in self.windows.iter_mut().filter(|window| window.events == 0) {
            (window.first, window.last) = (Moment::MAX, Moment::MIN);
        }
        Ok(())
    }
}

/// Puts what changes on some days into a list of days; both are ascending.
fn put<T, C>(
    own: &mut Vec<T>,
    changes: Vec<(i64, C)>,
    day_of: impl Fn(&T) -> i64,
    none: impl Fn(i64) -> T,
    mut change: impl FnMut(&mut T, C) -> Result<(), Misfit>,
) -> Result<(), Misfit> {
    let mut new = Vec::new();
    for (day, of_day) in changes {
        let at = own.binary_search_by_key(&day, &day_of);
        match at.ok().and_then(|at| own.get_mut(at)) {
            Some(own) => change(own, of_day)?,
            None => {
                let mut own = none(day);
                change(&mut own, of_day)?;
                new.push(own);
            }
        }
    }
    if !new.is_empty() {
        own.reserve_exact(new.len());
        own.append(&mut new);
        // Two ascending lists, which the sort joins.
        own.sort_by_key(day_of);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
