//! What was counted in a cell, as sums: they can be added to those of other rows, and taken from them.

use std::collections::BTreeMap;

use super::ExposureError;
use super::cells::{CellKey, Window, WindowSet};
use super::reach::Residents;
use super::totals::{Cell, Day, Measures, add};
use crate::moment::Moment;

/// The sums of one cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CellCounts {
    /// Events of any outcome.
    pub rows: u64,
    pub windows: [WindowCounts; Window::COUNT],
    /// Days with an exposure, ascending; only of grains that have days.
    pub days: Vec<Day>,
    /// Exposures of each set of windows that any of them lies in, by day, ascending; none is 0.
    pub events: BTreeMap<WindowSet, Vec<(i64, u64)>>,
    /// As [`Measures::subjects_upper`].
    pub upper: Option<[u64; Window::COUNT]>,
    /// As [`Cell::residents`].
    pub residents: Vec<(u32, Residents)>,
}

/// The same while many are held: without windows in which nothing was counted, which are most.
#[derive(Clone, Debug)]
pub struct PackedCounts {
    rows: u64,
    /// With their places.
    windows: Box<[(u8, WindowCounts)]>,
    days: Vec<Day>,
    events: BTreeMap<WindowSet, Vec<(i64, u64)>>,
    upper: Option<[u64; Window::COUNT]>,
    residents: Vec<(u32, Residents)>,
}

/// The sums of one window of a cell. Those that may pass 64 bits on the way are wider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowCounts {
    pub events: u64,
    pub requests: i64,
    pub denied: i64,
    pub unknown: i64,
    pub held_only: i64,
    pub unsettled: u64,
    pub bytes: i128,
    /// Events whose bytes are not null.
    pub bytes_known: u64,
    pub records: i128,
    pub records_known: u64,
    pub subjects: u64,
    pub actors: u64,
    pub groups: u64,
    pub subjects_unknown_rows: u64,
    /// [`Moment::MAX`] and [`Moment::MIN`] where there is no exposure.
    pub first: Moment,
    pub last: Moment,
}

impl Default for WindowCounts {
    fn default() -> Self {
        Self {
            events: 0,
            requests: 0,
            denied: 0,
            unknown: 0,
            held_only: 0,
            unsettled: 0,
            bytes: 0,
            bytes_known: 0,
            records: 0,
            records_known: 0,
            subjects: 0,
            actors: 0,
            groups: 0,
            subjects_unknown_rows: 0,
            first: Moment::MAX,
            last: Moment::MIN,
        }
    }
}

/// Sums from which others cannot be taken: they are not the sums of more rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Misfit;

/// Takes a number from a larger one.
pub fn take(from: &mut u64, number: u64) -> Result<(), Misfit> {
    *from = from.checked_sub(number).ok_or(Misfit)?;
    Ok(())
}

impl WindowCounts {
    pub fn counts(&mut self) -> [&mut u64; 8] {
        [
            &mut self.events,
            &mut self.unsettled,
            &mut self.bytes_known,
            &mut self.records_known,
            &mut self.subjects,
            &mut self.actors,
            &mut self.groups,
            &mut self.subjects_unknown_rows,
        ]
    }

    pub fn weights(&mut self) -> [&mut i64; 4] {
        [&mut self.requests, &mut self.denied, &mut self.unknown, &mut self.held_only]
    }

    fn add(&mut self, mut other: Self) -> Result<(), ExposureError> {
        for (mine, theirs) in self.counts().into_iter().zip(other.counts()) {
            *mine += *theirs;
        }
        for (mine, theirs) in self.weights().into_iter().zip(other.weights()) {
            add(mine, *theirs)?;
        }
        self.bytes += other.bytes;
        self.records += other.records;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        Ok(())
    }

    fn take(&mut self, mut other: Self) -> Result<(), Misfit> {
        for (mine, theirs) in self.counts().into_iter().zip(other.counts()) {
            take(mine, *theirs)?;
        }
        for (mine, theirs) in self.weights().into_iter().zip(other.weights()) {
            *mine = mine.checked_sub(*theirs).ok_or(Misfit)?;
        }
        self.bytes -= other.bytes;
        self.records -= other.records;
        Ok(())
    }

    fn measures(&self) -> Result<Measures, ExposureError> {
        let narrow = |known: u64, sum: i128| match known {
            0 => Ok(None),
            _ => i64::try_from(sum).map(Some).map_err(|_| ExposureError::Overflow),
        };
        let any = self.events > 0;
        Ok(Measures {
            events: self.events,
            requests: self.requests,
            denied: self.denied,
            unknown: self.unknown,
            held_only: self.held_only,
            unsettled: self.unsettled,
            bytes: narrow(self.bytes_known, self.bytes)?,
            records: narrow(self.records_known, self.records)?,
            subjects: self.subjects,
            subjects_upper: None,
            actors: self.actors,
            groups: self.groups,
            subjects_unknown_rows: self.subjects_unknown_rows,
            first: any.then_some(self.first),
            last: any.then_some(self.last),
            active_days: 0,
        })
    }
}

impl PackedCounts {
    pub fn unpacked(self) -> CellCounts {
        let Self { rows, windows: counted, days, events, upper, residents } = self;
        let mut windows = [WindowCounts::default(); Window::COUNT];
        for (place, counts) in counted {
            if let Some(window) = windows.get_mut(usize::from(place)) {
                *window = counts;
            }
        }
        CellCounts { rows, windows, days, events, upper, residents }
    }
}

impl CellCounts {
    pub fn packed(self) -> PackedCounts {
        let Self { rows, windows, days, events, upper, residents } = self;
        let nothing = WindowCounts::default();
        let counted = |window: &WindowCounts| *window != nothing;
        // As many as there are: what grows, and is then cut, is copied over and over.
        let mut held = Vec::with_capacity(windows.iter().filter(|window| counted(window)).count());
        held.extend((0..).zip(windows).filter(|(_, window)| counted(window)));
        PackedCounts { rows, windows: held.into(), days, events, upper, residents }
    }

    /// Adds the sums of other rows, of other people, groups and actors.
    ///
    /// # Errors
    /// [`ExposureError::Overflow`].
    pub fn add(&mut self, other: PackedCounts) -> Result<(), ExposureError> {
        self.rows += other.rows;
        for (place, theirs) in other.windows {
            if let Some(mine) = self.windows.get_mut(usize::from(place)) {
                mine.add(theirs)?;
            }
        }
        let day = |day: &Day| day.day;
        join(&mut self.days, other.days, day, |mine, day| {
            mine.subjects += day.subjects;
            mine.new += day.new;
            add(&mut mine.requests, day.requests)
        })?;
        for (set, events) in other.events {
            let mine = self.events.entry(set).or_default();
            let day = |event: &(i64, u64)| event.0;
            join(mine, events, day, |mine, more| {
                mine.1 += more.1;
                Ok::<(), ExposureError>(())
            })?;
        }
        Ok(())
    }

    /// Takes the sums of rows out that are among those that were counted. First and last moments stay: they are not
    /// known without a look at the rows that are left.
    ///
    /// # Errors
    /// Where they are not among them.
    pub fn take(&mut self, other: &PackedCounts) -> Result<(), Misfit> {
        take(&mut self.rows, other.rows)?;
        for (place, theirs) in &other.windows {
            if let Some(mine) = self.windows.get_mut(usize::from(*place)) {
                mine.take(*theirs)?;
            }
        }
        for day in &other.days {
            let at = self.days.binary_search_by_key(&day.day, |own| own.day);
            let own = at.ok().and_then(|at| self.days.get_mut(at)).ok_or(Misfit)?;
            own.requests = own.requests.checked_sub(day.requests).ok_or(Misfit)?;
            take(&mut own.subjects, day.subjects)?;
            take(&mut own.new, day.new)?;
        }
        for (set, events) in &other.events {
            let mine = self.events.entry(*set).or_default();
            for (day, count) in events {
                let at = mine.binary_search_by_key(day, |own| own.0);
                let own = at.ok().and_then(|at| mine.get_mut(at)).ok_or(Misfit)?;
                take(&mut own.1, *count)?;
            }
        }
        Ok(())
    }

    /// Leaves out days without an exposure. After what was taken out has made room for what came.
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

    /// Where all exposures lie in the same windows, as they do mostly.
    fn only_set(&self) -> Option<(WindowSet, &[(i64, u64)])> {
        let (set, events) = self.events.first_key_value()?;
        (self.events.len() == 1).then_some((*set, events))
    }

    /// Days with an exposure, ascending, and the windows that any of them lies in.
    fn by_day(&self) -> Vec<(i64, WindowSet)> {
        let events = self.events.iter();
        let mut days: Vec<(i64, WindowSet)> =
            events.flat_map(|(set, events)| events.iter().map(|(day, _)| (*day, *set))).collect();
        // A few ascending lists, which the sort joins.
        days.sort_by_key(|(day, _)| *day);
        days.dedup_by(|next, first| {
            let same = next.0 == first.0;
            first.1 |= if same { next.1 } else { 0 };
            same
        });
        days
    }

    fn active_days(&self) -> [u64; Window::COUNT] {
        let mut active = [0; Window::COUNT];
        let mut add = |set: WindowSet, days: u64| {
            for (i, sum) in active.iter_mut().enumerate() {
                *sum += if set >> i & 1 == 1 { days } else { 0 };
            }
        };
        match self.only_set() {
            Some((set, events)) => add(set, events.len() as u64),
            // Most days lie in the same windows as the day before.
            None => self
                .by_day()
                .chunk_by(|one, next| one.1 == next.1)
                .filter_map(|days| Some((days.first()?.1, days.len() as u64)))
                .for_each(|(set, days)| add(set, days)),
        }
        active
    }

    /// The figures of the cell.
    ///
    /// # Errors
    /// [`ExposureError::Overflow`].
    pub fn cell(self, key: CellKey) -> Result<Cell, ExposureError> {
        let mut windows: [Measures; Window::COUNT] = Default::default();
        let active = self.active_days();
        for (i, (measures, counts)) in windows.iter_mut().zip(&self.windows).enumerate() {
            *measures = counts.measures()?;
            measures.active_days = active.get(i).copied().unwrap_or_default();
            measures.subjects_upper = self.upper.and_then(|upper| upper.get(i).copied());
        }
        Ok(Cell { key, windows, days: self.days, residents: self.residents })
    }
}

/// Puts an ascending list into another; what both have becomes one by `sum`.
fn join<T, E>(
    mine: &mut Vec<T>,
    theirs: Vec<T>,
    place: impl Fn(&T) -> i64,
    mut sum: impl FnMut(&mut T, T) -> Result<(), E>,
) -> Result<(), E> {
    if mine.is_empty() {
        *mine = theirs;
        return Ok(());
    }
    let mut new = Vec::new();
    for other in theirs {
        let at = mine.binary_search_by_key(&place(&other), &place);
        match at.ok().and_then(|at| mine.get_mut(at)) {
            Some(own) => sum(own, other)?,
            None => new.push(other),
        }
    }
    if !new.is_empty() {
        mine.reserve_exact(new.len());
        mine.append(&mut new);
        // Two ascending lists, which the sort joins.
        mine.sort_by_key(place);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The sums of people who each did one thing: a day, a set of windows, a weight.
    fn counts(people: &[(i64, WindowSet, i64)]) -> CellCounts {
        let mut all = CellCounts::default();
        for (day, set, weight) in people {
            let mut one = CellCounts { rows: 1, ..CellCounts::default() };
            for (i, window) in one.windows.iter_mut().enumerate().filter(|(i, _)| set >> i & 1 == 1)
            {
                window.events = 1;
                window.subjects = 1;
                window.requests = *weight;
                window.bytes = i128::from(*weight) << 70;
                window.bytes_known = u64::from(i % 2 == 0);
            }
            if *set > 0 {
                one.days = vec![Day { day: *day, requests: *weight, subjects: 1, new: 1 }];
                one.events = BTreeMap::from([(*set, vec![(*day, 1)])]);
            }
            all.add(one.packed()).unwrap();
        }
        all
    }

    fn people() -> impl Strategy<Value = Vec<(i64, WindowSet, i64)>> {
        proptest::collection::vec(
            (-3..3i64, prop_oneof![Just(0), Just(1), Just(5)], 0..9i64),
            0..12,
        )
    }

    proptest! {
        #[test]
        fn what_was_added_can_be_taken_out_again(a in people(), b in people()) {
            let both: Vec<_> = a.iter().chain(&b).copied().collect();
            let mut found = counts(&both);
            found.take(&counts(&b).packed()).unwrap();
            found.tidy().unwrap();
            prop_assert_eq!(&found, &counts(&a));
            found.add(counts(&b).packed()).unwrap();
            prop_assert_eq!(found, counts(&both));
        }

        #[test]
        fn what_was_packed_is_what_it_was(a in people()) {
            prop_assert_eq!(counts(&a).packed().unpacked(), counts(&a));
        }

        #[test]
        fn what_is_not_there_cannot_be_taken_out(a in people(), day in -3..3i64) {
            let one = [(day, 5, 3)];
            let mut found = counts(&a);
            let more: Vec<_> = a.iter().chain(&one).chain(&one).copied().collect();
            prop_assert_eq!(found.take(&counts(&more).packed()), Err(Misfit));
        }
    }

    #[test]
    fn active_days_of_a_window_are_those_with_an_event_in_it() {
        let counts = counts(&[(1, 1, 0), (1, 4, 0), (2, 4, 0), (3, 0, 0)]);
        assert_eq!(counts.active_days()[..3], [1, 0, 2]);
    }
}
