//! The rows of one event id while it is at hand: which of them are equal, and what became of each.

use std::sync::atomic::{AtomicU64, Ordering};

use super::ExposureError;
use super::tally::Term;
use crate::ledger::{Repeat, Repeats, Row};

/// So many distinct rows of one event are few: what more of them take is compared with the memory limit.
const FEW_ROWS: usize = 1 << 12;

/// Rows of the event at hand, by namespace of events.
pub struct SameEvent<'a> {
    spaces: Vec<Repeats<Term>>,
    /// Bytes of them on all threads, those of this one among them where they are many, and how many there
    /// may be.
    held: &'a AtomicU64,
    own: u64,
    most: u64,
}

impl<'a> SameEvent<'a> {
    pub fn new(spaces: usize, held: &'a AtomicU64, most: u64) -> Self {
        let spaces = (0..spaces).map(|_| Repeats::default()).collect();
        Self { spaces, held, own: 0, most }
    }

    /// Adds a row of the unit `place`: the repeat that it makes, if it is equal to one before.
    ///
    /// # Errors
    /// [`ExposureError::Repeats`] where so many distinct rows have no room; `source` names theirs.
    #[inline]
    pub fn add(
        &mut self,
        space: usize,
        place: u64,
        row: Row,
        source: impl FnOnce() -> String,
    ) -> Result<Option<Repeat<Term>>, ExposureError> {
        let Some(repeats) = self.spaces.get_mut(space) else { return Ok(None) };
        let repeat = repeats.add(place, row, Term::Counted);
        if repeat.is_none() && repeats.len().is_multiple_of(FEW_ROWS) {
            self.hold(source)?;
        }
        Ok(repeat)
    }

    /// What became of the row that was added last, which was new.
    #[inline]
    pub fn became(&mut self, space: usize, term: Term) {
        if let Some(last) = self.spaces.get_mut(space).and_then(Repeats::last_mut) {
            *last = term;
        }
    }

    /// Adds up what all threads keep of events with very many rows.
    #[cold]
    fn hold(&mut self, source: impl FnOnce() -> String) -> Result<(), ExposureError> {
        let own = self.spaces.iter().map(Repeats::bytes).sum::<u64>();
        let more = own.saturating_sub(self.own);
        self.own += more;
        let all = self.held.fetch_add(more, Ordering::Relaxed) + more;
        if all <= self.most {
            return Ok(());
        }
        let rows = self.spaces.iter().map(|repeats| repeats.len() as u64).sum();
        Err(ExposureError::Repeats { source_name: source(), rows })
    }

    /// Forgets the event. More than one row of it that are not equal contradict each other: `conflict` is told
    /// the units that they are kept for.
    #[inline]
    pub fn forget(&mut self, mut conflict: impl FnMut(&mut dyn Iterator<Item = u64>)) {
        for repeats in &mut self.spaces {
            if repeats.len() > 1 {
                conflict(&mut repeats.iter().map(|(place, _)| place));
            }
            if !repeats.is_empty() {
                repeats.clear();
            }
        }
        if self.own > 0 {
            self.held.fetch_sub(self.own, Ordering::Relaxed);
            self.own = 0;
        }
    }
}
