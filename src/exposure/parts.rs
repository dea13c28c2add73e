//! Leaves in parts: for apps that call with very many sets of scopes.
//!
//! Where an app calls with any three of fifty scopes, a leaf for each set would be a leaf for each row.
//! But to the cells of one scope an event means the same whatever other scopes it carries, and to cells
//! that name no scope, it means the same with every set that has the same windows. So an event is summed
//! up in several leaves instead of one: a part for each of its scopes that counts, one for what names no
//! scope, and one for each promise that it comes after. Of these there are few: app × scope, and app ×
//! windows. No two parts of an event have a cell in common, and they are leaves as others are: sums are
//! rolled up, and people of several leaves found, as ever.

use std::sync::Arc;

use indexmap::IndexSet;

use super::ExposureError;
use super::by_pair::ByPair;
use super::carried::{Carried, ScopeUse, index_of, is_exercised};
use super::cells::WindowSet;
use super::eras::Era;
use super::fetch::fetch;
use super::leaf::{Leaf, Pair, Standing};
use super::lookup::LeafAt;
use super::policy::Policy;
use super::shared::Shared;
use crate::key::MixMap;
use crate::moment::Moment;

/// A part of the leaf that an event would have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub leaf: u32,
    /// Whether an allowed event is exposure in it; else it only held what the part stands for.
    pub exposed: bool,
}

/// What a promise of deletion is to events of its app.
#[derive(Debug)]
pub struct PromisePart {
    /// When it was given.
    pub at: Moment,
    /// By scope: whether it covers it.
    pub covers: Vec<bool>,
    /// Leaves of events that exercised a covered scope, and of those that only held one.
    pub exercised: (u32, Arc<Leaf>),
    pub held: (u32, Arc<Leaf>),
}

impl PromisePart {
    fn covers(&self, scope: ScopeUse) -> bool {
        usize::try_from(index_of(scope)).ok().and_then(|i| self.covers.get(i)) == Some(&true)
    }
}

/// Where parts come from that are not known yet.
pub trait Source {
    /// # Errors
    /// Where memory does not hold it, or it is not there.
    fn scope_part(&mut self, app: u32, scope: ScopeUse) -> Result<Arc<Pair>, ExposureError>;

    /// # Errors
    /// As [`Self::scope_part`].
    fn part_without_scope(
        &mut self,
        app: u32,
        exercised: WindowSet,
        all: WindowSet,
    ) -> Result<(u32, Arc<Leaf>), ExposureError>;

    /// # Errors
    /// As [`Self::scope_part`].
    fn promise_parts(&mut self, app: u32) -> Result<Arc<[PromisePart]>, ExposureError>;
}

/// While rows are counted: what is not there is made.
impl Source for Shared<'_> {
    fn scope_part(&mut self, app: u32, scope: ScopeUse) -> Result<Arc<Pair>, ExposureError> {
        let era = self.era;
        self.ask(|policy| policy.make_scope_part(era, app, scope))
    }

    fn part_without_scope(
        &mut self,
        app: u32,
        exercised: WindowSet,
        all: WindowSet,
    ) -> Result<(u32, Arc<Leaf>), ExposureError> {
        self.ask(|policy| policy.make_part_without_scope(app, exercised, all))
    }

    fn promise_parts(&mut self, app: u32) -> Result<Arc<[PromisePart]>, ExposureError> {
        self.ask(|policy| policy.make_promise_parts(app))
    }
}

/// Afterwards: every event has been met.
impl Source for (&Policy, Era) {
    fn scope_part(&mut self, app: u32, scope: ScopeUse) -> Result<Arc<Pair>, ExposureError> {
        let (policy, era) = *self;
        policy.known_scope_part(era, app, scope).cloned().ok_or_else(|| no_part(app))
    }

    fn part_without_scope(
        &mut self,
        app: u32,
        exercised: WindowSet,
        all: WindowSet,
    ) -> Result<(u32, Arc<Leaf>), ExposureError> {
        let known = self.0.known_part_without_scope(app, exercised, all);
        known.cloned().ok_or_else(|| no_part(app))
    }

    fn promise_parts(&mut self, app: u32) -> Result<Arc<[PromisePart]>, ExposureError> {
        self.0.known_promise_parts(app).cloned().ok_or_else(|| no_part(app))
    }
}

/// A scope of an app: leaves of its cells alone. There may be very many, and events ask for them in no order: what many
/// of them have in common is not here.
struct ScopePart {
    /// Place in [`Parts::kinds`], or [`ScopePart::LONG`].
    kind: u32,
    leaves: [u32; Kind::CUTS + 1],
}

impl ScopePart {
    /// One that does not fit: it stands beside.
    const LONG: u32 = u32::MAX;
}

/// When scopes of apps change their leaves, and what these are. It follows from a scope's restriction and an app's
/// grace, so that most of a scope's apps have the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Kind {
    /// In whole microseconds; those that there are not lie at the end of time.
    cuts: [i64; Self::CUTS],
    standings: [Standing; Self::CUTS + 1],
    windows: [WindowSet; Self::CUTS + 1],
}

impl Kind {
    /// `as_of`, the lookback, one restriction and one grace.
    const CUTS: usize = 4;

    /// As [`Pair::whole_cuts`].
    fn of(pair: &Pair) -> Option<Self> {
        let leaves = pair.leaves();
        Some(Self {
            cuts: pair.whole_cuts()?,
            standings: segments(leaves.iter().map(|(_, leaf)| leaf.standing))?,
            windows: segments(leaves.iter().map(|(_, leaf)| leaf.windows()))?,
        })
    }

    #[inline]
    fn at(&self, leaves: &[u32; Self::CUTS + 1], at: Moment) -> Option<ScopeLeaf> {
        let segment = self.cuts.iter().filter(|cut| **cut <= at.micros).count();
        Some(ScopeLeaf {
            number: *leaves.get(segment)?,
            standing: *self.standings.get(segment)?,
            windows: *self.windows.get(segment)?,
        })
    }
}

/// What there is of each segment. Those behind the last cut are asked for at the end of time alone, and are as the last
/// one is.
fn segments<T: Copy>(all: impl Iterator<Item = T> + Clone) -> Option<[T; Kind::CUTS + 1]> {
    let mut segments = [all.clone().last()?; Kind::CUTS + 1];
    segments.iter_mut().zip(all).for_each(|(slot, own)| *slot = own);
    Some(segments)
}

/// The leaf of a scope of an app at a moment.
struct ScopeLeaf {
    number: u32,
    standing: Standing,
    windows: WindowSet,
}

impl ScopeLeaf {
    const OUTSIDE: Self = Self { number: 0, standing: Standing::Outside, windows: 0 };

    fn of(pair: &Pair, at: Moment) -> Self {
        pair.at(at).map_or(Self::OUTSIDE, |(number, leaf)| Self {
            number,
            standing: leaf.standing,
            windows: leaf.windows(),
        })
    }
}

/// By app and [`ScopeUse`]: of up to 64 scopes side by side.
pub type ScopesByApp = ByPair<128>;

/// What one thread knows of parts.
#[derive(Default)]
pub struct Parts {
    /// Places in `known` by app and [`ScopeUse`].
    scopes: ScopesByApp,
    known: Vec<ScopePart>,
    kinds: IndexSet<Kind>,
    /// By place in `known`: those that do not fit there.
    long: MixMap<u32, Arc<Pair>>,
    /// Leaves by app and windows: those of the exercised scopes, and those of all.
    without_scope: MixMap<u64, u32>,
    /// By app.
    promises: MixMap<u32, Arc<[PromisePart]>>,
    /// Scopes of the event at hand that count.
    counted: Vec<ScopeUse>,
    /// Leaves that were met since this was last emptied.
    pub learned: Vec<(u32, Arc<Leaf>)>,
}

impl Parts {
    /// Appends the parts of an event to `out`; gives what decides whether it counts.
    ///
    /// # Errors
    /// What the source says.
    pub fn find(
        &mut self,
        (app, set): (u32, Carried<'_>),
        at: Moment,
        source: &mut impl Source,
        out: &mut Vec<Part>,
    ) -> Result<LeafAt, ExposureError> {
        let mut standing = Standing::Outside;
        let (mut exercised, mut all) = (0, 0);
        self.counted.clear();
        for scope in set.scopes {
            let ScopeLeaf { number, standing: own, windows } =
                self.scope(app, *scope, at, source)?;
            match own {
                Standing::Outside => continue,
                Standing::AfterAsOf => standing = Standing::AfterAsOf,
                Standing::Counts => {
                    standing = Standing::Counts;
                    all |= windows;
                    let used = is_exercised(*scope);
                    exercised |= if used { windows } else { 0 };
                    self.counted.push(*scope);
                    out.push(Part { leaf: number, exposed: used });
                }
            }
        }
        if standing == Standing::Counts {
            let leaf = self.without_scope(app, (exercised, all), source)?;
            out.push(Part { leaf, exposed: exercised != 0 });
            self.after_promises(app, at, source, out)?;
        }
        Ok(LeafAt {
            number: 0,
            standing,
            exercised: exercised != 0,
            exercises: set.exercises,
            in_parts: true,
        })
    }

    /// Fetches what [`Self::find`] will look at for events of these apps and scope sets.
    #[inline]
    pub fn fetch<'s>(&self, events: impl Iterator<Item = (u32, Carried<'s>)> + Clone) {
        fetch(events.clone().map(|(_, set)| set.touch()));
        let of_scope = |app, scope| {
            let place = self.scopes.get(app, scope);
            let known = place.and_then(|place| self.known.get(usize::try_from(place).ok()?));
            known.map_or(0, |part| u64::from(part.kind))
        };
        fetch(events.map(|(app, set)| {
            set.scopes.iter().fold(0, |touched, scope| touched ^ of_scope(app, *scope))
        }));
    }

    #[inline]
    fn scope(
        &mut self,
        app: u32,
        scope: ScopeUse,
        at: Moment,
        source: &mut impl Source,
    ) -> Result<ScopeLeaf, ExposureError> {
        let place = match self.scopes.get(app, scope) {
            Some(place) => place,
            None => self.learn(app, scope, source)?,
        };
        let part = usize::try_from(place).ok().and_then(|place| self.known.get(place));
        let part = part.ok_or_else(|| no_part(app))?;
        if part.kind == ScopePart::LONG {
            let pair = self.long.get(&place).ok_or_else(|| no_part(app))?;
            return Ok(ScopeLeaf::of(pair, at));
        }
        let kind = usize::try_from(part.kind).ok().and_then(|kind| self.kinds.get_index(kind));
        kind.and_then(|kind| kind.at(&part.leaves, at)).ok_or_else(|| no_part(app))
    }

    /// The place in `known` of a scope of an app that was not met before.
    #[cold]
    fn learn(
        &mut self,
        app: u32,
        scope: ScopeUse,
        source: &mut impl Source,
    ) -> Result<u32, ExposureError> {
        let pair = source.scope_part(app, scope)?;
        self.learned.extend_from_slice(pair.leaves());
        let place = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        let leaves = segments(pair.leaves().iter().map(|(number, _)| *number));
        let kind = Kind::of(&pair).zip(leaves).and_then(|(kind, leaves)| {
            let kind = u32::try_from(self.kinds.insert_full(kind).0).ok()?;
            Some(ScopePart { kind, leaves })
        });
        self.known.push(kind.unwrap_or_else(|| {
            self.long.insert(place, pair);
            ScopePart { kind: ScopePart::LONG, leaves: Default::default() }
        }));
        self.scopes.insert(app, scope, place);
        Ok(place)
    }

    fn without_scope(
        &mut self,
        app: u32,
        (exercised, all): (WindowSet, WindowSet),
        source: &mut impl Source,
    ) -> Result<u32, ExposureError> {
        let key = u64::from(app) << 32 | u64::from(exercised) << 16 | u64::from(all);
        if let Some(leaf) = self.without_scope.get(&key) {
            return Ok(*leaf);
        }
        let (number, leaf) = source.part_without_scope(app, exercised, all)?;
        self.learned.push((number, leaf));
        self.without_scope.insert(key, number);
        Ok(number)
    }

    /// Appends the parts of the promises that the event comes after.
    fn after_promises(
        &mut self,
        app: u32,
        at: Moment,
        source: &mut impl Source,
        out: &mut Vec<Part>,
    ) -> Result<(), ExposureError> {
        let promises = match self.promises.get(&app) {
            Some(promises) => promises,
            None => {
                let promises = source.promise_parts(app)?;
                let both = promises.iter().flat_map(|p| [&p.exercised, &p.held]);
                self.learned.extend(both.cloned());
                self.promises.entry(app).or_insert(promises)
            }
        };
        for promise in promises.iter().filter(|promise| promise.at <= at) {
            let mut covered = self.counted.iter().filter(|scope| promise.covers(**scope));
            let Some(first) = covered.next() else { continue };
            let used = std::iter::once(first).chain(covered).any(|scope| is_exercised(*scope));
            let (leaf, _) = if used { &promise.exercised } else { &promise.held };
            out.push(Part { leaf: *leaf, exposed: used });
        }
        Ok(())
    }
}

#[cold]
fn no_part(app: u32) -> ExposureError {
    ExposureError::Internal {
        what: format!("an event of app {app} is in parts that are not known"),
    }
}

#[cfg(test)]
mod tests;
