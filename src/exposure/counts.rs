//! What was counted in a cell, as sums: what changes since can be added to them (`kept/change.rs`).

use std::collections::BTreeMap;

use super::ExposureError;
use super::cells::{CellKey, Window, WindowSet};
use super::measures::{Measures, WindowMeasures};
use super::reach::Residents;
use super::totals::{Cell, Day};
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

impl CellCounts {
    /// Where all exposures lie in the same windows, as they do mostly.
    pub fn only_set(&self) -> Option<(WindowSet, &[(i64, u64)])> {
        let (set, events) = self.events.first_key_value()?;
        (self.events.len() == 1).then_some((*set, events))
    }

    /// Days with an exposure, ascending, and the windows that any of them lies in.
    pub fn by_day(&self) -> Vec<(i64, WindowSet)> {
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
        let windows = WindowMeasures::new(windows);
        Ok(Cell { key, windows, days: self.days, residents: self.residents })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_come_back_by_window_and_take_memory_where_there_are_any() {
        let mut counts = CellCounts::default();
        counts.windows[2].events = 3;
        counts.windows[5].denied = -4;
        let key = CellKey {
            grain: super::super::cells::Grain::All,
            scope: None,
            app: None,
            developer: None,
            attested_at: None,
        };
        let members = CellCounts { upper: Some([0; Window::COUNT]), ..counts.clone() };
        for (counts, upper) in [(counts, None), (members, Some(0))] {
            let windows = counts.cell(key.clone()).unwrap().windows;
            let found: Vec<_> =
                windows.iter().map(|m| (m.events, m.denied, m.subjects_upper)).collect();
            let expected = (0..Window::COUNT).map(|i| match i {
                2 => (3, 0, upper),
                5 => (0, -4, upper),
                _ => (0, 0, upper),
            });
            assert!(found.iter().copied().eq(expected), "{found:?}");
            assert_eq!(windows.get(Window::AfterGrace).events, 3);
        }
    }

    #[test]
    fn active_days_of_a_window_are_those_with_an_event_in_it() {
        let events = [(1, vec![(1, 1)]), (4, vec![(1, 1), (2, 1)])];
        let counts = CellCounts { events: events.into(), ..CellCounts::default() };
        assert_eq!(counts.active_days()[..3], [1, 0, 2]);
    }
}
