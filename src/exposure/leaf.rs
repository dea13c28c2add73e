//! What is known of an app, a scope set and a stretch of time in which nothing changes.

use std::sync::Arc;

use super::cells::WindowSet;
use crate::moment::Moment;

/// Which terms of row conservation a row falls into, before its outcome is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Before the restriction of every scope of the row.
    Outside,
    /// At or after `as_of`.
    AfterAsOf,
    Counts,
}

/// All that is known of an app, a scope set and a stretch of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    pub standing: Standing,
    /// Cells for which an allowed event is exposure.
    pub exposed: Vec<(u32, WindowSet)>,
    /// Cells for which an allowed event is held only.
    pub held_only: Vec<(u32, WindowSet)>,
    /// Cells for which a denied or unknown event counts.
    pub refused: Vec<(u32, WindowSet)>,
    /// Exercised scopes that count.
    pub scopes: Vec<LeafScope>,
    /// Whether any of the event's scopes is exercised, restricted by now or not.
    pub exercises: bool,
}

impl Leaf {
    pub fn new(standing: Standing, exercises: bool) -> Self {
        Self {
            standing,
            exposed: Vec::new(),
            held_only: Vec::new(),
            refused: Vec::new(),
            scopes: Vec::new(),
            exercises,
        }
    }

    /// Of a leaf of one scope: its windows.
    pub fn windows(&self) -> WindowSet {
        self.refused.first().map_or(0, |(_, windows)| *windows)
    }
}

/// An exercised scope of a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeafScope {
    /// Index into [`Policy::scope_names`](super::policy::Policy::scope_names).
    pub scope: u32,
    /// The cell of the scope and the leaf's app; `None` where the event names no app.
    pub app_cell: Option<u32>,
}

/// What is asked of leaves for every event, in one place: lists that each leaf holds itself lie
/// anywhere in memory.
#[derive(Debug, Default)]
pub struct LeafTable {
    /// By leaf.
    places: Vec<Lists>,
    scopes: Vec<LeafScope>,
    exposed: Vec<(u32, WindowSet)>,
}

/// Leaves for which tables by leaf have room from the first on.
pub const MANY_LEAVES: usize = 1 << 12;

/// Where the lists of a leaf begin, and how long they are.
#[derive(Clone, Copy, Debug, Default)]
struct Lists {
    scopes: (u32, u32),
    exposed: (u32, u32),
}

impl Lists {
    fn within<T>((from, length): (u32, u32), list: &[T]) -> Option<&[T]> {
        let (from, length) = (usize::try_from(from).ok()?, usize::try_from(length).ok()?);
        list.get(from..)?.get(..length)
    }
}

/// Lists of one leaf.
#[derive(Clone, Copy, Debug)]
pub struct LeafCells<'a> {
    pub scopes: &'a [LeafScope],
    pub exposed: &'a [(u32, WindowSet)],
}

impl LeafTable {
    /// Leaf numbers lie below this.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Takes a leaf in, once or again.
    pub fn learn(&mut self, number: u32, leaf: &Leaf) {
        let index = usize::try_from(number).unwrap_or(usize::MAX);
        if self.places.capacity() == 0 {
            // Room that is not touched costs nothing, and a list that grows touches memory over and over.
            self.places.reserve(MANY_LEAVES);
            self.scopes.reserve(MANY_LEAVES);
            self.exposed.reserve(4 * MANY_LEAVES);
        }
        if self.places.len() <= index {
            self.places.resize(index + 1, Lists::default());
        }
        let Some(place) = self.places.get_mut(index) else { return };
        if place.scopes.1 > 0 || place.exposed.1 > 0 {
            return;
        }
        place.scopes = appended(&mut self.scopes, &leaf.scopes);
        place.exposed = appended(&mut self.exposed, &leaf.exposed);
    }

    #[inline]
    pub fn get(&self, number: u32) -> Option<LeafCells<'_>> {
        let lists = self.places.get(usize::try_from(number).ok()?)?;
        Some(LeafCells {
            scopes: Lists::within(lists.scopes, &self.scopes)?,
            exposed: Lists::within(lists.exposed, &self.exposed)?,
        })
    }
}

/// Appends a list; gives its place. Memory ends long before there are four billion entries.
fn appended<T: Copy>(all: &mut Vec<T>, own: &[T]) -> (u32, u32) {
    let place = [all.len(), own.len()].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
    all.extend_from_slice(own);
    place.into()
}

/// The leaves of one app and scope set.
#[derive(Debug)]
pub struct Pair {
    /// Ascending; segment `i` lies before cut `i`.
    cuts: Vec<Moment>,
    /// Number of each segment's leaf, and the leaf.
    leaves: Vec<(u32, Arc<Leaf>)>,
}

impl Pair {
    /// Of ascending cuts, and one leaf more.
    pub fn new(cuts: Vec<Moment>, leaves: Vec<(u32, Arc<Leaf>)>) -> Self {
        Self { cuts, leaves }
    }

    #[inline]
    pub fn at(&self, at: Moment) -> Option<(u32, &Leaf)> {
        let (number, leaf) = self.leaves.get(self.cuts.partition_point(|cut| *cut <= at))?;
        Some((*number, leaf))
    }

    pub fn cuts(&self) -> &[Moment] {
        &self.cuts
    }

    /// The cuts in whole microseconds; those that there are not lie at the end of time. `None` where there are more, or
    /// one lies between two microseconds, or at the end of time itself.
    pub fn whole_cuts<const MOST: usize>(&self) -> Option<[i64; MOST]> {
        let mut cuts = [i64::MAX; MOST];
        let uneven = |cut: &Moment| cut.nanos > 0 || cut.micros == i64::MAX;
        if self.cuts.len() > MOST || self.cuts.iter().any(uneven) {
            return None;
        }
        for (slot, cut) in cuts.iter_mut().zip(&self.cuts) {
            *slot = cut.micros;
        }
        Some(cuts)
    }

    pub fn leaves(&self) -> &[(u32, Arc<Leaf>)] {
        &self.leaves
    }
}
