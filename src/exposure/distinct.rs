//! Rows of a merge one by one, repeats told from what counts (docs/counting.md, rule 7): for passes that
//! follow rows rather than count them.

use super::{ExposureError, SourceRows};
use crate::key::Key;
use crate::ledger::{Merged, Repeats};
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
    /// By source: its name and its event space.
    sources: Vec<(String, usize)>,
    /// Person and event id of the rows in `repeats`.
    event: Option<(Option<Key>, Key)>,
    /// By event space.
    repeats: Vec<Repeats<Seen>>,
    /// Bytes that they may take.
    most: u64,
}

impl Distinct {
    /// Keeps of the rows of one event id what has room in `most` bytes.
    pub fn new(sources: &[SourceRows], most: u64) -> Self {
        let sources: Vec<_> = sources.iter().map(|s| (s.name.clone(), s.event_space)).collect();
        let count = sources.iter().map(|(_, space)| space + 1).max().unwrap_or(0);
        let repeats = (0..count).map(|_| Repeats::default()).collect();
        Self { sources, event: None, repeats, most }
    }

    /// Takes the next row in order of (person, event id); gives it on, or what it lets go. Rejected rows
    /// and those outside take no part and must not come here.
    ///
    /// # Errors
    /// What `each` says, and [`ExposureError::Repeats`] where rows of one event id have no room.
    pub fn take(
        &mut self,
        row: &Merged<'_>,
        mut each: impl FnMut(Seen) -> Result<(), ExposureError>,
    ) -> Result<(), ExposureError> {
        let place = (row.source(), row.unit());
        let event = row.event().map(|event| (row.person(), event));
        if self.event.is_some() && self.event != event {
            self.flush(&mut each)?;
        }
        let seen = Seen {
            place,
            person: row.person(),
            group: row.group().map(|group| (row.group_space(), group)),
            app: row.app(),
            set: row.set(),
            at: row.at(),
            outcome: row.outcome(),
            weight: row.weight(),
            repeat: false,
        };
        if event.is_none() {
            return each(seen);
        }
        self.event = event;
        let space = self.sources.get(place.0).map_or(0, |(_, space)| *space);
        let Some(repeats) = self.repeats.get_mut(space) else { return Ok(()) };
        if let Some(repeat) = repeats.add(pack(place), row.row(), seen) {
            return each(Seen { place: unpack(repeat.gone), repeat: true, ..seen });
        }
        if repeats.bytes() > self.most {
            let rows = repeats.len() as u64;
            let name = self.sources.get(place.0).map(|(name, _)| name.clone());
            return Err(ExposureError::Repeats { source_name: name.unwrap_or_default(), rows });
        }
        Ok(())
    }

    /// Gives what is left of the rows of the last event id.
    ///
    /// # Errors
    /// What `each` says.
    pub fn flush(
        &mut self,
        mut each: impl FnMut(Seen) -> Result<(), ExposureError>,
    ) -> Result<(), ExposureError> {
        if self.event.take().is_none() {
            return Ok(());
        }
        for repeats in &mut self.repeats {
            for (place, seen) in repeats.iter() {
                each(Seen { place: unpack(place), ..seen })?;
            }
            repeats.clear();
        }
        Ok(())
    }
}

fn pack((source, unit): (usize, u32)) -> u64 {
    (source as u64) << 32 | u64::from(unit)
}

fn unpack(place: u64) -> (usize, u32) {
    let unit = u32::try_from(place & u64::from(u32::MAX)).unwrap_or(NONE);
    (usize::try_from(place >> 32).unwrap_or(usize::MAX), unit)
}
