//! Rows of a merge one by one, repeats told from what counts (docs/counting.md, rule 7): for passes that
//! follow rows rather than count them.

use super::ExposureError;
use crate::key::Key;
use crate::ledger::{Merged, Repeats, Row};
use crate::moment::Moment;
use crate::scan::batch::{NONE, Outcome};

/// A row, as far as it is followed.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Source and unit.
    pub place: (usize, u32),
    pub person: Option<Key>,
    /// Namespace and key of the group that was read.
    pub group: Option<(usize, Key)>,
    /// Codes of the merge's names.
    pub app: u32,
    pub set: u32,
    pub at: Moment,
    pub outcome: Outcome,
    pub weight: i64,
    /// An equal row of the same event id counts in its place.
    pub repeat: bool,
}

/// Rows of one event id, and what is left of them.
#[derive(Debug)]
pub struct Distinct {
    /// By source.
    event_spaces: Vec<usize>,
    /// Person and event id of the rows in `repeats`.
    event: Option<(Option<Key>, Key)>,
    /// By event space.
    repeats: Vec<Repeats>,
}

impl Distinct {
    pub fn new(event_spaces: impl Iterator<Item = usize>) -> Self {
        let event_spaces: Vec<usize> = event_spaces.collect();
        let count = event_spaces.iter().map(|space| space + 1).max().unwrap_or(0);
        let repeats = (0..count).map(|_| Repeats::default()).collect();
        Self { event_spaces, event: None, repeats }
    }

    /// Takes the next row in order of (person, event id); gives it on, or what it lets go. Rejected rows
    /// and those outside take no part and must not come here.
    ///
    /// # Errors
    /// What `each` says.
    pub fn take(
        &mut self,
        row: &Merged<'_>,
        mut each: impl FnMut(Seen) -> Result<(), ExposureError>,
    ) -> Result<(), ExposureError> {
        let place = (row.source(), row.unit());
        let event = row.event.map(|event| (row.person, event));
        if self.event.is_some() && self.event != event {
            self.flush(&mut each)?;
        }
        if event.is_none() {
            return each(Seen {
                place,
                person: row.person,
                group: row.group().map(|group| (row.group_space(), group)),
                app: row.app(),
                set: row.set(),
                at: row.at(),
                outcome: row.outcome(),
                weight: row.weight(),
                repeat: false,
            });
        }
        self.event = event;
        let space = self.event_spaces.get(place.0).copied().unwrap_or(0);
        let own = row.row();
        let mut seen = Seen { repeat: true, ..seen(place, row.person, &own) };
        let repeat = self.repeats.get_mut(space).and_then(|repeats| repeats.add(pack(place), own));
        match repeat {
            Some(repeat) => {
                seen.place = unpack(repeat);
                each(seen)
            }
            None => Ok(()),
        }
    }

    /// Gives what is left of the rows of the last event id.
    ///
    /// # Errors
    /// What `each` says.
    pub fn flush(
        &mut self,
        mut each: impl FnMut(Seen) -> Result<(), ExposureError>,
    ) -> Result<(), ExposureError> {
        let Some((person, _)) = self.event.take() else { return Ok(()) };
        for repeats in &mut self.repeats {
            for (place, row) in repeats.drain() {
                each(seen(unpack(place), person, &row))?;
            }
        }
        Ok(())
    }
}

fn seen(place: (usize, u32), person: Option<Key>, row: &Row) -> Seen {
    Seen {
        place,
        person,
        group: row.group.map(|group| (row.group_space, group)),
        app: row.app,
        set: row.set,
        at: row.at,
        outcome: row.outcome,
        weight: row.weight.unwrap_or(1),
        repeat: false,
    }
}

fn pack((source, unit): (usize, u32)) -> u64 {
    (source as u64) << 32 | u64::from(unit)
}

fn unpack(place: u64) -> (usize, u32) {
    let unit = u32::try_from(place & u64::from(u32::MAX)).unwrap_or(NONE);
    (usize::try_from(place >> 32).unwrap_or(usize::MAX), unit)
}
