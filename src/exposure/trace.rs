//! One figure, followed back to the row groups that its rows came from.
//!
//! The rows are merged as they are when everything is counted, and rows that cannot belong to the
//! figure are passed over. What is kept is a few sums for each row group with such a row.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::cells::{CellKey, Window, WindowSet};
use super::distinct::Seen;
use super::home::Residences;
use super::leaf::{Pair, Standing};
use super::policy::Policy;
use super::walk::{Follower, Walk};
use super::{ExposureError, Settings, SourceRows};
use crate::key::Key;
use crate::key::MixMap;
use crate::ledger::Merged;
use crate::moment::DAY_MICROS;
use crate::scan::batch::Outcome;

/// What a row is to a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    Allowed,
    HeldOnly,
    Denied,
    Unknown,
    /// An equal row of the same event id counts in its place.
    Deduplicated,
}

impl Share {
    pub const COUNT: usize = 5;
}

/// Rows of one row group or file, and their weights, by [`Share`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shares {
    pub rows: [u64; Share::COUNT],
    pub requests: [i64; Share::COUNT],
}

impl Shares {
    fn add(&mut self, share: Share, weight: i64) -> Result<(), ExposureError> {
        let at = share as usize;
        if let (Some(rows), Some(sum)) = (self.rows.get_mut(at), self.requests.get_mut(at)) {
            *rows += 1;
            *sum = sum.checked_add(weight).ok_or(ExposureError::Overflow)?;
        }
        Ok(())
    }

    /// # Errors
    /// A sum that passes 64 bits.
    pub fn merge(&mut self, other: &Self) -> Result<(), ExposureError> {
        for (sum, rows) in self.rows.iter_mut().zip(other.rows) {
            *sum += rows;
        }
        for (sum, more) in self.requests.iter_mut().zip(other.requests) {
            *sum = sum.checked_add(more).ok_or(ExposureError::Overflow)?;
        }
        Ok(())
    }
}

/// Which figure is followed.
#[derive(Clone, Debug)]
pub struct Figure {
    pub cell: CellKey,
    /// `None` where every window counts that the cell has.
    pub window: Option<Window>,
    /// One day of it: then of allowed events alone, as the table of days has no others.
    pub day: Option<i64>,
    /// Events of one group: its namespace and key. Of allowed ones alone, likewise.
    pub group: Option<(usize, Key)>,
    /// People of these residences ([`super::NOWHERE`] stands for those of whom none is known): of allowed
    /// events that name them alone, likewise.
    pub residences: Option<BTreeSet<u32>>,
}

impl Figure {
    /// All of a cell.
    pub fn of(cell: CellKey) -> Self {
        Self { cell, window: None, day: None, group: None, residences: None }
    }

    /// Whether it is a part of its cell that has allowed events alone.
    fn is_narrowed(&self) -> bool {
        self.day.is_some() || self.group.is_some() || self.residences.is_some()
    }
}

/// Where a figure comes from.
#[derive(Debug, Default)]
pub struct Trace {
    /// By source and unit.
    pub units: BTreeMap<(usize, u32), Shares>,
    /// Distinct people of allowed events, by source and file. They may be in several.
    pub people: BTreeMap<(usize, usize), u64>,
    /// Distinct people of allowed events.
    pub subjects: u64,
}

/// Follows one figure; `file` says to which file of a source a unit belongs.
///
/// # Errors
/// As [`super::count`].
pub fn trace(
    sources: &[SourceRows],
    settings: &Settings<'_>,
    figure: &Figure,
    file: impl Fn(usize, u32) -> usize,
) -> Result<Trace, ExposureError> {
    let mut tracer = Tracer {
        policy: Policy::new(settings.rules.clone()),
        figure,
        file,
        pairs: MixMap::default(),
        person: None,
        lives: None,
        last: BTreeMap::new(),
        trace: Trace::default(),
    };
    Walk::new(sources, settings, 1).follow(&mut tracer)?;
    Ok(tracer.trace)
}

/// The leaves of an app and a scope set that touch the figure.
type Touching = Option<Arc<Pair>>;

struct Tracer<'a, F> {
    policy: Policy,
    figure: &'a Figure,
    file: F,
    /// By the codes of app and scope set; `None` where no leaf of theirs belongs to the figure.
    pairs: MixMap<u64, Touching>,
    person: Option<Key>,
    /// Who was asked for last, and whether they live in one of the figure's residences.
    lives: Option<(Key, bool)>,
    /// By source and file: who was met there last, by number, so that each counts once.
    last: BTreeMap<(usize, usize), u64>,
    trace: Trace,
}

impl<F: Fn(usize, u32) -> usize> Tracer<'_, F> {
    fn pair(&mut self, row: &Merged<'_>) -> Touching {
        let codes = u64::from(row.app()) << 32 | u64::from(row.set());
        if let Some(known) = self.pairs.get(&codes) {
            return known.clone();
        }
        let set = row.names.sets.get(row.set());
        let found = set.filter(|set| !set.scopes.is_empty()).and_then(|set| {
            let pair = self.policy.pair(row.names.apps.name(row.app()), &set);
            let touches = pair.leaves().iter().any(|(_, leaf)| {
                let cells = leaf.exposed.iter().chain(&leaf.held_only).chain(&leaf.refused);
                cells.into_iter().any(|(cell, windows)| self.holds(*cell, *windows))
            });
            touches.then_some(pair)
        });
        self.pairs.insert(codes, found.clone());
        found
    }

    /// Whether a cell in these windows is the figure's.
    fn holds(&self, cell: u32, windows: WindowSet) -> bool {
        let key = usize::try_from(cell).ok().and_then(|i| self.policy.cells.get(i));
        let within = |window: Window| windows & window.bit() != 0;
        key == Some(&self.figure.cell) && self.figure.window.is_none_or(within)
    }

    /// Whether an event is of somebody who lives in one of the figure's residences.
    fn lives_there(
        &mut self,
        person: Option<Key>,
        homes: &mut Residences<'_>,
    ) -> Result<bool, ExposureError> {
        let Some(residences) = &self.figure.residences else { return Ok(true) };
        // Who is not named lives nowhere, not even at a place that is not known.
        let Some(person) = person else { return Ok(false) };
        if let Some((_, lives)) = self.lives.filter(|(known, _)| *known == person) {
            return Ok(lives);
        }
        let lives = residences.contains(&homes.find(person)?);
        self.lives = Some((person, lives));
        Ok(lives)
    }

    /// Counts the person of an event once, and once a file: rows come in the order of people.
    fn meet(&mut self, seen: &Seen) {
        let Some(person) = seen.person else { return };
        if self.person != Some(person) {
            self.person = Some(person);
            self.trace.subjects += 1;
        }
        let (source, unit) = seen.place;
        let file = (source, (self.file)(source, unit));
        if self.last.insert(file, self.trace.subjects) != Some(self.trace.subjects) {
            *self.trace.people.entry(file).or_default() += 1;
        }
    }
}

impl<F: Fn(usize, u32) -> usize> Follower for Tracer<'_, F> {
    /// Whether the row may be one of the figure's.
    fn touches(&mut self, row: &Merged<'_>) -> bool {
        let pair = self.pair(row);
        // Rejected rows are none of the figure's, and take no part in finding repeats.
        row.reject().is_none()
            && pair
                .as_ref()
                .and_then(|pair| pair.at(row.at()))
                .is_some_and(|(_, leaf)| leaf.standing != Standing::Outside)
    }

    /// Adds a row to the figure, as the counter would (docs/counting.md, rules 1 to 4).
    fn add(&mut self, seen: &Seen, homes: &mut Residences<'_>) -> Result<(), ExposureError> {
        let codes = u64::from(seen.app) << 32 | u64::from(seen.set);
        let Some(pair) = self.pairs.get(&codes).cloned().flatten() else { return Ok(()) };
        let Some((_, leaf)) = pair.at(seen.at) else { return Ok(()) };
        if leaf.standing != Standing::Counts {
            return Ok(());
        }
        let holds = |cells: &[(u32, WindowSet)]| {
            cells.iter().any(|(cell, windows)| self.holds(*cell, *windows))
        };
        let share = match seen.outcome {
            Outcome::Allowed if holds(&leaf.exposed) => Share::Allowed,
            // An event that exercised other scopes alone held this one.
            Outcome::Allowed if holds(&leaf.held_only) => Share::HeldOnly,
            Outcome::Denied if holds(&leaf.refused) => Share::Denied,
            Outcome::Unknown if holds(&leaf.refused) => Share::Unknown,
            _ => return Ok(()),
        };
        let Figure { day, group, .. } = self.figure;
        let elsewhere = day.is_some_and(|day| seen.at.micros.div_euclid(DAY_MICROS) != day)
            || group.is_some_and(|group| seen.group != Some(group));
        if elsewhere || self.figure.is_narrowed() && share != Share::Allowed {
            return Ok(());
        }
        if !self.lives_there(seen.person, homes)? {
            return Ok(());
        }
        let share = if seen.repeat { Share::Deduplicated } else { share };
        if share == Share::Allowed {
            self.meet(seen);
        }
        self.trace.units.entry(seen.place).or_default().add(share, seen.weight)
    }

    fn end_stretch(&mut self, _homes: &mut Residences<'_>) -> Result<(), ExposureError> {
        // The next stretch may be of another namespace.
        (self.person, self.lives) = (None, None);
        Ok(())
    }
}
