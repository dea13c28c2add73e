//! The leaves of the rows of a block: for all that count them by the same rules.

use std::sync::Mutex;

use super::ExposureError;
use super::eras::Era;
use super::lookup::{LeafAt, Lookup, Place};
use super::policy::Policy;
use crate::ledger::Block;
use crate::memory::Counting;

/// Rows whose parts are fetched before they are looked at: what they lie in stays in the processor's first cache.
const FETCHED: usize = if cfg!(test) { 3 } else { 128 };

/// What one thread knows of leaves, and those of the block at hand.
pub struct BlockLeaves<'a> {
    pub lookup: Lookup<'a>,
    /// By row; `None` where none of the row's scopes is asked for.
    pub found: Vec<Option<LeafAt>>,
    places: Vec<Place>,
}

impl<'a> BlockLeaves<'a> {
    pub fn new(policy: &'a Mutex<Policy>, era: Era, memory: Counting) -> Self {
        let lookup = Lookup::new((policy, era), memory);
        Self { lookup, found: Vec::new(), places: Vec::new() }
    }

    /// Finds those of a block.
    ///
    /// # Errors
    /// As those of [`Lookup`].
    pub fn find(&mut self, block: &Block<'_>) -> Result<(), ExposureError> {
        // What is looked up for every row lies in tables. Loops that do nothing else wait for many rows
        // at once.
        let codes = block.rows().map(|row| (row.app(), row.set(), row.names));
        self.lookup.places(codes, &mut self.places)?;
        self.found.clear();
        let mut rows = block.rows();
        for places in self.places.chunks(FETCHED) {
            if places.contains(&Place::InParts) {
                let ahead = places.iter().zip(rows.clone());
                let in_parts = ahead.filter(|(place, _)| **place == Place::InParts);
                self.lookup.fetch_parts(in_parts.map(|(_, row)| (row.app(), row.set())));
            }
            for (place, row) in places.iter().zip(rows.by_ref()) {
                self.found.push(match place {
                    Place::Nowhere => None,
                    Place::Whole(place) => Some(self.lookup.leaf(*place, row.at())),
                    Place::InParts => {
                        Some(self.lookup.leaf_in_parts(row.app(), row.set(), row.at())?)
                    }
                });
            }
        }
        Ok(())
    }
}
