//! Sums that wait to be added up.
//!
//! Rows come in the order of people, so each one belongs to another leaf, whose sums lie elsewhere in
//! memory. Added one by one, every row would wait for its own; in a short loop over many rows the
//! processor waits for several at once.

use super::ExposureError;
use super::fetch::fetch;
use super::tally::Sums;
use crate::moment::Moment;

/// Events that wait at most: what they touch stays in the processor's second cache.
const FULL: usize = 1024;

/// An allowed, exercised event.
#[derive(Clone, Copy, Debug)]
pub struct PendingEvent {
    pub leaf: u32,
    /// Whether it names no person.
    pub nobody: bool,
    /// Whether it is all that its person did: then it counts the person, too.
    pub only_visit: bool,
    pub day: i64,
    pub at: Moment,
    pub weight: i64,
}

/// What an event moved, where its source tells.
#[derive(Clone, Copy, Debug)]
pub struct Moved {
    pub leaf: u32,
    pub bytes: Option<i64>,
    pub records: Option<i64>,
}

/// Why an event is no exposure.
#[derive(Clone, Copy, Debug)]
pub enum Refusal {
    Denied,
    Unknown,
    HeldOnly,
}

/// Events and people by leaf, not yet added to its sums.
#[derive(Debug, Default)]
pub struct Pending {
    pub events: Vec<PendingEvent>,
    /// Of those events that say something of it. Most logs say nothing.
    pub moved: Vec<Moved>,
    /// Leaf, kind and weight of events that are no exposure.
    pub refused: Vec<(u32, Refusal, i64)>,
    /// Other people: leaf, day, and whether the day is their first in the leaf.
    pub people: Vec<(u32, i64, bool)>,
}

impl Pending {
    #[inline]
    pub fn is_full(&self) -> bool {
        self.events.len() + self.refused.len() >= FULL
    }

    /// Adds everything up.
    ///
    /// # Errors
    /// [`ExposureError::Overflow`].
    pub fn apply(&mut self, sums: &mut [Sums]) -> Result<(), ExposureError> {
        let mut overflow = false;
        let mut add = |sum: &mut i64, value: i64| {
            let (total, over) = sum.overflowing_add(value);
            *sum = total;
            overflow |= over;
        };
        fetch(self.events.iter().filter_map(|event| {
            let sums = usize::try_from(event.leaf).ok().and_then(|leaf| sums.get(leaf))?;
            Some(sums.days.touch(event.day) ^ sums.exposed.bytes_known)
        }));
        for event in &self.events {
            let Some(sums) = at(sums, event.leaf) else { return Err(no_leaf(event.leaf)) };
            let on = sums.days.entry(event.day);
            on.events += 1;
            add(&mut on.requests, event.weight);
            let person = u64::from(event.only_visit);
            on.people.subjects += person;
            on.people.new += person;
        }
        for event in self.events.drain(..) {
            let Some(sums) = at(sums, event.leaf) else { return Err(no_leaf(event.leaf)) };
            let exposed = &mut sums.exposed;
            exposed.first = exposed.first.min(event.at);
            exposed.last = exposed.last.max(event.at);
            if event.nobody {
                sums.subjects_unknown_rows += 1;
            }
        }
        for Moved { leaf, bytes, records } in self.moved.drain(..) {
            let Some(sums) = at(sums, leaf) else { return Err(no_leaf(leaf)) };
            if let Some(bytes) = bytes {
                sums.exposed.bytes += i128::from(bytes);
                sums.exposed.bytes_known += 1;
            }
            if let Some(records) = records {
                sums.records += i128::from(records);
                sums.records_known += 1;
            }
        }
        for (leaf, refusal, weight) in self.refused.drain(..) {
            let Some(sums) = at(sums, leaf) else { return Err(no_leaf(leaf)) };
            sums.refused += 1;
            sums.denied_events += u64::from(matches!(refusal, Refusal::Denied));
            let sum = match refusal {
                Refusal::Denied => &mut sums.denied,
                Refusal::Unknown => &mut sums.unknown,
                Refusal::HeldOnly => &mut sums.held_only,
            };
            add(sum, weight);
        }
        for (leaf, day, first) in self.people.drain(..) {
            let Some(sums) = at(sums, leaf) else { return Err(no_leaf(leaf)) };
            let on = sums.days.entry(day);
            on.people.subjects += 1;
            on.people.new += u64::from(first);
        }
        if overflow { Err(ExposureError::Overflow) } else { Ok(()) }
    }
}

#[cold]
fn no_leaf(leaf: u32) -> ExposureError {
    ExposureError::Internal { what: format!("leaf {leaf} has no sums") }
}

#[inline]
fn at(sums: &mut [Sums], leaf: u32) -> Option<&mut Sums> {
    usize::try_from(leaf).ok().and_then(|leaf| sums.get_mut(leaf))
}
