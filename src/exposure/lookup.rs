//! From the codes of an app and a scope set to the leaf of a moment, for every row.
//!
//! The policy is shared by all threads. Each keeps what it has met in tables of its own, small and in
//! few places.

use std::sync::{Arc, Mutex, PoisonError};

use super::ExposureError;
use super::held::Held;
use super::policy::{Leaf, LeafCells, LeafTable, MixMap, Pair, Policy, Standing};
use crate::ledger::Names;
use crate::memory::Counting;
use crate::moment::Moment;

/// What one thread knows of the policy.
pub struct Lookup<'a> {
    policy: &'a Mutex<Policy>,
    memory: Counting,
    /// What all threads together were last found to hold.
    held: Held,
    /// Places in `known` by the codes of app and scope set.
    by_codes: MixMap<u64, Option<u32>>,
    known: Vec<Known>,
    leaves: LeafTable,
}

impl<'a> Lookup<'a> {
    pub fn new(policy: &'a Mutex<Policy>, memory: Counting) -> Self {
        Self {
            policy,
            memory,
            held: Held::default(),
            by_codes: MixMap::default(),
            known: Vec::new(),
            leaves: LeafTable::default(),
        }
    }

    /// Leaf numbers lie below this.
    pub fn leaf_count(&self) -> usize {
        self.leaves.len()
    }

    /// Bytes that are left, on each thread, to what waits to be sorted.
    pub fn sort_buffer(&self) -> u64 {
        self.memory.sort_buffer(self.held.bytes(self.memory.threads))
    }

    /// Scopes and cells of a leaf.
    #[inline]
    pub fn cells(&self, leaf: u32) -> Option<LeafCells<'_>> {
        self.leaves.get(leaf)
    }

    /// The place of the leaves of an app and a scope set; `None` where the set is empty.
    ///
    /// # Errors
    /// [`ExposureError::Memory`] and [`ExposureError::Leaves`] where the answer, or what it is summed
    /// up from, outgrows the limit.
    #[inline]
    pub fn place(
        &mut self,
        app: u32,
        set: u32,
        names: &Names,
    ) -> Result<Option<u32>, ExposureError> {
        let codes = u64::from(app) << 32 | u64::from(set);
        match self.by_codes.get(&codes) {
            Some(place) => Ok(*place),
            None => self.learn(codes, app, set, names),
        }
    }

    #[cold]
    fn learn(
        &mut self,
        codes: u64,
        app: u32,
        set: u32,
        names: &Names,
    ) -> Result<Option<u32>, ExposureError> {
        let set = usize::try_from(set).ok().and_then(|i| names.sets.sets().get(i));
        let Some(set) = set else { return Ok(None) };
        let place = if set.scopes.is_empty() {
            None
        } else {
            let (pair, cells) = {
                let mut policy = self.policy.lock().unwrap_or_else(PoisonError::into_inner);
                let pair = policy.pair(names.apps.name(app), set);
                self.held = policy.held;
                (pair, policy.cells.len() as u64)
            };
            self.held.fits(&self.memory)?;
            // A cell has a day, nearly always.
            if let Some(needed) = self.memory.budget.beyond(cells, cells, 0) {
                let (more, needed) = (" so far".into(), needed.div_ceil(1_000_000));
                return Err(ExposureError::Memory { cells, more, needed });
            }
            for (number, leaf) in pair.leaves() {
                self.leaves.learn(*number, leaf);
            }
            self.known.push(Known::new(pair));
            u32::try_from(self.known.len() - 1).ok()
        };
        self.by_codes.insert(codes, place);
        Ok(place)
    }

    /// The leaf of a moment.
    #[inline]
    pub fn leaf(&self, place: u32, at: Moment) -> LeafAt {
        let known = usize::try_from(place).ok().and_then(|i| self.known.get(i));
        known.map_or(LeafAt::OUTSIDE, |known| known.at(at))
    }
}

/// The leaf of a row, and what decides whether it counts.
#[derive(Clone, Copy, Debug)]
pub struct LeafAt {
    pub number: u32,
    pub standing: Standing,
    /// Whether a scope that counts is exercised, and whether any scope is.
    pub exercised: bool,
    pub exercises: bool,
}

impl LeafAt {
    const OUTSIDE: Self =
        Self { number: 0, standing: Standing::Outside, exercised: false, exercises: false };

    fn of(number: u32, leaf: &Leaf) -> Self {
        Self {
            number,
            standing: leaf.standing,
            exercised: !leaf.scopes.is_empty(),
            exercises: leaf.exercises,
        }
    }
}

/// A pair, as a row needs it: in one place, without references to follow.
struct Known {
    /// Cuts that there are not lie at the end of time.
    cuts: [Moment; Self::CUTS],
    leaves: [LeafAt; Self::CUTS + 1],
    /// A pair with more cuts.
    long: Option<Arc<Pair>>,
}

impl Known {
    /// `as_of`, the lookback, one restriction and one grace.
    const CUTS: usize = 4;

    fn new(pair: Arc<Pair>) -> Self {
        let mut known = Self {
            cuts: [Moment::MAX; Self::CUTS],
            leaves: [LeafAt::OUTSIDE; Self::CUTS + 1],
            long: None,
        };
        for (slot, cut) in known.cuts.iter_mut().zip(pair.cuts()) {
            *slot = *cut;
        }
        for (slot, (number, leaf)) in known.leaves.iter_mut().zip(pair.leaves()) {
            *slot = LeafAt::of(*number, leaf);
        }
        if pair.cuts().len() > Self::CUTS {
            known.long = Some(pair);
        }
        known
    }

    #[inline]
    fn at(&self, at: Moment) -> LeafAt {
        if let Some(pair) = &self.long {
            return pair.at(at).map_or(LeafAt::OUTSIDE, |(number, leaf)| LeafAt::of(number, leaf));
        }
        let segment = self.cuts.iter().filter(|cut| **cut <= at).count();
        self.leaves.get(segment).copied().unwrap_or(LeafAt::OUTSIDE)
    }
}
