//! From the codes of an app and a scope set to the leaf of a moment, for every row.
//!
//! The policy is shared by all threads. Each keeps what it has met in tables of its own, small and in
//! few places.

use std::sync::{Arc, Mutex};

use super::ExposureError;
use super::by_pair::ByPair;
use super::carried::{Carried, ScopeUse, SetList, SetPlace};
use super::eras::Era;
use super::leaf::{Leaf, LeafCells, LeafTable, Pair, Standing};
use super::parts::{Part, Parts};
use super::policy::{Leaves, Policy};
use super::shared::Shared;
use crate::ledger::Names;
use crate::memory::Counting;
use crate::moment::Moment;
use crate::scan::batch::NONE;

/// What one thread knows of the policy.
pub struct Lookup<'a> {
    shared: Shared<'a>,
    met: Met,
    parts: Parts,
    /// Events in parts of the block at hand, and their parts.
    split: Vec<Split>,
    found: Vec<Part>,
}

/// What a thread has met.
#[derive(Default)]
struct Met {
    /// Codes of places ([`Place::code`]) by the codes of app and scope set.
    places: ByPair<64>,
    known: Vec<Known>,
    leaves: LeafTable,
    /// By codes: numbers of apps that have events in parts, and of scope sets, for all threads.
    apps: ByCode<u32>,
    sets: ByCode<(u32, SetPlace)>,
    /// The scopes of those sets.
    set_list: SetList,
}

/// Where the leaves of an app and a scope set are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// None of the set's scopes is asked for.
    Nowhere,
    Whole(u32),
    InParts,
}

impl Place {
    /// As one number; none of those in parts, which may be as many as rows.
    fn code(self) -> Option<u32> {
        match self {
            Self::Nowhere => Some(0),
            Self::Whole(place) => place.checked_add(1),
            Self::InParts => None,
        }
    }

    fn of(code: u32) -> Self {
        code.checked_sub(1).map_or(Self::Nowhere, Self::Whole)
    }

    /// The place of a leaf that is no part, as an index.
    #[inline]
    pub fn whole(self) -> Option<usize> {
        let Self::Whole(place) = self else { return None };
        usize::try_from(place).ok()
    }
}

/// Codes of app and scope set, and whose they are.
pub type Codes<'n> = (u32, u32, &'n Names);

/// An event in parts: numbers of its app and scope set, and where its parts stand.
#[derive(Clone, Copy, Debug)]
struct Split {
    app: u32,
    set: u32,
    from: usize,
    to: usize,
}

impl Met {
    /// Inlined always: what a call gives back passes through memory.
    #[inline(always)]
    fn place(&self, app: u32, set: u32) -> Option<Place> {
        self.places.get(app, set).map(Place::of).or_else(|| self.place_in_parts(app, set))
    }

    /// Sets that are counted in parts may be as many as rows: no table has a place for each.
    fn place_in_parts(&self, app: u32, set: u32) -> Option<Place> {
        let several = self.sets.get(set).is_some_and(|(_, set)| set.length > 1);
        (several && self.apps.get(app).is_some()).then_some(Place::InParts)
    }

    /// The set of a code whose events are in parts, and its number.
    #[inline]
    fn set(&self, code: u32) -> Option<(u32, Carried<'_>)> {
        let (number, place) = self.sets.get(code)?;
        Some((*number, self.set_list.get(*place)?))
    }

    /// The place of an app and a scope set that were not met before.
    fn learn(&mut self, policy: &mut Policy, era: Era, (app, set, names): Codes<'_>) -> Place {
        let carried = names.sets.get(set).filter(|carried| !carried.scopes.is_empty());
        let place = match carried.map(|carried| policy.find(era, names.apps.name(app), &carried)) {
            None => Place::Nowhere,
            Some(Leaves::Whole(pair)) => {
                for (number, leaf) in pair.leaves() {
                    self.leaves.learn(*number, leaf);
                }
                let place = u32::try_from(self.known.len()).unwrap_or(NONE);
                self.known.push(Known::new(pair));
                Place::Whole(place)
            }
            Some(Leaves::InParts { app: of, set: number }) => {
                self.apps.insert(app, of);
                // Another app may have called with it.
                if self.sets.get(set).is_none()
                    && let Some(carried) = policy.set(number)
                {
                    self.sets.insert(set, (number, self.set_list.push(carried)));
                }
                return Place::InParts;
            }
        };
        if let Some(code) = place.code() {
            self.places.insert(app, set, code);
        }
        place
    }
}

impl<'a> Lookup<'a> {
    /// Apps with a scope set that are learnt at once. Threads that begin with the same rows would else wait for each
    /// other at every one; and what they take of memory is looked at between.
    const AT_ONCE: usize = if cfg!(test) { 2 } else { 256 };

    /// And what they may take before it is looked at, in bytes.
    const BYTES_AT_ONCE: u64 = 1 << 20;

    pub fn new(policy: (&'a Mutex<Policy>, Era), memory: Counting) -> Self {
        Self {
            shared: Shared::new(policy, memory),
            met: Met::default(),
            parts: Parts::default(),
            split: Vec::new(),
            found: Vec::new(),
        }
    }

    /// Leaf numbers lie below this.
    pub fn leaf_count(&self) -> usize {
        self.met.leaves.len()
    }

    /// Places of leaves that are no parts lie below this.
    pub fn place_count(&self) -> usize {
        self.met.known.len()
    }

    /// Bytes that are left, on each thread, to what waits to be sorted.
    pub fn sort_buffer(&self) -> u64 {
        self.shared.sort_buffer()
    }

    /// Scopes and cells of a leaf.
    #[inline]
    pub fn cells(&self, leaf: u32) -> Option<LeafCells<'_>> {
        self.met.leaves.get(leaf)
    }

    /// Where the leaves of the rows of a block are found, in their order. Forgets the parts of earlier events.
    ///
    /// # Errors
    /// As [`Shared::ask`].
    pub fn places<'n>(
        &mut self,
        rows: impl Iterator<Item = Codes<'n>> + Clone,
        places: &mut Vec<Place>,
    ) -> Result<(), ExposureError> {
        self.split.clear();
        self.found.clear();
        places.clear();
        for (at, (app, set, _)) in rows.clone().enumerate() {
            let place = match self.met.place(app, set) {
                Some(place) => place,
                None => self.learn(rows.clone().skip(at))?,
            };
            places.push(place);
        }
        Ok(())
    }

    /// The place of the first of the rows, which was not met before; some that follow are learnt, too.
    #[cold]
    fn learn<'n>(&mut self, rows: impl Iterator<Item = Codes<'n>>) -> Result<Place, ExposureError> {
        let (met, era) = (&mut self.met, self.shared.era);
        // Found before the lock is held.
        let new = rows.filter(|(app, set, _)| met.place(*app, *set).is_none());
        let new: Vec<Codes<'_>> = new.take(Self::AT_ONCE).collect();
        self.shared.ask(|policy| {
            let most = policy.held.bytes(1) + Self::BYTES_AT_ONCE;
            let mut place = Place::Nowhere;
            for (number, (app, set, names)) in new.into_iter().enumerate() {
                if number > 0 && policy.held.bytes(1) > most {
                    break;
                }
                // One may be there twice.
                let known = met.place(app, set);
                let own = known.unwrap_or_else(|| met.learn(policy, era, (app, set, names)));
                if number == 0 {
                    place = own;
                }
            }
            place
        })
    }

    /// Cuts and leaves of a place, where cuts are few and whole microseconds.
    pub fn segments(&self, place: u32) -> Option<(&[i64], &[LeafAt])> {
        let known = usize::try_from(place).ok().and_then(|i| self.met.known.get(i))?;
        let near = known.cuts.get(..known.count).zip(known.leaves.get(..=known.count));
        near.filter(|_| known.long.is_none())
    }

    /// The leaf of a moment.
    #[inline]
    pub fn leaf(&self, place: u32, at: Moment) -> LeafAt {
        let known = usize::try_from(place).ok().and_then(|i| self.met.known.get(i));
        known.map_or(LeafAt::OUTSIDE, |known| known.at(at))
    }

    /// Fetches what [`Self::leaf_in_parts`] will look at for events in parts, by the codes of their apps and scope sets.
    pub fn fetch_parts(&self, events: impl Iterator<Item = (u32, u32)> + Clone) {
        let known = |(app, set)| Some((*self.met.apps.get(app)?, self.met.set(set)?.1));
        self.parts.fetch(events.filter_map(known));
    }

    /// The parts of a moment's leaf; they stay known until the next block begins.
    ///
    /// # Errors
    /// As [`Shared::ask`].
    pub fn leaf_in_parts(
        &mut self,
        app: u32,
        set: u32,
        at: Moment,
    ) -> Result<LeafAt, ExposureError> {
        let (Some(of), Some((number, scopes))) = (self.met.apps.get(app), self.met.set(set)) else {
            let what = format!("no parts are known for app {app} and scope set {set}");
            return Err(ExposureError::Internal { what });
        };
        let from = self.found.len();
        let mut leaf = self.parts.find((*of, scopes), at, &mut self.shared, &mut self.found)?;
        leaf.number = u32::try_from(self.split.len()).unwrap_or(u32::MAX);
        self.split.push(Split { app: *of, set: number, from, to: self.found.len() });
        for (number, leaf) in self.parts.learned.drain(..) {
            self.met.leaves.learn(number, &leaf);
        }
        Ok(leaf)
    }

    /// The scopes of a set by code, whose events are in parts.
    pub fn scopes_in_parts(&self, set: u32) -> &[ScopeUse] {
        self.met.set(set).map_or(&[], |(_, set)| set.scopes)
    }

    /// Numbers of app and scope set, and parts, of a leaf in parts.
    pub fn parts(&self, leaf: LeafAt) -> (u32, u32, &[Part]) {
        let split = usize::try_from(leaf.number).ok().and_then(|i| self.split.get(i));
        split.map_or((0, 0, &[]), |split| {
            (split.app, split.set, self.found.get(split.from..split.to).unwrap_or_default())
        })
    }
}

/// Values by codes, which begin at 0; [`NONE`] may be one.
struct ByCode<T> {
    known: Vec<Option<T>>,
    none: Option<T>,
}

impl<T> Default for ByCode<T> {
    fn default() -> Self {
        Self { known: Vec::new(), none: None }
    }
}

impl<T> ByCode<T> {
    #[inline]
    fn get(&self, code: u32) -> Option<&T> {
        match code {
            NONE => self.none.as_ref(),
            _ => self.known.get(usize::try_from(code).ok()?)?.as_ref(),
        }
    }

    fn insert(&mut self, code: u32, value: T) {
        let at = usize::try_from(code).unwrap_or(usize::MAX);
        if code != NONE && at >= self.known.len() {
            self.known.resize_with(at + 1, || None);
        }
        match self.known.get_mut(at) {
            Some(slot) => *slot = Some(value),
            None => self.none = Some(value),
        }
    }
}

/// The leaf of a row, and what decides whether it counts.
#[derive(Clone, Copy, Debug)]
pub struct LeafAt {
    /// Of the leaf; where it is in parts, of the event among those of the block.
    pub number: u32,
    pub standing: Standing,
    /// Whether a scope that counts is exercised, and whether any scope is.
    pub exercised: bool,
    pub exercises: bool,
    pub in_parts: bool,
}

impl LeafAt {
    pub const OUTSIDE: Self = Self {
        number: 0,
        standing: Standing::Outside,
        exercised: false,
        exercises: false,
        in_parts: false,
    };

    pub fn of(number: u32, leaf: &Leaf) -> Self {
        Self {
            number,
            standing: leaf.standing,
            exercised: !leaf.scopes.is_empty(),
            exercises: leaf.exercises,
            in_parts: false,
        }
    }
}

/// A pair, as a row needs it: in one place, without references to follow.
struct Known {
    /// Microseconds. Cuts that there are not lie at the end of time.
    cuts: [i64; Self::CUTS],
    /// How many there are.
    count: usize,
    leaves: [LeafAt; Self::CUTS + 1],
    /// A pair with more cuts, or one that lies between two microseconds.
    long: Option<Arc<Pair>>,
}

impl Known {
    /// `as_of`, the lookback, one restriction and one grace.
    const CUTS: usize = 4;

    fn new(pair: Arc<Pair>) -> Self {
        let whole = pair.whole_cuts();
        let mut known = Self {
            cuts: whole.unwrap_or([i64::MAX; Self::CUTS]),
            count: pair.cuts().len(),
            leaves: [LeafAt::OUTSIDE; Self::CUTS + 1],
            long: None,
        };
        for (slot, (number, leaf)) in known.leaves.iter_mut().zip(pair.leaves()) {
            *slot = LeafAt::of(*number, leaf);
        }
        if whole.is_none() {
            known.long = Some(pair);
        }
        known
    }

    #[inline]
    fn at(&self, at: Moment) -> LeafAt {
        if let Some(pair) = &self.long {
            return pair.at(at).map_or(LeafAt::OUTSIDE, |(number, leaf)| LeafAt::of(number, leaf));
        }
        // A moment is at or after a whole microsecond where its own microsecond is.
        let segment = self.cuts.iter().filter(|cut| **cut <= at.micros).count().min(self.count);
        self.leaves.get(segment).copied().unwrap_or(LeafAt::OUTSIDE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_back_from_their_codes() {
        for place in [Place::Nowhere, Place::Whole(0), Place::Whole(7)] {
            assert_eq!(place.code().map(Place::of), Some(place));
        }
        assert_eq!(Place::InParts.code(), None);
    }

    #[test]
    fn a_moment_lies_in_the_segment_that_its_pair_says() {
        let at = |micros, nanos| Moment { micros, nanos };
        let leaf = || Arc::new(Leaf::new(Standing::Counts, true));
        let pair = |cuts: Vec<Moment>| {
            let leaves = (0..).zip(0..=cuts.len()).map(|(number, _)| (number, leaf())).collect();
            Arc::new(Pair::new(cuts, leaves))
        };
        for cuts in [
            vec![],
            vec![at(-5, 0), at(7, 0)],
            vec![at(7, 3), at(7, 4)],
            vec![at(7, 0), at(i64::MAX, 0)],
            (0..6).map(|n| at(n, 0)).collect(),
        ] {
            let pair = pair(cuts);
            let known = Known::new(pair.clone());
            for micros in [i64::MIN, -6, -5, 0, 6, 7, 8, i64::MAX] {
                for nanos in [0, 3, 999] {
                    let moment = at(micros, nanos);
                    let expected = pair.at(moment).map(|(number, _)| number);
                    assert_eq!(Some(known.at(moment).number), expected, "{moment:?}");
                }
            }
        }
    }
}
